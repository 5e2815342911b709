"""Counters of one server, out of OpenMetrics or Prometheus text.

Source: https://prometheus.io/docs/specs/om/open_metrics_spec/; what the names and labels usually are is in the tables.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.monitoring import Counters, FeatureCounts
from mlconsole.text import clean_line

REQUESTS = ("http_requests_total", "http_server_requests_total", "requests_total", "model_requests_total")
LATENCIES = (
    "http_request_duration_seconds",
    "http_server_request_duration_seconds",
    "request_duration_seconds",
    "model_latency_seconds",
)
STATUS_LABELS = ("code", "status", "status_code", "http_status", "http_response_status_code")
PATH_LABELS = ("path", "handler", "endpoint", "route", "http_route", "uri")
PROBES = ("health", "ready", "live", "metrics", "ping", "startup")
"""Paths with one of these words are those of probes: they would drown what people ask."""
BAD_REQUESTS = ("400", "422")
"""A model that can't take what its callers send says so: after a release that is an error of the model."""


class Sample(NamedTuple):
    """One number of a scrape."""

    name: str
    labels: Mapping[str, str]
    value: float


class NotMetrics(OutsideFailed):
    """What a pod answered is no OpenMetrics."""


def parse(text: str, is_openmetrics: bool) -> tuple[Sample, ...]:
    """Read a scrape.

    Raises:
        NotMetrics: it can't be read.
    """
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
    from prometheus_client.parser import text_string_to_metric_families as prometheus

    try:
        families = list((openmetrics if is_openmetrics else prometheus)(text))
    except (ValueError, IndexError, KeyError) as error:
        raise NotMetrics(f"its metrics can't be read: {clean_line(str(error))}") from error
    return tuple(Sample(entry.name, entry.labels, float(entry.value)) for found in families for entry in found.samples)


def version_of(samples: Iterable[Sample]) -> str:
    """The version that a server says it serves: `model_info{version="v2"} 1`; empty where it says none."""
    found = (sample.labels.get("version", "") for sample in samples if sample.name == "model_info")
    return clean_line(next(found, ""))


def counters_of(samples: Iterable[Sample]) -> Counters:
    """Add up the samples of one server; counts that are no number count nothing."""
    known = [sample for sample in samples if math.isfinite(sample.value)]
    names = {sample.name for sample in known}
    requests = next((name for name in REQUESTS if name in names), "")
    latency = next((name for name in LATENCIES if f"{name}_bucket" in names), "")
    asked = [sample for sample in known if sample.name == requests and not _is_probe(sample)]
    rows = sum(sample.value for sample in known if sample.name == "model_rows_total")
    return Counters(
        requests=sum(sample.value for sample in asked),
        errors=sum(sample.value for sample in asked if _is_error(sample)),
        rows=rows,
        latency=_bins(sample for sample in known if sample.name == f"{latency}_bucket" and not _is_probe(sample)),
        predictions=_bins(sample for sample in known if sample.name == "model_predictions_bucket"),
        features=_features(known),
    )


def _is_probe(sample: Sample) -> bool:
    path = next((sample.labels[name] for name in PATH_LABELS if name in sample.labels), "").lower()
    return any(word in path for word in PROBES)


def _is_error(sample: Sample) -> bool:
    status = next((sample.labels[name] for name in STATUS_LABELS if name in sample.labels), "")
    return status.startswith("5") or status in BAD_REQUESTS


def _bins(samples: Iterable[Sample]) -> dict[float, float]:
    """How many fell into each bin, from the cumulative counts of one or more histograms."""
    series: defaultdict[tuple[tuple[str, str], ...], dict[float, float]] = defaultdict(dict)
    for sample in samples:
        bound = _bound(sample)
        if bound is not None:
            rest = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            series[rest][bound] = sample.value
    bins: dict[float, float] = {}
    for cumulative in series.values():
        before = 0.0
        for bound, total in sorted(cumulative.items()):
            bins[bound] = bins.get(bound, 0.0) + max(total - before, 0.0)
            before = total
    return bins


def _bound(sample: Sample) -> float | None:
    try:
        bound = float(sample.labels.get("le", ""))
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def _features(samples: list[Sample]) -> dict[str, FeatureCounts]:
    by_name: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.name.startswith("model_feature_") and "feature" in sample.labels:
            by_name[sample.labels["feature"]].append(sample)
    return {clean_line(name): _feature(found) for name, found in by_name.items()}


def _feature(samples: list[Sample]) -> FeatureCounts:
    bins = _bins(sample for sample in samples if sample.name == "model_feature_bucket")
    values = {
        sample.labels.get("value", ""): sample.value
        for sample in samples
        if sample.name == "model_feature_values_total"
    }
    bounds = tuple(bound for bound in sorted(bins) if math.isfinite(bound))
    single = {sample.name: sample.value for sample in samples}
    return FeatureCounts(
        bounds=bounds,
        counts=tuple(bins.get(bound, 0.0) for bound in (*bounds, math.inf)) if bins else (),
        values=values,
        unseen=single.get("model_feature_unseen_total", 0.0),
        missing=single.get("model_feature_missing_total", 0.0),
    )
