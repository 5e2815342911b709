"""Lists, Tables and watches: selecting, paging, following."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mlconsole.localcluster.api import watching

Object = dict[str, Any]

PODS = "/api/v1/namespaces/default/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def line(response: Any) -> Object:
    event: Object = json.loads(await asyncio.wait_for(response.content.readline(), 40))
    return event


def names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer.body["items"]]


@pytest.fixture
async def three(api: Any, pod: Any) -> Any:
    """Pods a, b, c of two tiers; b runs."""
    for name, tier in (("a", "web"), ("b", "web"), ("c", "batch")):
        await api.create(PODS, pod(name, app="ml-model", tier=tier))
    running = api.store.get("pods", "default", "b")
    api.store.update("pods", running | {"status": {"phase": "Running"}}, status=True)
    return api


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "abc"),
        ("labelSelector=tier%3Dweb", "ab"),
        ("labelSelector=tier%3D%3Dweb,app", "ab"),
        ("labelSelector=tier!%3Dweb", "c"),
        ("labelSelector=tier+in+(web,%20batch),app%3Dml-model", "abc"),
        ("labelSelector=tier+notin+(web)", "c"),
        ("labelSelector=!tier", ""),
        ("labelSelector=app%3Dother", ""),
        ("fieldSelector=metadata.name%3Db", "b"),
        ("fieldSelector=status.phase%3DRunning", "b"),
        ("fieldSelector=status.phase!%3DRunning,metadata.namespace%3Ddefault", "ac"),
        ("labelSelector=tier%3Dweb&fieldSelector=status.phase%3DPending", "a"),
        ("resourceVersion=0", "abc"),
    ],
)
async def test_a_list_has_what_the_selectors_let_through(three: Any, query: str, expected: str) -> None:
    assert names(await three.get(f"{PODS}?{query}")) == list(expected)


async def test_events_are_found_by_the_object_they_are_about(api: Any) -> None:
    for name, uid in (("e1", "u1"), ("e2", "u2")):
        about = {"kind": "Pod", "name": "p", "uid": uid}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": about}
        await api.create("/api/v1/namespaces/default/events", event | {"reason": "Killing", "type": "Normal"})
    found = await api.get(
        "/api/v1/events?fieldSelector=involvedObject.uid%3Du2,involvedObject.kind%3DPod,reason%3DKilling"
    )
    assert names(found) == ["e2"]


async def test_a_long_list_comes_in_pages(three: Any) -> None:
    first = await three.get(f"{PODS}?limit=2")
    assert names(first) == ["a", "b"]
    assert first.body["metadata"]["remainingItemCount"] == 1
    second = await three.get(f"{PODS}?limit=2&continue={first.body['metadata']['continue']}")
    assert names(second) == ["c"]
    assert "continue" not in second.body["metadata"]
    assert second.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]


async def test_a_table_has_the_columns_that_kubectl_prints(three: Any) -> None:
    table = (await three.get(f"{PODS}?includeObject=Object", Accept=TABLE)).body
    columns = [(column["name"], column["priority"]) for column in table["columnDefinitions"]]
    assert columns[:5] == [("Name", 0), ("Ready", 0), ("Status", 0), ("Restarts", 0), ("Age", 0)]
    assert columns[5:] == [("IP", 1), ("Node", 1), ("Nominated Node", 1), ("Readiness Gates", 1)]
    assert [row["cells"][:4] for row in table["rows"]][1] == ["b", "0/1", "Running", "0"]
    assert table["rows"][0]["object"]["kind"] == "Pod"
    partial = (await three.get(f"{PODS}/a", Accept=TABLE)).body["rows"][0]["object"]
    assert (partial["kind"], partial["metadata"]["name"]) == ("PartialObjectMetadata", "a")
    bare = (await three.get(f"{PODS}?includeObject=None", Accept=TABLE)).body
    assert "object" not in bare["rows"][0]


async def test_every_kind_has_a_row_even_when_it_is_empty(api: Any) -> None:
    for group in (
        "/api/v1",
        "/apis/apps/v1",
        "/apis/batch/v1",
        "/apis/discovery.k8s.io/v1",
        "/apis/coordination.k8s.io/v1",
    ):
        for row in (await api.get(group)).body["resources"]:
            if "/" in row["name"] or "list" not in row["verbs"]:
                continue
            namespace = {"namespace": "default"} if row["namespaced"] else {}
            api.store.create(row["name"], {"metadata": {"name": "empty"} | namespace})
            table = (await api.get(f"{group}/{row['name']}", Accept=TABLE)).body
            empty = next(r for r in table["rows"] if r["object"]["metadata"]["name"] == "empty")
            assert len(empty["cells"]) == len(table["columnDefinitions"])


async def test_a_watch_tells_every_change_after_its_version(three: Any, pod: Any) -> None:
    version = (await three.get(PODS)).body["metadata"]["resourceVersion"]
    async with three.watch(f"{PODS}?watch=1&resourceVersion={version}") as response:
        await three.create(PODS, pod("d"))
        await three.patch(f"{PODS}/d", {"metadata": {"labels": {"x": "y"}}})
        await three.ask("DELETE", f"{PODS}/d")
        seen = [await line(response) for _ in range(3)]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in seen] == [
        ("ADDED", "d"),
        ("MODIFIED", "d"),
        ("DELETED", "d"),
    ]
    assert "managedFields" in seen[0]["object"]["metadata"]


async def test_a_watch_without_a_version_begins_with_what_is_there(three: Any) -> None:
    for query in ("watch=true", "watch=1&resourceVersion=0"):
        async with three.watch(f"{PODS}?{query}&labelSelector=tier%3Dweb") as response:
            assert [(await line(response))["object"]["metadata"]["name"] for _ in range(2)] == ["a", "b"]


async def test_an_object_that_starts_or_stops_to_fit_is_added_or_deleted(three: Any) -> None:
    version = (await three.get(PODS)).body["metadata"]["resourceVersion"]
    async with three.watch(f"{PODS}?watch=1&resourceVersion={version}&labelSelector=tier%3Dweb") as response:
        for name, tier in (("c", "web"), ("c", "batch"), ("c", "other"), ("a", "batch")):
            await three.patch(f"{PODS}/{name}", {"metadata": {"labels": {"tier": tier}}})
        seen = [await line(response) for _ in range(3)]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in seen] == [
        ("ADDED", "c"),
        ("DELETED", "c"),
        ("DELETED", "a"),
    ]


async def test_the_initial_events_end_with_a_bookmark(three: Any) -> None:
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&resourceVersion="
    async with three.watch(f"{PODS}?{query}") as response:
        seen = [await line(response) for _ in range(4)]
    assert [event["type"] for event in seen] == ["ADDED", "ADDED", "ADDED", "BOOKMARK"]
    meta = seen[3]["object"]["metadata"]
    assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert meta["resourceVersion"] == str(three.store.version)


async def test_a_table_ends_its_initial_events_with_a_bookmark_too(three: Any) -> None:
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    async with three.watch(f"{PODS}?{query}", Accept=TABLE) as response:
        seen = [await line(response) for _ in range(4)]
    assert [event["type"] for event in seen] == ["ADDED", "ADDED", "ADDED", "BOOKMARK"]
    assert seen[3]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_bookmarks_come_in_a_silent_watch(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.05)
    version = (await three.get(PODS)).body["metadata"]["resourceVersion"]
    async with three.watch(f"{PODS}?watch=1&resourceVersion={version}&allowWatchBookmarks=true") as response:
        event = await line(response)
    assert (event["type"], event["object"]["kind"]) == ("BOOKMARK", "Pod")


async def test_a_watch_ends_cleanly_after_its_time(three: Any) -> None:
    version = (await three.get(PODS)).body["metadata"]["resourceVersion"]
    async with three.watch(f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=1") as response:
        assert await asyncio.wait_for(response.content.read(), 40) == b""


async def test_a_watch_ends_cleanly_when_the_server_stops(three: Any) -> None:
    version = (await three.get(PODS)).body["metadata"]["resourceVersion"]
    async with three.watch(f"{PODS}?watch=1&resourceVersion={version}") as response:
        three.store.end_subscriptions()
        assert await asyncio.wait_for(response.content.read(), 40) == b""


async def test_a_watch_of_a_table_describes_its_columns_once(three: Any) -> None:
    async with three.watch(f"{PODS}?watch=1&fieldSelector=metadata.name%3Db", Accept=TABLE) as response:
        first = await line(response)
        await three.patch(f"{PODS}/b", {"metadata": {"labels": {"x": "y"}}})
        second = await line(response)
    assert first["object"]["kind"] == "Table"
    assert first["object"]["columnDefinitions"] and second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_a_client_that_leaves_takes_its_watch_with_it(three: Any) -> None:
    async with three.watch(f"{PODS}?watch=1") as response:
        await line(response)
        assert len(three.store._subscriptions) == 1
        response.close()
    async with asyncio.timeout(40):
        while three.store._subscriptions:
            await asyncio.sleep(0.01)
