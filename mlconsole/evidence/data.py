"""Is this data fit to train on, and is it new?"""

from __future__ import annotations

from typing import Literal

from mlconsole.evidence.base import GateLevel, Record

ColumnKind = Literal["number", "integer", "boolean", "category", "text", "date", "empty"]
"""What the values of a column are: `category` is text with few distinct values, `empty` has none at all."""


class DataFile(Record, frozen=True, kw_only=True):
    """One file of the data: its path relative to the project, size in bytes, and `sha256:…` of its bytes."""

    path: str
    size: int
    digest: str


class Dialect(Record, frozen=True, kw_only=True):
    """How text tables are written: an empty delimiter is found in each file, an empty encoding is UTF-8 or a mark's."""

    delimiter: str = ""
    quote: str = '"'
    encoding: str = ""


class DataIdentity(Record, frozen=True, kw_only=True):
    """Which data this is: one digest over the files' names and contents."""

    digest: str
    files: tuple[DataFile, ...]
    size: int
    dialect: Dialect | None = None
    """Only where the settings say how text tables are written."""


class DataPointer(Record, frozen=True, kw_only=True):
    """What DVC says that a file or folder of the data is: `md5:…`. `matches` is None where that can't be told."""

    file: str
    path: str
    digest: str
    matches: bool | None
    sentence: str


class ValueCount(Record, frozen=True, kw_only=True):
    """How often a value occurs."""

    value: str
    count: int


class Histogram(Record, frozen=True, kw_only=True):
    """Counts between neighbouring edges; there is one edge more than counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class ColumnProfile(Record, frozen=True, kw_only=True):
    """One column: counts are rows; the numeric fields are None where the column is not a number.

    `distinct` is a lower bound where `distinct_exact` is false. The range of dates is in `earliest` and `latest`, as
    ISO texts. `infinite` values are numbers, but in none of the measures. `date_formats` has an example of each format
    of texts that are dates in several, `number_formats` has some of texts that are numbers as people write them
    (1.234,5 or 12 %), and `mostly_numbers` tells that only a few of the texts of a column are no numbers. `mixed` is
    what it is in one file and in another, where these differ.
    """

    name: str
    kind: ColumnKind
    type: str
    rows: int
    missing: int
    distinct: int
    distinct_exact: bool = True
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()
    histogram: Histogram | None = None
    top: tuple[ValueCount, ...] = ()
    earliest: str = ""
    latest: str = ""
    infinite: int = 0
    date_formats: tuple[str, ...] = ()
    number_formats: tuple[str, ...] = ()
    mostly_numbers: bool = False
    mixed: tuple[str, ...] = ()


class DataProfile(Record, frozen=True, kw_only=True):
    """A data set's identity and a profile of each of its columns."""

    identity: DataIdentity
    rows: int
    columns: tuple[ColumnProfile, ...]
    target: str = ""


class ColumnRule(Record, frozen=True, kw_only=True):
    """What a schema expects of one column; a None or an empty tuple expects nothing."""

    name: str
    kind: ColumnKind
    required: bool = True
    nullable: bool = True
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    maximum_age_days: float | None = None
    """How old the newest date may be."""
    severity: Literal["warn", "fail"] = "warn"
    """How bad a value outside of range or set is; a missing column or another kind always fails."""


Comparator = Literal["<", "<=", "==", "!=", ">=", ">"]


class Relation(Record, frozen=True, kw_only=True):
    """What holds between two columns in every row that has both values."""

    left: str
    comparator: Comparator
    right: str
    severity: Literal["warn", "fail"] = "warn"

    @property
    def rule(self) -> str:
        """The relation as people write it: `casual <= bikers`."""
        return f"{self.left} {self.comparator} {self.right}"


class DataSchema(Record, frozen=True, kw_only=True):
    """What data has to look like: learnt from the champion's data, or edited by people."""

    columns: tuple[ColumnRule, ...]
    minimum_rows: int = 1
    maximum_rows: int | None = None
    relations: tuple[Relation, ...] = ()
    learnt_from: str = ""


class Violation(Record, frozen=True, kw_only=True):
    """A rule that the data breaks: how many rows, and a few example values (with their row numbers, from 1)."""

    rule: str
    column: str
    sentence: str
    level: GateLevel
    count: int = 0
    examples: tuple[str, ...] = ()


class KeyChange(Record, frozen=True, kw_only=True):
    """Rows that came, went, have other values or are as they were, each row known by its key."""

    key: tuple[str, ...]
    added: int
    removed: int
    changed: int
    same: int


class DataChange(Record, frozen=True, kw_only=True):
    """How the data differs from that of an earlier version. Row counts, from one file to the same file."""

    reference: str
    rows_before: int
    rows_after: int
    rows_added: int | None = None
    """Rows after those that were there before, where the old content is still the beginning of the new."""
    files_added: tuple[str, ...] = ()
    files_removed: tuple[str, ...] = ()
    files_changed: tuple[str, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    keys: KeyChange | None = None


ReferenceKind = Literal["number", "category", "boolean", "date", "identifier", "text", "empty"]
"""How a column is compared later: whole numbers of few values are categories; identifiers and text are left out."""


class ColumnReference(Record, frozen=True, kw_only=True):
    """The distribution of one column, small enough to be kept with every model version.

    A number has `edges`, the upper bounds of all bins but the last, and `counts` of the rows in each bin and, behind
    them, without a value: of all rows, or of a random sample of 100,000. `categories` are all values and their rows.
    """

    name: str
    kind: ReferenceKind
    rows: int
    missing: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    median: float | None = None
    categories: tuple[ValueCount, ...] = ()
    earliest: str = ""
    latest: str = ""


class DataReference(Record, frozen=True, kw_only=True):
    """What later data is compared with, so that this data need not be there any more."""

    rows: int
    columns: tuple[ColumnReference, ...]


DriftTest = Literal[
    "distribution", "shift", "categories", "proportion", "missing values", "unseen values", "dates", "kind"
]
"""What is asked of a column: see `services/datasets/drift.py` for the effect that each measures."""


class ColumnDrift(Record, frozen=True, kw_only=True):
    """One test of one column: it drifts (`warn`, or `fail` where it drifts far) if effect and significance agree.

    `effect` is in the test's own measure, and has to reach `threshold`. `p_value` is corrected for the number of
    tests (Benjamini-Hochberg); None where nothing is left to chance.
    """

    column: str
    test: DriftTest
    effect: float
    threshold: float
    p_value: float | None
    level: GateLevel
    sentence: str


class DriftReport(Record, frozen=True, kw_only=True):
    """Data compared with the distribution of the data behind `reference`, such as `ml-model@v3`.

    `part` is which rows are compared: all of the data, those that were appended, or what a model is asked. Without
    `enough` rows on both sides there are no `tests`. `left_out` are columns of identifiers, free text and keys.
    """

    reference: str
    part: Literal["all rows", "new rows", "live traffic"]
    rows_before: int
    rows: int
    enough: bool
    tests: tuple[ColumnDrift, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def drifting(self) -> tuple[ColumnDrift, ...]:
        """The tests that found drift."""
        return tuple(test for test in self.tests if test.level != "pass")

    def columns_at(self, *levels: GateLevel) -> tuple[str, ...]:
        """The columns with a test of one of these levels, each once."""
        return tuple(dict.fromkeys(test.column for test in self.tests if test.level in levels))


class DataEvidence(Record, frozen=True, kw_only=True, tag="data"):
    """What is known of the data of a release.

    `change` and `drift` are against the champion's data, where there is a champion; `reference` is what the data of
    later releases is compared with, once a model of this data is the champion. `notes` say what was not looked at.
    """

    profile: DataProfile
    schema: DataSchema
    violations: tuple[Violation, ...] = ()
    change: DataChange | None = None
    reference: DataReference | None = None
    drift: tuple[DriftReport, ...] = ()
    pointers: tuple[DataPointer, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0
