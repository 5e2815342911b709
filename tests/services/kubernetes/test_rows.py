"""Rows are what the API server itself prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from mlconsole.services.kubernetes.objects import Pod
from mlconsole.services.kubernetes.rows import age, human_duration, pod_row
from tests.services.kubernetes import recordings


def test_500_recorded_pods_show_what_the_server_printed() -> None:
    wrong = []
    for entry in recordings.pod_rows():
        pod = msgspec.json.decode(json.dumps(entry["pod"]), type=Pod)
        now = datetime.fromisoformat(entry["observed_at"])
        row = pod_row(pod, now)
        got = {"Ready": row.ready, "Status": row.status, "Restarts": row.restarts, "Age": age(row.created_at, now)}
        if got != entry["expected"]:
            wrong.append((row.name, got, entry["expected"]))
    assert wrong == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60 + 59, "179m"),
        (180 * 60, "3h"),
        (181 * 60, "3h1m"),
        (8 * 3600 - 1, "7h59m"),
        (8 * 3600, "8h"),
        (48 * 3600 - 1, "47h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (2 * 365 * 86400 - 1, "729d"),
        (2 * 365 * 86400, "2y"),
        (2 * 365 * 86400 + 86400, "2y1d"),
        (8 * 365 * 86400, "8y"),
    ],
)
def test_durations_are_kubectls(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_an_age_without_a_moment_is_unknown() -> None:
    assert age(None, datetime.now(UTC)) == "<unknown>"


def test_the_version_comes_from_the_annotation_before_the_environment() -> None:
    pod = msgspec.json.decode(
        b'{"metadata":{"name":"a","annotations":{"mlconsole.dev/model-version":"ml-model@v2",'
        b'"mlconsole.dev/model-digest":"sha256:ab"}},'
        b'"spec":{"containers":[{"name":"m","env":[{"name":"MODEL_VERSION","value":"v1"}]}]}}',
        type=Pod,
    )
    row = pod_row(pod, datetime.now(UTC))
    assert (row.version, row.model_digest) == ("ml-model@v2", "sha256:ab")
    pod.metadata.annotations = None
    assert pod_row(pod, datetime.now(UTC)).version == "v1"


def test_escapes_in_a_name_do_not_reach_the_screen() -> None:
    pod = Pod()
    pod.metadata.name = "a\x1b[31mb"
    pod.status.phase = "Run\x1b]52;c;x\x07ning"
    row = pod_row(pod, datetime.now(UTC))
    assert (row.name, row.status) == ("ab", "Running")
