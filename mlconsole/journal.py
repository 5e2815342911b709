"""Everything that releases did and people decided, in one SQLite file: `.mlconsole/journal.db`.

The runner of a release writes it; the console, other commands and later runners read it. Records are kept as JSON in
the shapes of `evidence`, beside the few columns that are searched. The file is in WAL mode, so that readers never wait
for the writer. A kill loses nothing that was committed; what ends a stage is also fsynced.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mlconsole.errors import OutsideFailed, Refused, WrongUse
from mlconsole.evidence.base import Fingerprint, StageName, now
from mlconsole.evidence.cluster import DeployOptions
from mlconsole.evidence.release import (
    AliasMove,
    AliasName,
    Decision,
    DecisionKind,
    Event,
    EventBody,
    Release,
    ReleaseKind,
    ReleaseTrigger,
    Runner,
    StageRun,
)
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal_tables import MIGRATIONS, opened
from mlconsole.services import readonly

SCHEMA_VERSION = len(MIGRATIONS)
_T = TypeVar("_T")


class JournalFailed(OutsideFailed):
    """The journal's file can't be read or written."""


class ProjectGone(OutsideFailed):
    """The journal was removed while it was open, mostly together with its project's folder."""


class NoSuchRelease(WrongUse):
    """There is no release of that number."""


def this_runner() -> Runner:
    """Describe the present process as a runner."""
    import psutil

    return Runner(pid=os.getpid(), started=psutil.Process().create_time(), host=socket.gethostname())


def is_alive(runner: Runner) -> bool:
    """Whether a runner's process is still there. One on another host can't be asked and counts as alive."""
    import psutil

    if runner.host != socket.gethostname():
        return True
    try:
        process = psutil.Process(runner.pid)
        # a start is told by the system's clock: where that is set right meanwhile, the same start is told otherwise
        return abs(process.create_time() - runner.started) < 3 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Journal:
    """The journal of one project. One instance may be used from several threads.

    Args:
        path: the file; it is made, with its folder, where it is not there.

    Raises:
        JournalFailed: the file can't be opened, is damaged, or was written by a later version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._depth = 0
        self._file: tuple[int, int] | None = None
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            ignore = path.parent / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            self._db = opened(path)
        self._prepare()
        self._file = self._file_there()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @property
    def is_gone(self) -> bool:
        """Whether the file was removed or moved since it was opened: what is written goes nowhere then."""
        return self._file_there() != self._file

    def check_there(self) -> None:
        """Do nothing, as long as the file is where it was.

        Raises:
            ProjectGone: it was removed or moved, or another is in its place.
        """
        if self.is_gone:
            raise ProjectGone(f"{self._path} is not there any more: it was removed, or the project was moved.")

    def _file_there(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            # a disk that does not answer at the moment has not lost it
            return self._file
        return found.st_dev, found.st_ino

    def _prepare(self) -> None:
        found = self.schema_version
        if found > SCHEMA_VERSION:
            raise JournalFailed(f"{self._path} was written by a later mlconsole.", "Update mlconsole and try again.")
        if found < SCHEMA_VERSION and not (found and readonly.is_on()):
            with self.transaction():
                for version in range(self.schema_version, SCHEMA_VERSION):
                    for statement in MIGRATIONS[version].split(";\n"):
                        self._write(statement)
                self._write(f"PRAGMA user_version={SCHEMA_VERSION}")

    @property
    def schema_version(self) -> int:
        """Which tables the file has. It is an earlier version's only where nothing may be changed."""
        return int(self._rows("PRAGMA user_version")[0][0])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite or the file system says into a sentence."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            # what SQLite says of a full disk, a lock or a missing right has a type of its own
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            move = f"Put it back from a backup, or begin anew without its releases: mv {self._path}{{,.damaged}}"
            raise JournalFailed(
                f"The journal {self._path} can't be used: {getattr(error, 'strerror', None) or error}.",
                move if damaged else "Check the disk's space and the file's permissions.",
            ) from error

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Make several writes one: all of them or none. `durable` writes are on the disk when it ends."""
        readonly.check("Nothing was written to the journal")
        with self._lock:
            if self._depth:
                yield
                return
            with self._explained():
                self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                with self._explained():
                    self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def _write(self, statement: str, *values: Any) -> int:
        readonly.check("Nothing was written to the journal")
        with self._lock, self._explained():
            return self._db.execute(statement, values).lastrowid or 0

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock, self._explained():
            return self._db.execute(query, values).fetchall()

    def _records(self, kind: type[_T], query: str, *values: Any, what: str = "a record") -> tuple[_T, ...]:
        try:
            return tuple(msgspec.json.decode(row[0], type=kind) for row in self._rows(query, *values))
        except msgspec.DecodeError as error:
            raise JournalFailed(f"The journal {self._path} holds {what} that can't be read: {error}.") from error

    def keep(self, statement: str, *values: Any) -> int:
        """Write a row of another room's table (see `trigger_queue`); returns its number."""
        return self._write(statement, *values)

    def kept(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read rows of another room's table."""
        return self._rows(query, *values)

    def kept_records(self, what: str, kind: type[_T], since: int, query: str, *values: Any) -> tuple[_T, ...]:
        """Read records, the one column of a query, of another room's table; none where the file is older than it.

        `what` names one of them in a sentence ("a trigger"), `since` is the schema version that brought the table.

        Raises:
            JournalFailed: one of them can't be read.
        """
        return self._records(kind, query, *values, what=what) if self.schema_version >= since else ()

    def change_mark(self) -> tuple[int, int]:
        """A value that differs once anybody has written: asking for it costs microseconds."""
        with self._lock:
            return self._rows("PRAGMA data_version")[0][0], self._db.total_changes

    @property
    def identity(self) -> str:
        """What tells this journal from every other, also where the project's folder is moved."""
        with self._lock:
            if not self._rows("PRAGMA application_id")[0][0] and not readonly.is_on():
                with self.transaction(durable=True):
                    self._write(f"PRAGMA application_id={secrets.randbelow(2**31 - 1) + 1}")
            return f"{self._rows('PRAGMA application_id')[0][0]:08x}"

    # releases

    def begin_release(
        self,
        *,
        kind: ReleaseKind,
        who: str,
        approved: bool,
        reason: str = "",
        version: str = "",
        options: DeployOptions | None = None,
        trigger: ReleaseTrigger | None = None,
    ) -> Release:
        """Write down a new release with this process as its runner.

        Raises:
            Refused: another release of this project is running.
        """
        runner = this_runner()
        with self.transaction():
            self._refuse_second_runner()
            number = (self._rows("SELECT coalesce(max(number), 0) FROM releases")[0][0]) + 1
            release = Release(
                number=number,
                kind=kind,
                state="running",
                started_at=now(),
                started_by=who,
                approved=approved,
                reason=reason,
                runner=runner,
                version=version,
                options=options or DeployOptions(),
                trigger=trigger,
            )
            self._write("INSERT INTO releases VALUES (?, ?, ?)", number, release.state, msgspec.json.encode(release))
        return release

    def take_over(self, number: int, *, approved: bool, options: DeployOptions | None = None) -> Release:
        """Make this process the runner of a release that has none any more, to go on with it."""
        runner = this_runner()
        with self.transaction():
            self._refuse_second_runner()
            release = self.release(number)
            release = msgspec.structs.replace(
                release,
                state="running",
                runner=runner,
                finished_at=None,
                approved=release.approved or approved,
                options=release.options.with_later(options or DeployOptions()),
            )
            self.save_release(release)
        return release

    def _refuse_second_runner(self) -> None:
        running = self._records(Release, "SELECT body FROM releases WHERE state = 'running' ORDER BY number")
        for release in running:
            if release.runner and is_alive(release.runner):
                raise Refused(
                    f"Release {release.number} is running (process {release.runner.pid}, {release.started_by}).",
                    f"Wait for it, watch it in the console, or end it: mlconsole cancel {release.number}",
                )

    def save_release(self, release: Release) -> None:
        """Write a release's present state."""
        self._write(
            "UPDATE releases SET state = ?, body = ? WHERE number = ?",
            release.state,
            msgspec.json.encode(release),
            release.number,
        )

    def release(self, number: int) -> Release:
        """Read a release; one whose runner died is `interrupted`.

        Raises:
            NoSuchRelease: the journal has no such number.
        """
        found = self._records(Release, "SELECT body FROM releases WHERE number = ?", number)
        if not found:
            latest = self._rows("SELECT coalesce(max(number), 0) FROM releases")[0][0]
            raise NoSuchRelease(f"There is no release {number}.", f"The latest is {latest}." if latest else "")
        return _as_it_is(found[0])

    def releases(self, most: int = 100) -> tuple[Release, ...]:
        """The latest releases, newest first."""
        found = self._records(Release, "SELECT body FROM releases ORDER BY number DESC LIMIT ?", most)
        return tuple(_as_it_is(release) for release in found)

    def latest_release(self) -> Release | None:
        """The newest release, if there is any."""
        return next(iter(self.releases(1)), None)

    # stages

    def save_stage(self, run: StageRun) -> None:
        """Write the present state of an attempt at a stage."""
        self._write(
            "INSERT INTO stage_runs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (release, stage, attempt)"
            " DO UPDATE SET state = excluded.state, fingerprint = excluded.fingerprint, body = excluded.body",
            run.release,
            run.stage,
            run.attempt,
            run.state,
            run.fingerprint.digest if run.fingerprint else "",
            msgspec.json.encode(run),
        )

    def stage_runs(self, release: int) -> tuple[StageRun, ...]:
        """The latest attempt at each stage of a release, in no order; of a dead runner's, `interrupted`."""
        runs = self._records(
            StageRun,
            "SELECT body FROM stage_runs AS run WHERE release = ? AND attempt ="
            " (SELECT max(attempt) FROM stage_runs WHERE release = run.release AND stage = run.stage)",
            release,
        )
        if any(run.state == "running" for run in runs) and self.release(release).state != "running":
            return tuple(
                msgspec.structs.replace(run, state="interrupted") if run.state == "running" else run for run in runs
            )
        return runs

    def attempts(self, release: int, stage: StageName) -> int:
        """How many attempts at a stage a release has made."""
        query = "SELECT coalesce(max(attempt), 0) FROM stage_runs WHERE release = ? AND stage = ?"
        return int(self._rows(query, release, stage)[0][0])

    def done_stages(
        self, stage: StageName, fingerprint: Fingerprint | None = None, most: int = 1000
    ) -> tuple[StageRun, ...]:
        """The completed runs of a stage, newest first; with a fingerprint, those that had just its inputs."""
        query = "SELECT body FROM stage_runs WHERE stage = ? AND state = 'done'"
        values: list[Any] = [stage]
        if fingerprint is not None:
            query += " AND fingerprint = ?"
            values.append(fingerprint.digest)
        query += " ORDER BY release DESC, attempt DESC LIMIT ?"
        return self._records(StageRun, query, *values, most)

    def done_stage(self, stage: StageName, fingerprint: Fingerprint | None = None) -> StageRun | None:
        """The latest of `done_stages`."""
        return next(iter(self.done_stages(stage, fingerprint, 1)), None)

    def last_run(self, stage: StageName) -> StageRun | None:
        """The latest attempt at a stage that did or may have done something, however it ended."""
        query = (
            "SELECT body FROM stage_runs WHERE stage = ? AND state NOT IN ('reused', 'waiting')"
            " ORDER BY release DESC, attempt DESC LIMIT 1"
        )
        return next(iter(self._records(StageRun, query, stage)), None)

    # events and decisions

    def emit(self, release: int, body: EventBody, stage: StageName | None = None) -> Event:
        """Write down that something happened."""
        return self.emit_all(release, [body], stage)[0]

    def emit_all(self, release: int, bodies: Sequence[EventBody], stage: StageName | None = None) -> tuple[Event, ...]:
        """Write down several things that happened, in their order: all of them or none."""
        with self.transaction():
            first, at = self._rows("SELECT coalesce(max(id), 0) FROM events")[0][0] + 1, now()
            events = tuple(
                Event(id=event_id, release=release, at=at, body=body, stage=stage)
                for event_id, body in enumerate(bodies, first)
            )
            for event in events:
                self._write("INSERT INTO events VALUES (?, ?, ?)", event.id, release, msgspec.json.encode(event))
        return events

    def events(self, release: int, after: int = 0, most: int = 100_000) -> tuple[Event, ...]:
        """A release's events in order, from behind the id `after` on."""
        query = "SELECT body FROM events WHERE release = ? AND id > ? ORDER BY id LIMIT ?"
        return self._records(Event, query, release, after, most)

    def last_event(self, release: int) -> Event | None:
        """The latest event of a release."""
        query = "SELECT body FROM events WHERE release = ? ORDER BY id DESC LIMIT 1"
        return next(iter(self._records(Event, query, release)), None)

    def decide(
        self, release: int, kind: DecisionKind, stage: StageName, *, who: str, reason: str = "", subject: str = ""
    ) -> Decision:
        """Write down what a person decided."""
        with self.transaction(durable=True):
            number = self._rows("SELECT coalesce(max(id), 0) FROM decisions")[0][0] + 1
            decision = Decision(
                id=number, release=release, kind=kind, stage=stage, who=who, at=now(), reason=reason, subject=subject
            )
            self._write("INSERT INTO decisions VALUES (?, ?, ?)", number, release, msgspec.json.encode(decision))
        return decision

    def decisions(self, release: int) -> tuple[Decision, ...]:
        """What people decided about a release, in order."""
        return self._records(Decision, "SELECT body FROM decisions WHERE release = ? ORDER BY id", release)

    # model versions

    def add_version(self, version: ModelVersion) -> None:
        """Write down a new version of a model; of its number there may be what the team's store told, and no other."""
        query = "SELECT body FROM versions WHERE name = ? AND number = ?"
        for told in self._records(ModelVersion, query, version.name, version.number):
            if told.elsewhere:
                self._write("DELETE FROM versions WHERE name = ? AND number = ?", version.name, version.number)
        self._write("INSERT INTO versions VALUES (?, ?, ?)", version.name, version.number, msgspec.json.encode(version))

    def next_version_number(self, name: str) -> int:
        """The number that the next version of a model gets."""
        return int(self._rows("SELECT coalesce(max(number), 0) FROM versions WHERE name = ?", name)[0][0]) + 1

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions of a model, newest first."""
        return self._records(ModelVersion, "SELECT body FROM versions WHERE name = ? ORDER BY number DESC", name)

    def last_name(self) -> str:
        """The name of the model that a version was made of last; empty where there is none."""
        rows = self._rows("SELECT name FROM versions ORDER BY rowid DESC LIMIT 1")
        return str(rows[0][0]) if rows else ""

    def version(self, name: str, number: int) -> ModelVersion:
        """One version.

        Raises:
            WrongUse: there is none of that number.
        """
        query = "SELECT body FROM versions WHERE name = ? AND number = ?"
        for version in self._records(ModelVersion, query, name, number):
            return version
        known = ", ".join(version.tag for version in self.versions(name)[:5])
        raise WrongUse(f"There is no {name}@v{number}.", f"Known versions: {known or 'none'}.")

    def alias(self, name: str, alias: AliasName) -> ModelVersion | None:
        """The version that an alias points at."""
        query = "SELECT number FROM aliases WHERE name = ? AND alias = ? ORDER BY id DESC LIMIT 1"
        rows = self._rows(query, name, alias)
        return self.version(name, rows[0][0]) if rows else None

    def move_alias(self, name: str, alias: AliasName, number: int, release: int) -> None:
        """Point an alias at a version; where it pointed before stays on record."""
        self.add_move(AliasMove(name=name, alias=alias, number=number, release=release, at=now()))

    def add_move(self, move: AliasMove) -> None:
        """Write down a move of an alias that is known in full."""
        self._write(
            "INSERT INTO aliases (name, alias, number, body) VALUES (?, ?, ?, ?)",
            move.name,
            move.alias,
            move.number,
            msgspec.json.encode(move),
        )

    def replace_last_move(self, move: AliasMove) -> None:
        """Write down what else became known of the last move of an alias."""
        query = "SELECT max(id) FROM aliases WHERE name = ? AND alias = ?"
        last = self._rows(query, move.name, move.alias)[0][0]
        self._write("UPDATE aliases SET body = ? WHERE id = ?", msgspec.json.encode(move), last)

    def alias_moves(self, name: str) -> tuple[AliasMove, ...]:
        """Every move of every alias of a model, in order."""
        return self._records(AliasMove, "SELECT body FROM aliases WHERE name = ? ORDER BY id", name)


def _as_it_is(release: Release) -> Release:
    """A release that says it runs, but whose runner is gone, was interrupted."""
    if release.state == "running" and (release.runner is None or not is_alive(release.runner)):
        return msgspec.structs.replace(release, state="interrupted")
    return release
