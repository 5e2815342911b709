"""What is owned goes with its owner; events are counted and go after an hour."""

from __future__ import annotations

from typing import Any

from mlconsole.localcluster.controllers.garbage import GarbageCollector
from mlconsole.localcluster.store import Event, key_of


def collect(bench: Any, resource: str, obj: dict[str, Any]) -> None:
    collector = GarbageCollector(bench.store, bench.events)
    for key in collector.keys(resource, Event("DELETED", obj, obj, bench.store.version)):
        collector.reconcile(key)


def test_dependents_go_with_their_last_owner(bench: Any) -> None:
    bench.deploy()
    bench.settle()
    collect(bench, "deployments", bench.store.delete("deployments", "default", "ml"))
    assert not bench.store.list("replicasets")
    assert len(bench.store.list("pods")) == 3


def test_an_object_whose_owner_is_another_of_that_name_goes_too(bench: Any) -> None:
    bench.deploy()
    bench.settle()
    collector = GarbageCollector(bench.store, bench.events)
    replicaset = bench.store.list("replicasets")[0]
    bench.store.delete("deployments", "default", "ml")
    bench.deploy()
    event = Event("ADDED", replicaset, None, bench.store.version)
    for key in collector.keys("replicasets", event):
        collector.reconcile(key)
    assert not bench.store.list("replicasets")


def test_a_namespace_takes_all_that_is_in_it(bench: Any) -> None:
    for namespace in ("default", "other"):
        bench.store.create("configmaps", {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}})
    collect(bench, "namespaces", {"metadata": {"name": "other", "uid": "1"}})
    assert [key_of(item) for item in bench.store.list("configmaps")] == [("default", "c")]


def test_repeated_events_are_counted(bench: Any) -> None:
    obj = bench.deploy()
    for _ in range(3):
        bench.events.record("deployment-controller", "Deployment", obj, "Again", "and again")
    event = bench.store.list("events")[0]
    assert (len(bench.store.list("events")), event["count"], event["type"]) == (1, 3, "Normal")
    assert event["involvedObject"]["uid"] == obj["metadata"]["uid"]


def test_an_object_can_not_flood_the_events(bench: Any) -> None:
    obj = bench.deploy()
    for number in range(200):
        bench.events.record("kubelet", "Pod", obj, "Unhealthy", f"probe {number} failed")
    events = bench.store.list("events")
    assert len(events) == 10
    combined = next(event for event in events if event["message"].startswith("(combined from similar events): "))
    assert (combined["message"], combined["count"]) == ("(combined from similar events): probe 24 failed", 16)


def test_old_events_are_swept_away(bench: Any) -> None:
    obj = bench.deploy()
    bench.events.record("kubelet", "Pod", obj, "Old", "long ago")
    bench.events.record("kubelet", "Pod", obj, "New", "just now")
    old = next(event for event in bench.store.list("events") if event["reason"] == "Old")
    bench.store.update("events", old | {"lastTimestamp": "2026-01-01T00:00:00Z"})
    bench.events.sweep()
    assert [event["reason"] for event in bench.store.list("events")] == ["New"]
