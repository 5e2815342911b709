"""Stage 5: what changes in the cluster?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Input, Reason, Verdict, now
from mlconsole.evidence.cluster import DeployEvidence, DeployOptions, DeployPlan, RolloutVerdict
from mlconsole.evidence.release import CommandNoted, PlanMade, RolloutSeen
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.services.kubernetes import apply, rollout
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.documents import Manifest, from_yaml, to_yaml
from mlconsole.services.kubernetes.facts import ReleaseFacts, with_facts
from mlconsole.services.kubernetes.orphans import prune
from mlconsole.services.kubernetes.planning import plan
from mlconsole.services.monitoring.bins import bins_of
from mlconsole.stages.already import stop_where_released
from mlconsole.stages.base import ApprovalNeeded, Stage, StageContext, digest_of, model_store, needed, shares_models
from mlconsole.stages.deployed import former_plan, good_plan
from mlconsole.stages.target import connect, context_name, given_manifests, selector_of

LONGEST_ROLLOUT = 600.0


class DeployStage(Stage[DeployEvidence]):
    """Plans by a dry run, waits for the approval of that plan, applies it, and follows the rollout to its end."""

    name = "deploy"
    is_of_the_world = True

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        deploy, candidate = context.project.settings.deploy, context.known.candidate
        store = context.project.settings.store.url
        return (
            Input(name="candidate", digest=f"{candidate.label} {candidate.model.digest}"),
            Input(name="manifests", digest=digest_of(to_yaml(self._given(context)))),
            Input(name="target", digest=digest_of(context_name(context.project), deploy.namespace, deploy.selector)),
            Input(name="image", digest=deploy.image),
            *((Input(name="model store", digest=store),) if store else ()),
        )

    def turn(self, context: StageContext) -> AbstractContextManager[object]:
        """A shared target is held until its pods are ready; a local cluster is nobody else's."""
        if context.project.is_local:
            return nullcontext()
        from mlconsole.stages.turn import Turn

        return Turn(context, connect(context.project))

    def run(self, context: StageContext) -> DeployEvidence:
        stop_where_released(context, context.known.candidate.source)
        if context.project.settings.store.url:
            from mlconsole.stages.team import refuse_where_champion_moved

            refuse_where_champion_moved(context)
        with closing(connect(context.project)) as connection:
            plan = self._agreed(context, connection)
            for command in apply.commands(plan):
                context.emit(CommandNoted(command=command))
            apply.apply(connection, plan, report=context.note)
            applied_at = now()
            rollouts = self._follow(context, connection, from_yaml(plan.manifests))
            pruned, not_pruned = self._prune(context, connection, plan, rollouts)
        return DeployEvidence(
            plan=plan,
            applied=True,
            applied_at=applied_at,
            rollouts=rollouts,
            pruned=tuple(pruned),
            not_pruned=tuple(not_pruned),
        )

    def check(self, project: Project) -> None:
        given_manifests(project)
        selector_of(project)

    def plan(
        self, context: StageContext, connection: Connection, options: DeployOptions | None = None, resolves: str = ""
    ) -> DeployPlan:
        """Tell by a dry run what a deploy of the candidate would change."""
        selector = selector_of(context.project)
        rendered = with_facts(
            self._given(context), release_facts(context), selector=selector, namespace=connection.namespace
        )
        return plan(
            connection,
            rendered,
            selector=selector,
            version=context.known.candidate.label,
            options=options or DeployOptions(prune=context.options.prune),
            former=former_plan(context.journal, connection.target(selector)),
            resolves=resolves,
        )

    def _agreed(self, context: StageContext, connection: Connection) -> DeployPlan:
        """The plan, once it has no open conflict and is approved, or changes nothing.

        Raises:
            ApprovalNeeded: a person has to choose or to approve first.
        """
        made = self.plan(context, connection)
        if made.conflicts:
            choice = context.chooses(made.conflicts)
            if choice == "ask":
                context.emit(PlanMade(plan=made))
                raise ApprovalNeeded(DeployEvidence(plan=made))
            options = DeployOptions(prune=context.options.prune, conflicts=choice)
            made = self.plan(context, connection, options, resolves=made.digest)
        context.emit(PlanMade(plan=made))
        if made.changes_anything and not context.approves(made):
            raise ApprovalNeeded(DeployEvidence(plan=made))
        return made

    def _given(self, context: StageContext) -> tuple[Manifest, ...]:
        """The manifests as they are before a release's facts are set: the project's, or a rollback's stored ones."""
        if context.release is not None and context.release.kind == "rollback":
            return from_yaml(self._stored(context))
        return given_manifests(context.project)

    def _stored(self, context: StageContext) -> str:
        """The manifests by which the candidate was deployed, here or by another machine."""
        candidate = context.known.candidate
        try:
            return good_plan(context.journal, candidate.label, context_name(context.project)).manifests
        except WrongUse:
            version = context.journal.version(candidate.name, candidate.number)
            if not version.elsewhere:
                raise
        from mlconsole.stages.team import manifests_elsewhere

        return manifests_elsewhere(context.project, version)

    def _prune(
        self, context: StageContext, connection: Connection, plan: DeployPlan, rollouts: tuple[RolloutVerdict, ...]
    ) -> tuple[list[str], list[str]]:
        """Delete orphans, but not while pods of the release before may still need them."""
        if any(not rollout.succeeded for rollout in rollouts):
            doomed = [f"{change.kind} {change.name}" for change in plan.changes if change.action == "delete"]
            return [], [f"{title}: the rollout failed" for title in doomed]
        return prune(connection, plan, report=context.note)

    def _follow(
        self, context: StageContext, connection: Connection, applied: Sequence[Manifest]
    ) -> tuple[RolloutVerdict, ...]:
        return rollout.follow(
            connection,
            rollout.workloads_of(applied),
            report=lambda progress: context.emit(RolloutSeen(progress=progress)),
            cancelled=context.cancelled,
            timeout=seconds(context.project.settings.deploy.timeout, "deploy.timeout") or LONGEST_ROLLOUT,
        )

    def judge(self, context: StageContext, evidence: DeployEvidence) -> Verdict:
        reasons = []
        for ended in evidence.rollouts:
            if not ended.succeeded:
                sentence = f"{ended.workload.kind} {ended.workload.name}: {ended.reason or ended.sentence}"
                reasons.append(Reason(level="fail", sentence=sentence, next_step=ended.next_step))
        reasons += [Reason(level="warn", sentence=f"Not deleted: {failed}.") for failed in evidence.not_pruned]
        if not context.project.is_local and not shares_models(context.project):
            sentence = "MODEL_URI names a file of this machine: pods elsewhere can read it only if the image holds it."
            hint = 'Name a store that the pods can read: [store] url = "s3://bucket/models"'
            reasons.append(Reason(level="warn", sentence=sentence, next_step=hint))
        return Verdict.of(reasons)


def release_facts(context: StageContext) -> ReleaseFacts:
    """What the manifests are told of this release."""
    release, candidate, image = needed(context.release), context.known.candidate, context.project.settings.deploy.image
    cause = f"{candidate.label} by mlconsole, release {release.number}"
    data = context.known.data
    return ReleaseFacts(
        name=candidate.name,
        version=candidate.tag,
        label=candidate.label,
        model_uri=model_store(context.project).uri(candidate.model, local=context.project.is_local),
        model_digest=candidate.model.digest,
        data_digest=candidate.data_digest,
        commit=candidate.commit,
        source=candidate.source,
        journal=context.journal.identity,
        release=release.number,
        changed_by=release.started_by,
        change_cause=f"{cause}: {release.reason}" if release.reason else cause,
        image=image.replace("{commit}", candidate.commit[:12]).replace("{version}", candidate.tag),
        reference=bins_of(data.reference, data.profile.target) if data is not None and data.reference else "",
    )
