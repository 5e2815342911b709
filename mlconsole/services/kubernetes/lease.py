"""One at a time, on a cluster that several use: a Lease says who acts, until when unless it is renewed.

The protocol is that of client-go's leader election (https://pkg.go.dev/k8s.io/client-go/tools/leaderelection): whoever
changes the lease names the version that was read, so that of two who try at once one fails; and a lease counts as
expired when it was not renewed for its duration by the reader's own clock, so that clocks need not agree.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from mlconsole.errors import OutsideFailed, Problem
from mlconsole.evidence.base import Record, now
from mlconsole.services.kubernetes.problems import ApplyConflict, NotFound, decode
from mlconsole.services.kubernetes.resources import Resource
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

LEASES = Resource(group_version="coordination.k8s.io/v1", kind="Lease", plural="leases")
DURATION = 30
CLOCK_SKEW = 600.0
"""A lease that expired so long ago by its own time is taken over at once, without watching it for its duration: more
than clocks of machines differ by that still trust each other's certificates and tokens."""


class LeaseLost(OutsideFailed):
    """A lease that was held belongs to another, or could not be renewed in time."""


class Holder(Record, frozen=True, kw_only=True):
    """Who has a lease, and since when."""

    name: str
    since: datetime | None = None
    renewed: datetime | None = None


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Lease(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _Spec = msgspec.field(default_factory=_Spec)


class Lease:
    """A lease, and the way to it. Once it is held, it is renewed by a thread until it is released or lost.

    Args:
        connection: to the cluster; the lease is in its namespace.
        name: the lease's.
        holder: who asks for it: a name that no other process has.
        duration: seconds for which it is held without being renewed.
        lost: called, once, in the renewing thread, when it is no longer held.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        holder: str,
        *,
        duration: int = DURATION,
        lost: Callable[[LeaseLost], None] = lambda problem: None,
    ) -> None:
        self._connection, self._name, self._holder = connection, name, holder
        self._duration, self._lost = duration, lost
        self._seen: tuple[str, float] = ("", 0.0)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._renewed_at = 0.0

    @property
    def is_held(self) -> bool:
        """Whether it is ours at the moment."""
        return self._thread is not None and not self._ended.is_set()

    def acquire(self) -> Holder | None:
        """Try once to get it; returns who has it instead, or None where it is ours.

        Raises:
            Problem: the cluster can't be asked, or does not allow it.
        """
        if self.is_held:
            return None
        self._join()
        try:
            found = self._read()
        except NotFound:
            found = None
        if found is not None and not self._is_free(found.spec):
            return _holder_of(found.spec)
        try:
            self._write(found, taking=True)
        except (ApplyConflict, NotFound) as problem:
            if found is None and isinstance(problem, NotFound):
                raise
            # another one was faster; the next try says who
            return Holder(name="another process")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, args=(self._ended,), name="lease", daemon=True)
        self._thread.start()
        return None

    def release(self) -> None:
        """Let others have it. Where that can't be said, it expires by itself."""
        held = self.is_held
        self._ended.set()
        self._join()
        if not held:
            return
        try:
            found = self._read()
            if found.spec.holder_identity == self._holder:
                self._write(found, taking=False)
        except Problem:
            return

    def _join(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self._duration)
        self._thread = None

    def _is_free(self, spec: _Spec) -> bool:
        """Whether nobody has it, or who has it did not renew it for its duration."""
        if spec.holder_identity in (None, "", self._holder):
            return True
        duration = float(spec.lease_duration_seconds or DURATION)
        renewed = _moment(spec.renew_time)
        if renewed is None or (now() - renewed).total_seconds() > duration + CLOCK_SKEW:
            return True
        mark = f"{spec.holder_identity} {spec.renew_time} {spec.lease_transitions}"
        if self._seen[0] != mark:
            self._seen = (mark, time.monotonic())
        return time.monotonic() - self._seen[1] > duration

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(self._duration / 3):
            try:
                found = self._read()
                if found.spec.holder_identity != self._holder:
                    raise LeaseLost(f"{_holder_of(found.spec).name} has taken over the lease {self._name}.")
                self._write(found, taking=None)
            except (LeaseLost, NotFound) as problem:
                self._is_lost(ended, str(problem))
            except Problem as problem:
                if time.monotonic() - self._renewed_at > self._duration:
                    self._is_lost(ended, f"it could not be renewed: {problem.sentence}")

    def _is_lost(self, ended: threading.Event, why: str) -> None:
        if not ended.is_set():
            ended.set()
            self._lost(LeaseLost(f"The lease {self._name} is lost: {why}", "Look at who else releases there."))

    def _read(self) -> _Lease:
        path = LEASES.path(self._connection.namespace, self._name)
        return decode(self._connection.request("GET", path, timeout=self._duration / 3), _Lease)

    def _write(self, found: _Lease | None, *, taking: bool | None) -> None:
        """Write the lease as taken (True), renewed (None) or free (False), if it is still the one that was read."""
        moment = _micro(now())
        before = found.spec if found is not None else _Spec()
        mine = before.holder_identity == self._holder
        spec = _Spec(
            holder_identity="" if taking is False else self._holder,
            lease_duration_seconds=1 if taking is False else self._duration,
            acquire_time=before.acquire_time if mine else moment,
            renew_time=moment,
            lease_transitions=(before.lease_transitions or 0) + (0 if mine or found is None else 1),
        )
        metadata = {"name": self._name, "namespace": self._connection.namespace}
        if found is not None:
            metadata["resourceVersion"] = found.metadata.resource_version
        body = {
            "apiVersion": LEASES.group_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": msgspec.to_builtins(spec),
        }
        name = "" if found is None else self._name
        self._connection.request(
            "POST" if found is None else "PUT",
            LEASES.path(self._connection.namespace, name),
            body=msgspec.json.encode(body),
            timeout=self._duration / 3,
        )
        self._renewed_at = time.monotonic()


def _holder_of(spec: _Spec) -> Holder:
    return Holder(
        name=clean_line(spec.holder_identity or "nobody"),
        since=_moment(spec.acquire_time),
        renewed=_moment(spec.renew_time),
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def _micro(moment: datetime) -> str:
    """A moment as Kubernetes writes a MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
