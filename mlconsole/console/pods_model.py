"""The pods in the order and with the filter that a person chose; of each snapshot only what changed is looked at."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlconsole.console.paint import BAD, DIM, FAINT, GOOD, WARN, natural_widths
from mlconsole.console.patterns import GivenUp, Matcher, Pattern
from mlconsole.console.widgets.table import Row
from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import PodRow, PodUsage
from mlconsole.text import cores, size

COLUMNS = ("NAME", "READY", "STATUS", "RESTARTS", "AGE", "MODEL", "CPU", "MEMORY", "NODE")
FALLING = frozenset({3, 6, 7})
"""Columns of which the largest value is looked for, and comes first."""

AGE, LONGEST_AGE = 4, 7
FEW = 500
"""Of so many pods, the widths are measured exactly each time; of more, columns only grow."""

POD_SECONDS, ALL_SECONDS = 0.02, 0.3
"""A filter may take so long with one pod, and with all of them: they are looked at while the screen waits."""

OVER = frozenset({"Completed", "Succeeded"})


@dataclass(frozen=True)
class Choice:
    """What a person chose to see. `pattern` is a regular expression; `inverse`: the pods that it does not match."""

    pattern: str = ""
    inverse: bool = False
    faults: bool = False
    column: int = 0
    descending: bool = False

    @classmethod
    def sorted_by(cls, choice: Choice, column: int) -> Choice:
        """Sort by a column, and the other way round where it is sorted by that already."""
        falling = not choice.descending if column == choice.column else column in FALLING
        return cls(choice.pattern, choice.inverse, choice.faults, column, falling)

    @property
    def narrows(self) -> bool:
        """Whether pods are left out."""
        return bool(self.pattern) or self.faults


class _Kept:
    """A pod with what was found out about it: whether it is shown, and where."""

    __slots__ = ("order", "passes", "pod")

    def __init__(self, pod: PodRow, passes: bool, order: tuple[Any, ...]) -> None:
        self.pod, self.passes, self.order = pod, passes, order


@dataclass(frozen=True)
class Tally:
    """What all pods amount to."""

    pods: int = 0
    ready: int = 0
    restarts: int = 0
    versions: tuple[str, ...] = ()


class _Tally:
    """Counts pods as they come and go."""

    def __init__(self) -> None:
        self.pods = self.ready = self.restarts = 0
        self.versions: Counter[str] = Counter()

    def add(self, pod: PodRow, sign: int) -> None:
        self.pods += sign
        self.ready += sign * pod.is_ready
        self.restarts += sign * pod.restart_count
        self.versions[pod.version] += sign


@dataclass
class PodsModel:
    """The rows of the table of pods."""

    choice: Choice = field(default_factory=Choice)
    moment: datetime = field(default_factory=now)
    """Ages are counted to it."""
    unsure: bool = False
    """The rows may be old: they are drawn dim."""

    def __post_init__(self) -> None:
        self._tally = _Tally()
        self._pods: Sequence[PodRow] = ()
        self._kept: dict[str, _Kept] = {}
        self._shown: list[_Kept] = []
        self._places: dict[str, int] = {}
        self._usage: Mapping[str, PodUsage] = {}
        self._widths = [0] * len(COLUMNS)
        self._pattern: Pattern | None = None
        self._matches: Matcher | None = None
        self.given_up = False
        """The pattern takes too long: pods are shown whether they match or not."""

    # what is known

    def take(self, pods: Sequence[PodRow]) -> None:
        """Take all pods as they are now; those that are the same objects as before are not looked at again."""
        self._begin()
        self._take(pods)
        if self.given_up and self._matches is not None:
            self._judge_all()

    def _take(self, pods: Sequence[PodRow]) -> None:
        before, self._pods = self._pods, pods
        if len(before) == len(pods):
            pairs = [(old, new) for old, new in zip(before, pods, strict=True) if old is not new]
            if all(old.uid == new.uid for old, new in pairs):
                self._replace(pairs)
                return
        known = self._kept
        self._kept = {pod.uid: self._judge(pod) for pod in pods}
        self._tally = _Tally()
        for pod in pods:
            self._tally.add(pod, 1)
        self._arrange()
        self._measure([pod for pod in pods if pod.uid not in known or known[pod.uid].pod is not pod])

    def _replace(self, pairs: Sequence[tuple[PodRow, PodRow]]) -> None:
        """Take what changed, where the pods are still the same ones; nothing is moved that stays in its place."""
        moved = False
        for old, new in pairs:
            self._tally.add(old, -1)
            self._tally.add(new, 1)
            kept, judged = self._kept[new.uid], self._judge(new)
            moved = moved or (kept.passes, kept.order) != (judged.passes, judged.order)
            kept.pod, kept.passes, kept.order = judged.pod, judged.passes, judged.order
        if moved:
            self._arrange()
        if pairs or len(self._kept) <= FEW:
            self._measure([new for _, new in pairs])

    def take_usage(self, usage: Mapping[str, PodUsage]) -> None:
        """Take what the pods use, by name."""
        self._usage = usage
        self._judge_all()

    def choose(self, choice: Choice) -> None:
        """Show other pods, or in another order.

        Raises:
            NotAPattern: the pattern is none; what was shown stays.
        """
        self._pattern = Pattern(choice.pattern, ignore_case=True) if choice.pattern else None
        self.choice, self.given_up = choice, False
        self._judge_all()

    @property
    def tally(self) -> Tally:
        """What all pods amount to, whether they are shown or not."""
        found = self._tally
        versions = tuple(sorted(version for version, pods in found.versions.items() if version and pods > 0))
        return Tally(found.pods, found.ready, found.restarts, versions)

    @property
    def pods(self) -> Sequence[PodRow]:
        """All pods, whether they are shown or not."""
        return self._pods

    def pod(self, key: str | None) -> PodRow | None:
        """The pod of a key."""
        kept = self._kept.get(key or "")
        return kept.pod if kept else None

    # how it is kept

    def _judge_all(self) -> None:
        pods = [kept.pod for kept in self._kept.values()]
        self._begin()
        self._kept = {pod.uid: self._judge(pod) for pod in pods}
        if self.given_up and self._matches is not None:
            self._begin()
            self._kept = {pod.uid: self._judge(pod) for pod in pods}
        self._arrange()
        self._widths = [0] * len(COLUMNS)
        self._measure(pods)

    def _begin(self) -> None:
        """Give the pattern its time; none where it has taken too long before."""
        self._matches = None
        if self._pattern is not None and not self.given_up:
            self._matches = self._pattern.matcher(POD_SECONDS, ALL_SECONDS)

    def _is_wanted(self, pod: PodRow) -> bool:
        if self._matches is None or self.given_up:
            return True
        try:
            return self._matches(_text(pod)) is not self.choice.inverse
        except GivenUp:
            self.given_up = True
            return True

    def _judge(self, pod: PodRow) -> _Kept:
        passes = (not self.choice.faults or is_faulty(pod)) and self._is_wanted(pod)
        return _Kept(pod, passes, (_order(pod, self.choice.column, self._usage.get(pod.name)), pod.name, pod.uid))

    def _arrange(self) -> None:
        shown = [kept for kept in self._kept.values() if kept.passes]
        shown.sort(key=operator.attrgetter("order"), reverse=self.choice.descending)
        self._shown = shown
        self._places = {kept.pod.uid: place for place, kept in enumerate(shown)}

    def _measure(self, changed: Sequence[PodRow]) -> None:
        if len(self._kept) <= FEW:
            cells = [self._cells(kept.pod) for kept in self._kept.values()]
            self._widths = natural_widths(cells, len(COLUMNS))
            return
        widths = self._widths
        widths[AGE] = LONGEST_AGE
        for pod in changed:
            for column, text in ((0, pod.name), (1, pod.ready), (2, pod.status), (3, pod.restarts), (8, pod.node)):
                if len(text) > widths[column]:
                    widths[column] = len(text)
        widths[5] = max((len(_tag(version)) for version in self._tally.versions), default=1)
        widths[6], widths[7] = (5, 8) if self._usage else (0, 0)

    def _cells(self, pod: PodRow) -> tuple[str, ...]:
        from mlconsole.services.kubernetes.rows import age

        usage = self._usage.get(pod.name)
        return (
            pod.name,
            pod.ready,
            pod.status,
            pod.restarts,
            age(pod.created_at, self.moment),
            _tag(pod.version),
            cores(usage.cpu) if usage else "",
            size(usage.memory) if usage else "",
            pod.node,
        )

    # what the table asks for

    def __len__(self) -> int:
        return len(self._shown)

    def row(self, index: int) -> Row:
        """The row at a place."""
        pod = self._shown[index].pod
        cells = self._cells(pod)
        return Row(pod.uid, cells, (FAINT,) * len(cells) if self.unsure else _styles(pod))

    def key(self, index: int) -> str:
        """The uid of the pod at a place."""
        return self._shown[index].pod.uid

    def place(self, key: str) -> int | None:
        """Where the pod of a uid is."""
        return self._places.get(key)

    def widths(self) -> Sequence[int]:
        """How wide the widest cell of each column is."""
        return self._widths


def is_faulty(pod: PodRow) -> bool:
    """Whether a person should look at a pod: it does not serve, and is not at its proper end."""
    return not pod.is_ready and not pod.deleting and pod.status not in OVER


def _tag(version: str) -> str:
    """A version without the model's name: `v3`."""
    return version.rpartition("@")[2] or "-"


def _text(pod: PodRow) -> str:
    """What a filter looks at."""
    return f"{pod.name} {pod.status} {pod.version} {pod.node} {pod.reason}"


def _order(pod: PodRow, column: int, usage: PodUsage | None) -> Any:
    match column:
        case 1:
            ready, _, total = pod.ready.partition("/")
            return int(ready) / max(int(total), 1) if ready.isdigit() and total.isdigit() else 0.0
        case 2:
            return pod.status
        case 3:
            return pod.restart_count
        case 4:
            return -pod.created_at.timestamp() if pod.created_at else 0.0
        case 5:
            return pod.version
        case 6:
            return usage.cpu if usage else -1.0
        case 7:
            return usage.memory if usage else -1
        case 8:
            return pod.node
        case _:
            return ""


def _styles(pod: PodRow) -> tuple[str, ...]:
    style = GOOD if pod.is_ready else DIM if pod.status in OVER or pod.deleting else BAD if pod.reason else WARN
    return ("", style, style, WARN if pod.restart_count else DIM, DIM, "", "", "", DIM)
