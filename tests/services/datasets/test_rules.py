"""Rules that people add to a schema, and the schemas of pandera."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlconsole.evidence.data import DataSchema, Relation, Violation
from mlconsole.services.datasets import SchemaUnfit, check, count_violations, identify, profile, read, summaries, write

ROWS = "start,end,casual,bikers\n2024-01-01,2024-01-02,1,5\n2024-01-03,2024-01-02,7,6\n2024-01-05,,,6\n"


def broken(folder: Path, rules: str, content: str = ROWS, at: datetime | None = None) -> tuple[Violation, ...]:
    (folder / "x.csv").write_text(content)
    names = content.split("\n")[0].split(",")
    columns = {"start": "date", "end": "date", "id": "integer", "word": "category", "other": "category", "at": "date"}
    listed = "".join(f"  {name}: {{kind: {columns.get(name, 'number')}}}\n" for name in names)
    (folder / "checks.yaml").write_text(f"columns:\n{listed}{rules}\n")
    schema = read(folder / "checks.yaml")
    found = profile(folder, identify(folder, "x.csv", folder / "cache"))
    return count_violations(folder, found, schema, check(found, schema, at))


@pytest.mark.parametrize(
    ("relation", "sentence", "example"),
    [
        ("casual <= bikers", "casual <= bikers does not hold in 1 row.", "row 2: casual 7, bikers 6"),
        ("casual>bikers", "casual > bikers does not hold in 1 row.", "row 1: casual 1, bikers 5"),
        ("start <= end", "start <= end does not hold in 1 row.", "row 2: start 2024-01-03, end 2024-01-02"),
        ("start != end", "", ""),
    ],
)
def test_relations_between_columns(tmp_path: Path, relation: str, sentence: str, example: str) -> None:
    found = broken(tmp_path, f'relations: ["{relation}"]')
    assert [(entry.sentence, entry.examples, entry.level) for entry in found] == (
        [(sentence, (example,), "warn")] if sentence else []
    )


def test_a_relation_may_be_grave_and_of_texts_and_moments(tmp_path: Path) -> None:
    content = "word,other,at,start\na,a,2024-01-01T10:00:00,2024-01-01\nb,c,2024-01-02T10:00:00,2024-01-03\n"
    rules = 'relations: [{rule: "word == other", severity: fail}, "start <= at"]'
    found = broken(tmp_path, rules, content)
    assert [(entry.rule, entry.level, entry.examples) for entry in found if entry.rule == "relation"] == [
        ("relation", "fail", ("row 2: word b, other c",)),
        ("relation", "warn", ("row 2: start 2024-01-03, at 2024-01-02 10:00:00",)),
    ]


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ("relations: casual", "`relations` has to be a list such as"),
        ("relations: [casual]", "the relation casual has to be two columns with <, <=, ==, !=, >= or > between them"),
        ("relations: [casual < casual]", "the relation casual < casual has to be two columns"),
        ('relations: ["casual <= biker"]', "is about a column that is not listed, biker"),
        ('relations: [{rules: "casual <= bikers"}]', "A relation has an unknown key, rules"),
        ("relations: [start <= casual]", "the relation start <= casual can't be told of dates and numbers"),
        ("maximum_rows: 1.5", "`maximum_rows` has to be a whole number"),
    ],
)
def test_a_rule_that_means_nothing_is_a_sentence(tmp_path: Path, rules: str, sentence: str) -> None:
    with pytest.raises(SchemaUnfit) as caught:
        broken(tmp_path, rules)
    assert sentence in caught.value.sentence


def test_too_many_rows(tmp_path: Path) -> None:
    (found,) = broken(tmp_path, "maximum_rows: 2")
    assert (found.level, found.sentence) == ("fail", "There are 3 rows; at most 2 are expected.")


@pytest.mark.parametrize(("day", "sentences"), [(20, []), (30, ["at ends at 2024-01-09"])])
def test_data_may_not_be_too_old(tmp_path: Path, day: int, sentences: list[str]) -> None:
    (tmp_path / "x.csv").write_text("at\n2024-01-01\n2024-01-09\n")
    (tmp_path / "checks.yaml").write_text("columns: {at: {kind: date, maximum_age_days: 20}}")
    found = profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache"))
    broken = check(found, read(tmp_path / "checks.yaml"), datetime(2024, 1, day, 12, tzinfo=UTC))
    assert [entry.sentence.split(",")[0] for entry in broken] == sentences


def test_repeated_values_are_found_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "DISTINCT_LIMIT", 100)
    content = "id,x\n" + "".join(f"{n},0\n" for n in range(500)) + "7,0\n8,0\n,0\n,0\n"
    (tmp_path / "x.csv").write_text(content)
    (tmp_path / "checks.yaml").write_text("columns: {id: {kind: integer, unique: true}, x: {kind: integer}}")
    found, schema = profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "c")), read(tmp_path / "checks.yaml")
    assert not found.columns[0].distinct_exact
    (violation,) = count_violations(tmp_path, found, schema, check(found, schema))
    assert violation.sentence == "id repeats values in 2 rows; each is expected once."


def test_added_rules_survive_writing_and_reading(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        'columns: {a: {kind: date, maximum_age_days: 1.5}, b: {kind: date}}\nmaximum_rows: 9\nrelations: ["a <= b"]\n'
    )
    schema = read(tmp_path / "a.yaml")
    assert schema.relations == (Relation(left="a", comparator="<=", right="b"),)
    write(tmp_path / "b.yaml", schema)
    assert read(tmp_path / "b.yaml") == schema


PANDERA = """\
schema_type: dataframe
api: pandas
columns:
  a:
    dtype: int64
    greater_than_or_equal_to: 0
    less_than: 10
  b:
    dtype: str
    nullable: true
    unique: true
    isin:
    - x
    - y
  c:
    dtype: float64
    required: false
    in_range:
      min_value: 0
      max_value: 1
      include_min: true
      include_max: false
  d:
    dtype: datetime64[ns]
  g:
    dtype: category
    isin:
      allowed_values:
      - 1
      - 2
      raise_warning: true
strict: true
"""
OLDER = """\
schema_type: dataframe
version: 0.20.4
columns:
  a:
    title: null
    dtype: int64
    nullable: false
    checks:
      greater_than_or_equal_to: 0.0
      less_than: {value: 10, options: {raise_warning: false, ignore_na: true}}
    unique: false
    coerce: false
    required: true
    regex: false
checks: null
index: null
unique: null
"""
LISTED = """\
schema_type: dataframe
columns:
  a:
    dtype: int64
    checks:
    - {value: 0, options: {check_name: greater_than_or_equal_to, raise_warning: false}}
    - {value: 10, options: {check_name: less_than}}
"""


def pandera(folder: Path, text: str) -> DataSchema:
    (folder / "checks.yaml").write_text(text)
    return read(folder / "checks.yaml")


def test_reads_what_pandera_writes(tmp_path: Path) -> None:
    rules = {rule.name: rule for rule in pandera(tmp_path, PANDERA).columns}
    assert (rules["a"].kind, rules["a"].minimum, rules["a"].maximum, rules["a"].nullable) == ("integer", 0, 9, False)
    assert (rules["b"].kind, rules["b"].values, rules["b"].unique, rules["b"].nullable) == (
        "text",
        ("x", "y"),
        True,
        True,
    )
    assert rules["c"].maximum is not None
    assert 0.999 < rules["c"].maximum < 1
    assert (rules["c"].minimum, rules["c"].required, rules["c"].severity) == (0, False, "fail")
    assert (rules["d"].kind, rules["g"].values, rules["g"].severity) == ("date", ("1", "2"), "warn")


@pytest.mark.parametrize("text", [OLDER, LISTED])
def test_reads_what_earlier_versions_of_pandera_wrote(tmp_path: Path, text: str) -> None:
    (rule,) = pandera(tmp_path, text).columns
    assert (rule.kind, rule.minimum, rule.maximum, rule.severity) == ("integer", 0, 9, "fail")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("columns: {e: {dtype: str, str_matches: ^a}}", "column e: str_matches can't be checked here"),
        ("columns: {e: {dtype: complex128}}", "column e has the dtype complex128"),
        ("columns: {e: {}}", "column e has the dtype none"),
        ("columns: {'e.*': {dtype: str, regex: true}}", "a name that is a pattern can't be checked here"),
        ("columns: {e: {dtype: int, ge: x}}", "column e: ge of x can't be checked here"),
        ("columns: {e: {dtype: int}}\nunique: [a, b]", "`unique` of the whole table can't be checked here"),
        ("columns: []", "is no pandera schema of a data frame"),
    ],
)
def test_what_can_not_be_checked_is_refused_by_name(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SchemaUnfit) as caught:
        pandera(tmp_path, f"schema_type: dataframe\n{text}\n")
    assert sentence in caught.value.sentence


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("word: {kind: category, minimum: 3}", "word can't have a `minimum`, which is for numbers"),
        ("word: {kind: boolean, maximum: 3}", "word can't have a `maximum`, which is for numbers"),
        ("id: {kind: integer, maximum_age_days: 3}", "id can't have a `maximum_age_days`, which is for dates"),
    ],
)
def test_a_rule_that_would_hold_nothing_is_refused(tmp_path: Path, rule: str, sentence: str) -> None:
    (tmp_path / "checks.yaml").write_text(f"columns:\n  {rule}\n")
    with pytest.raises(SchemaUnfit, match=sentence):
        read(tmp_path / "checks.yaml")


def test_on_which_side_of_the_range_the_values_are_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{row},{row}\n" for row in range(101)))
    (tmp_path / "checks.yaml").write_text(
        "columns:\n  a: {kind: integer, minimum: 1000, maximum: 2000}\n  b: {kind: integer, minimum: 1, maximum: 2}\n"
    )
    found = check(profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache")), read(tmp_path / "checks.yaml"))
    assert "half of the rows are at most 50, so the unit" in found[0].sentence
    assert "half of the rows are at least 50, so the unit" in found[1].sentence


def test_a_grave_rule_is_grave_of_few_missing_values_too(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n,1\n" + "1,1\n" * 200)
    (tmp_path / "checks.yaml").write_text(
        "columns:\n  a: {kind: integer, nullable: no, severity: fail}\n  b: {kind: text}\n"
    )
    found = check(profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache")), read(tmp_path / "checks.yaml"))
    assert [(entry.level, entry.sentence) for entry in found] == [
        ("fail", "a has no value in 1 row (0.50%), where each is expected to have one."),
        ("fail", "b holds whole numbers, where text is expected: 1."),
    ]
