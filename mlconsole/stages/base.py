"""What the stages have in common: what they are given, and what each of them has to offer."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from mlconsole.errors import OutsideFailed, Problem
from mlconsole.evidence.base import CommandRun, Fingerprint, Input, InputPart, Reason, StageName, Verdict
from mlconsole.evidence.cluster import (
    ConflictChoice,
    DeployEvidence,
    DeployOptions,
    DeployPlan,
    ObjectConflict,
    PodsEvidence,
)
from mlconsole.evidence.data import DataEvidence, DataIdentity
from mlconsole.evidence.release import CommandNoted, EventBody, Evidence, Note, Release, StageRun
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.evidence.testing import TestEvidence
from mlconsole.evidence.training import ModelVersion, TrainEvidence
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.services.models.store import ModelStore
from mlconsole.text import clean_line, short_digest

E = TypeVar("E", RepoEvidence, DataEvidence, TrainEvidence, TestEvidence, DeployEvidence, PodsEvidence)
R = TypeVar("R")


_MOST_RUNS = 20
"""So many runs are looked through for an earlier one: mostly it is the last."""
_MOST_PARTS = 2_000
"""Of so many files an input keeps each one's digest; of more, it is told only that one of them changed."""


class ApprovalNeeded(Problem):
    """A plan is ready, and nobody has approved it yet. It carries the evidence so far."""

    def __init__(self, evidence: DeployEvidence) -> None:
        super().__init__("Waits for an approval.")
        self.evidence = evidence


class LeftOut(Problem):
    """There is nothing that a stage could look at in this release; the sentence says why."""

    @property
    def verdict(self) -> Verdict:
        """What stands in the place of a gate's verdict: a warning."""
        return Verdict.of([Reason(level="warn", sentence=self.sentence, next_step=self.next_step)])


class Known(msgspec.Struct, frozen=True):
    """The evidence that a release has so far, in the order of its stages."""

    repo: RepoEvidence | None = None
    data: DataEvidence | None = None
    train: TrainEvidence | None = None
    test: TestEvidence | None = None
    deploy: DeployEvidence | None = None
    pods: PodsEvidence | None = None

    def with_evidence(self, stage: StageName, evidence: Evidence) -> Known:
        """Return a copy that knows one stage more."""
        return msgspec.structs.replace(self, **{stage: evidence})

    @property
    def candidate(self) -> ModelVersion:
        """The version that training made: there from the train stage on."""
        return needed(needed(self.train).version)

    @property
    def data_identity(self) -> DataIdentity:
        """Which data it is: there from the data stage on."""
        return needed(self.data).profile.identity

    @property
    def data_digest(self) -> str:
        """The digest of the data: there from the data stage on."""
        return self.data_identity.digest


def needed(value: R | None) -> R:
    """Return what an earlier stage must have left; its absence is a defect of ours."""
    if value is None:
        raise AssertionError("a stage ran before the one that it builds on")
    return value


@dataclass(frozen=True)
class StageContext:
    """What a stage is given: the project, what is known so far, who serves now, and ways to report and to be ended.

    `release` is None while it is only asked whether anything has to run; then `inputs` is all that may be called.
    """

    project: Project
    journal: Journal
    known: Known
    champion: ModelVersion | None
    cancelled: threading.Event
    release: Release | None
    emit: Callable[[EventBody], None]
    approves: Callable[[DeployPlan], bool]
    emit_all: Callable[[Sequence[EventBody]], None] = lambda bodies: None
    """Reports many things at once, in their order: what floods in is cheaper to write down together."""
    chooses: Callable[[tuple[ObjectConflict, ...]], ConflictChoice] = lambda conflicts: "ask"
    """What a person decided to do with fields that others own."""
    again: bool = False
    """Whether a person asked for stages to be run again, changed or not."""

    @property
    def options(self) -> DeployOptions:
        """What was asked of this release's deploy."""
        return self.release.options if self.release is not None else DeployOptions()

    @property
    def folder(self) -> Path:
        """The release's own folder."""
        return self.project.release_folder(needed(self.release).number)

    def log_path(self, stage: StageName) -> Path:
        """Where the output of a stage's children goes."""
        return self.folder / f"{stage}.log"

    def note(self, text: str) -> None:
        """Say something worth a line."""
        self.emit(Note(text=text))

    def command(self, line: str, note: str = "") -> None:
        """Tell what a person would have typed for what is done now."""
        self.emit(CommandNoted(command=CommandRun(line=line, note=note)))

    @property
    def rival(self) -> ModelVersion | None:
        """The champion, where it is another version than the candidate."""
        champion = self.champion
        return None if champion is None or champion.label == self.known.candidate.label else champion


class Stage(ABC, Generic[E]):
    """One step of a release. It reads the context, and hands back evidence; it writes no journal itself."""

    name: StageName
    is_of_the_world = False
    """Whether its evidence is about the cluster: then only the latest run can still be true."""
    compared_by = ""
    """The input that tells the champion, which others are compared with; empty where it is compared with nobody."""

    @abstractmethod
    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        """Name everything that the evidence depends on, cheaply: nothing heavy is imported for it.

        Raises:
            LeftOut: this release goes on without the stage.
            Problem: an input is missing.
        """

    def check(self, project: Project) -> None:
        """Look, cheaply and without the network, for what would stop this stage: before the ones ahead of it run.

        Raises:
            Problem: it can't be carried out as the project stands.
        """
        return

    @abstractmethod
    def run(self, context: StageContext) -> E:
        """Do the work and return what is known then.

        Raises:
            Problem: it can't be done; the sentence says why.
            ApprovalNeeded: a person has to look at a plan first.
        """

    def turn(self, context: StageContext) -> AbstractContextManager[object]:
        """What is to be held from the beginning of this stage to the end of the release; by default nothing."""
        return nullcontext()

    @abstractmethod
    def judge(self, context: StageContext, evidence: E) -> Verdict:
        """Say whether a release with this evidence may go on."""

    def earlier(self, context: StageContext, fingerprint: Fingerprint) -> StageRun | None:
        """A completed run whose evidence still stands, so that the stage need not run."""
        if not self.is_of_the_world:
            return context.journal.done_stage(self.name, fingerprint) or self._before_it_served(context, fingerprint)
        settings = context.project.settings
        if settings.store.url and changed_elsewhere(context.journal, settings.name):
            return None
        last = context.journal.last_run(self.name)
        known = last.fingerprint.digest if last and last.state == "done" and last.fingerprint else ""
        return last if known == fingerprint.digest else None

    def _before_it_served(self, context: StageContext, fingerprint: Fingerprint) -> StageRun | None:
        """The run by which what is the champion now came to be it: nothing but that changed since.

        Else the first thing to do after every release would be to look once more at what it released.
        """
        rivals = [entry for entry in fingerprint.inputs if entry.name == self.compared_by and entry.digest]
        if not self.compared_by or rivals or context.champion is None:
            return None
        for run in context.journal.done_stages(self.name, most=_MOST_RUNS):
            if run.fingerprint is not None and fingerprint.changed_since(run.fingerprint) == (self.compared_by,):
                return run
        return None

    def why_it_runs(self, context: StageContext, fingerprint: Fingerprint) -> tuple[str, ...]:
        """The inputs that changed since the stage was last completed, in words; none where it never was."""
        last = last_of_its_kind(context.journal, self.name, fingerprint)
        return fingerprint.words_since(last.fingerprint) if last is not None and last.fingerprint is not None else ()

    def conclude(self, context: StageContext, evidence: E) -> None:
        """Write what follows from an accepted stage, in the one transaction that ends it."""
        return

    def tell(self, context: StageContext) -> None:
        """Tell others what followed from an accepted stage, once it is written down. It is no part of the stage."""
        return


def changed_elsewhere(journal: Journal, name: str) -> bool:
    """Whether another machine of the team deployed last, so that what this one knows of the cluster is not true now."""
    last = next((move for move in reversed(journal.alias_moves(name)) if move.alias == "champion"), None)
    return last is not None and bool(last.elsewhere)


def model_store(project: Project) -> ModelStore:
    """The project's model store, with the one that its team shares behind it.

    Raises:
        SharedStoreUnusable: store.url can't be used.
    """
    return ModelStore(project.store, shared_url(project))


def shared_url(project: Project) -> str:
    """The address of the store that the project's team shares, a folder by its whole path; empty: there is none."""
    url = project.settings.store.url
    is_folder = bool(url) and "://" not in url and "::" not in url
    return str(project.root / Path(url).expanduser()) if is_folder else url


def shares_models(project: Project) -> bool:
    """Whether models are kept where other machines can read them, too."""
    url = project.settings.store.url
    return "://" in url and not url.startswith(("file://", "local://", "memory://"))


def digest_of(*texts: str) -> str:
    """A digest of texts, each of which ends where the next begins."""
    sha = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogateescape")
        sha.update(len(encoded).to_bytes(8, "big") + encoded)
    return f"sha256:{sha.hexdigest()}"


def digest_of_files(root: Path, paths: Iterable[Path]) -> str:
    """A digest of the names and contents of small files.

    Raises:
        OutsideFailed: one of them can't be read.
    """
    return input_of_files("", root, paths).digest


def input_of_files(name: str, root: Path, paths: Iterable[Path]) -> Input:
    """Small files as an input, by their names and contents.

    Raises:
        OutsideFailed: one of them can't be read.
    """
    texts: list[tuple[str, str]] = []
    for path in sorted(paths):
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise OutsideFailed(f"{path} can't be read: {error.strerror}.") from error
        texts.append((str(path.relative_to(root)) if path.is_relative_to(root) else str(path), content))
    digest = digest_of(*(text for pair in texts for text in pair))
    return Input(name=name, digest=digest, parts=parts_of(texts))


def parts_of(digests: Collection[tuple[str, str]]) -> tuple[InputPart, ...]:
    """Names and digests as the parts of an input; none where they are so many that the journal would swell."""
    if len(digests) > _MOST_PARTS:
        return ()
    return tuple(InputPart(clean_line(name), f"sha256:{short_digest(digest)}") for name, digest in digests)


def parts_of_settings(settings: msgspec.Struct) -> tuple[InputPart, ...]:
    """The keys of a table of settings as the parts of an input, with what each says."""
    values = msgspec.to_builtins(settings)
    return tuple(InputPart(name, msgspec.json.encode(value).decode()) for name, value in values.items())


def fingerprint_of(inputs: tuple[Input, ...]) -> Fingerprint:
    """Join the inputs of a stage into its fingerprint."""
    texts = [text for entry in inputs for text in (entry.name, entry.digest)]
    return Fingerprint(digest=digest_of(*texts), inputs=inputs)


def last_of_its_kind(journal: Journal, name: StageName, fingerprint: Fingerprint) -> StageRun | None:
    """The last completed run of a stage that had inputs in common; None where it never was completed.

    A training and a model that was imported have no input in common: each is held against the last of its own.
    """
    mine = {entry.name for entry in fingerprint.inputs}
    for most in (1, _MOST_RUNS):
        for run in journal.done_stages(name, most=most):
            if run.fingerprint is not None and mine & {entry.name for entry in run.fingerprint.inputs}:
                return run
    return None
