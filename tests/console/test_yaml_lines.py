"""A line of YAML is coloured for itself; in a diff its sign tells what it is, and colours only repeat it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from mlconsole.console.paint import DIM
from mlconsole.console.yaml_lines import KEY_STYLE, VALUE_STYLE, yaml_diff_line, yaml_diff_lines, yaml_lines


def styled(content: Content, style: str) -> str:
    """What of a line has a style."""
    return "|".join(content.plain[span.start : span.end] for span in content.spans if span.style == style)


@pytest.mark.parametrize(
    ("text", "keys", "literals"),
    [
        ("  replicas: 2", "replicas", "2"),
        ("- app.kubernetes.io/name: ml-model", "app.kubernetes.io/name", ""),
        ("  {enabled: x, paused: true}", "enabled| paused", "true"),
        ("  2026-05-01: null", "2026-05-01", "null"),
        ("just some words", "", ""),
    ],
)
def test_keys_and_values_are_told_apart(text: str, keys: str, literals: str) -> None:
    (found,) = yaml_lines([text])
    assert (styled(found, KEY_STYLE), styled(found, VALUE_STYLE)) == (keys, literals)


@pytest.mark.parametrize("sign", ["+", "-"])
def test_what_comes_and_goes_has_its_sign_its_ground_and_yaml_s_colours(sign: str) -> None:
    found = yaml_diff_line(f'{sign}  image: "ml:3" # new', 40)
    assert found.plain == f'{sign}  image: "ml:3" # new'.ljust(40)
    assert styled(found, KEY_STYLE) == "image"
    assert "ml:3" in styled(found, VALUE_STYLE)
    assert "# new" in styled(found, DIM)
    ground = "on $added" if sign == "+" else "on $removed"
    assert styled(found, ground) == found.plain


@given(st.text(st.characters(codec="utf-8"), max_size=60), st.sampled_from(["", "+", "-", " "]))
def test_whatever_stands_in_a_line_it_is_shown_as_it_is(text: str, sign: str) -> None:
    text = "".join(letter for letter in text if letter.isprintable())
    assert yaml_diff_line(sign + text).plain == sign + text


def test_in_a_whole_document_a_block_is_no_yaml() -> None:
    text = "args:\n- |-\n  while True:\n    go: on\nimage: x\n"
    found = yaml_lines(text.splitlines())
    assert "\n".join(line.plain for line in found) == text.rstrip()
    assert [styled(line, KEY_STYLE) for line in found] == ["args", "", "", "", "image"]


@pytest.mark.parametrize(
    ("diff", "keys"),
    [
        (["+a: |", "+  key: x", "+", "+  - b: 1", "+c: 2"], ["a", "", "", "", "c"]),
        ([" - name: a", "   value: >-", "     not: a key", "   after: b"], ["name", "value", "", "after"]),
        (["+- |2", "+   key: x", "+- b: 1"], ["", "", "b"]),
        (["-a: one", "+a: | # why", "+  key: x", " b: 1"], ["a", "a", "", "b"]),
        ([" a: |", "   x: 1", "-  y: 2", "+  y: 3", "   z: 4", " b: 1"], ["a", "", "", "", "", "b"]),
        (["-a: |", "-  x: 1", "+a:", "+  x: 1", " b: 1"], ["a", "", "a", "x", "b"]),
        ([" a: |", "@@ -9 +9 @@", "   b: 1"], ["a", "", "b"]),
        (["+a: x |", "+  b: 1"], ["a", "b"]),
        (['+a: "b: |"', "+c: 1"], ["a", "c"]),
    ],
)
def test_in_a_diff_a_block_that_begins_in_it_is_no_yaml(diff: list[str], keys: list[str]) -> None:
    found = yaml_diff_lines(diff)
    assert [line.plain for line in found] == diff
    assert [styled(line, KEY_STYLE) for line in found] == keys


WHOLE = """\
kind: ConfigMap
data:
  notes.md: |
    first: one
    second: two
    third: three
  plain: x
---
kind: ConfigMap
data:
  other: y
    second: no block
"""


@pytest.mark.parametrize(
    ("diff", "keys"),
    [
        (
            ["@@ -9,4 +9,4 @@", "     first: one", "-    second: 2", "+    second: two", "   plain: x"],
            ["", "", "", "", "plain"],
        ),
        (["@@ -9,2 +9,3 @@", "     second: two", "     third: three", "+    more: x", " b: 1"], ["", "", "", "", "b"]),
        (["@@ -9,2 +9,3 @@", "   notes.md: |", "     first: one", "+    more: x"], ["", "notes.md", "", ""]),
        (["@@ -9,2 +9,2 @@", "   plain: x", "-a: 1"], ["", "plain", "a"]),
        (["@@ -9,2 +9,2 @@", "     elsewhere: x", "-    a: 1"], ["", "elsewhere", "a"]),
        (["@@ -0,0 +1 @@", "+    first: one"], ["", "first"]),
    ],
)
def test_in_a_diff_a_block_that_began_before_it_is_told_by_the_manifests(diff: list[str], keys: list[str]) -> None:
    found = yaml_diff_lines(diff, manifests=WHOLE)
    assert [line.plain for line in found] == diff
    assert [styled(line, KEY_STYLE) for line in found] == keys


def test_where_the_manifests_tell_two_things_of_a_line_it_is_coloured_for_itself() -> None:
    text = "a: |\n  x: 1\n  y: 1\nb:\n  x: 1\n  z: 1\n"
    (_, alone, _) = yaml_diff_lines(["@@ -2 +2 @@", "   x: 1", "+  new: 1"], manifests=text)
    (_, told, _) = yaml_diff_lines(["@@ -2 +2 @@", "   x: 1", "   y: 1"], manifests=text)
    assert (styled(alone, KEY_STYLE), styled(told, KEY_STYLE)) == ("x", "")


@given(st.lists(st.text(st.sampled_from("+-@ a:|>#"), max_size=12)))
def test_whatever_a_diff_is_all_of_it_is_shown(diff: list[str]) -> None:
    assert [line.plain for line in yaml_diff_lines(diff)] == diff


def test_a_very_long_line_is_shown_whole() -> None:
    text = "key: " + "value " * 50_000
    assert yaml_diff_line(f"+{text}").plain == f"+{text}"


def test_the_lexer_is_imported_only_when_yaml_is_drawn() -> None:
    code = "import mlconsole.console.panels.deploy, sys; print('pygments.lexers.data' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "False"
