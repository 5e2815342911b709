"""The arithmetic of a rolling update, as the Deployment controller of Kubernetes does it. Pure functions.

Source: the behaviour described under "Rolling Update Deployment" in the Kubernetes documentation.
"""

from __future__ import annotations

import math

from mlconsole.localcluster.controllers.objects import annotations_of, without_empty
from mlconsole.localcluster.store import Object, clone

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def replicas_of(obj: Object) -> int:
    """``spec.replicas``, which is 1 where it is not given."""
    wanted = obj["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def status_count(obj: Object, field: str) -> int:
    """A count in the status, 0 where it is not written."""
    return int((obj.get("status") or {}).get(field) or 0)


def total_replicas(replicasets: list[Object]) -> int:
    """How many pods the ReplicaSets ask for together."""
    return sum(replicas_of(item) for item in replicasets)


def is_rolling(deployment: Object) -> bool:
    """Whether the strategy is RollingUpdate."""
    return bool((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def fenceposts(deployment: Object) -> tuple[int, int]:
    """maxSurge (percentages rounded up) and maxUnavailable (rounded down); never both 0."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    wanted = replicas_of(deployment)
    surge = _resolve(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _resolve(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _resolve(value: str | int, total: int, *, up: bool) -> int:
    if not isinstance(value, str):
        return int(value)
    share = int(value.rstrip("%")) * total / 100 if value.endswith("%") else float(value)
    return math.ceil(share) if up else math.floor(share)


def max_surge(deployment: Object) -> int:
    """Pods above ``spec.replicas`` that a rollout may have."""
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    """Pods below ``spec.replicas`` that a rollout may miss."""
    if not is_rolling(deployment) or replicas_of(deployment) == 0:
        return 0
    return min(fenceposts(deployment)[1], replicas_of(deployment))


def new_size(deployment: Object, new: Object, every: list[Object]) -> int:
    """How many pods the newest ReplicaSet may have now."""
    wanted, size = replicas_of(deployment), replicas_of(new)
    if not is_rolling(deployment):
        return wanted
    if size >= wanted:
        return wanted
    room = wanted + max_surge(deployment) - total_replicas(every)
    return size + min(max(room, 0), wanted - size)


def old_sizes(deployment: Object, new: Object, old: list[Object]) -> list[tuple[Object, int]]:
    """The old ReplicaSets (oldest first) with the sizes they have to come down to now; only those that change.

    Pods that are not available go first, whichever ReplicaSet has them, then as many as availability allows.
    """
    every = [*old, new]
    minimum = replicas_of(deployment) - max_unavailable(deployment)
    new_missing = replicas_of(new) - status_count(new, "availableReplicas")
    spare = total_replicas(every) - minimum - new_missing
    if total_replicas(old) == 0 or spare <= 0:
        return []
    sizes = {id(item): replicas_of(item) for item in old}
    for item in old:
        cut = min(max(spare, 0), max(0, sizes[id(item)] - status_count(item, "availableReplicas")))
        sizes[id(item)] -= cut
        spare -= cut
    surplus = sum(status_count(item, "availableReplicas") for item in every) - minimum
    for item in old:
        cut = min(max(surplus, 0), sizes[id(item)])
        sizes[id(item)] -= cut
        surplus -= cut
    return [(item, sizes[id(item)]) for item in old if sizes[id(item)] != replicas_of(item)]


def proportional_sizes(deployment: Object, active: list[Object]) -> list[tuple[Object, int]]:
    """Sizes for several ReplicaSets with pods when the Deployment is scaled in the middle of a rollout."""
    wanted = replicas_of(deployment)
    allowed = wanted + max_surge(deployment) if wanted else 0
    change = allowed - total_replicas(active)
    newest_first = change > 0
    by_age = sorted(active, key=lambda item: item["metadata"]["creationTimestamp"], reverse=newest_first)
    ordered = sorted(by_age, key=replicas_of, reverse=True)
    sizes, done = [], 0
    for item in ordered:
        share = _share(deployment, item)
        step = min(share, change - done) if change > 0 else max(share, change - done)
        sizes.append(replicas_of(item) + (step if change else 0))
        done += step if change else 0
    left = change - done
    for index, size in enumerate(sizes):
        sizes[index] = max(0, size + left)
        left -= sizes[index] - size
    return list(zip(ordered, sizes, strict=True))


def _share(deployment: Object, replicaset: Object) -> int:
    size, wanted = replicas_of(replicaset), replicas_of(deployment)
    if wanted == 0:
        return -size
    before = int(annotations_of(replicaset).get(MAXIMUM) or 0) or status_count(deployment, "replicas") or size
    return round(size * (wanted + max_surge(deployment)) / before) - size if before else 0


def same_template(left: Object, right: Object) -> bool:
    """Whether two pod templates are equal but for the hash label."""
    return _comparable(left) == _comparable(right)


def _comparable(template: Object) -> Object:
    bare = clone(template)
    ((bare.get("metadata") or {}).get("labels") or {}).pop(HASH_LABEL, None)
    comparable: Object = without_empty(bare)
    return comparable


def revision_of(obj: Object) -> int:
    """The revision noted on a Deployment or ReplicaSet, 0 where there is none."""
    text = annotations_of(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether every pod is of the newest template and available, and no old one is left."""
    wanted = replicas_of(deployment)
    return bool(
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def has_progressed(before: Object, after: Object) -> bool:
    """Whether the new counts are nearer to the end of the rollout than those before."""

    def old_pods(status: Object) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = any(
        after.get(field, 0) > before.get(field, 0)
        for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grown or old_pods(after) < old_pods(before)


def has_running_pods(pods: list[Object], replicasets: list[Object]) -> bool:
    """Whether a pod of these ReplicaSets has not ended yet (Recreate waits for that)."""
    uids = {item["metadata"]["uid"] for item in replicasets}
    return any(
        pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and any(reference["uid"] in uids for reference in pod["metadata"].get("ownerReferences") or [])
        for pod in pods
    )
