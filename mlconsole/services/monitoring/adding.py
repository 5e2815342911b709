"""Arithmetic of counters: what was added since the look before, and several pods together."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mlconsole.evidence.monitoring import Counters, FeatureCounts


def total(parts: Iterable[Counters]) -> Counters:
    """Several counters together."""
    made = Counters()
    for part in parts:
        made = _combined(made, part, 1)
    return made


def since(now: Counters, before: Counters | None) -> Counters:
    """What was counted since `before`; a server that counts from zero again was restarted: all of it is new."""
    if before is None or _restarted(now, before):
        return now
    return _combined(now, before, -1)


def _restarted(now: Counters, before: Counters) -> bool:
    return now.requests < before.requests or now.rows < before.rows or now.errors < before.errors


def without_features(counters: Counters) -> Counters:
    """Counters small enough to be kept for every look."""
    return msgspec.structs.replace(counters, features={})


def _combined(left: Counters, right: Counters, sign: int) -> Counters:
    names = left.features | right.features
    return Counters(
        requests=max(left.requests + sign * right.requests, 0),
        errors=max(left.errors + sign * right.errors, 0),
        rows=max(left.rows + sign * right.rows, 0),
        latency=_bins(left.latency, right.latency, sign),
        predictions=_bins(left.predictions, right.predictions, sign),
        features={name: _feature(left.features.get(name), right.features.get(name), sign) for name in names},
    )


def _bins(left: dict[float, float], right: dict[float, float], sign: int) -> dict[float, float]:
    return {bound: max(left.get(bound, 0) + sign * right.get(bound, 0), 0) for bound in left | right}


def _feature(left: FeatureCounts | None, right: FeatureCounts | None, sign: int) -> FeatureCounts:
    if left is None or right is None:
        return left or right or FeatureCounts()
    if left.bounds != right.bounds:
        # bins that differ can't be added: what is there now stands
        return left
    counts = zip(left.counts, right.counts, strict=True)
    values = left.values | right.values
    return FeatureCounts(
        bounds=left.bounds,
        counts=tuple(max(a + sign * b, 0) for a, b in counts),
        values={value: max(left.values.get(value, 0) + sign * right.values.get(value, 0), 0) for value in values},
        unseen=max(left.unseen + sign * right.unseen, 0),
        missing=max(left.missing + sign * right.missing, 0),
    )
