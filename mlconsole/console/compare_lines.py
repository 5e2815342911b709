"""Two releases side by side: what they are made of, how they were judged, who decided; what differs is marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from textual.content import Content

from mlconsole.console.paint import DIM, STRONG, WARN, blank, cut, fit, heading, line, wrapped
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.training import TrainEvidence
from mlconsole.present import final_metrics, glyph, test_fact, word
from mlconsole.text import count, duration, number, short_digest, size

MOST_NAME = 30
MOST_PACKAGES = 30


class Pair(NamedTuple):
    """One thing of both releases. `note` says how far apart they are."""

    name: str
    left: str
    right: str
    note: str = ""


def compare_lines(left: ReleaseRecord, right: ReleaseRecord, width: int) -> list[Content]:
    """All lines of a comparison, the earlier release to the left."""
    sections = [
        ("Release", _release(left, right)),
        ("Commit", _commit(left, right)),
        ("Data", _data(left, right)),
        ("Parameters", _parameters(left, right)),
        ("Metrics", _metrics(left, right)),
        ("Environment", _environment(left, right)),
        ("Tests", _tests(left, right)),
        ("Against the champion of its time", _comparisons(left, right)),
        ("Decisions", _decisions(left, right)),
    ]
    wide = min(
        max((len(pair.name) for _, pairs in sections for pair in pairs), default=8), MOST_NAME, max(width // 4, 8)
    )
    room = max((width - wide - 6) // 2, 8)
    head = line(
        " " * (wide + 4),
        (fit(f"Release {left.release.number}", room), STRONG),
        "  ",
        (cut(f"Release {right.release.number}", room), STRONG),
    )
    lines = [head]
    for title, pairs in sections:
        if not pairs:
            continue
        differing = sum(pair.left != pair.right for pair in pairs)
        lines += [blank(), heading(title, f"{count(differing, 'difference')}" if differing else "the same")]
        for pair in pairs:
            lines += _pair_lines(pair, wide, room)
    return lines


def _pair_lines(pair: Pair, wide: int, room: int) -> list[Content]:
    """One thing of both; where they differ neither is cut, since what differs may be at the end."""
    same = pair.left == pair.right
    note = f" {pair.note}" if pair.note else ""
    left, right = line(pair.left or "–"), line(pair.right or "–")
    if same:
        sides = [(fit(left.plain, room), cut(right.plain, room))]
    else:
        parts = (
            [part.plain for part in wrapped(side, most)] for side, most in ((left, room), (right, room - len(note)))
        )
        sides = [(fit(old, room), new) for old, new in zip_longest(*parts, fillvalue="")]
    return [
        line(
            ("  " if same or place else "≠ ", WARN),
            (fit("" if place else pair.name, wide), DIM),
            "  ",
            (old, DIM if same else ""),
            "  ",
            (new, DIM if same else STRONG),
            ("" if place else note, WARN),
        )
        for place, (old, new) in enumerate(sides)
    ]


def _release(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    def cells(record: ReleaseRecord) -> list[str]:
        release = record.release
        took = duration((release.finished_at - release.started_at).total_seconds()) if release.finished_at else ""
        return [
            f"{glyph(release.state)} {word(release.state)}",
            release.kind,
            release.version,
            f"{release.started_at.astimezone():%Y-%m-%d %H:%M}",
            release.started_by,
            took,
            release.reason,
        ]

    names = ("state", "kind", "version", "started", "by", "took", "reason")
    return _pairs(names, cells(left), cells(right))


def _commit(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    def cells(record: ReleaseRecord) -> list[str]:
        repo = record.repo
        if repo is None or repo.commit is None:
            return []
        dirty = ", ".join(change.path for change in repo.dirty)
        return [repo.commit.sha[:12], repo.commit.subject, repo.commit.author, repo.branch, dirty]

    return _pairs(("commit", "subject", "author", "branch", "not committed"), cells(left), cells(right))


def _data(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    def cells(record: ReleaseRecord) -> list[str]:
        data = record.data
        if data is None:
            return []
        profile = data.profile
        drifting = {column for report in data.drift for column in report.columns_at("warn", "fail")}
        return [
            short_digest(profile.identity.digest),
            f"{profile.rows:,}",
            str(len(profile.columns)),
            size(profile.identity.size),
            str(len(data.violations)),
            str(len(drifting)) if data.drift else "",
        ]

    pairs = _pairs(("digest", "rows", "columns", "size", "broken rules", "drifting columns"), cells(left), cells(right))
    if left.data is None or right.data is None:
        return pairs
    grown = right.data.profile.rows - left.data.profile.rows
    return [pair._replace(note=f"({grown:+,})") if pair.name == "rows" and grown else pair for pair in pairs]


def _parameters(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    def cells(train: TrainEvidence | None) -> Mapping[str, str]:
        return {entry.name: entry.value for entry in train.parameters} if train else {}

    return _united(cells(left.train), cells(right.train))


def _metrics(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    def cells(train: TrainEvidence | None) -> Mapping[str, float]:
        return {entry.name: entry.value for entry in final_metrics(train.metrics)} if train else {}

    before, after = cells(left.train), cells(right.train)
    pairs = []
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        note = f"({(new - old) / abs(old):+.1%})" if old and new is not None and new != old else ""
        pairs.append(Pair(name, number(old) if old is not None else "", number(new) if new is not None else "", note))
    return pairs


def _environment(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    """The Python of both, and the packages that differ."""

    def cells(train: TrainEvidence | None) -> Mapping[str, str]:
        if train is None:
            return {}
        packages = {package.name: package.version for package in train.environment.packages}
        return {"Python": train.environment.version, **packages}

    before, after = cells(left.train), cells(right.train)
    pairs = _united(before, after)
    return [pair for pair in pairs if pair.name == "Python" or pair.left != pair.right][:MOST_PACKAGES]


def _tests(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    """The counts, and the tests that ended otherwise."""
    before, after = left.test, right.test
    if before is None and after is None:
        return []
    pairs = [Pair("tests", test_fact(before.run) if before else "", test_fact(after.run) if after else "")]
    ended = [{test.nodeid: test.outcome for test in found.run.outcomes} if found else {} for found in (before, after)]
    return pairs + [pair for pair in _united(*ended) if pair.left != pair.right]


def _comparisons(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    def cells(record: ReleaseRecord) -> list[str]:
        found = record.test.comparison if record.test else None
        if found is None:
            return []
        return [
            found.champion,
            f"{found.verdict} ({found.relative:+.1%})",
            f"{found.metric} {number(found.candidate_value)}",
        ]

    return _pairs(("champion", "verdict", "on unseen rows"), cells(left), cells(right))


def _decisions(left: ReleaseRecord, right: ReleaseRecord) -> list[Pair]:
    def words(record: ReleaseRecord) -> list[str]:
        return [
            f"{made.kind} {made.stage} by {made.who}" + (f": {made.reason}" if made.reason else "")
            for made in record.decisions
        ]

    before, after = words(left), words(right)
    rows = max(len(before), len(after))
    return [Pair(str(place + 1), *(_at(found, place) for found in (before, after))) for place in range(rows)]


def _pairs(names: Iterable[str], left: Sequence[str], right: Sequence[str]) -> list[Pair]:
    """Values by their place; what neither has is left out."""
    pairs = [Pair(name, _at(left, place), _at(right, place)) for place, name in enumerate(names)]
    return [pair for pair in pairs if pair.left or pair.right]


def _united(left: Mapping[str, str], right: Mapping[str, str]) -> list[Pair]:
    """Values by their name."""
    return [Pair(name, left.get(name, ""), right.get(name, "")) for name in {**left, **right}]


def _at(values: Sequence[str], place: int) -> str:
    return values[place] if place < len(values) else ""
