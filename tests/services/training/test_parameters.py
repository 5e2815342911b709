"""Parameters from the files that projects keep them in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlconsole.services.training.parameters import ParametersUnreadable, read


def pairs(path: Path, text: str) -> list[tuple[str, str]]:
    path.write_text(text)
    return [(parameter.name, parameter.value) for parameter in read(path)]


def test_yaml_names_are_joined_by_dots_in_their_order(tmp_path: Path) -> None:
    text = "epochs: 10\nmodel:\n  depth: 3\n  rate: 1e-3\n  bias: true\nseed: null\nlayers: [64, 32]\nname: ridge\n"
    assert pairs(tmp_path / "params.yaml", text) == [
        ("epochs", "10"),
        ("model.depth", "3"),
        ("model.rate", "1e-3"),
        ("model.bias", "true"),
        ("seed", "null"),
        ("layers", "[64, 32]"),
        ("name", "ridge"),
    ]


def test_json_and_toml_say_the_same(tmp_path: Path) -> None:
    expected = [("a.b", "0.5"), ("a.c", "true"), ("d", "x")]
    assert pairs(tmp_path / "p.json", '{"a": {"b": 0.5, "c": true}, "d": "x"}') == expected
    assert sorted(pairs(tmp_path / "p.toml", 'd = "x"\n[a]\nb = 0.5\nc = true\n')) == expected


@pytest.mark.parametrize(("name", "text"), [("p.json", '{"a": 1}'), ("p.toml", "a = 1\r\n"), ("p.yaml", "a: 1\r\n")])
def test_a_file_may_begin_with_the_mark_of_an_editor_on_windows(tmp_path: Path, name: str, text: str) -> None:
    assert pairs(tmp_path / name, f"\ufeff{text}") == [("a", "1")]


def test_lists_of_tables_are_numbered(tmp_path: Path) -> None:
    text = "layers:\n- units: 64\n- units: 32\n"
    assert pairs(tmp_path / "p.yml", text) == [("layers.0.units", "64"), ("layers.1.units", "32")]


@pytest.mark.parametrize("name", ["p.yaml", "p.json", "p.toml"])
def test_an_empty_file_has_no_parameters(tmp_path: Path, name: str) -> None:
    assert pairs(tmp_path / name, "") == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.yaml", "a: 1\nb: [", "can't be read: line "),
        ("p.json", "{", "can't be read"),
        ("p.toml", "a = ", "can't be read"),
        ("p.yaml", "- 1\n- 2\n", "does not hold names with values"),
        ("p.json", "[1]", "does not hold names with values"),
        ("p.yaml", "a: !!python/object/apply:os.system [id]", "can't be read: line 1"),
        ("p.yaml", "a: &x {b: *x}", "nested too deeply"),
        (
            "p.yaml",
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcde", "bcdef", strict=True)
            ),
            "more than 5,000 parameters",
        ),
        ("p.json", "[" * 100_000, "can't be read|nested too deeply"),
    ],
)
def test_what_holds_no_parameters_is_a_sentence(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(ParametersUnreadable, match=words):
        pairs(tmp_path / name, text)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ParametersUnreadable, match="No such file or directory"):
        read(tmp_path / "params.yaml")


def test_a_binary_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParametersUnreadable, match="not a text file"):
        read(tmp_path / "p.yaml")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=200)
@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["p.yaml", "p.json", "p.toml"]))
def test_any_text_is_parameters_or_a_sentence(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    try:
        found = read(tmp_path / name)
    except ParametersUnreadable as error:
        assert str(error)
    else:
        assert all("\x1b" not in parameter.name + parameter.value for parameter in found)
