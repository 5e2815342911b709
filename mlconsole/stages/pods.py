"""Stage 6: is it really serving?"""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from mlconsole.errors import Problem, WrongUse
from mlconsole.evidence.base import Input, Reason, Verdict
from mlconsole.evidence.cluster import ClusterTarget, PodsEvidence, PodsSnapshot
from mlconsole.evidence.release import PodSeen
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.services.kubernetes.documents import from_yaml
from mlconsole.services.kubernetes.revisions import wanted_pods
from mlconsole.services.kubernetes.settle import settle
from mlconsole.services.kubernetes.smoke import SmokeTest, ask_all
from mlconsole.stages.base import Stage, StageContext, changed_elsewhere, digest_of, needed
from mlconsole.stages.target import connect
from mlconsole.text import count, duration

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection


MOST_TOLD = 3
SMOKE_HINT = "Read the pod's log, or correct [deploy.smoke]."


def smoke_test(project: Project, version: str) -> SmokeTest | None:
    """The request of the settings, with the version filled in; None where they have none.

    Raises:
        WrongUse: its body's file can't be read, or its path is no path.
    """
    smoke = project.settings.deploy.smoke
    if not smoke.path:
        return None
    if not smoke.path.startswith("/"):
        raise WrongUse(f"deploy.smoke.path: {smoke.path!r} is no path.", 'Begin it with a slash: "/predict".')
    body = smoke.body.encode()
    if smoke.body.startswith("@"):
        file = project.root / smoke.body[1:]
        try:
            body = file.read_bytes()
        except OSError as error:
            raise WrongUse(f"deploy.smoke.body: {file} can't be read: {error.strerror}.", "Name another.") from error
    return SmokeTest(
        path=smoke.path,
        method=smoke.method.upper() or ("POST" if body else "GET"),
        port=smoke.port,
        body=body,
        status=smoke.status,
        contains=smoke.contains.replace("{version}", version),
        seconds=seconds(smoke.timeout, "deploy.smoke.timeout") or 10,
    )


def _smoke_inputs(project: Project) -> tuple[Input, ...]:
    """The smoke test as an input; none where there is none, as in releases before there were any."""
    test = smoke_test(project, "{version}")
    if test is None:
        return ()
    parts = (test.path, test.method, test.port, test.body.hex(), str(test.status), test.contains)
    return (Input(name="smoke test", digest=digest_of(*parts)),)


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
            *_smoke_inputs(context.project),
        )

    def check(self, project: Project) -> None:
        smoke_test(project, "")

    def run(self, context: StageContext) -> PodsEvidence:
        plan = needed(context.known.deploy).plan
        settling = seconds(context.project.settings.deploy.settle, "deploy.settle") or 0
        target = plan.target
        context.command(kubectl_line(target, "-n", target.namespace, "get", "pods", "-l", target.selector, "-w"))
        seen: dict[str, str] = {}

        def report(snapshot: PodsSnapshot) -> None:
            for row in snapshot.rows:
                words = f"{row.ready} {row.status} {row.restart_count} {row.version}"
                if seen.get(row.uid) != words:
                    seen[row.uid] = words
                    context.emit(PodSeen(pod=row))

        with closing(connect(context.project)) as connection:
            evidence = settle(
                connection,
                plan.target,
                version=context.known.candidate.label,
                wanted=wanted_pods(connection, from_yaml(plan.manifests), plan.target.selector),
                seconds=settling,
                report=report,
                cancelled=context.cancelled,
            )
            return self._smoke(context, connection, evidence)

    def _smoke(self, context: StageContext, connection: Connection, evidence: PodsEvidence) -> PodsEvidence:
        """Ask each ready pod what the settings say, and add its answer to the evidence."""
        test = smoke_test(context.project, context.known.candidate.tag)
        if test is None:
            return evidence
        pods = [row.name for row in evidence.rows if row.is_ready and not row.deleting]
        pod = f"/api/v1/namespaces/{connection.namespace}/pods/{pods[0] if pods else 'POD'}"
        context.command(
            kubectl_line(connection.target(""), "get", "--raw", f"{pod}/proxy{test.path}"),
            note="with the body, method and port of [deploy.smoke]; for each pod",
        )
        answers = ask_all(connection, pods, test, cancelled=context.cancelled)
        passed = sum(answer.passed for answer in answers)
        context.note(f"{passed} of {count(len(answers), 'pod')} answered the smoke test as expected")
        return msgspec.structs.replace(evidence, smoke=answers)

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
        failed = [answer for answer in evidence.smoke if not answer.passed]
        reasons += [
            Reason(level="fail", sentence=f"Smoke test: {answer.pod} {answer.sentence}", next_step=SMOKE_HINT)
            for answer in failed[:MOST_TOLD]
        ]
        if len(failed) > MOST_TOLD:
            more = count(len(failed) - MOST_TOLD, "more pod")
            reasons.append(Reason(level="fail", sentence=f"Smoke test: {more} failed as well."))
        return Verdict.of(reasons)

    def conclude(self, context: StageContext, evidence: PodsEvidence) -> None:
        candidate, release = context.known.candidate, needed(context.release).number
        champion = context.champion
        if champion is not None and champion.label != candidate.label:
            context.journal.move_alias(candidate.name, "previous", champion.number, release)
        if champion is None or champion.label != candidate.label:
            context.journal.move_alias(candidate.name, "champion", candidate.number, release)
        elif context.project.settings.store.url and changed_elsewhere(context.journal, candidate.name):
            from mlconsole.stages.team import note_own_deploy

            note_own_deploy(context.journal, candidate.name, release)

    def tell(self, context: StageContext) -> None:
        if not context.project.settings.store.url:
            return
        from mlconsole.stages.team import tell_of_deploy

        try:
            notes = tell_of_deploy(context)
        except Problem as problem:
            notes = (f"Other machines don't know of the new champion until the next release. {problem.sentence}",)
        for note in notes:
            context.note(note)


def kubectl_line(target: ClusterTarget, *words: str) -> str:
    """A kubectl command that goes to the cluster of the release, whatever the current context of a person is."""
    return shlex.join(["kubectl", *(["--context", target.context] if target.context else []), *words])
