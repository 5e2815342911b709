"""Counters out of a Prometheus server, where the settings name one: those of each pod, as it scraped them last.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import msgspec

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.monitoring import Reading
from mlconsole.services.monitoring.metrics import LATENCIES, REQUESTS, Sample, counters_of, version_of
from mlconsole.services.monitoring.reading import Readings
from mlconsole.text import clean_line

SOURCES = ("pod", "kubernetes_pod_name", "instance")
"""Labels that tell one server from another, the best first."""
SECONDS = 10


class PrometheusFailed(OutsideFailed):
    """A Prometheus server can't be asked, or says no."""


def read_prometheus(address: str, match: str, token_variable: str = "") -> Readings:
    """Read the counters of every server whose series match.

    Args:
        address: such as `http://prometheus:9090`.
        match: labels, such as `namespace="bikes"`.
        token_variable: the environment variable that holds a bearer token; empty: none is sent.

    Raises:
        PrometheusFailed: it can't be asked, or says no.
    """
    latencies = [f"{name}_bucket" for name in LATENCIES]
    names = "|".join([*REQUESTS, *latencies, "model_info", "model_rows_total", "model_predictions_bucket"])
    query = f'{{__name__=~"({names}|model_feature_.+)"{f",{match}" if match else ""}}}'
    by_source: defaultdict[str, list[Sample]] = defaultdict(list)
    for series in _ask(address, query, token_variable):
        labels = {str(name): str(value) for name, value in series["metric"].items()}
        source = next((labels[name] for name in SOURCES if name in labels), "")
        by_source[source].append(Sample(labels.get("__name__", ""), labels, float(series["value"][1])))
    found = ((clean_line(source), samples) for source, samples in by_source.items())
    return Readings(
        read=tuple(
            Reading(source=source, version=version_of(samples), counters=counters_of(samples))
            for source, samples in found
        )
    )


def _ask(address: str, query: str, token_variable: str) -> list[Any]:
    import urllib3

    token = os.environ.get(token_variable, "") if token_variable else ""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{address.rstrip('/')}/api/v1/query"
    try:
        with urllib3.PoolManager(retries=False, timeout=SECONDS) as pool:
            answer = pool.request("GET", url, fields={"query": query}, headers=headers)
        said = msgspec.json.decode(answer.data)
    except (urllib3.exceptions.HTTPError, msgspec.DecodeError) as error:
        why = clean_line(str(error))
        raise PrometheusFailed(f"Prometheus does not answer: {why}", "Check [monitor] prometheus.") from error
    if not isinstance(said, dict) or said.get("status") != "success":
        why = clean_line(str(said.get("error", answer.status) if isinstance(said, dict) else answer.status))
        raise PrometheusFailed(f"Prometheus says no: {why}", "Check [monitor] match and token.")
    return list(said.get("data", {}).get("result", []))
