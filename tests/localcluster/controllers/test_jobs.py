"""Jobs step by step, without processes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster.controllers.job_policy import parse_indexes, print_indexes


def job(bench: Any, **spec: Any) -> None:
    template = {"metadata": {}, "spec": {"restartPolicy": "Never", "containers": [{"name": "model", "image": "x"}]}}
    wanted = {"completions": 1, "parallelism": 1, "template": template, **spec}
    bench.store.create("jobs", {"kind": "Job", "metadata": {"name": "train", "namespace": "default"}, "spec": wanted})


def look(bench: Any) -> Any:
    return bench.jobs.reconcile(("default", "train"))


def status(bench: Any) -> dict[str, Any]:
    found: dict[str, Any] = bench.store.get("jobs", "default", "train")["status"]
    return found


def active(bench: Any) -> list[dict[str, Any]]:
    return [
        pod
        for pod in bench.store.list("pods")
        if pod["status"]["phase"] == "Pending" and "deletionTimestamp" not in pod["metadata"]
    ]


def true_conditions(bench: Any) -> dict[str, tuple[str, str]]:
    found = status(bench).get("conditions") or []
    return {item["type"]: (item["reason"], item["message"]) for item in found if item["status"] == "True"}


def test_a_job_that_succeeds_is_complete(bench: Any) -> None:
    job(bench)
    look(bench)
    assert status(bench)["active"] == 1 and status(bench)["startTime"]
    pod = active(bench)[0]
    assert pod["metadata"]["name"].startswith("train-")
    bench.finish(pod, "Succeeded")
    look(bench)
    reached = ("CompletionsReached", "Reached expected number of succeeded pods")
    assert true_conditions(bench) == {"SuccessCriteriaMet": reached, "Complete": reached}
    assert status(bench)["succeeded"] == 1 and "active" not in status(bench) and status(bench)["completionTime"]
    assert bench.messages("Completed") == ["Job completed"]


def test_failures_beyond_the_limit_fail_the_job(bench: Any) -> None:
    job(bench, backoffLimit=1)
    for _ in range(2):
        look(bench)
        bench.finish(active(bench)[0], "Failed", 1)
    look(bench)
    assert true_conditions(bench)["Failed"] == ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    assert status(bench)["failed"] == 2
    look(bench)
    assert not active(bench)


def test_a_failed_pod_is_replaced_after_a_wait(bench: Any) -> None:
    bench.jobs._backoff = 60.0
    job(bench)
    look(bench)
    bench.finish(active(bench)[0], "Failed", 1)
    wait = look(bench)
    assert 50 < wait <= 60 and not active(bench)


def test_a_job_over_its_time_fails_and_ends_its_pods(bench: Any) -> None:
    job(bench, activeDeadlineSeconds=100)
    assert 95 < look(bench) <= 101
    bench.scheduler.reconcile(("default", active(bench)[0]["metadata"]["name"]))
    late = bench.store.get("jobs", "default", "train")
    late["status"]["startTime"] = "2026-01-01T00:00:00Z"
    bench.store.update("jobs", late, status=True)
    look(bench)
    assert true_conditions(bench)["Failed"] == ("DeadlineExceeded", "Job was active longer than specified deadline")
    assert not active(bench)


def test_parallel_pods_fill_the_completions(bench: Any) -> None:
    job(bench, completions=5, parallelism=2)
    for _ in range(10):
        look(bench)
        assert len(active(bench)) <= 2
        for pod in active(bench)[:1]:
            bench.finish(pod, "Succeeded")
    look(bench)
    assert status(bench)["succeeded"] == 5 and "Complete" in true_conditions(bench)
    assert len(bench.store.list("pods")) == 5


def test_a_removed_pod_stays_counted(bench: Any) -> None:
    job(bench, completions=2)
    look(bench)
    bench.finish(active(bench)[0], "Succeeded")
    look(bench)
    done = next(pod for pod in bench.store.list("pods") if pod["status"]["phase"] == "Succeeded")
    bench.store.delete("pods", "default", done["metadata"]["name"])
    look(bench)
    assert status(bench)["succeeded"] == 1


def test_a_suspended_job_has_no_pods_until_it_is_resumed(bench: Any) -> None:
    job(bench, suspend=True)
    look(bench)
    assert true_conditions(bench)["Suspended"] == ("JobSuspended", "Job suspended")
    assert not bench.store.list("pods") and "startTime" not in status(bench)
    resumed = bench.store.get("jobs", "default", "train")
    resumed["spec"]["suspend"] = False
    bench.store.update("jobs", resumed)
    look(bench)
    assert "Suspended" not in true_conditions(bench) and len(active(bench)) == 1
    assert bench.messages("Resumed") == ["Job resumed"]


def test_a_finished_job_goes_when_its_time_to_live_is_over(bench: Any) -> None:
    job(bench, ttlSecondsAfterFinished=0)
    look(bench)
    bench.finish(active(bench)[0], "Succeeded")
    look(bench)
    look(bench)
    assert not bench.store.list("jobs")


def test_indexed_pods_each_have_their_index(bench: Any) -> None:
    job(bench, completions=3, parallelism=3, completionMode="Indexed")
    look(bench)
    names = sorted(pod["metadata"]["name"][:8] for pod in active(bench))
    assert names == ["train-0-", "train-1-", "train-2-"]
    for pod in active(bench):
        bench.finish(pod, "Succeeded")
    look(bench)
    assert status(bench)["completedIndexes"] == "0-2" and "Complete" in true_conditions(bench)


def test_a_failure_policy_can_end_the_job_at_once_or_look_away(bench: Any) -> None:
    rules = [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
    ]
    job(bench, backoffLimit=6, podFailurePolicy={"rules": rules})
    look(bench)
    bench.finish(active(bench)[0], "Failed", 7)
    look(bench)
    assert "failed" not in status(bench)
    pod = active(bench)[0]
    bench.finish(pod, "Failed", 42)
    look(bench)
    where = f"Container model for pod default/{pod['metadata']['name']}"
    said = f"{where} failed with exit code 42 matching FailJob rule at index 0"
    assert true_conditions(bench)["Failed"] == ("PodFailurePolicy", said)


@given(st.sets(st.integers(0, 40)))
def test_indexes_are_read_as_they_were_written(indexes: set[int]) -> None:
    assert parse_indexes(print_indexes(indexes)) == indexes
