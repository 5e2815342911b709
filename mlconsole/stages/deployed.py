"""What earlier releases brought into the cluster, as the journal has it."""

from __future__ import annotations

from collections.abc import Iterator

from mlconsole.errors import WrongUse
from mlconsole.evidence.cluster import ClusterTarget, DeployEvidence, DeployPlan
from mlconsole.evidence.release import Release, StageRun
from mlconsole.journal import Journal

_BROKEN = ("refused", "failed", "cancelled", "interrupted")
MOST_RELEASES = 1000


def former_plan(journal: Journal, target: ClusterTarget) -> DeployPlan | None:
    """The plan that was last applied to a target's cluster and namespace, whatever came of it."""
    for deploy, _ in _applied(journal):
        plan = _plan_of(deploy)
        if (plan.target.context, plan.target.namespace) == (target.context, target.namespace):
            return plan
    return None


def good_plan(journal: Journal, version: str, context_name: str) -> DeployPlan:
    """The plan by which a version was last deployed, to be applied again.

    One whose pods were seen to serve goes before one that was only applied, and one for this context before others.

    Raises:
        WrongUse: it never was deployed.
    """
    found = [
        (_plan_of(deploy), pods is not None and pods.state in ("done", "reused"))
        for deploy, pods in _applied(journal)
        if _plan_of(deploy).version == version and deploy.state in ("done", "reused")
    ]
    if not found:
        raise WrongUse(f"{version} was never deployed from here: there are no manifests of it.")
    # max keeps the first of equals, which is the newest
    return max(found, key=lambda entry: (entry[0].target.context == context_name, entry[1]))[0]


def was_deployed(journal: Journal, version: str) -> bool:
    """Whether a version was ever applied to a cluster from here, with success."""
    return any(
        _plan_of(deploy).version == version and deploy.state in ("done", "reused") for deploy, _ in _applied(journal)
    )


def left_behind(journal: Journal) -> tuple[str, ...]:
    """The objects that the last deploy could have deleted, and did not."""
    last = journal.last_run("deploy")
    if last is None or not isinstance(last.evidence, DeployEvidence):
        return ()
    titles = [f"{orphan.kind} {orphan.name}" for orphan in last.evidence.plan.orphans if not orphan.kept]
    return tuple(title for title in titles if title not in last.evidence.pruned)


def taken_back_words(journal: Journal, version: str) -> str:
    """Say that a version failed in the cluster and another was brought back for it; empty where it was not so."""
    rollback: Release | None = None
    for release in journal.releases(MOST_RELEASES):
        if release.kind == "rollback":
            rollback = release if release.state == "done" and release.version != version else rollback
        elif release.version == version:
            runs = {run.stage: run for run in journal.stage_runs(release.number)}
            deploy, pods = runs.get("deploy"), runs.get("pods")
            if deploy is None or deploy.state == "reused":
                continue
            broken = deploy.state == "refused" or (pods is not None and pods.state == "refused")
            if rollback is None or not broken:
                return ""
            back = f"{rollback.version} was brought back in release {rollback.number}"
            return f"{version} failed in release {release.number}, and {back}."
    return ""


def is_stuck(journal: Journal) -> bool:
    """Whether the last deploy left the cluster with something that was not seen to serve."""
    last = journal.last_run("deploy")
    if last is None:
        return False
    if last.state != "done":
        return True
    pods = next((run for run in journal.stage_runs(last.release) if run.stage == "pods"), None)
    return pods is not None and pods.state in _BROKEN


def _applied(journal: Journal) -> Iterator[tuple[StageRun, StageRun | None]]:
    """The deploy runs that applied something, newest first, each with its release's pods run."""
    for release in journal.releases(MOST_RELEASES):
        runs = {run.stage: run for run in journal.stage_runs(release.number)}
        deploy = runs.get("deploy")
        if deploy is not None and isinstance(deploy.evidence, DeployEvidence) and deploy.evidence.applied:
            yield deploy, runs.get("pods")


def _plan_of(deploy: StageRun) -> DeployPlan:
    assert isinstance(deploy.evidence, DeployEvidence)
    return deploy.evidence.plan
