"""Tests as a tree: file, class, test. Each waits, runs or has ended; what failed comes first.

Whatever happens to a test is little work: many are taken in over several turns of the loop.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from mlconsole.console.test_time import TimeLeft
from mlconsole.evidence.testing import Outcome, Phase, TestOutcome

RANKS: tuple[tuple[Outcome, ...], ...] = (("failed", "error"), ("flaky", "xpassed"), ("skipped", "xfailed"))
"""What comes before all else, in this order; what waits, runs or has passed stays in the order of the tests."""
LAST = len(RANKS)
RANK: dict[Outcome, int] = {outcome: rank for rank, found in enumerate(RANKS) for outcome in found} | {"passed": LAST}
BRANCH, REST = "branch:", "rest:"
"""What the keys of files and classes begin with, and those of the rest of one."""
SLOWEST = 20
"""So many tests are slow enough to be listed."""
SLICE = 2_000
"""So many changes are taken in at once: some milliseconds."""


@dataclass(eq=False, slots=True)
class Leaf:
    """A test. `phase` is empty while it does not run, `outcome` None until it has ended."""

    key: str
    nodeid: str
    name: str
    branch: Branch
    phase: str = ""
    outcome: TestOutcome | None = None

    @property
    def rank(self) -> int:
        """Its place among its like: the lowest first."""
        return RANK[self.outcome.outcome] if self.outcome is not None else LAST

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.outcome.seconds if self.outcome is not None else 0.0


@dataclass(eq=False, slots=True)
class Branch:
    """A file or a class. `key` is the beginning of its tests' node ids; the counts are of all tests below it."""

    key: str
    name: str
    above: Branch | None
    depth: int
    leaves: list[Leaf] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    tests: int = 0
    running: int = 0
    ended: int = 0
    seconds: float = 0.0
    tally: Counter[Outcome] = field(default_factory=Counter)

    @property
    def bad(self) -> int:
        """How many of its tests failed."""
        return self.tally["failed"] + self.tally["error"]

    @property
    def rank(self) -> int:
        """The rank of the worst of its tests."""
        return next((rank for rank, outcomes in enumerate(RANKS) if any(self.tally[one] for one in outcomes)), LAST)

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing more to see: all of its tests ended, and well."""
        return self.ended == self.tests and self.rank >= RANK["skipped"]

    @property
    def upwards(self) -> Iterator[Branch]:
        """Itself, and what it belongs to, up to the root."""
        branch: Branch | None = self
        while branch is not None:
            yield branch
            branch = branch.above


@dataclass(frozen=True, slots=True)
class Rest:
    """The tests of a branch that passed, where others in it did not."""

    branch: Branch
    leaves: Sequence[Leaf]

    @property
    def key(self) -> str:
        """That of the branch."""
        return self.branch.key


Shown = Branch | Leaf | Rest
"""What a row shows."""


def key_of(shown: Shown) -> str:
    """The key of a row: that of a test is its own."""
    return shown.key if isinstance(shown, Leaf) else (BRANCH if isinstance(shown, Branch) else REST) + shown.key


def parts_of(nodeid: str) -> list[str]:
    """A node id's file, classes and test; brackets of a parametrised test are part of its name."""
    file, colons, rest = nodeid.partition("::")
    if not colons:
        return [file]
    name, bracket, parameters = rest.partition("[")
    *classes, last = name.split("::")
    return [file, *classes, last + bracket + parameters]


class TestTree:
    """The tests of a run, from what is known of it while it goes on and afterwards; and which of them are shown."""

    __test__ = False

    def __init__(self) -> None:
        self._slowest = False
        self._room = 0
        self._chosen: dict[str, bool] = {}
        self._time = TimeLeft({})
        self._order: Sequence[Shown] | None = None
        self._forget(())

    def _forget(self, nodeids: tuple[str, ...]) -> None:
        self.root = Branch("", "", None, -1)
        self.is_over = False
        self._nodeids, self._outcomes = nodeids, tuple[TestOutcome, ...]()
        self._branches: dict[str, Branch] = {}
        self._leaves: dict[str, Leaf] = {}
        self._ended: list[Leaf] = []
        self._added = 0
        self._running: dict[str, Leaf] = {}
        self._failed: dict[str, Leaf] = {}
        self.longest_name = self.longest_message = 0
        """In letters, a name with its indent."""
        self._time = TimeLeft(self._time.past)
        self._order_anew()

    # what is known

    def take(
        self,
        nodeids: tuple[str, ...],
        outcomes: tuple[TestOutcome, ...],
        running: Sequence[tuple[str, Phase]] = (),
        *,
        over: bool,
    ) -> bool:
        """Take in what is known of a run now; true where there is more of it, for another call of the same.

        Args:
            nodeids: the tests that were collected, in the order in which they run.
            outcomes: of those that ended, in the order in which they did.
            running: those that run, each with its phase.
            over: whether what has not ended will not be run.
        """
        if nodeids != self._nodeids or len(outcomes) < len(self._ended):
            self._forget(nodeids)
        if over != self.is_over:
            self.is_over = over
            self._order_anew()
        found = nodeids[self._added : self._added + SLICE]
        for nodeid in found:
            self._add(nodeid)
        self._added += len(found)
        if self._added < len(nodeids) or self._take_outcomes(outcomes, SLICE - len(found)):
            return True
        self._take_running({} if over else dict(running))
        return False

    def _take_outcomes(self, outcomes: tuple[TestOutcome, ...], most: int) -> bool:
        """Take at most so many outcomes that are new or others than before; true where there are more."""
        place = len(self._outcomes) if outcomes[: len(self._outcomes)] == self._outcomes else 0
        until = min(place + most, len(outcomes))
        for outcome in outcomes[place:until]:
            leaf = self._ended[place] if place < len(self._ended) else None
            if leaf is None:
                leaf = self._leaf_of(outcome.nodeid)
                self._ended.append(leaf)
            elif leaf.nodeid != outcome.nodeid:
                self._forget(self._nodeids)
                return True
            if leaf.outcome != outcome:
                self._end(leaf, outcome)
            place += 1
        self._outcomes = outcomes[:until]
        return until < len(outcomes)

    def _take_running(self, running: Mapping[str, Phase]) -> None:
        for leaf in list(self._running.values()):
            if leaf.nodeid not in running:
                self._run(leaf, "")
        for nodeid, phase in running.items():
            test = self._leaves.get(nodeid)
            if test is not None and test.outcome is None:
                self._run(test, phase)

    def _key_of(self, nodeid: str, *, ended: bool) -> str:
        """A key that no test has yet, or none that has ended: two of one name are told apart."""
        key, copies = nodeid, 1
        while (leaf := self._leaves.get(key)) is not None and (leaf.outcome is not None or not ended):
            copies += 1
            key = f"{nodeid}\0{copies}"
        return key

    def _add(self, nodeid: str) -> Leaf:
        *above, name = parts_of(nodeid)
        branch = self._branches.get("::".join(above)) or self._branch_of(above)
        key = self._key_of(nodeid, ended=False)
        leaf = self._leaves[key] = Leaf(key, nodeid, name, branch)
        branch.leaves.append(leaf)
        self.longest_name = max(self.longest_name, 2 * branch.depth + 2 + len(name))
        self._time.add(nodeid)
        for each in branch.upwards:
            each.tests += 1
        self._order_anew()
        return leaf

    def _branch_of(self, parts: Sequence[str]) -> Branch:
        branch = self.root
        for part in parts:
            key = f"{branch.key}::{part}" if branch.key else part
            if key not in self._branches:
                self._branches[key] = Branch(key, part, branch, branch.depth + 1)
                branch.branches.append(self._branches[key])
            branch = self._branches[key]
        return branch

    def _leaf_of(self, nodeid: str) -> Leaf:
        """The test that has ended now: one that was collected, or one that nobody told of."""
        return self._leaves.get(self._key_of(nodeid, ended=True)) or self._add(nodeid)

    def _end(self, leaf: Leaf, outcome: TestOutcome) -> None:
        self._run(leaf, "")
        rank, before, leaf.outcome = leaf.rank, leaf.outcome, outcome
        if before is None:
            self._time.end(leaf.nodeid, outcome.seconds)
        self.longest_message = max(self.longest_message, len(outcome.message))
        anew = self._slowest or leaf.rank != rank
        for branch in leaf.branch.upwards:
            if before is None:
                branch.ended += 1
                anew = anew or branch.ended == branch.tests
            else:
                branch.tally[before.outcome] -= 1
                branch.seconds -= before.seconds
            branch.tally[outcome.outcome] += 1
            branch.seconds += outcome.seconds
        if leaf.rank == 0:
            self._failed[leaf.key] = leaf
        else:
            self._failed.pop(leaf.key, None)
        if anew:
            self._order_anew()

    def _run(self, leaf: Leaf, phase: str) -> None:
        change = bool(phase) - bool(leaf.phase)
        leaf.phase = phase
        if change:
            for branch in leaf.branch.upwards:
                branch.running += change
        if phase:
            self._running[leaf.key] = leaf
        else:
            self._running.pop(leaf.key, None)

    # what is asked

    def leaf(self, key: str) -> Leaf | None:
        """The test of a key."""
        return self._leaves.get(key)

    def nodeids(self, key: str) -> tuple[str, ...]:
        """What pytest calls what is in the row of a key."""
        if key.startswith(BRANCH):
            return (key.removeprefix(BRANCH),)
        if key.startswith(REST):
            return tuple(leaf.nodeid for leaf in _passed(self._branches[key.removeprefix(REST)]))
        leaf = self._leaves.get(key)
        return (leaf.nodeid,) if leaf is not None else ()

    def remember(self, past: Mapping[str, float]) -> None:
        """Take how many seconds each test took in an earlier release, by node id."""
        if past is not self._time.past:
            tests = ((leaf.nodeid, leaf.seconds if leaf.outcome else None) for leaf in self._leaves.values())
            self._time = TimeLeft.of(past, tests)

    def seconds_left(self, elapsed: float) -> float | None:
        """How many seconds it still takes from the end of the last test on; None: nobody knows.

        Args:
            elapsed: seconds from the first test's begin until the last one ended.
        """
        return self._time.seconds(elapsed)

    def slow(self, most: int = SLOWEST) -> list[Leaf]:
        """The tests that took longest."""
        return heapq.nlargest(most, self._ended, key=attrgetter("seconds"))

    @property
    def failed(self) -> Sequence[Leaf]:
        """The tests that failed, in the order in which they did."""
        return tuple(self._failed.values())

    @property
    def first_failure(self) -> str | None:
        """The key of the first row of a test that failed."""
        return next((found.key for found in self.order if isinstance(found, Leaf) and found.rank == 0), None)

    @property
    def latest(self) -> str | None:
        """The key of the row where things happen: of a test that runs, else of the last one that did not fail."""
        leaf = next(iter(self._running.values()), None) or (self._ended[-1] if self._ended else None)
        if leaf is None or leaf.rank == 0:
            return None
        folded = [branch for branch in leaf.branch.upwards if branch.above is not None and self.is_folded(branch)]
        return key_of(folded[-1] if folded else leaf)

    # which are shown

    @property
    def slowest(self) -> bool:
        """Whether the slowest tests are shown in place of the tree."""
        return self._slowest

    def toggle_slowest(self) -> None:
        """Show the slowest tests, or the tree again."""
        self._slowest = not self._slowest
        self._order_anew()

    def make_room(self, rows: int) -> None:
        """So many rows are seen at once: where all fit, nothing is folded by itself."""
        if rows != self._room:
            self._room = rows
            self._order_anew()

    def toggle(self, key: str) -> None:
        """Fold what is in a row, or unfold it: from now on it stays as a person has it."""
        branch = self._branches[key.partition(":")[2]]
        self._chosen[key] = not self.is_folded(branch if key.startswith(BRANCH) else Rest(branch, ()))
        self._order_anew()

    def is_folded(self, shown: Branch | Rest) -> bool:
        """Whether the tests of a row are not shown: by itself, where there is more than fits, and all of it is well.

        The only one of its like stays open: to fold it would show nothing else.
        """
        if (chosen := self._chosen.get(key_of(shown))) is not None:
            return chosen
        if isinstance(shown, Rest):
            return True
        above = shown.above
        is_one_of_many = above is not None and len(above.branches) + len(above.leaves) > 1
        return is_one_of_many and shown.is_fine and self.is_long

    @property
    def is_long(self) -> bool:
        """Whether there is more than fits."""
        return len(self._leaves) + len(self._branches) > self._room

    @property
    def order(self) -> Sequence[Shown]:
        """What is shown, from top to bottom; the same object as long as nothing in it moves."""
        if self._order is None:
            self._order = self.slow() if self._slowest else self._below(self.root, [])
        return self._order

    def _order_anew(self) -> None:
        self._order = None

    def _below(self, branch: Branch, order: list[Shown]) -> list[Shown]:
        """Add what is below a branch: by rank, then files and classes before tests, then in the tests' order."""
        found: list[Shown] = [*branch.branches, *branch.leaves]
        if branch.rank < LAST:
            found.sort(key=attrgetter("rank"))
            if branch.ended == branch.tests and self.is_long and len(passed := _passed(branch)) > 1:
                found[-len(passed) :] = [Rest(branch, passed)]
        elif not branch.branches:
            order += found
            return order
        for below in found:
            order.append(below)
            if isinstance(below, Leaf) or self.is_folded(below):
                continue
            if isinstance(below, Branch):
                self._below(below, order)
            else:
                order += below.leaves
        return order


def _passed(branch: Branch) -> list[Leaf]:
    """The tests of a branch itself that are not worth a look."""
    return [leaf for leaf in branch.leaves if leaf.rank == LAST]
