"""Counters out of the text of servers as they are."""

from __future__ import annotations

import math

import pytest

from mlconsole.evidence.monitoring import Counters
from mlconsole.services.monitoring.adding import since, total
from mlconsole.services.monitoring.metrics import NotMetrics
from mlconsole.services.monitoring.reading import parse_scrape

PROMETHEUS = """\
# HELP http_requests_total requests
# TYPE http_requests_total counter
http_requests_total{handler="/predict",status="2xx"} 90
http_requests_total{handler="/predict",status="500"} 6
http_requests_total{handler="/predict",status="422"} 4
http_requests_total{handler="/healthz",status="200"} 1000
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{handler="/predict",le="0.1"} 50
http_request_duration_seconds_bucket{handler="/predict",le="1"} 100
http_request_duration_seconds_bucket{handler="/predict",le="+Inf"} 100
http_request_duration_seconds_count{handler="/predict"} 100
http_request_duration_seconds_sum{handler="/predict"} 20
model_info{version="v7"} 1
"""


def test_requests_errors_and_latency_without_those_of_probes() -> None:
    found = parse_scrape(PROMETHEUS)
    assert found.version == "v7"
    assert (found.counters.requests, found.counters.errors, found.counters.error_rate) == (100, 10, 0.1)
    assert found.counters.latency == {0.1: 50, 1: 50, math.inf: 0}
    assert found.counters.quantile(0.5) == pytest.approx(0.1)
    assert found.counters.quantile(0.75) == pytest.approx(0.55)


@pytest.mark.parametrize("text", ["<html>", "a{b 1\n# EOF\n", "# TYPE a counter\n# TYPE a counter\n# EOF\n"])
def test_what_is_no_metrics_is_told(text: str) -> None:
    with pytest.raises(NotMetrics):
        parse_scrape(text)


def test_a_restart_counts_from_zero() -> None:
    before, now = Counters(requests=10, errors=1, latency={1.0: 10}), Counters(requests=4, latency={1.0: 4})
    assert since(now, before) == now
    assert since(Counters(requests=15, errors=1, latency={1.0: 15}), before).requests == 5
    assert total([before, now]).latency == {1.0: 14}
    assert Counters().quantile(0.9) is None
    assert Counters().error_rate is None
