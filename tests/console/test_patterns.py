"""Whatever expression a person types, it is looked for, refused in words, or given up, and all of it soon."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlconsole.console.log_lines import Buffer, Line
from mlconsole.console.patterns import SHORT, GivenUp, NotAPattern, Pattern
from mlconsole.console.pods_model import Choice, PodsModel
from mlconsole.console.sieve import Sieve, Wanted, find

from .builder import pod

EXPLODES = r"(a+)+$"
LONG = "a" * 5_000 + "b"


@pytest.mark.parametrize(
    ("pattern", "text", "span"),
    [
        ("epoch 5", "Epoch 5 of 9", (0, 7)),
        ("Epoch 5", "epoch 5 of 9", None),
        (r"loss=0\.\d+$", "step 3 loss=0.25", (7, 16)),
        (r"(?<=loss=)\d", "loss=7", (5, 6)),
        (r"(\w)\1", "abba", (1, 3)),
        ("err|warn", "no warning", (3, 7)),
        (r"a.*z", "a" + "-" * 2 * SHORT + "z", (0, 2 * SHORT + 2)),
    ],
)
def test_python_s_own_expressions_are_looked_for(pattern: str, text: str, span: tuple[int, int] | None) -> None:
    found = Pattern(pattern)
    assert found.matcher()(text) is (span is not None)
    assert list(found.spans(text, 1)) == ([span] if span else [])


def test_what_takes_too_long_is_given_up_and_lets_other_threads_work() -> None:
    matches, ticks, done = Pattern(EXPLODES).matcher(0.5), 0, threading.Event()

    def search() -> None:
        with pytest.raises(GivenUp):
            matches(LONG)
        done.set()

    threading.Thread(target=search).start()
    while not done.is_set():
        time.sleep(0.001)
        ticks += 1
    assert ticks > 20, "the interpreter was held"


def test_many_lines_that_take_a_little_too_long_each_are_given_up_together() -> None:
    matches = Pattern(EXPLODES).matcher(10.0, 0.0)
    with pytest.raises(GivenUp):
        [matches("b" * place) for place in range(10)]


@pytest.mark.parametrize("text", ["[", "(", "a{2", "x" * 2_000, "((a{1000}){1000}){1000}", "a{99999999}", "(" * 400])
def test_what_can_t_be_looked_for_is_said_at_once(text: str) -> None:
    try:
        Pattern(text).matcher(0.1)("a line")
    except NotAPattern as problem:
        assert len(str(problem)) < 200
    else:
        assert text == "a{2", "Python takes it for what is written there"


signs = st.sampled_from([*"ab.*+?{}[](|)^$1,\\", r"\d", r"\w+", "(?:", "(?=", "(a+)+", "{2,}", "{999}", r"\1", "(?R)"])


@given(st.lists(signs, max_size=9).map("".join), st.sampled_from([LONG, "a" * 30 + "!", "loss=0.5 ab", "é漢a" * 300]))
@example("((a{999}){999}){999}", LONG)
def test_no_expression_holds_the_console(text: str, line: str) -> None:
    began = time.thread_time()
    try:
        pattern = Pattern(text)
        pattern.matcher(0.01)(line)
        list(zip(pattern.spans(line, 0.01), range(1_000), strict=False))
    except (NotAPattern, GivenUp):
        pass
    assert time.thread_time() - began < 1


def test_a_filter_of_a_log_that_takes_too_long_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlconsole.console.patterns.LINE_SECONDS", 0.05)
    buffer, ended = Buffer(), threading.Event()
    buffer.add([Line("aaa"), Line("b"), Line(LONG), Line("aaa")])
    wanted = Wanted.of(EXPLODES)
    assert wanted is not None
    sieve = Sieve(buffer, wanted, lambda: ended.set() if sieve.given_up else None)
    sieve.start()
    assert ended.wait(20)
    sieve.join(20)
    assert (list(sieve.shown), sieve.upto, sieve.is_alive()) == ([0], 2, False)
    with pytest.raises(GivenUp):
        find(buffer, range(4), wanted.pattern, 1, 1, threading.Event())


def test_a_filter_of_pods_that_takes_too_long_hides_none() -> None:
    model = PodsModel()
    model.take([pod(place, ready=True) for place in range(5)])
    model.choose(Choice(pattern=EXPLODES))
    assert (len(model), model.given_up) == (0, False)
    model.take([pod(place, ready=True, reason=LONG if place == 3 else "") for place in range(5)])
    assert (len(model), model.given_up) == (5, True)
    model.choose(Choice(pattern="c0002"))
    assert (len(model), model.given_up) == (1, False)


def test_nothing_of_it_is_imported_before_it_is_wanted() -> None:
    code = "import mlconsole.console.screens.log, mlconsole.console.panels.pods, sys; print('regex' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "False"
