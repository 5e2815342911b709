"""What a failed pod means for its Job: the pod failure policy, and the pods that count as failed. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

from mlconsole.localcluster.store import Object


class Verdict(NamedTuple):
    """``action`` is FailJob, Ignore or Count; ``message`` says which rule took the pod, for FailJob."""

    action: str
    message: str = ""


def judge_failure(job: Object, pod: Object) -> Verdict:
    """Applies ``spec.podFailurePolicy`` to a failed pod; the first rule that matches decides."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or []
    for index, rule in enumerate(rules):
        found = _exit_code_match(rule.get("onExitCodes"), pod) or _condition_match(rule.get("onPodConditions"), pod)
        if found:
            return Verdict(rule["action"], f"{found} matching {rule['action']} rule at index {index}")
    return Verdict("Count")


def _exit_code_match(wanted: Object | None, pod: Object) -> str:
    if not wanted:
        return ""
    meta, status = pod["metadata"], pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
        named = wanted.get("containerName") in (None, container["name"])
        inside = code in (wanted.get("values") or [])
        if named and code and inside == (wanted.get("operator") == "In"):
            where = f"{meta['namespace']}/{meta['name']}"
            return f"Container {container['name']} for pod {where} failed with exit code {code}"
    return ""


def _condition_match(patterns: list[Object] | None, pod: Object) -> str:
    meta = pod["metadata"]
    for condition in (pod.get("status") or {}).get("conditions") or []:
        for pattern in patterns or []:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return f"Pod {meta['namespace']}/{meta['name']} has condition {condition['type']}"
    return ""


def restarts_of(pods: list[Object]) -> int:
    """How often the containers of these pods were restarted, which counts against the limit with OnFailure."""
    return sum(
        container.get("restartCount", 0)
        for pod in pods
        for group in ("initContainerStatuses", "containerStatuses")
        for container in (pod.get("status") or {}).get(group) or []
    )


def restarts_on_failure(job: Object) -> bool:
    """Whether the pods restart their containers themselves."""
    return bool(job["spec"]["template"]["spec"].get("restartPolicy") == "OnFailure")


def free_index(job: Object, pods: list[Object], done: set[int]) -> int | None:
    """The lowest completion index that no pod has yet; None where the Job is not Indexed."""
    if job["spec"].get("completionMode") != "Indexed":
        return None
    taken = done | {index_of(pod) for pod in pods}
    return next(index for index in range(len(taken) + 1) if index not in taken)


INDEX = "batch.kubernetes.io/job-completion-index"


def index_of(pod: Object) -> int:
    """The completion index of a pod of an Indexed Job, -1 where it has none."""
    return int((pod["metadata"].get("annotations") or {}).get(INDEX, -1))


def parse_indexes(text: str) -> set[int]:
    """The indexes in ``status.completedIndexes``: ``0,2-4`` is 0, 2, 3 and 4."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def print_indexes(indexes: set[int]) -> str:
    """The inverse of `parse_indexes`."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
