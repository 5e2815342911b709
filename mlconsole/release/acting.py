"""The monitor: reads what serves, keeps it, judges it by the rules, and acts.

Whatever it does is in the journal: a rollback is a release, a retraining a trigger, and each of its decisions stands
with the release that brought the version there. It is written down before it is done, so that a monitor that is killed
goes on with it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from mlconsole.errors import Problem, WrongUse
from mlconsole.evidence.base import STAGES, now
from mlconsole.evidence.data import DataEvidence, DataReference
from mlconsole.evidence.monitoring import (
    Act,
    Counters,
    DriftWindow,
    MonitorActed,
    MonitorPoint,
    MonitorState,
    Quality,
    Reading,
    VersionPoint,
)
from mlconsole.evidence.testing import TestEvidence
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.outbox import Outbox
from mlconsole.project import Project
from mlconsole.project.settings import MonitorRule, seconds
from mlconsole.release.launch import runner_process
from mlconsole.release.monitor_rules import Judged, Seen, judge_all
from mlconsole.release.versions import find_version, made_by
from mlconsole.services.monitoring.adding import since, total, without_features
from mlconsole.services.monitoring.reading import Readings
from mlconsole.services.notify import Notification
from mlconsole.stages.data import dialect_of
from mlconsole.stages.target import context_name
from mlconsole.trigger_queue import TriggerQueue

WHO = "monitor"
MOST_TRIES = 5
KEPT_ACTS = 50
MOST_POINTS = 500


class Monitor:
    """Looks at what serves, once a step.

    Args:
        project: the project.
        journal: its journal.
        read: reads all pods.
        say: takes a line about what is done.
        target: options that lead releases elsewhere than the settings do, such as `--context staging`.
        launch: begins a release in a process of its own.
        clock: the present moment.
    """

    def __init__(
        self,
        project: Project,
        journal: Journal,
        read: Callable[[], Readings],
        *,
        say: Callable[[str], None] = lambda words: None,
        target: Sequence[str] = (),
        launch: Callable[[Project, Sequence[str]], subprocess.Popen[bytes]] = runner_process,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._project, self._journal, self._read, self._say = project, journal, read, say
        self._settings = project.settings.monitor
        self._log, self._queue, self._outbox = MonitorLog(journal), TriggerQueue(journal), Outbox(journal)
        self._target, self._launch, self._clock = list(target), launch, clock
        self._references: dict[str, DataReference | None] = {}
        self._runner: subprocess.Popen[bytes] | None = None
        self._tries = 0
        self._stamps: tuple[tuple[str, int, int], ...] = ()

    def step(self, *, acts: bool = True) -> MonitorPoint:
        """Look once, and do what the rules say.

        Args:
            acts: whether this process is the one that acts, where several watch the same target.

        Raises:
            Problem: what serves can't be read at all, or the journal not be written.
        """
        readings = self._read()
        moment, before = self._clock(), self._log.state()
        point, state = self._with_readings(readings, before, moment)
        state = msgspec.structs.replace(state, quality=self._quality(state.quality))
        self._log.save(point, state)
        if acts:
            self._log.save_state(self._judge(state, moment))
        return point

    # what was counted

    def _with_readings(
        self, readings: Readings, before: MonitorState | None, moment: datetime
    ) -> tuple[MonitorPoint, MonitorState]:
        known = {reading.source: reading for reading in before.last} if before else {}
        added: dict[str, list[Counters]] = {}
        for reading in readings.read:
            last = known.get(reading.source)
            # of the very first look nobody knows when it was counted
            part = since(reading.counters, last.counters if last else None) if before else Counters()
            added.setdefault(self._label(reading.version), []).append(part)
        together = {version: total(parts) for version, parts in added.items()}
        point = MonitorPoint(
            at=moment,
            seconds=(moment - before.at).total_seconds() if before else 0.0,
            versions=tuple(
                VersionPoint(version=version, pods=len(added[version]), counters=without_features(counters))
                for version, counters in sorted(together.items())
            ),
            unread=readings.unread,
        )
        return point, MonitorState(
            at=moment,
            last=_last(readings, known),
            windows=tuple(self._window(before, version, together[version], moment) for version in sorted(together)),
            rules=before.rules if before else (),
            quality=before.quality if before else (),
            acts=before.acts if before else (),
            asked_back=before.asked_back if before else "",
        )

    def _label(self, version: str) -> str:
        """A version with the model's name, as the journal has it, where a server tells its tag alone."""
        return version if "@" in version or not version else f"{self._project.settings.name}@{version}"

    def _window(self, before: MonitorState | None, version: str, added: Counters, moment: datetime) -> DriftWindow:
        from mlconsole.services.monitoring.live_drift import with_rows

        window = (before.window(version) if before else None) or DriftWindow(version=version, since=moment)
        reference = self._reference(version)
        if reference is None or not added.features:
            return window
        most, first = self._settings.drift_rows, self._settings.drift_first
        return with_rows(window, added, reference, moment, most=most, first=first)

    def _reference(self, label: str) -> DataReference | None:
        """What the data was like that a version was trained on; None where the journal does not know."""
        if label not in self._references:
            found = None
            try:
                runs = made_by(self._journal, find_version(self._journal, self._project.settings.name, label))
                found = next((run.evidence for run in runs if isinstance(run.evidence, DataEvidence)), None)
            except WrongUse:
                found = None
            self._references[label] = found.reference if found else None
        return self._references[label]

    # late labels

    def _quality(self, known: tuple[Quality, ...]) -> tuple[Quality, ...]:
        """The quality by the labels that are there; it is worked out again only once a file has changed."""
        from mlconsole.services.monitoring.quality import files_of

        settings, data, root = self._settings, self._project.settings.data, self._project.root
        predictions, labels = files_of(root, settings.predictions), files_of(root, settings.labels)
        stamps = _stamps([*predictions, *labels])
        if not (predictions and labels) or stamps == self._stamps:
            return known
        from mlconsole.services.monitoring.quality import quality_of

        metric = self._project.settings.quality.metric
        try:
            written = dialect_of(self._project)
            found = quality_of(predictions, labels, data.key, data.target, metric, settings.quality_rows, written)
        except Problem as problem:
            self._say(f"quality by labels: {problem}")
            found = known
        self._stamps = stamps
        named = (msgspec.structs.replace(entry, version=self._label(entry.version)) for entry in found)
        return tuple(msgspec.structs.replace(entry, promised=self._promised(entry)) for entry in named)

    def _promised(self, found: Quality) -> float | None:
        """What the tests said of a version; of one that had no rival, what its training said."""
        name = self._project.settings.name
        for run in self._journal.done_stages("test"):
            compared = run.evidence.comparison if isinstance(run.evidence, TestEvidence) else None
            if compared is not None and (compared.candidate, compared.metric) == (found.version, found.metric):
                return compared.candidate_value
        try:
            version = find_version(self._journal, name, found.version)
        except WrongUse:
            return None
        return next((point.value for point in reversed(version.metrics) if point.name == found.metric), None)

    # rules

    def _judge(self, state: MonitorState, moment: datetime) -> MonitorState:
        name = self._project.settings.name
        champion, previous = self._journal.alias(name, "champion"), self._journal.alias(name, "previous")
        if champion is None:
            return state
        state = self._go_on(state, champion)
        window = seconds(self._settings.window, "monitor.window") or 60.0
        seen = Seen(
            points=self._log.points(MOST_POINTS),
            windows=state.windows,
            quality=state.quality,
            window_seconds=window,
            moment=moment,
        )
        before = previous.label if previous else ""
        judged = judge_all(self._settings.rules, state.rules, champion.label, before, seen)
        rules = []
        for rule, found in judged:
            kept = found.state
            if found.is_due and not state.asked_back:
                state = self._act(state, rule, found, champion, previous, moment)
                kept = msgspec.structs.replace(kept, acted_at=moment)
            rules.append(kept)
        return msgspec.structs.replace(state, rules=tuple(rules))

    def _act(
        self,
        state: MonitorState,
        rule: MonitorRule,
        found: Judged,
        champion: ModelVersion,
        previous: ModelVersion | None,
        moment: datetime,
    ) -> MonitorState:
        act, sentence = rule.then, found.state.sentence
        if act == "roll back" and (why := self._why_not_back(state, found, previous)):
            act, sentence = "warn", f"{sentence} It is not rolled back: {why}."
        done = MonitorActed(at=moment, rule=found.state.rule, version=champion.label, act=act, sentence=sentence)
        state = msgspec.structs.replace(
            state,
            acts=(*state.acts, done)[-KEPT_ACTS:],
            asked_back=champion.label if act == "roll back" else state.asked_back,
        )
        with self._journal.transaction(durable=True):
            self._log.save_state(state)
            self._decide(champion, act, sentence, found.state.rule)
            self._tell(champion, act, sentence, moment)
            if act == "retrain":
                self._queue.put(
                    "monitor",
                    f"{found.state.rule} {champion.label} {found.state.broken_since}",
                    sentence,
                    then=next(
                        (entry.then for entry in self._project.settings.watch if entry.kind == "monitor"), "propose"
                    ),
                )
        self._say(f"{act}: {sentence}")
        if act == "roll back":
            self._tries = 0
            self._begin_rollback(state)
        return state

    def _why_not_back(self, state: MonitorState, found: Judged, previous: ModelVersion | None) -> str:
        if previous is None:
            return "no version served before"
        if found.is_common:
            return f"{previous.label} is no better on the same minutes"
        if any(act.act == "roll back" and act.version == previous.label for act in state.acts):
            return f"{previous.label} was rolled back itself"
        if self._project.settings.deploy.protects(context_name(self._project)):
            return "the context is protected, a person has to: mlconsole rollback"
        return ""

    def _decide(self, champion: ModelVersion, act: Act, sentence: str, rule: str) -> None:
        releases = self._journal.releases(1000)
        release = next((entry.number for entry in releases if entry.version == champion.label), champion.release)
        if release:
            subject = f"{act} by {rule}"
            self._journal.decide(release, "monitor", "pods", who=WHO, reason=f"{act}: {sentence}", subject=subject)

    def _tell(self, champion: ModelVersion, act: Act, sentence: str, moment: datetime) -> None:
        notify, name = self._project.settings.notify, self._project.settings.name
        if notify.webhook and "monitor" in notify.on:
            text = f"{name}: {act}: {sentence}"
            told = Notification(project=name, event="monitor", text=text, at=moment, version=champion.label)
            self._outbox.put(told)

    # rolling back

    def _go_on(self, state: MonitorState, champion: ModelVersion) -> MonitorState:
        """See a rollback through that was asked for: also one that a monitor asked for that was killed since."""
        if not state.asked_back:
            return state
        running = self._runner is not None and self._runner.poll() is None
        if running or self._is_held_up():
            return state
        if champion.label != state.asked_back:
            self._say(f"{champion.label} serves in the place of {state.asked_back}")
            return msgspec.structs.replace(state, asked_back="")
        if self._tries >= MOST_TRIES:
            self._say(f"{state.asked_back} can't be rolled back: see .mlconsole/runner.log")
            return msgspec.structs.replace(state, asked_back="")
        self._begin_rollback(state)
        return state

    def _is_held_up(self) -> bool:
        """Whether a release is on its way. One that nobody attends gives way, unless it is changing the cluster."""
        latest = self._journal.latest_release()
        if latest is None or latest.state != "running":
            return False
        runs = self._journal.stage_runs(latest.number)
        if latest.trigger is None or any(run.stage == "deploy" for run in runs):
            return True
        if all(decision.kind != "cancel" for decision in self._journal.decisions(latest.number)):
            stage = next((run.stage for run in runs if run.state == "running"), STAGES[0])
            self._journal.decide(latest.number, "cancel", stage, who=WHO, reason="a rollback comes first")
            self._say(f"release {latest.number} gives way to the rollback")
        return True

    def _begin_rollback(self, state: MonitorState) -> None:
        if self._is_held_up():
            return
        self._tries += 1
        reason = next(act.sentence for act in reversed(state.acts) if act.act == "roll back")
        # fields that others own are left to them: nobody can be asked
        arguments = ["rollback", "--reason", f"{WHO}: {reason}", "--leave-conflicts", *self._target]
        try:
            self._runner = self._launch(self._project, arguments)
        except Problem as problem:
            self._say(str(problem))


def _last(readings: Readings, known: dict[str, Reading]) -> tuple[Reading, ...]:
    """What to count on from next time: a pod that was not read this time counts on from where it was."""
    silent = {entry.pod for entry in readings.unread}
    kept = [reading for source, reading in known.items() if source.partition(" ")[0] in silent]
    return (*readings.read, *kept)


def _stamps(paths: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)
