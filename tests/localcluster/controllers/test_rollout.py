"""The arithmetic of rollouts, with wild numbers."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster.controllers import rollout

counts = st.integers(0, 30)
bounds = st.one_of(st.integers(0, 10), st.integers(0, 100).map(lambda share: f"{share}%"))


def deployment(wanted: int, surge: Any, unavailable: Any) -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {
        "metadata": {"name": "ml"},
        "spec": {"replicas": wanted, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}},
    }


def replicaset(size: int, available: int, created: int = 0) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": f"2026-01-01T00:00:{created:02d}Z"},
        "spec": {"replicas": size},
        "status": {"availableReplicas": min(size, available)},
    }


@given(counts, bounds, bounds)
def test_surge_and_unavailability_are_never_both_zero(wanted: int, surge: Any, unavailable: Any) -> None:
    found = rollout.fenceposts(deployment(wanted, surge, unavailable))
    assert found != (0, 0) and min(found) >= 0


@given(counts, bounds, bounds, counts, counts, counts, counts, counts)
def test_one_step_keeps_both_bounds(
    wanted: int, surge: Any, unavailable: Any, new: int, new_ready: int, old: int, old_ready: int, older: int
) -> None:
    asked = deployment(wanted, surge, unavailable)
    newest = replicaset(new, new_ready, 2)
    others = [replicaset(older, older, 0), replicaset(old, old_ready, 1)]
    size = rollout.new_size(asked, newest, [*others, newest])
    total = rollout.total_replicas(others)
    assert size <= max(wanted, 0)
    if size > new:
        assert size + total <= wanted + rollout.max_surge(asked)
    available = sum(item["status"]["availableReplicas"] for item in (*others, newest))
    minimum = wanted - rollout.max_unavailable(asked)
    lost = 0
    for item, smaller in rollout.old_sizes(asked, newest, others):
        assert 0 <= smaller < item["spec"]["replicas"]
        missing = item["spec"]["replicas"] - item["status"]["availableReplicas"]
        lost += max(0, item["spec"]["replicas"] - smaller - missing)
    assert available - lost >= min(minimum, available)


@given(counts, bounds, st.lists(st.integers(1, 20), min_size=2, max_size=4))
def test_proportional_scaling_hands_out_every_pod(wanted: int, surge: Any, sizes: list[int]) -> None:
    asked = deployment(wanted, surge, 0)
    active = [replicaset(size, size, number) for number, size in enumerate(sizes)]
    found = rollout.proportional_sizes(asked, active)
    allowed = wanted + rollout.max_surge(asked) if wanted else 0
    assert sum(size for _, size in found) == allowed
    assert all(size >= 0 for _, size in found)


def test_templates_are_the_same_but_for_the_hash() -> None:
    spec = {"containers": [{"name": "model", "image": "a", "env": None}]}
    plain = {"metadata": {"labels": {"app": "ml"}, "creationTimestamp": None}, "spec": spec}
    hashed = {
        "metadata": {"labels": {"app": "ml", "pod-template-hash": "x"}},
        "spec": {"containers": [{"name": "model", "image": "a"}]},
    }
    assert rollout.same_template(plain, hashed)
    other = {"metadata": {"labels": {"app": "ml"}}, "spec": {"containers": [{"name": "model", "image": "b"}]}}
    assert not rollout.same_template(plain, other)
