"""The store: versions, locks, watches, and what is there after a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster import store as store_module
from mlconsole.localcluster.store import AlreadyExists, Conflict, Expired, NotFound, Store

Object = dict[str, Any]


def config_map(name: str, **data: str) -> Object:
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
    return head | {"data": data}


def deployment(replicas: int = 1) -> Object:
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"}}
    return head | {"spec": {"replicas": replicas}}


def test_a_created_object_gets_an_identity_and_can_be_read_and_not_be_created_again() -> None:
    store = Store(None)
    made = store.create("configmaps", config_map("a", x="1"))
    assert made["metadata"]["uid"] and made["metadata"]["resourceVersion"] == str(store.version)
    assert store.get("configmaps", "default", "a") == made
    with pytest.raises(AlreadyExists):
        store.create("configmaps", config_map("a"))
    with pytest.raises(NotFound):
        store.get("configmaps", "other", "a")


def test_generate_name_gives_each_object_a_name_of_its_own() -> None:
    store = Store(None)
    unnamed = {"metadata": {"generateName": "pod-", "namespace": "default"}}
    names = {store.create("pods", unnamed)["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20 and all(name.startswith("pod-") and len(name) == 9 for name in names)


def test_what_is_handed_out_is_a_copy() -> None:
    store = Store(None)
    store.create("configmaps", config_map("a", x="1"))
    store.get("configmaps", "default", "a")["data"]["x"] = "changed"
    store.list("configmaps")[0]["data"]["x"] = "changed"
    assert store.get("configmaps", "default", "a")["data"] == {"x": "1"}


def test_a_write_on_the_basis_of_an_old_version_is_a_conflict() -> None:
    store = Store(None)
    first = store.create("configmaps", config_map("a", x="1"))
    store.update("configmaps", config_map("a", x="2"))
    with pytest.raises(Conflict):
        store.update("configmaps", first | {"data": {"x": "3"}})


def test_an_identical_write_is_no_write() -> None:
    store = Store(None)
    made = store.create("configmaps", config_map("a", x="1"))
    assert store.update("configmaps", config_map("a", x="1")) == made
    assert str(store.version) == made["metadata"]["resourceVersion"]


def test_spec_and_status_are_written_apart_and_only_the_spec_raises_the_generation() -> None:
    store = Store(None)
    made = store.create("deployments", deployment())
    status = store.update("deployments", deployment(5) | {"status": {"replicas": 1}}, status=True)
    assert (status["spec"]["replicas"], status["status"], status["metadata"]["generation"]) == (1, {"replicas": 1}, 1)
    spec = store.update("deployments", deployment(5) | {"status": {"replicas": 9}})
    assert (spec["spec"]["replicas"], spec["status"], spec["metadata"]["generation"]) == (5, {"replicas": 1}, 2)
    assert spec["metadata"]["uid"] == made["metadata"]["uid"]


def test_a_graceful_deletion_marks_the_object_and_can_only_be_shortened() -> None:
    store = Store(None)
    store.create("pods", {"metadata": {"name": "p", "namespace": "default"}})
    marked = store.mark_deleted("pods", "default", "p", 30)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert store.mark_deleted("pods", "default", "p", 60) == marked
    assert store.mark_deleted("pods", "default", "p", 1)["metadata"]["deletionGracePeriodSeconds"] == 1
    store.delete("pods", "default", "p")
    assert store.list("pods") == []


async def test_a_watch_goes_on_where_a_list_ended() -> None:
    store = Store(None)
    store.create("configmaps", config_map("a", x="1"))
    version = store.version
    store.update("configmaps", config_map("a", x="2"))
    store.create("secrets", config_map("not-watched"))
    store.delete("configmaps", "default", "a")
    subscription = store.watch("configmaps", since=version)
    store.create("configmaps", config_map("b"))
    subscription.close()
    seen = [(event.type, event.object["metadata"]["name"], event.version) async for event in subscription]
    assert seen == [("MODIFIED", "a", version + 1), ("DELETED", "a", version + 3), ("ADDED", "b", version + 4)]


async def test_a_watch_of_a_namespace_sees_nothing_of_others() -> None:
    store = Store(None)
    subscription = store.watch("configmaps", "other")
    store.create("configmaps", config_map("a"))
    assert subscription.pending() == []


async def test_a_watcher_that_never_reads_is_let_go() -> None:
    store = Store(None)
    subscription = store.watch("configmaps", limit=2)
    for index in range(5):
        store.create("configmaps", config_map(f"c{index}"))
    assert [event.object["metadata"]["name"] async for event in subscription] == ["c0", "c1", "c2"]


def test_a_watch_from_before_the_kept_history_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "HISTORY", 3)
    store = Store(None)
    for index in range(10):
        store.create("configmaps", config_map(f"c{index}"))
    assert len(store.watch("configmaps", since=store.version - 3).pending()) == 3
    with pytest.raises(Expired):
        store.watch("configmaps", since=store.version - 4)


operations = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "delete"]), st.sampled_from("xyz")), max_size=30
)


@given(before=operations, after=operations)
def test_a_list_and_its_watch_together_give_the_state_of_the_store(before: list[Any], after: list[Any]) -> None:
    store = Store(None)
    _run(store, before)
    mirror = {obj["metadata"]["name"]: obj for obj in store.list("configmaps")}
    version = store.version
    _run(store, after)
    for event in store.watch("configmaps", since=version).pending():
        if event.type == "DELETED":
            del mirror[event.object["metadata"]["name"]]
        else:
            mirror[event.object["metadata"]["name"]] = event.object
    assert sorted(mirror.values(), key=str) == sorted(store.list("configmaps"), key=str)


def _run(store: Store, steps: list[Any]) -> None:
    for name, step, value in steps:
        try:
            if step == "delete":
                store.delete("configmaps", "default", name)
            else:
                store.update("configmaps", config_map(name, x=value))
        except NotFound:
            if step == "put":
                store.create("configmaps", config_map(name, x=value))


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db")
    store.create("configmaps", config_map("a", x="1"))
    store.create("configmaps", config_map("b"))
    store.delete("configmaps", "default", "b")
    version, objects = store.version, store.list("configmaps")
    store.close()
    again = Store(tmp_path / "objects.db")
    assert (again.version, again.list("configmaps")) == (version, objects)
    with pytest.raises(Expired):
        again.watch("configmaps", since=version - 1)
    again.close()


WRITER = """
import sys
from pathlib import Path
from mlconsole.localcluster.store import Store
store = Store(Path(sys.argv[1]))
for index in range(10_000):
    store.create("configmaps", {"metadata": {"name": f"c{index}", "namespace": "default"}})
    print(store.version, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(50)]
        writer.kill()
        said += [int(line) for line in writer.stdout.read().splitlines() if line]
    store = Store(path)
    assert store.version in (said[-1], said[-1] + 1)
    assert len(store.list("configmaps")) == store.version - 1
    store.close()
