"""What is learnt of good data, how it is kept, and what new data is told of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.evidence.data import ColumnRule, DataProfile, DataSchema, Violation
from mlconsole.services.datasets import SchemaUnfit, check, count_violations, identify, learn, profile, read, write

ROWS = [(hour, ("clear", "rain", "cloudy")[hour % 3], 0.2 + hour / 40, hour * 3) for hour in range(24)] * 10


def profiled(folder: Path, rows: list[tuple[object, ...]], header: str = "hour,weather,temp,bikers") -> DataProfile:
    text = "\n".join([header, *(",".join("" if value is None else str(value) for value in row) for row in rows)])
    (folder / "data.csv").write_text(text + "\n")
    target = "bikers" if "bikers" in header else ""
    return profile(folder, identify(folder, "data.csv", folder / "cache"), target=target)


@pytest.fixture
def good(tmp_path: Path) -> DataSchema:
    return learn(profiled(tmp_path, list(ROWS)))


def only(violations: tuple[Violation, ...]) -> Violation:
    assert len(violations) == 1, violations
    return violations[0]


def test_learns_kinds_ranges_and_sets(good: DataSchema) -> None:
    rules = {rule.name: rule for rule in good.columns}
    assert (rules["hour"].kind, rules["hour"].minimum, rules["hour"].maximum) == ("integer", 0, 25)
    assert rules["weather"].values == ("clear", "cloudy", "rain")
    assert rules["temp"].minimum == pytest.approx(0.1425) and rules["temp"].maximum == pytest.approx(0.8325)
    assert not any(rule.nullable or rule.unique for rule in good.columns)
    assert good.minimum_rows == 120
    assert good.learnt_from.startswith("data.csv (240 rows, ")


def test_learns_no_room_around_a_flag(tmp_path: Path) -> None:
    rule = learn(profiled(tmp_path, [(0,), (1,)] * 20, "flag")).columns[0]
    assert (rule.minimum, rule.maximum) == (0, 1)


def test_learns_that_identifiers_are_unique_only_from_many_rows(tmp_path: Path) -> None:
    few = learn(profiled(tmp_path, [(row, 1) for row in range(50)], "id,bikers"))
    many = learn(profiled(tmp_path, [(row, 1) for row in range(1000)], "id,bikers"))
    assert [few.columns[0].unique, many.columns[0].unique, many.columns[1].unique] == [False, True, False]
    again = check(profiled(tmp_path, [(row % 990, 1) for row in range(1000)], "id,bikers"), many)
    assert (only(again).rule, only(again).count) == ("unique", 10)


def test_good_data_breaks_nothing(good: DataSchema, tmp_path: Path) -> None:
    assert check(profiled(tmp_path, list(ROWS)), good) == ()


@pytest.mark.parametrize(
    ("rows", "header", "rule", "level", "sentence"),
    [
        ([row[1:] for row in ROWS], "weather,temp,bikers", "missing column", "fail", "The column hour is missing."),
        (
            [("x" if row[0] else "y", *row[1:]) for row in ROWS],
            "hour,weather,temp,bikers",
            "kind",
            "fail",
            "hour holds categories, where whole numbers are expected: x, y.",
        ),
        (
            [(*row, 1) for row in ROWS],
            "hour,weather,temp,bikers,extra",
            "extra column",
            "warn",
            "extra is a new column (whole numbers).",
        ),
        (ROWS[:100], "hour,weather,temp,bikers", "rows", "fail", "There are 100 rows; at least 120 are expected."),
        (
            [(None, *ROWS[0][1:]), (None, *ROWS[0][1:]), *ROWS],
            "hour,weather,temp,bikers",
            "missing values",
            "warn",
            "hour has no value in 2 rows (0.83%), where each is expected to have one.",
        ),
        (
            [(None, *ROWS[0][1:])] * 3 + list(ROWS),
            "hour,weather,temp,bikers",
            "missing values",
            "fail",
            "hour has no value in 3 rows (1.23%), where each is expected to have one.",
        ),
        (
            [(*row[:3], None) if index == 0 else row for index, row in enumerate(ROWS)],
            "hour,weather,temp,bikers",
            "missing values",
            "fail",
            "bikers has no value in 1 row (0.42%), and it is the target.",
        ),
        (
            [(None, *row[1:]) for row in ROWS],
            "hour,weather,temp,bikers",
            "missing values",
            "fail",
            "hour has no value at all, where whole numbers are expected.",
        ),
    ],
)
def test_says_which_rule_is_broken(
    good: DataSchema, tmp_path: Path, rows: list[tuple[object, ...]], header: str, rule: str, level: str, sentence: str
) -> None:
    violation = only(check(profiled(tmp_path, list(rows), header), good))
    assert (violation.rule, violation.level, violation.sentence) == (rule, level, sentence)


def test_whole_numbers_and_numbers_are_one_family(good: DataSchema, tmp_path: Path) -> None:
    assert check(profiled(tmp_path, [(row[0] + 0.5, *row[1:]) for row in ROWS]), good) == ()


def test_the_texts_among_numbers_are_shown_with_their_rows(good: DataSchema, tmp_path: Path) -> None:
    data = profiled(tmp_path, [*ROWS, (1, "clear", "n.a.", 5), (1, "clear", "-", 5), (1, "clear", "1e-3", 5)])
    found = only(count_violations(tmp_path, data, good, check(data, good)))
    assert (found.rule, found.level, found.count) == ("kind", "fail", 2)
    assert found.sentence.startswith("temp holds text in 2 rows, where numbers are expected: n.a., -.")
    assert found.examples == ("row 241: n.a.", "row 242: -")


def test_a_warmer_month_warns_with_its_rows(good: DataSchema, tmp_path: Path) -> None:
    rows = [*ROWS, (1, "clear", 0.9, 5), (2, "clear", 0.85, 5), (3, "clear", 0.83, 5)]
    data = profiled(tmp_path, rows)
    found = check(data, good)
    assert (only(found).rule, only(found).level) == ("range", "warn")
    counted = only(count_violations(tmp_path, data, good, found))
    assert (
        counted.sentence
        == "temp is out of range in 2 rows: it goes from 0.2 to 0.9, where 0.1425 to 0.8325 is expected."
    )
    assert counted.examples == ("row 241: 0.9", "row 242: 0.85")


def test_another_unit_fails(good: DataSchema, tmp_path: Path) -> None:
    data = profiled(tmp_path, [(*row[:2], float(row[2]) * 41, row[3]) for row in ROWS])
    found = only(count_violations(tmp_path, data, good, check(data, good)))
    assert (found.rule, found.level, found.count) == ("range", "fail", 240)
    assert "so the unit may be another one" in found.sentence


def test_one_value_far_out_fails(good: DataSchema, tmp_path: Path) -> None:
    assert only(check(profiled(tmp_path, [*ROWS, (1, "clear", 9.9, 5)]), good)).level == "fail"
    assert only(check(profiled(tmp_path, [*ROWS, (1, "clear", 2.0, 5)]), good)).level == "warn"


def test_new_categories_warn_with_their_rows(good: DataSchema, tmp_path: Path) -> None:
    data = profiled(tmp_path, [*ROWS, (1, "[bold]snow", 0.3, 5), (1, "snow", 0.3, 5)])
    found = only(count_violations(tmp_path, data, good, check(data, good)))
    assert (found.rule, found.level, found.count) == ("values", "warn", 2)
    assert found.examples == ("row 241: [bold]snow", "row 242: snow")
    assert "such as [bold]snow and snow; known are clear, cloudy and rain." in found.sentence


def test_new_values_that_the_profile_does_not_list_are_found(tmp_path: Path) -> None:
    names = [f"station {number}" for number in range(40)]
    schema = DataSchema(columns=(ColumnRule(name="a", kind="category", values=tuple(names)),))
    data = profiled(tmp_path, [(name, 1) for name in [*names[:39], "new"] * 10], "a,b")
    counted = {entry.column: entry for entry in count_violations(tmp_path, data, schema, check(data, schema))}
    assert (counted["a"].count, counted["a"].examples[0]) == (10, "row 40: new")
    fine = profiled(tmp_path, [(name, 1) for name in names * 10], "a,b")
    assert [entry.column for entry in count_violations(tmp_path, fine, schema, check(fine, schema))] == ["b"]


def test_sets_of_numbers_and_flags(tmp_path: Path) -> None:
    rules = (
        ColumnRule(name="a", kind="integer", values=("1", "2.0")),
        ColumnRule(name="b", kind="boolean", values=("true",)),
    )
    schema = DataSchema(columns=rules)
    data = profiled(tmp_path, [(1, "True"), (2, "False"), (3, None)] * 5, "a,b")
    counted = {entry.column: entry for entry in count_violations(tmp_path, data, schema, check(data, schema))}
    assert (counted["a"].count, counted["a"].examples[0]) == (5, "row 3: 3")
    assert (counted["b"].count, counted["b"].examples[0]) == (5, "row 2: False")


def test_severity_is_the_persons_choice(tmp_path: Path) -> None:
    schema = DataSchema(columns=(ColumnRule(name="a", kind="integer", maximum=5, severity="fail"),))
    data = profiled(tmp_path, [(1,), (2,), (6,)], "a")
    found = only(count_violations(tmp_path, data, schema, check(data, schema)))
    assert (found.level, found.count) == ("fail", 1)
    assert "where at most 5 is expected" in found.sentence


def test_a_written_schema_is_read_as_it_was(good: DataSchema, tmp_path: Path) -> None:
    write(tmp_path / "deep" / "checks.yaml", good)
    assert read(tmp_path / "deep" / "checks.yaml") == good
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["checks.yaml"]


texts = st.text("abcyesno:#'\"- 01.é\n", min_size=1, max_size=8)
bounds = st.one_of(st.none(), st.floats(-1e18, 0).map(float))


def without_useless_bounds(rule: ColumnRule) -> ColumnRule:
    """Only numbers have bounds: of other columns the file may not name any."""
    return rule if rule.kind in ("integer", "number") else msgspec.structs.replace(rule, minimum=None, maximum=None)


@settings(max_examples=100)
@given(
    rules=st.lists(
        st.builds(
            ColumnRule,
            name=texts,
            kind=st.sampled_from(["number", "integer", "boolean", "category", "text", "date", "empty"]),
            required=st.booleans(),
            nullable=st.booleans(),
            unique=st.booleans(),
            minimum=bounds,
            maximum=bounds.map(lambda value: None if value is None else -value),
            values=st.lists(texts, max_size=4).map(tuple),
            severity=st.sampled_from(["warn", "fail"]),
        ).map(without_useless_bounds),
        max_size=4,
        unique_by=lambda rule: rule.name,
    )
)
def test_any_schema_survives_writing_and_reading(rules: list[ColumnRule]) -> None:
    schema = DataSchema(columns=tuple(rules), minimum_rows=7, learnt_from="x")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "s.yaml", schema)
        assert read(Path(folder) / "s.yaml") == schema


@pytest.mark.parametrize(
    ("text", "sentence", "next_step"),
    [
        ("columns: {a: {kind: number, minimun: 1}}", "Column a has an unknown key, minimun", "Did you mean minimum?"),
        ("column: {}", "unknown key, column", "Did you mean columns?"),
        ("columns: {a: {kind: numbr}}", "column a, `kind` can't be numbr", "Did you mean number?"),
        ("columns: {a: {minimum: 1}}", "column a has no kind", "It can be one of number, integer"),
        ("columns: {a: {kind: number, minimum: x}}", "`minimum` has to be a number", ""),
        ("columns: {a: {kind: number, minimum: .inf}}", "`minimum` has to be a number", ""),
        ("columns: {a: {kind: number, minimum: 2, maximum: 1}}", "minimum above its maximum", ""),
        ("columns: {a: {kind: number, nullable: perhaps}}", "has to be true or false", ""),
        ("columns: {a: {kind: category, values: x}}", "`values` has to be a list", ""),
        ("columns: {a: {kind: number}, a: {kind: text}}", "a is there twice", ""),
        ("columns: {a: 1}", "Column a has to be keys with values", ""),
        ("minimum_rows: 1.5\ncolumns: {}", "`minimum_rows` has to be a whole number", ""),
        ("minimum_rows: 1", "`columns` has to be keys", ""),
        ("", "The file has to be keys", ""),
        ("columns: [", "not valid YAML: line ", ""),
        ("a: !!python/object/apply:os.system ['true']", "unknown key", ""),
    ],
)
def test_a_schema_that_means_nothing_is_a_sentence(tmp_path: Path, text: str, sentence: str, next_step: str) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text(text)
    with pytest.raises(SchemaUnfit) as caught:
        read(path)
    assert sentence in caught.value.sentence
    assert next_step in caught.value.next_step


def test_a_schema_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SchemaUnfit, match="There is no"):
        read(tmp_path / "checks.yaml")


def test_people_may_write_yes_and_no_as_values(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text("columns:\n  a:\n    kind: category\n    nullable: no\n    values: [yes, no, 1, 1.50]\n")
    rule = read(path).columns[0]
    assert (rule.values, rule.nullable) == (("yes", "no", "1", "1.50"), False)
