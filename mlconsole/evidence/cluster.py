"""What changes in the cluster, and is it really serving?"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlconsole.evidence.base import Record


class ClusterTarget(Record, frozen=True, kw_only=True):
    """Where a release goes: context, its server's address, the namespace and the pods' label selector."""

    context: str
    namespace: str
    selector: str
    server: str = ""


ConflictChoice = Literal["ask", "force", "leave"]
"""What becomes of fields that others own: taken over by force, left to their owner, or a person is asked first."""


class DeployOptions(Record, frozen=True, kw_only=True):
    """What was asked of one release's deploy beside the settings; empty where the settings stand."""

    context: str = ""
    namespace: str = ""
    conflicts: ConflictChoice = "ask"
    prune: bool = False

    def with_later(self, later: DeployOptions) -> DeployOptions:
        """Return these options with what was asked later put over them."""
        return DeployOptions(
            context=later.context or self.context,
            namespace=later.namespace or self.namespace,
            conflicts=self.conflicts if later.conflicts == "ask" else later.conflicts,
            prune=self.prune or later.prune,
        )


class ObjectChange(Record, frozen=True, kw_only=True):
    """What a dry run says that an apply would do to one object; `diff` is unified text with secrets masked."""

    kind: str
    name: str
    namespace: str
    action: Literal["create", "change", "none", "delete"]
    diff: str = ""


class ObjectConflict(Record, frozen=True, kw_only=True):
    """A field of an object that an apply would change and that `owner` owns, such as `.spec.replicas`."""

    kind: str
    name: str
    namespace: str
    field: str
    owner: str


class Orphan(Record, frozen=True, kw_only=True):
    """An object that the last release applied and this one no longer has; `kept` says why it is never pruned."""

    api_version: str
    kind: str
    name: str
    namespace: str
    kept: str = ""


class DeployPlan(Record, frozen=True, kw_only=True):
    """What would be applied. `digest` covers the rendered manifests, the target and the diffs: an approval is of it."""

    digest: str
    target: ClusterTarget
    version: str
    manifests: str
    """The rendered manifests, as YAML that `kubectl apply -f` takes."""
    manifests_digest: str
    changes: tuple[ObjectChange, ...]
    conflicts: tuple[ObjectConflict, ...] = ()
    """Fields that others own. While `conflict_choice` is `ask`, the diffs show them as taken over."""
    conflict_choice: ConflictChoice = "ask"
    resolves: str = ""
    """The digest of the plan with open conflicts that this one is the answer to: its approval is of this one, too."""
    orphans: tuple[Orphan, ...] = ()
    prune: bool = False
    """Whether the orphans are deleted once the rollout has succeeded."""

    @property
    def is_open(self) -> bool:
        """Whether a person has to choose first what becomes of conflicts."""
        return bool(self.conflicts) and self.conflict_choice == "ask"

    @property
    def changes_anything(self) -> bool:
        """Whether carrying it out would change the cluster."""
        return any(change.action != "none" for change in self.changes)


class WorkloadRef(Record, frozen=True, kw_only=True):
    """A workload whose rollout is followed."""

    kind: str
    name: str
    namespace: str


class RolloutProgress(Record, frozen=True, kw_only=True):
    """How far a rollout is, in kubectl's words and in numbers of pods."""

    workload: WorkloadRef
    sentence: str
    wanted: int
    updated: int
    ready: int
    available: int
    problem: str = ""
    """Why it is stuck, in one line, where that is known already."""


class RolloutVerdict(Record, frozen=True, kw_only=True):
    """How a rollout ended; where it failed, `reason` says why, with the pods' last log lines and events."""

    workload: WorkloadRef
    succeeded: bool
    sentence: str
    reason: str = ""
    next_step: str = ""
    log_tail: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    seconds: float = 0


class DeployEvidence(Record, frozen=True, kw_only=True, tag="deploy"):
    """A plan, whether it was applied, and how the rollouts that followed ended."""

    plan: DeployPlan
    applied: bool = False
    applied_at: datetime | None = None
    rollouts: tuple[RolloutVerdict, ...] = ()
    pruned: tuple[str, ...] = ()
    not_pruned: tuple[str, ...] = ()
    """Orphans that should have been deleted, each with the reason why it was not."""


class PodRow(Record, frozen=True, kw_only=True):
    """One pod as `kubectl get pods` shows it, with the model version that it runs (from its template's annotations).

    `restarts` is the column's text (`2 (5m ago)`), `restart_count` the number. `finished` is None while it runs.
    """

    name: str
    namespace: str
    uid: str
    ready: str
    status: str
    restarts: str
    created_at: datetime | None
    is_ready: bool = False
    restart_count: int = 0
    node: str = ""
    ip: str = ""
    version: str = ""
    model_digest: str = ""
    owner: str = ""
    deleting: bool = False
    reason: str = ""
    """Why it is not ready, in one line."""


class PodUsage(Record, frozen=True, kw_only=True):
    """What a pod uses now: cores and bytes."""

    cpu: float
    memory: int


class ClusterEvent(Record, frozen=True, kw_only=True):
    """One event of the cluster: `Warning Unhealthy Readiness probe failed …`."""

    type: str
    reason: str
    message: str
    object: str
    count: int = 1
    at: datetime | None = None


class WatchState(Record, frozen=True, kw_only=True):
    """How fresh a watcher's rows are. `since` is when it entered this state, `again` the seconds to its next try."""

    state: Literal["connecting", "live", "stale", "reconnecting", "offline", "forbidden", "stopped"]
    sentence: str = ""
    attempt: int = 0
    again: float = 0
    since: datetime | None = None


class PodsSnapshot(Record, frozen=True, kw_only=True):
    """All pods that match a selector at one moment, in order of name, and how far the snapshot can be trusted."""

    target: ClusterTarget
    rows: tuple[PodRow, ...]
    watch: WatchState
    at: datetime


class ServiceAddress(Record, frozen=True, kw_only=True):
    """Where a service answers from this machine, such as `http://127.0.0.1:31080`."""

    name: str
    url: str


class SmokeAnswer(Record, frozen=True, kw_only=True):
    """What one pod answered to the smoke test: whether as expected, the HTTP status (0 without one), and in words."""

    pod: str
    passed: bool
    status: int = 0
    sentence: str = ""
    seconds: float = 0


class PodsEvidence(Record, frozen=True, kw_only=True, tag="pods"):
    """What served at the end of a release: `wanted` pods of `version` for `settled` seconds without a restart."""

    target: ClusterTarget
    version: str
    rows: tuple[PodRow, ...]
    wanted: int
    serving: int
    """Pods that are ready and run `version`."""
    settled: float = 0
    restarts: int = 0
    """Restarts while it settled."""
    events: tuple[ClusterEvent, ...] = ()
    services: tuple[ServiceAddress, ...] = ()
    smoke: tuple[SmokeAnswer, ...] = ()
    """What each ready pod answered, where the settings have a smoke test."""
