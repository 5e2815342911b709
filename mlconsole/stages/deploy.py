"""Stage 5: what changes in the cluster?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Fingerprint, Input, Reason, Verdict, now
from mlconsole.evidence.cluster import DeployEvidence, DeployPlan, RolloutVerdict
from mlconsole.evidence.release import CommandNoted, PlanMade, RolloutSeen, StageRun
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.services import kubernetes
from mlconsole.services.models import ModelStore
from mlconsole.stages.base import ApprovalNeeded, Stage, StageContext, digest_of, digest_of_files, needed

if TYPE_CHECKING:
    from mlconsole.services.kubernetes import Connection, Manifest, ReleaseFacts

LONGEST_ROLLOUT = 600.0


class ManifestsNotNamed(WrongUse):
    """The project names no manifests, or no selector of its pods, and none was found."""


class ClusterNotStarted(WrongUse):
    """The project deploys to its local cluster, and that was never started."""


def connect(project: Project) -> Connection:
    """Connect to the cluster that the settings name.

    Raises:
        ClusterNotStarted: it is the local one, and it was never started.
        Problem: what `Connection.open` says.
    """
    if project.kubeconfig is not None and not project.kubeconfig.exists():
        raise ClusterNotStarted("The local cluster is not running.", "Start it: mlconsole cluster start")
    deploy = project.settings.deploy
    return kubernetes.Connection.open(context=deploy.context, namespace=deploy.namespace, kubeconfig=project.kubeconfig)


def context_name(project: Project) -> str:
    """The kubeconfig context that releases go to: the settings' or the user's current one."""
    return project.settings.deploy.context or kubernetes.contexts(project.kubeconfig).current


def stored_plan(context: StageContext, version: str) -> DeployPlan:
    """The plan by which a version was last deployed, to be applied again.

    Raises:
        WrongUse: it never was.
    """
    for run in context.journal.done_stages("deploy"):
        if isinstance(run.evidence, DeployEvidence) and run.evidence.plan.version == version:
            return run.evidence.plan
    raise WrongUse(f"{version} was never deployed from here: there are no manifests of it.")


class DeployStage(Stage[DeployEvidence]):
    """Plans by a dry run, waits for the approval of that plan, applies it, and follows the rollout to its end."""

    name = "deploy"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        project, candidate = context.project, context.known.candidate
        deploy = project.settings.deploy
        if not deploy.manifests:
            hint = 'Name them in mlconsole.toml: [deploy] manifests = ["deployment.yaml"]'
            raise ManifestsNotNamed("No manifests were found: nothing says what to deploy.", hint)
        if context.release is not None and context.release.kind == "rollback":
            manifests = stored_plan(context, candidate.label).manifests_digest
        else:
            manifests = digest_of_files(project.root, kubernetes.files(project.root, deploy.manifests))
        return (
            Input(name="candidate", digest=f"{candidate.label} {candidate.model.digest}"),
            Input(name="manifests", digest=manifests),
            Input(name="target", digest=digest_of(context_name(project), deploy.namespace, deploy.selector)),
            Input(name="image", digest=deploy.image),
        )

    def earlier(self, context: StageContext, fingerprint: Fingerprint) -> StageRun | None:
        """Only what was deployed last is there still."""
        last = context.journal.done_stage(self.name)
        return last if last and last.fingerprint and last.fingerprint.digest == fingerprint.digest else None

    def run(self, context: StageContext) -> DeployEvidence:
        project = context.project
        deploy = project.settings.deploy
        with closing(connect(project)) as connection:
            manifests = self._manifests(context, connection.namespace)
            plan = kubernetes.plan(
                connection, manifests, selector=deploy.selector, version=context.known.candidate.label
            )
            context.emit(PlanMade(plan=plan))
            changes = any(change.action != "none" for change in plan.changes)
            if changes and not context.approves(plan):
                raise ApprovalNeeded(DeployEvidence(plan=plan))
            for command in kubernetes.commands(plan):
                context.emit(CommandNoted(command=command))
            kubernetes.apply(connection, plan, report=context.note)
            applied_at = now()
            rollouts = self._follow(context, connection, manifests)
        return DeployEvidence(plan=plan, applied=True, applied_at=applied_at, rollouts=rollouts)

    def _manifests(self, context: StageContext, namespace: str) -> tuple[Manifest, ...]:
        project, deploy = context.project, context.project.settings.deploy
        if needed(context.release).kind == "rollback":
            manifests = kubernetes.from_yaml(stored_plan(context, context.known.candidate.label).manifests)
        else:
            manifests = kubernetes.load(project.root, deploy.manifests)
        if not deploy.selector:
            hint = 'Name it in mlconsole.toml: [deploy] selector = "app=ml-model"'
            raise ManifestsNotNamed("No workload with a selector was found in the manifests.", hint)
        facts = release_facts(context)
        return kubernetes.with_facts(manifests, facts, selector=deploy.selector, namespace=namespace)

    def _follow(
        self, context: StageContext, connection: Connection, manifests: Sequence[Manifest]
    ) -> tuple[RolloutVerdict, ...]:
        timeout = seconds(context.project.settings.deploy.timeout, "deploy.timeout") or LONGEST_ROLLOUT
        workloads = kubernetes.workloads_of(manifests)
        for workload in workloads:
            context.command(f"kubectl rollout status {workload.kind.lower()}/{workload.name} -n {workload.namespace}")
        return kubernetes.follow(
            connection,
            workloads,
            report=lambda progress: context.emit(RolloutSeen(progress=progress)),
            cancelled=context.cancelled,
            timeout=timeout,
        )

    def judge(self, context: StageContext, evidence: DeployEvidence) -> Verdict:
        reasons = []
        for rollout in evidence.rollouts:
            if not rollout.succeeded:
                sentence = f"{rollout.workload.kind} {rollout.workload.name}: {rollout.reason or rollout.sentence}"
                reasons.append(Reason(level="fail", sentence=sentence, next_step=rollout.next_step))
        if not context.project.is_local and needed(context.known.train).version is not None:
            sentence = "MODEL_URI names a file of this machine: pods elsewhere can read it only if the image holds it."
            reasons.append(Reason(level="warn", sentence=sentence))
        return Verdict.of(reasons)


def release_facts(context: StageContext) -> ReleaseFacts:
    """What the manifests are told of this release."""
    release, candidate, image = needed(context.release), context.known.candidate, context.project.settings.deploy.image
    cause = f"{candidate.label} by mlconsole, release {release.number}"
    return kubernetes.ReleaseFacts(
        name=candidate.name,
        version=candidate.tag,
        label=candidate.label,
        model_uri=ModelStore(context.project.store).uri(candidate.model),
        model_digest=candidate.model.digest,
        data_digest=candidate.data_digest,
        commit=candidate.commit,
        release=release.number,
        changed_by=release.started_by,
        change_cause=f"{cause}: {release.reason}" if release.reason else cause,
        image=image.replace("{commit}", candidate.commit[:12]).replace("{version}", candidate.tag),
    )
