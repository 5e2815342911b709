"""The table of pods keeps its order and its filter while pods change, and looks only at what changed."""

from __future__ import annotations

import random
import re

import msgspec
import pytest

from mlconsole.console.patterns import NotAPattern
from mlconsole.console.pods_model import Choice, PodsModel
from mlconsole.evidence.cluster import PodRow, PodUsage

from .builder import pod


def names(model: PodsModel) -> list[str]:
    return [model.row(index).cells[0] for index in range(len(model))]


def many(number: int) -> list[PodRow]:
    return [pod(place, ready=place % 3 != 0) for place in range(number)]


def test_a_filter_takes_a_regular_expression_or_its_inverse() -> None:
    model = PodsModel()
    pods = many(30)
    model.take(pods)
    wanted = pods[7].name
    model.choose(Choice(pattern=f"^{re.escape(wanted)} "))
    assert names(model) == [wanted]
    model.choose(Choice(pattern=f"^{re.escape(wanted)} ", inverse=True))
    assert len(model) == 29
    with pytest.raises(NotAPattern):
        model.choose(Choice(pattern="("))
    assert len(model) == 29, "what was shown stays"


def test_faults_only() -> None:
    model = PodsModel()
    model.take(many(30))
    model.choose(Choice(faults=True))
    assert len(model) == 10
    assert model.tally.pods == 30


def test_a_column_is_sorted_by_and_turned() -> None:
    model = PodsModel()
    pods = [msgspec.structs.replace(found, restart_count=place % 4) for place, found in enumerate(many(12))]
    model.take(pods)
    model.choose(Choice.sorted_by(model.choice, 3))
    counts = [model.pod(model.key(index)).restart_count for index in range(12)]  # type: ignore[union-attr]
    assert counts == sorted(counts, reverse=True)
    model.choose(Choice.sorted_by(model.choice, 3))
    counts = [model.pod(model.key(index)).restart_count for index in range(12)]  # type: ignore[union-attr]
    assert counts == sorted(counts)


def test_after_any_changes_it_is_as_if_made_anew() -> None:
    chance = random.Random(4)
    choice = Choice(pattern="Running|Crash", column=3, descending=True)
    model = PodsModel()
    model.choose(choice)
    pods = many(80)
    for _ in range(60):
        pods = list(pods)
        for _ in range(chance.randrange(5)):
            place = chance.randrange(len(pods))
            pods[place] = msgspec.structs.replace(
                pods[place], restart_count=chance.randrange(6), is_ready=chance.random() < 0.5
            )
        if chance.random() < 0.2:
            pods.pop(chance.randrange(len(pods)))
        model.take(pods)
        anew = PodsModel(moment=model.moment)
        anew.choose(choice)
        anew.take(pods)
        assert [model.row(index) for index in range(len(model))] == [anew.row(index) for index in range(len(anew))]
        assert (model.tally, model.widths()) == (anew.tally, anew.widths())
        assert all(model.place(model.key(index)) == index for index in range(len(model)))


def test_what_pods_use_is_shown_and_sorted_by() -> None:
    model = PodsModel()
    pods = many(3)
    model.take(pods)
    model.take_usage({pods[1].name: PodUsage(cpu=0.012, memory=3 * 1024**2), pods[2].name: PodUsage(cpu=1.5, memory=1)})
    model.choose(Choice.sorted_by(model.choice, 6))
    assert names(model)[0] == pods[2].name
    assert model.row(1).cells[6:8] == ("12m", "3.0 MiB")
