"""Tests as a tree: file, class, test; what failed comes first in each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from mlconsole.console.paint import BAD, DIM, GOOD, STRONG, WARN
from mlconsole.console.widgets.table import Row
from mlconsole.evidence.testing import Outcome, TestOutcome
from mlconsole.text import duration

MARKS: dict[Outcome, tuple[str, str]] = {
    "failed": ("✗ failed", BAD),
    "error": ("✗ error", BAD),
    "flaky": ("! flaky", WARN),
    "xpassed": ("! xpassed", WARN),
    "skipped": ("- skipped", DIM),
    "xfailed": ("- xfailed", DIM),
    "passed": ("✓ passed", GOOD),
}
ORDER = {outcome: place for place, outcome in enumerate(MARKS)}
BRANCH = "branch:"
"""What the keys of files and classes begin with."""
SLOWEST = 20
"""So many tests are slow enough to be listed."""


@dataclass
class Branch:
    """A file or a class with its tests. `key` is the beginning of their node ids."""

    key: str
    name: str
    tests: list[tuple[str, TestOutcome]] = field(default_factory=list)
    branches: dict[str, Branch] = field(default_factory=dict)

    def all_tests(self) -> Iterator[TestOutcome]:
        """Its own tests and those of the branches below."""
        yield from (test for _, test in self.tests)
        for branch in self.branches.values():
            yield from branch.all_tests()

    @property
    def worst(self) -> Outcome:
        """How the worst of its tests ended."""
        return min((test.outcome for test in self.all_tests()), key=lambda outcome: ORDER[outcome])


def keyed(outcomes: Sequence[TestOutcome]) -> dict[str, TestOutcome]:
    """Outcomes by a key that tells two of one name apart."""
    return {f"{place}:{test.nodeid}": test for place, test in enumerate(outcomes)}


def grown(outcomes: Sequence[TestOutcome]) -> Branch:
    """The tree of all tests; its root is no branch of its own."""
    root = Branch("", "")
    for key, test in keyed(outcomes).items():
        branch = root
        *above, _ = parts_of(test.nodeid)
        for part in above:
            path = f"{branch.key}::{part}" if branch.key else part
            branch = branch.branches.setdefault(part, Branch(path, part))
        branch.tests.append((key, test))
    return root


def parts_of(nodeid: str) -> list[str]:
    """A node id's file, classes and test; brackets of a parametrised test are part of its name."""
    name, bracket, parameters = nodeid.partition("[")
    *above, last = name.split("::")
    return [*above, last + bracket + parameters]


def tree_rows(outcomes: Sequence[TestOutcome], folded: Collection[str]) -> list[Row]:
    """A row for each branch and each test below those that are not folded."""
    return list(_rows_below(grown(outcomes), folded, depth=0))


def _rows_below(branch: Branch, folded: Collection[str], depth: int) -> Iterator[Row]:
    for below in sorted(branch.branches.values(), key=lambda found: ORDER[found.worst]):
        yield _branch_row(below, depth, folded=below.key in folded)
        if below.key not in folded:
            yield from _rows_below(below, folded, depth + 1)
    for key, test in sorted(branch.tests, key=lambda found: ORDER[found[1].outcome]):
        yield test_row(key, test, depth)


def _branch_row(branch: Branch, depth: int, *, folded: bool) -> Row:
    tests = list(branch.all_tests())
    bad = sum(test.outcome in ("failed", "error") for test in tests)
    passed = sum(test.outcome in ("passed", "flaky") for test in tests)
    words, style = (f"✗ {bad}/{len(tests)}", BAD) if bad else (f"✓ {passed}/{len(tests)}", GOOD)
    name = branch.name.rpartition("/")[2] if depth == 0 else branch.name
    sign = "▸" if folded else "▾"
    took = duration(sum(test.seconds for test in tests))
    return Row(f"{BRANCH}{branch.key}", (words, f"{'  ' * depth}{sign} {name}", took, ""), (style, STRONG, DIM, DIM))


def test_row(key: str, test: TestOutcome, depth: int = 0) -> Row:
    """One test."""
    words, style = MARKS[test.outcome]
    name = parts_of(test.nodeid)[-1]
    return Row(key, (words, f"{'  ' * depth}{name}", f"{test.seconds:.2f} s", test.message), (style, "", DIM, DIM))


test_row.__test__ = False  # type: ignore[attr-defined]


def slowest_rows(outcomes: Sequence[TestOutcome]) -> list[Row]:
    """The slowest tests, whatever they are in."""
    slow = sorted(keyed(outcomes).items(), key=lambda item: -item[1].seconds)[:SLOWEST]
    return [test_row(key, test) for key, test in slow]


def failed_ids(outcomes: Sequence[TestOutcome]) -> tuple[str, ...]:
    """The node ids of what did not pass, each once."""
    return tuple(dict.fromkeys(test.nodeid for test in outcomes if test.outcome in ("failed", "error")))
