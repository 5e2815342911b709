"""Stage 6: is it really serving?"""

from __future__ import annotations

from contextlib import closing

from mlconsole.evidence.base import Input, Reason, Verdict
from mlconsole.evidence.cluster import PodsEvidence, PodsSnapshot
from mlconsole.evidence.release import PodSeen
from mlconsole.project.settings import seconds
from mlconsole.services.kubernetes.documents import from_yaml
from mlconsole.services.kubernetes.revisions import wanted_pods
from mlconsole.services.kubernetes.settle import settle
from mlconsole.stages.base import Stage, StageContext, digest_of, needed
from mlconsole.stages.deploy import connect
from mlconsole.text import count, duration


class PodsStage(Stage[PodsEvidence]):
    """Waits until every pod serves the candidate, watches on for the settling time, and makes it the champion."""

    name = "pods"
    is_of_the_world = True

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        plan = needed(context.known.deploy).plan
        target = digest_of(plan.target.context, plan.target.namespace, plan.target.selector)
        return (
            Input(name="deployed manifests", digest=plan.manifests_digest),
            Input(name="candidate", digest=context.known.candidate.label),
            Input(name="target", digest=target),
            Input(name="settling time", digest=context.project.settings.deploy.settle),
        )

    def run(self, context: StageContext) -> PodsEvidence:
        plan = needed(context.known.deploy).plan
        settling = seconds(context.project.settings.deploy.settle, "deploy.settle") or 0
        context.command(f"kubectl get pods -n {plan.target.namespace} -l {plan.target.selector} -w")
        seen: dict[str, str] = {}

        def report(snapshot: PodsSnapshot) -> None:
            for row in snapshot.rows:
                words = f"{row.ready} {row.status} {row.restart_count} {row.version}"
                if seen.get(row.uid) != words:
                    seen[row.uid] = words
                    context.emit(PodSeen(pod=row))

        with closing(connect(context.project)) as connection:
            return settle(
                connection,
                plan.target,
                version=context.known.candidate.label,
                wanted=wanted_pods(connection, from_yaml(plan.manifests), plan.target.selector),
                seconds=settling,
                report=report,
                cancelled=context.cancelled,
            )

    def judge(self, context: StageContext, evidence: PodsEvidence) -> Verdict:
        reasons = []
        if evidence.serving < evidence.wanted:
            why = next((row.reason for row in evidence.rows if row.reason), "")
            sentence = f"{evidence.serving} of {count(evidence.wanted, 'pod')} serve {evidence.version}."
            reasons.append(Reason(level="fail", sentence=f"{sentence} {why}".strip()))
        if evidence.restarts:
            restarts = count(evidence.restarts, "restart")
            sentence = f"{restarts} in the {duration(evidence.settled)} after the rollout: it is not stable."
            reasons.append(Reason(level="fail", sentence=sentence, next_step="Look at the previous container's log."))
        return Verdict.of(reasons)

    def conclude(self, context: StageContext, evidence: PodsEvidence) -> None:
        candidate, release = context.known.candidate, needed(context.release).number
        champion = context.champion
        if champion is not None and champion.label != candidate.label:
            context.journal.move_alias(candidate.name, "previous", champion.number, release)
        if champion is None or champion.label != candidate.label:
            context.journal.move_alias(candidate.name, "champion", candidate.number, release)
