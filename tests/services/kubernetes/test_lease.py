"""Of several who want to act, one does; one that is gone is taken over, and nobody acts without the lease."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import pytest

from mlconsole.evidence.base import now
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.lease import LEASES, Lease, LeaseLost
from tests.waiting import until

pytestmark = pytest.mark.end_to_end
DEADLINE = 60.0


def write(connection: Connection, holder: str, seconds: int, *, over: bool = False, ago: float = 0) -> None:
    """Write a lease as somebody who never renews it, or whose clock goes after; `over` another's."""
    moment = (now() - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "acquireTime": moment, "renewTime": moment}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "release"}, "spec": spec}
    path = LEASES.path(connection.namespace, "release" if over else "")
    connection.request("PUT" if over else "POST", path, body=msgspec.json.encode(body))


def spec_of(connection: Connection) -> dict[str, object]:
    body = connection.request("GET", LEASES.path(connection.namespace, "release"))
    found: dict[str, dict[str, object]] = msgspec.json.decode(body)
    return found["spec"]


def test_the_first_has_it_and_the_second_is_told_who_that_is(connection: Connection) -> None:
    ada, bob = Lease(connection, "release", "ada"), Lease(connection, "release", "bob")
    assert ada.acquire() is None
    other = bob.acquire()
    assert other is not None
    assert (other.name, other.since is not None, ada.is_held, bob.is_held) == ("ada", True, True, False)
    ada.release()
    assert bob.acquire() is None
    assert spec_of(connection)["leaseTransitions"] == 1
    bob.release()
    assert spec_of(connection)["holderIdentity"] == ""


def test_one_that_is_not_renewed_is_taken_over(connection: Connection) -> None:
    write(connection, "crashed", 1)
    bob = Lease(connection, "release", "bob")
    other = bob.acquire()
    assert other is not None
    assert other.name == "crashed"
    until(lambda: bob.acquire() is None)
    assert spec_of(connection)["holderIdentity"] == "bob"
    bob.release()


def test_one_whose_holders_clock_goes_after_is_not_taken_away(connection: Connection) -> None:
    write(connection, "ada", 60, ago=300)
    bob = Lease(connection, "release", "bob")
    other = bob.acquire()
    assert other is not None
    assert other.name == "ada", "it may be renewed all the while"


def test_one_that_was_left_long_ago_is_taken_over_at_once(connection: Connection) -> None:
    write(connection, "crashed", 60, ago=3600)
    bob = Lease(connection, "release", "bob")
    assert bob.acquire() is None
    bob.release()


def test_it_is_renewed_for_as_long_as_it_is_held(connection: Connection) -> None:
    ada = Lease(connection, "release", "ada", duration=4)
    ada.acquire()
    first = spec_of(connection)["renewTime"]
    until(lambda: spec_of(connection)["renewTime"] != first)
    assert spec_of(connection)["acquireTime"] == first
    ada.release()


def test_of_many_who_try_at_once_one_gets_it(connect: Callable[[], Connection]) -> None:
    leases = [Lease(connect(), "release", f"runner {number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        got = [answer is None for answer in pool.map(Lease.acquire, leases)]
    assert got.count(True) == 1
    for lease in leases:
        lease.release()


def test_who_loses_it_is_told_so(connection: Connection) -> None:
    told: list[LeaseLost] = []
    lost = threading.Event()

    def note(problem: LeaseLost) -> None:
        told.append(problem)
        lost.set()

    ada = Lease(connection, "release", "ada", duration=4, lost=note)
    ada.acquire()
    write(connection, "bob", 600, over=True)
    assert lost.wait(DEADLINE)
    assert not ada.is_held
    assert "bob has taken over the lease release" in str(told[0])
    ada.release()
    assert spec_of(connection)["holderIdentity"] == "bob", "what is another's is not given away"
