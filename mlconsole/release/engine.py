"""A release carried out: the stages in order, each run only where its inputs changed, each judged by its gate.

The engine is the only writer of its release. It ends when the last stage is done, when a gate or a problem stops it,
when a person's approval is needed, or when it is cancelled; `resume` goes on from there in another process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import msgspec

from mlconsole.errors import Cancelled, Exit, Problem, WrongUse
from mlconsole.evidence.base import STAGES, Fingerprint, Reason, StageName, Verdict, digest_of_records, now
from mlconsole.evidence.cluster import ConflictChoice, DeployOptions, DeployPlan, ObjectConflict
from mlconsole.evidence.release import (
    CommandNoted,
    DecisionTaken,
    Event,
    EventBody,
    Evidence,
    Note,
    ProblemRecord,
    Release,
    ReleaseFinished,
    ReleaseStarted,
    StageFinished,
    StageReused,
    StageRun,
    StageStarted,
    StageState,
)
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.decisions import (
    CHOICES,
    CancelWatch,
    approval_of,
    choice_of,
    choose,
    override_of,
    waiting_words,
)
from mlconsole.release.order import Order, Outcome, Stop, has_touched_the_cluster, order_to_bring_back
from mlconsole.release.versions import imported_version, made_anywhere
from mlconsole.stages import stage_of
from mlconsole.stages.already import AlreadyReleased
from mlconsole.stages.base import ApprovalNeeded, Known, LeftOut, Stage, StageContext, fingerprint_of
from mlconsole.stages.deployed import left_behind
from mlconsole.text import clean
from mlconsole.trigger_queue import TriggerQueue

__all__ = ["Engine", "Order", "Outcome"]


class Engine:
    """Carries out one release of a project.

    Args:
        project: the project.
        journal: its journal.
        listen: called with each event, in whichever thread it happens, after it was written down.
        cancelled: set it, and the release ends as cancelled; a `cancel` decision in the journal sets it too.
    """

    def __init__(
        self,
        project: Project,
        journal: Journal,
        *,
        listen: Callable[[Event], None] = lambda event: None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._project, self._journal, self._listen = project, journal, listen
        self._cancelled = cancelled or threading.Event()
        self._release: Release | None = None
        self._known = Known()
        self._kept: list[StageRun] = []
        self._champion: ModelVersion | None = None
        self._imported: ModelVersion | None = None
        self._who, self._again, self._by_person, self._decided = "", False, False, 0
        self._refused: Evidence | None = None
        self._held = contextlib.ExitStack()
        self._of_others: tuple[str, ...] = ()

    @property
    def project(self) -> Project:
        """The project that it releases."""
        return self._project

    def run(self, order: Order) -> Outcome:
        """Begin a release, unless no stage has anything to do.

        Raises:
            Refused: another release is running, or has taken what sets this one off.
            WrongUse: the version that is to be released was not imported.
        """
        self._begin(order.options)
        name = self._project.settings.name
        self._imported = imported_version(self._journal, name, order.version) if order.version else None
        first = self._first_to_run(order)
        if first is None:
            return Outcome(release=None, exit_code=Exit.DONE, sentence=self._unchanged_words(order))
        with self._journal.transaction(durable=True):
            self._release = self._journal.begin_release(
                kind="release",
                who=order.who,
                approved=order.approved,
                reason=order.reason,
                version=self._imported.label if self._imported else "",
                options=order.options,
                trigger=order.trigger,
            )
            TriggerQueue(self._journal).take(self._release.number, order.trigger)
        return self._carry_out(order, resumed=False)

    def roll_back(self, order: Order, version: ModelVersion, kept: tuple[StageRun, ...]) -> Outcome:
        """Begin a release of an earlier version by its stored manifests; `kept` are the stages that made it."""
        self._begin(order.options)
        self._release = self._journal.begin_release(
            kind="rollback",
            who=order.who,
            approved=order.approved,
            reason=order.reason,
            version=version.label,
            options=order.options,
        )
        self._kept = list(kept)
        return self._carry_out(order, resumed=False)

    def resume(self, number: int, order: Order) -> Outcome:
        """Go on with a release whose runner stopped or died.

        Raises:
            NoSuchRelease: there is none of that number.
            WrongUse: it is done, or a later one was begun.
            Refused: another release is running.
        """
        release = self._journal.release(number)
        latest = self._journal.latest_release()
        if release.state == "done":
            raise WrongUse(f"Release {number} is done: there is nothing to resume.")
        if latest is not None and latest.number != number:
            hint = f"Resume release {latest.number}, or begin a new one: mlconsole run"
            raise WrongUse(f"Release {number} is history: release {latest.number} came after it.", hint)
        self._decided = CancelWatch.last(self._journal, number)
        self._release = self._journal.take_over(number, approved=order.approved, options=order.options)
        self._begin(self._release.options)
        if release.kind == "rollback":
            runs = {run.stage: run for run in self._journal.stage_runs(number)}
            self._kept = [runs[stage] for stage in STAGES[:4] if stage in runs]
        elif release.version:
            known = self._journal.versions(self._project.settings.name)
            self._imported = next((found for found in known if found.origin and found.label == release.version), None)
        return self._carry_out(order, resumed=True)

    def _begin(self, options: DeployOptions) -> None:
        self._project = self._project.aimed_at(options.context, options.namespace)
        if self._project.settings.store.url:
            from mlconsole.stages.team import look

            self._of_others = look(self._project, self._journal)
        self._champion = self._journal.alias(self._project.settings.name, "champion")

    # what is to be done

    def _first_to_run(self, order: Order) -> StageName | None:
        """The first stage that has to run, or None. Those before it are kept."""
        for name in STAGES[: STAGES.index(order.until) + 1]:
            stage = self._stage(name)
            try:
                fingerprint = fingerprint_of(stage.inputs(self._context(name)))
            except LeftOut:
                continue
            except Problem:
                return name
            earlier = None if self._is_again(name, order) else stage.earlier(self._context(name), fingerprint)
            if earlier is None or earlier.evidence is None:
                return name
            self._keep(earlier)
        return None

    def _stage(self, name: StageName) -> Stage[Any]:
        if self._imported is None:
            return stage_of(name)
        from mlconsole.stages.imported import stage_of_imported

        return stage_of_imported(name, self._imported, self._project)

    def _is_again(self, name: StageName, order: Order) -> bool:
        if order.again_from is not None and STAGES.index(name) >= STAGES.index(order.again_from):
            return True
        return order.options.prune and name in ("deploy", "pods") and bool(left_behind(self._journal))

    def _keep(self, earlier: StageRun) -> None:
        self._kept.append(earlier)
        if earlier.evidence is not None:
            self._known = self._known.with_evidence(earlier.stage, earlier.evidence)

    def _unchanged_words(self, order: Order) -> str:
        last = max(run.release for run in self._kept)
        if order.until != "pods" or self._champion is None:
            return f"Nothing changed since release {last}."
        return f"Nothing changed since release {last}: {self._champion.label} is the champion."

    # carrying it out

    def _carry_out(self, order: Order, *, resumed: bool) -> Outcome:
        self._who, self._again = order.who, order.again_from is not None
        self._by_person = (self._release and self._release.trigger) is None or (resumed and order.approved)
        self._emit_all([ReleaseStarted(resumed=resumed), *(Note(text=text) for text in self._of_others)])
        with CancelWatch(self._journal, self._number, self._cancelled, self._decided), self._held:
            try:
                self._check_all(order)
                self._all_stages(order)
            except Stop as stop:
                back = self._version_to_bring_back(stop)
                outcome = self._finish(stop)
            except Problem as problem:
                # none of a stage's: the journal itself can't be written
                self._finish(Stop("failed", problem.sentence, int(problem.exit_code)))
                raise
            except Exception as defect:
                self._finish(Stop("failed", f"A defect of mlconsole's: {type(defect).__name__}: {defect}"))
                raise
            else:
                return self._finish(self._end_of(order))
        return outcome if back is None else self._bring_back(back, outcome)

    def _end_of(self, order: Order) -> Stop:
        last = order.until == STAGES[-1]
        words = f"{self._known.candidate.label} is serving." if last else f"Stopped after {order.until}, as asked."
        return Stop("done" if last else "paused", words)

    def _finish(self, stop: Stop) -> Outcome:
        assert self._release is not None
        release = msgspec.structs.replace(self._release, state=stop.state, finished_at=now())
        with self._journal.transaction(durable=True):
            self._journal.save_release(release)
            self._emit(ReleaseFinished(state=stop.state, sentence=stop.sentence))
        return Outcome(release=release, exit_code=stop.exit_code, sentence=stop.sentence)

    def _check_all(self, order: Order) -> None:
        """Stop at once for what would stop a later stage anyway: not after an hour of training."""
        for name in STAGES[: STAGES.index(order.until) + 1]:
            try:
                if not (self._is_rollback and name in STAGES[:4]):
                    self._stage(name).check(self._project)
            except Problem as problem:
                self._fail(self._new_run(name, None, ()), problem)

    def _all_stages(self, order: Order) -> None:
        own = {run.stage: run for run in self._journal.stage_runs(self._number)}
        kept = {run.stage: run for run in self._kept}
        self._known = Known()
        for name in STAGES[: STAGES.index(order.until) + 1]:
            if self._cancelled.is_set():
                raise Stop("cancelled", "Cancelled.")
            stage = self._stage(name)
            rollback_source = kept.get(name) if self._is_rollback and name in STAGES[:4] else None
            if rollback_source is not None:
                self._reuse(rollback_source)
            else:
                self._one_stage(stage, own.get(name), order)
            self._note_version(name)

    def _one_stage(self, stage: Stage[Any], own: StageRun | None, order: Order) -> None:
        """Keep, reuse or run one stage."""
        context = self._context(stage.name)
        try:
            fingerprint = fingerprint_of(stage.inputs(context))
        except LeftOut as why:
            if own is None or own.state != "skipped":
                self._leave_out(stage.name, why)
            return
        except Problem as problem:
            self._fail(self._new_run(stage.name, None, ()), problem)
        same = own is not None and own.fingerprint is not None and own.fingerprint.digest == fingerprint.digest
        if own is not None and own.evidence is not None and same:
            if own.state in {"done", "reused"}:
                self._known = self._known.with_evidence(stage.name, own.evidence)
                return
            if own.state == "refused" and self._overridden(own):
                self._conclude(stage, context, own, own.evidence)
                return
        earlier = None if self._is_again(stage.name, order) else stage.earlier(context, fingerprint)
        if earlier is not None and earlier.evidence is not None:
            self._reuse(earlier)
        else:
            because = stage.why_it_runs(context, fingerprint)
            self._run_stage(stage, context, self._new_run(stage.name, fingerprint, because))

    def _new_run(self, name: StageName, fingerprint: Fingerprint | None, because: tuple[str, ...]) -> StageRun:
        attempt = self._journal.attempts(self._number, name) + 1
        run = StageRun(
            release=self._number,
            stage=name,
            attempt=attempt,
            state="running",
            started_at=now(),
            fingerprint=fingerprint,
            because=because,
        )
        with self._journal.transaction():
            self._journal.save_stage(run)
            self._emit(StageStarted(because=because), name)
        return run

    def _leave_out(self, name: StageName, why: LeftOut) -> None:
        self._end(msgspec.structs.replace(self._new_run(name, None, ()), verdict=why.verdict), "skipped")

    def _reuse(self, earlier: StageRun) -> None:
        source = earlier.reused_from or earlier.release
        moment = now()
        run = msgspec.structs.replace(
            earlier,
            release=self._number,
            attempt=self._journal.attempts(self._number, earlier.stage) + 1,
            state="reused" if earlier.evidence is not None else "skipped",
            started_at=moment,
            finished_at=moment,
            reused_from=source,
            commands=(),
            because=(),
        )
        with self._journal.transaction():
            self._journal.save_stage(run)
            self._emit(StageReused(release=source), earlier.stage)
        if earlier.evidence is not None:
            self._known = self._known.with_evidence(earlier.stage, earlier.evidence)

    def _run_stage(self, stage: Stage[Any], context: StageContext, run: StageRun) -> None:
        commands: list[CommandNoted] = []

        def emit(body: EventBody) -> None:
            if isinstance(body, CommandNoted):
                commands.append(body)
            self._emit(body, stage.name)

        context = dataclasses.replace(context, emit=emit)
        try:
            self._held.enter_context(stage.turn(context))
            evidence = stage.run(context)
        except AlreadyReleased as found:
            self._end(run, "skipped")
            assert self._release is not None
            self._release = msgspec.structs.replace(self._release, already=found.released.version)
            raise Stop("paused", str(found)) from found
        except ApprovalNeeded as needed:
            warning = self._code_taken_back
            verdict = Verdict.of([Reason(level="warn", sentence=warning)]) if warning else None
            self._end(msgspec.structs.replace(run, evidence=needed.evidence, verdict=verdict), "waiting")
            raise Stop("waiting", waiting_words(self._number, needed.evidence.plan, warning)) from needed
        except Cancelled as cancelled:
            self._end(run, "cancelled")
            raise Stop("cancelled", "Cancelled.") from cancelled
        except Problem as problem:
            self._fail(run, problem)
        except Exception as defect:
            sentence = clean(f"A defect of mlconsole's: {type(defect).__name__}: {defect}")
            self._end(msgspec.structs.replace(run, problem=ProblemRecord(sentence=sentence)), "failed")
            raise
        run = msgspec.structs.replace(run, commands=tuple(noted.command for noted in commands))
        self._conclude(stage, context, run, evidence)

    def _conclude(self, stage: Stage[Any], context: StageContext, run: StageRun, evidence: Evidence) -> None:
        """Judge a stage's evidence, and end the stage by the verdict."""
        verdict = stage.judge(context, evidence)
        run = msgspec.structs.replace(run, evidence=evidence, verdict=verdict)
        if verdict.level == "fail" and not self._overridden(run):
            self._end(run, "refused")
            self._refused = evidence
            sentence = next(reason.sentence for reason in verdict.reasons if reason.level == "fail")
            raise Stop("refused", f"{stage.name.capitalize()} says no: {sentence}")
        with self._journal.transaction(durable=True):
            stage.conclude(context, evidence)
            self._end(run, "done")
        stage.tell(context)
        self._known = self._known.with_evidence(stage.name, evidence)

    def _fail(self, run: StageRun, problem: Problem) -> None:
        self._end(msgspec.structs.replace(run, problem=ProblemRecord.of(problem)), "failed")
        raise Stop("failed", problem.sentence, int(problem.exit_code)) from problem

    def _end(self, run: StageRun, state: StageState) -> None:
        digest = digest_of_records(run.evidence, run.verdict) if run.evidence is not None else ""
        run = msgspec.structs.replace(run, state=state, finished_at=now(), evidence_digest=digest)
        with self._journal.transaction(durable=True):
            self._journal.save_stage(run)
            self._emit(StageFinished(state=state, verdict=run.verdict, problem=run.problem), run.stage)

    def _overridden(self, run: StageRun) -> bool:
        decision = override_of(self._journal, run)
        if decision is not None:
            self._emit(DecisionTaken(decision=decision), run.stage)
        return decision is not None

    def _note_version(self, name: StageName) -> None:
        """Once the train stage is behind us, the release knows its candidate."""
        if name == "train" and self._release is not None:
            self._release = msgspec.structs.replace(self._release, version=self._known.candidate.label)
            self._journal.save_release(self._release)

    # after a deploy that failed

    def _version_to_bring_back(self, stop: Stop) -> ModelVersion | None:
        """What served before, where the settings say that it is brought back; says so, or why it can't be."""
        if self._is_rollback or self._project.settings.deploy.rollback != "auto" or stop.state != "refused":
            return None
        if not has_touched_the_cluster(self._refused):
            return None
        if self._champion is None:
            self._emit(Note(text="Nothing served before, so nothing can be brought back."))
            return None
        self._emit(Note(text=f"{self._champion.label} is brought back, as [deploy] rollback says."))
        return self._champion

    def _bring_back(self, version: ModelVersion, failed: Outcome) -> Outcome:
        """Roll back to what served before, as a release of its own. The failed one stays what is told of."""
        assert failed.release is not None
        order = order_to_bring_back(failed.release, failed.sentence, self._who)
        engine = Engine(self._project, self._journal, listen=self._listen, cancelled=self._cancelled)
        try:
            back = engine.roll_back(order, version, made_anywhere(self._project, self._journal, version))
        except Problem as problem:
            self._emit(Note(text=f"{version.label} could not be brought back: {problem}"))
            return failed
        assert back.release is not None
        done = back.release.state == "done"
        words = "serves again" if done else f"could not be brought back ({back.sentence})"
        return msgspec.structs.replace(failed, sentence=f"{failed.sentence} {version.label} {words}.")

    # small things

    @property
    def _number(self) -> int:
        assert self._release is not None
        return self._release.number

    @property
    def _is_rollback(self) -> bool:
        return self._release is not None and self._release.kind == "rollback"

    def _emit(self, body: EventBody, stage: StageName | None = None) -> None:
        self._emit_all([body], stage)

    def _emit_all(self, bodies: Sequence[EventBody], stage: StageName | None = None) -> None:
        for event in self._journal.emit_all(self._number, bodies, stage):
            self._listen(event)

    def _context(self, stage: StageName) -> StageContext:
        return StageContext(
            project=self._project,
            journal=self._journal,
            known=self._known,
            champion=self._champion,
            cancelled=self._cancelled,
            release=self._release,
            again=self._again,
            emit=lambda body: self._emit(body, stage),
            emit_all=lambda bodies: self._emit_all(bodies, stage),
            approves=self._approves,
            chooses=self._chooses,
        )

    def _chooses(self, conflicts: tuple[ObjectConflict, ...]) -> ConflictChoice:
        """What was decided about fields that others own; what the release was started with becomes a decision."""
        decision = choice_of(self._journal, self._number, conflicts)
        asked = self._release.options.conflicts if self._release is not None else "ask"
        if decision is None and asked != "ask":
            decision = choose(self._journal, self._number, conflicts, asked, who=self._who)
        if decision is None:
            return "ask"
        self._emit(DecisionTaken(decision=decision), "deploy")
        return CHOICES[decision.kind]

    @cached_property
    def _code_taken_back(self) -> str:
        from mlconsole.release.taken_back import code_taken_back

        assert self._release is not None
        return code_taken_back(self._project, self._journal, self._release, self._known.repo)

    def _approves(self, plan: DeployPlan) -> bool:
        assert self._release is not None
        if self._release.approved and (self._by_person or not self._code_taken_back):
            return True
        # what the settings approved is not: they could not know of the rollback
        self._release = msgspec.structs.replace(self._release, approved=False)
        decision = approval_of(self._journal, self._number, plan)
        if decision is not None:
            self._emit(DecisionTaken(decision=decision), "deploy")
        return decision is not None
