"""Tests, files and classes as rows of a table: how each stands, in a sign and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlconsole.console.paint import BAD, BUSY, DIM, FAINT, GOOD, STRONG, WARN, natural_widths
from mlconsole.console.test_tree import RANK, Branch, Leaf, Rest, TestTree, key_of
from mlconsole.console.widgets.table import Row
from mlconsole.evidence.testing import Outcome
from mlconsole.text import count, duration

COLUMNS = ("", "test", "time", "message")
MARKS: dict[Outcome, tuple[str, str]] = {
    "failed": ("✗ failed", BAD),
    "error": ("✗ error", BAD),
    "flaky": ("! flaky", WARN),
    "xpassed": ("! xpassed", WARN),
    "skipped": ("- skipped", DIM),
    "xfailed": ("- xfailed", DIM),
    "passed": ("✓ passed", GOOD),
}
WAITING, UNRUN, RUNNING = ("○ waiting", FAINT), ("○ not run", WARN), ("● running", BUSY)
TOLD: tuple[Outcome, ...] = ("error", "flaky", "xpassed", "skipped", "xfailed")
"""Of these it is said how many a file or class has; failed and passed ones are in its sign."""
FEW = 500
"""Of so many rows all cells are measured; of more, some columns are as wide as they can get."""


class TestRows:
    """The rows of a tree of tests, each made when it is asked for."""

    __test__ = False

    def __init__(self, tree: TestTree) -> None:
        self._tree = tree
        self._of: object = None
        self._places: dict[str, int] = {}
        self._files: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._tree.order)

    def row(self, index: int) -> Row:
        """The row at a place."""
        self._look()
        found, over = self._tree.order[index], self._tree.is_over
        if isinstance(found, Leaf):
            return test_row(found, 0 if self._tree.slowest else found.branch.depth + 1, over=over)
        if isinstance(found, Rest):
            return rest_row(found, folded=self._tree.is_folded(found))
        file = _basename(found.name)
        name = found.name if found.depth or self._files[file] > 1 else file
        return branch_row(found, name, folded=self._tree.is_folded(found), over=over)

    def key(self, index: int) -> str:
        """The key of the row at a place."""
        return key_of(self._tree.order[index])

    def place(self, key: str) -> int | None:
        """Where the row of a key is."""
        self._look()
        return self._places.get(key)

    def widths(self) -> Sequence[int]:
        """How wide the widest cell of each column is, or can get."""
        tree = self._tree
        if len(self) > FEW:
            return max(9, 3 + 2 * len(str(tree.root.tests))), tree.longest_name + 2, 8, tree.longest_message
        return natural_widths((self.row(index).cells for index in range(len(self))), len(COLUMNS))

    def _look(self) -> None:
        """Find out once what is the same until something moves."""
        order = self._tree.order
        if order is self._of:
            return
        self._of = order
        self._places = {key_of(shown): index for index, shown in enumerate(order)}
        self._files = Counter(_basename(branch.name) for branch in self._tree.root.branches)


def _basename(path: str) -> str:
    return path.rpartition("/")[2]


def branch_row(branch: Branch, name: str, *, folded: bool, over: bool) -> Row:
    """A file or class with its counts.

    Args:
        branch: the file or class.
        name: what it is called among the others.
        folded: whether its tests are not shown.
        over: whether what has not ended will not be run.
    """
    words, style = _standing(branch, over=over)
    aside = ", ".join(f"{branch.tally[outcome]:,} {outcome}" for outcome in TOLD if branch.tally[outcome])
    took = duration(branch.seconds) if branch.ended else ""
    cells = (words, f"{'  ' * branch.depth}{'▸' if folded else '▾'} {name}", took, aside)
    return Row(key_of(branch), cells, (style, STRONG, DIM, DIM))


def rest_row(rest: Rest, *, folded: bool) -> Row:
    """The tests of a file or class that passed, beside others that did not."""
    passed = len(rest.leaves)
    name = f"{'  ' * (rest.branch.depth + 1)}{'▸' if folded else '▾'} {count(passed, 'other')} passed"
    took = duration(sum(leaf.seconds for leaf in rest.leaves))
    return Row(key_of(rest), (f"✓ {passed}/{passed}", name, took, ""), (GOOD, DIM, DIM, DIM))


def _standing(branch: Branch, *, over: bool) -> tuple[str, str]:
    """How many failed, else how many have ended or passed, of how many."""
    total, ended = branch.tests, branch.ended
    if branch.bad:
        return f"✗ {branch.bad}/{total}", BAD
    if ended < total and over:
        return f"○ {ended}/{total}", WARN
    if ended < total:
        return (f"● {ended}/{total}", BUSY) if branch.running or ended else (f"○ 0/{total}", FAINT)
    passed = branch.tally["passed"] + branch.tally["flaky"] + branch.tally["xpassed"]
    if branch.rank == RANK["flaky"]:
        return f"! {passed}/{total}", WARN
    return (f"✓ {passed}/{total}", GOOD) if passed else (f"- 0/{total}", DIM)


def test_row(leaf: Leaf, depth: int, *, over: bool) -> Row:
    """A test: how it ended, or that it runs or waits."""
    outcome, name = leaf.outcome, "  " * depth + leaf.name
    if outcome is not None:
        words, style = MARKS[outcome.outcome]
        return Row(leaf.key, (words, name, f"{outcome.seconds:.2f} s", outcome.message), (style, "", DIM, DIM))
    words, style = RUNNING if leaf.phase else UNRUN if over else WAITING
    phase = leaf.phase if leaf.phase != "call" else ""
    return Row(leaf.key, (words, name, "", phase), (style, "" if leaf.phase else DIM, DIM, DIM))


test_row.__test__ = False  # type: ignore[attr-defined]
