"""What people decide about a release: they write it into the journal, and the runner reads it there."""

from __future__ import annotations

import getpass
import threading
from types import TracebackType

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import STAGES, digest_of_records
from mlconsole.evidence.cluster import ConflictChoice, DeployEvidence, DeployPlan, ObjectConflict
from mlconsole.evidence.release import Decision, DecisionKind, StageRun, StageState
from mlconsole.journal import Journal
from mlconsole.text import listed

LOOK_EVERY = 0.2

CHOICES: dict[DecisionKind, ConflictChoice] = {"force-conflicts": "force", "leave-conflicts": "leave"}
"""Decisions about fields that others own, and what each of them means."""


def who_am_i() -> str:
    """The name under which decisions are recorded: the user's login name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def approve(
    journal: Journal, release: int, *, who: str, reason: str = "", conflicts: ConflictChoice = "ask"
) -> Decision:
    """Approve the plan that a release waits with: just that plan; another one will have to be approved anew.

    Args:
        journal: the project's.
        release: its number.
        who: the person's name.
        reason: why.
        conflicts: what becomes of fields that others own, where the plan has such; it is a decision of its own.

    Raises:
        WrongUse: it does not wait for an approval, or it has conflicts and nothing was chosen.
    """
    run = _stopped_stage(journal, release, "waiting")
    if run is None or not isinstance(run.evidence, DeployEvidence):
        raise WrongUse(f"Release {release} does not wait for an approval.", f"Look at it: mlconsole show {release}")
    plan = run.evidence.plan
    if plan.is_open:
        if conflicts == "ask":
            raise WrongUse(conflict_words(plan.conflicts), choose_words(release))
        choose(journal, release, plan.conflicts, conflicts, who=who, reason=reason)
    return journal.decide(release, "approve", run.stage, who=who, reason=reason, subject=plan.digest)


def open_conflicts(journal: Journal, release: int) -> tuple[ObjectConflict, ...]:
    """Fields that others own, about which a release waits for a choice."""
    run = _stopped_stage(journal, release, "waiting")
    plan = run.evidence.plan if run is not None and isinstance(run.evidence, DeployEvidence) else None
    return plan.conflicts if plan is not None and plan.is_open else ()


def choose(
    journal: Journal,
    release: int,
    conflicts: tuple[ObjectConflict, ...],
    choice: ConflictChoice,
    *,
    who: str,
    reason: str = "",
) -> Decision:
    """Write down what becomes of just these fields that others own."""
    kind: DecisionKind = "force-conflicts" if choice == "force" else "leave-conflicts"
    return journal.decide(release, kind, "deploy", who=who, reason=reason, subject=digest_of_records(*conflicts))


def choice_of(journal: Journal, release: int, conflicts: tuple[ObjectConflict, ...]) -> Decision | None:
    """The latest decision about just these fields that others own, if there is one."""
    subject = digest_of_records(*conflicts)
    found = [decision for decision in journal.decisions(release) if decision.kind in CHOICES]
    return next((decision for decision in reversed(found) if decision.subject == subject), None)


def conflict_words(conflicts: tuple[ObjectConflict, ...]) -> str:
    """Name the fields that others own, in one sentence."""
    owned: dict[tuple[str, str], list[str]] = {}
    for conflict in conflicts:
        owned.setdefault((f"{conflict.kind} {conflict.name}", conflict.owner), []).append(conflict.field)
    parts = [f"{title}: {owner} owns {listed(fields, 5)}" for (title, owner), fields in owned.items()]
    return f"Others own fields that would change. {'; '.join(parts)}."


def choose_words(release: int) -> str:
    """The commands that settle conflicts."""
    return (
        f"Take them over: mlconsole approve {release} --force-conflicts. "
        f"Leave them to their owners: mlconsole approve {release} --leave-conflicts."
    )


def waiting_words(release: int, plan: DeployPlan, warning: str = "") -> str:
    """What a release waits for, with its commands, behind what is to be known before it is approved."""
    words = f"Look at the plan, then: mlconsole approve {release}"
    if plan.is_open:
        words = f"{conflict_words(plan.conflicts)} {choose_words(release)}"
    return f"{warning} {words}".lstrip()


def override(journal: Journal, release: int, *, who: str, reason: str) -> Decision:
    """Let a release go on although a gate said no. The reason is kept.

    Raises:
        WrongUse: no gate refused it, or no reason was given.
    """
    run = _stopped_stage(journal, release, "refused")
    if run is None:
        raise WrongUse(f"No gate has refused release {release}.", f"Look at it: mlconsole show {release}")
    if not reason.strip():
        raise WrongUse("An override needs a reason.", 'Say it: --reason "…"')
    return journal.decide(release, "override", run.stage, who=who, reason=reason.strip(), subject=_subject(run))


def cancel(journal: Journal, release: int, *, who: str) -> Decision:
    """Ask the runner of a release to end it.

    Raises:
        WrongUse: it is not running.
    """
    if journal.release(release).state != "running":
        raise WrongUse(f"Release {release} is not running.", f"Look at it: mlconsole show {release}")
    running = [run.stage for run in journal.stage_runs(release) if run.state == "running"]
    return journal.decide(release, "cancel", running[0] if running else STAGES[0], who=who)


def approval_of(journal: Journal, release: int, plan: DeployPlan) -> Decision | None:
    """The decision that approves just this plan, or the one with open conflicts that it is the answer to."""
    subjects = {plan.digest, plan.resolves or plan.digest}
    decisions = journal.decisions(release)
    return next((found for found in decisions if found.kind == "approve" and found.subject in subjects), None)


def override_of(journal: Journal, run: StageRun) -> Decision | None:
    """The decision that lets a release go on after this stage's gate said no to just this evidence."""
    subject = _subject(run)
    decisions = journal.decisions(run.release)
    return next(
        (
            found
            for found in decisions
            if found.kind == "override" and found.stage == run.stage and found.subject == subject
        ),
        None,
    )


def _subject(run: StageRun) -> str:
    return run.fingerprint.digest if run.fingerprint else run.stage


def _stopped_stage(journal: Journal, release: int, state: StageState) -> StageRun | None:
    if journal.release(release).state != state:
        return None
    return next((run for run in journal.stage_runs(release) if run.state == state), None)


class CancelWatch:
    """While it is open, looks into the journal for a `cancel`, and sets an event.

    A journal that was removed together with its project's folder cancels as well.

    Args:
        journal: the journal.
        release: the number of the release.
        cancelled: is set.
        after: the last decision that does not count: what `last` was before the release could be cancelled.
    """

    def __init__(self, journal: Journal, release: int, cancelled: threading.Event, after: int) -> None:
        self._journal, self._release, self._cancelled, self._after = journal, release, cancelled, after
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="cancel-watch", daemon=True)

    @staticmethod
    def last(journal: Journal, release: int) -> int:
        """The latest decision about a release; 0 where there is none."""
        return max((found.id for found in journal.decisions(release)), default=0)

    def __enter__(self) -> CancelWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            if self._journal.is_gone:
                self._cancelled.set()
                return
            decisions = self._journal.decisions(self._release)
            if any(found.kind == "cancel" and found.id > self._after for found in decisions):
                self._cancelled.set()
                return
