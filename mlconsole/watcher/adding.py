"""New contents become part of the training data with their release, and leave it where a gate said no to them.

Where `data.path` is a folder or a glob, a content is a file of its own; where it is a CSV file, its rows are appended.
What is going to be done is in the journal before it is done, with the digests of before and after: whoever is killed
in between, it is done once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import msgspec

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.watching import Addition, Trigger
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.services.datasets.files import is_table
from mlconsole.services.triggers.files import BLOCK, digest_of, kept_path
from mlconsole.text import short_digest
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher.watches import KEPT

OURS = "mlconsole"
"""Tells files that are being written by us from those of others."""
LONGEST_HEADER = 1024 * 1024


class NotFit(WrongUse):
    """A content can't become part of the data: it has other columns, or the data is of another kind."""


def kept_content(project: Project, trigger: Trigger) -> Path:
    """Where the bytes of a trigger are kept that are still to be added."""
    return kept_path(project.state / KEPT, trigger.digest)


def add(project: Project, queue: TriggerQueue, trigger: Trigger) -> None:
    """Make a trigger's content part of the training data. Doing it again changes nothing.

    Raises:
        NotFit: it can't be.
        OutsideFailed: the disk does not take it, or the content is gone.
    """
    addition = queue.addition(trigger.id)
    if addition is not None and addition.state == "added":
        return
    content = kept_content(project, trigger)
    if not content.is_file():
        raise OutsideFailed(f"The content of {trigger.place} is no longer in {content.parent}.", "Put it there again.")
    target = project.root / Path(project.settings.data.path).expanduser()
    try:
        if _has_files(project, target):
            made = _add_file(project, queue, trigger, content)
        else:
            begun = addition if addition is not None and addition.state == "intended" else None
            made = _append(project, queue, trigger, content, begun)
    except OSError as error:
        raise OutsideFailed(f"{trigger.place} can't be added to the data: {error.strerror}.") from error
    queue.save_addition(msgspec.structs.replace(made, state="added"))


def take_out(project: Project, queue: TriggerQueue, addition: Addition) -> None:
    """Take out of the training data what was added. Doing it again changes nothing.

    Raises:
        OutsideFailed: the data was changed since, so that a person has to; or the disk does not take it.
    """
    path = project.root / addition.path
    try:
        if not addition.digest_before:
            path.unlink(missing_ok=True)
        elif (present := _digest(path)) != addition.digest_before:
            if present != addition.digest_after:
                raise OutsideFailed(
                    f"{addition.path} was changed since rows were appended that a gate refused.",
                    f"Take these rows out by hand, or keep them, then: mlconsole triggers forget {addition.trigger}",
                )
            _write_whole(path, _first_bytes(path, addition.size_before))
    except OSError as error:
        raise OutsideFailed(f"{addition.path} can't be written: {error.strerror}.") from error
    queue.save_addition(msgspec.structs.replace(addition, state="taken out"))


def open_additions(journal: Journal) -> tuple[Addition, ...]:
    """What is, or may be, in the data without a release that goes on with it; the latest first.

    That is what waits for its turn again, and what the data, training or test stage said no to.
    """
    queue = TriggerQueue(journal)
    found = [addition for addition in queue.additions() if addition.state != "taken out"]
    return tuple(addition for addition in reversed(found) if _is_open(journal, queue.trigger(addition.trigger)))


def _is_open(journal: Journal, trigger: Trigger) -> bool:
    if trigger.state == "waiting":
        return True
    was_refused = trigger.outcome in {"refused", "failed"} and trigger.release is not None
    return was_refused and stopped_early(journal, trigger.release or 0)


def stopped_early(journal: Journal, release: int) -> bool:
    """Whether a release was stopped where its data may be at fault: before the cluster had any part in it."""
    stopped = (run.stage for run in journal.stage_runs(release) if run.state in {"refused", "failed"})
    return any(stage in {"data", "train", "test"} for stage in stopped)


def sweep(folder: Path) -> None:
    """Remove what a writer left behind that was killed; only where nobody else writes at the moment."""
    for left in folder.glob(f".*.{OURS}-*.part"):
        left.unlink(missing_ok=True)


def _has_files(project: Project, target: Path) -> bool:
    """Whether the data is a set of files, to which one more can be put."""
    is_glob = any(mark in project.settings.data.path for mark in "*?[")
    return target.is_dir() or is_glob or not (target.exists() or is_table(target))


def _add_file(project: Project, queue: TriggerQueue, trigger: Trigger, content: Path) -> Addition:
    pattern = project.settings.data.path
    folder, name = _folder_of(project), Path(trigger.place).name
    if folder != project.root / Path(pattern).expanduser() and not fnmatch(name, Path(pattern).name):
        raise NotFit(f"{name} would not be part of the data: it does not match {pattern}.", "Name it otherwise.")
    path = folder / name
    if path.exists() and _digest(path) != trigger.digest:
        path = folder / f"{Path(name).stem}-{short_digest(trigger.digest, 8)}{Path(name).suffix}"
    there = trigger.digest if path.exists() and not _was_ours(queue, trigger) else ""
    addition = Addition(
        trigger=trigger.id,
        path=os.path.relpath(path, project.root),
        digest_before=there,
        digest_after=trigger.digest,
    )
    queue.save_addition(addition)
    if not path.exists():
        _write_whole(path, _blocks(content))
    return addition


def _was_ours(queue: TriggerQueue, trigger: Trigger) -> bool:
    """Whether the file that is there was put there for this trigger, by one that was killed before it said so."""
    begun = queue.addition(trigger.id)
    return begun is not None and begun.state == "intended" and not begun.digest_before


def data_folder(project: Project) -> Path:
    """The folder that what is added is written to."""
    folder = _folder_of(project)
    return folder if _has_files(project, folder) else folder.parent


def _folder_of(project: Project) -> Path:
    """The folder that new files go to: of a glob, the part before its first mark."""
    path = project.root / Path(project.settings.data.path).expanduser()
    marks = [index for index, part in enumerate(path.parts) if any(mark in part for mark in "*?[")]
    return Path(*path.parts[: marks[0]]) if marks else path


def _append(project: Project, queue: TriggerQueue, trigger: Trigger, content: Path, begun: Addition | None) -> Addition:
    path = project.root / Path(project.settings.data.path).expanduser()
    if not path.name.lower().endswith((".csv", ".tsv", ".txt")):
        raise NotFit(
            f"Rows can't be appended to {path.name}.",
            "Let data.path be a folder, then each new file is put into it.",
        )
    header = _first_line(path)
    if b"\0" in header:  # no line of it ends where a byte of a line end is
        raise NotFit(
            f"Rows can't be appended to {path.name}: it is UTF-16 or UTF-32.",
            "Write it as UTF-8, or let data.path be a folder, then each new file is put into it.",
        )
    if path.exists() and _first_line(content) != header:
        raise NotFit(f"{trigger.place} has other columns than {path.name}.", "Correct its first line, or its columns.")
    present = _digest(path) if path.exists() else ""
    if begun is not None and present == begun.digest_after:
        return begun
    addition = Addition(
        trigger=trigger.id,
        path=os.path.relpath(path, project.root),
        digest_before=present,
        digest_after=digest_of(_appended(path, content)),
        size_before=path.stat().st_size if present else 0,
    )
    if begun is not None and present != begun.digest_before:
        raise OutsideFailed(
            f"{addition.path} was changed while rows were being appended.", "Look at its end, then try again."
        )
    queue.save_addition(addition)
    _write_whole(path, _appended(path, content))
    return addition


def _appended(path: Path, content: Path) -> Iterator[bytes]:
    """A file with the rows of another one behind its own; the header only once."""
    last = b"\n"
    if path.exists():
        for block in _blocks(path):
            last = block[-1:]
            yield block
    if last != b"\n":
        yield b"\n"
    with content.open("rb") as source:
        if path.exists():
            source.readline(LONGEST_HEADER)
        yield from iter(lambda: source.read(BLOCK), b"")


def _first_line(path: Path) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        return file.readline(LONGEST_HEADER).removeprefix(b"\xef\xbb\xbf").strip()


def _first_bytes(path: Path, count: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while count > 0 and (block := file.read(min(BLOCK, count))):
            count -= len(block)
            yield block


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(BLOCK), b"")


def _digest(path: Path) -> str:
    return digest_of(_blocks(path)) if path.exists() else ""


def _write_whole(path: Path, blocks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{OURS}-{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
