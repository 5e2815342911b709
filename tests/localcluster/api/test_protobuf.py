"""Objects in the protobuf encoding that newer clients send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster.api.errors import ApiError
from mlconsole.localcluster.api.protobuf import MAGIC, load_protobuf


def part(number: int, content: bytes | str | int) -> bytes:
    if isinstance(content, int):
        return bytes([number << 3, content])
    data = content.encode() if isinstance(content, str) else content
    return bytes([number << 3 | 2, len(data)]) + data


def envelope(api_version: str, kind: str, body: bytes) -> bytes:
    return MAGIC + part(1, part(1, api_version) + part(2, kind)) + part(2, body)


def test_a_config_map_is_read() -> None:
    body = part(1, part(1, "c") + part(2, "") + part(7, 0)) + part(2, part(1, "key") + part(2, "value"))
    assert load_protobuf(envelope("v1", "ConfigMap", body)) == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "c"},
        "data": {"key": "value"},
    }


def test_a_deployment_keeps_a_zero_that_was_set_and_drops_one_that_was_not() -> None:
    probe = part(1, part(2, part(1, "/healthz") + part(2, part(1, 1) + part(3, "http")))) + part(4, 0)
    container = (
        part(1, "model")
        + part(11, probe)
        + part(6, part(3, 80) + part(2, 0))
        + part(8, part(1, part(1, "cpu") + part(2, part(1, "100m"))))
    )
    template = part(2, part(2, container) + part(1, part(1, "v") + part(2, part(2, b""))))
    spec = part(1, 0) + part(5, 0) + part(3, template)
    loaded = load_protobuf(envelope("apps/v1", "Deployment", part(2, spec)))
    assert loaded["spec"] == {
        "replicas": 0,
        "template": {
            "spec": {
                "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "model",
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
                        "ports": [{"containerPort": 80}],
                        "resources": {"limits": {"cpu": "100m"}},
                    }
                ],
            }
        },
    }


@pytest.mark.parametrize("body", [b"", b"{}", MAGIC, MAGIC + b"\x0a\xff", envelope("v1", "Nothing", b"")])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        load_protobuf(body)
    assert refused.value.code == 400


@given(st.binary(max_size=80))
def test_wild_bytes_are_read_or_refused(body: bytes) -> None:
    for data in (MAGIC + body, envelope("v1", "Pod", body)):
        try:
            loaded: Any = load_protobuf(data)
        except ApiError as error:
            assert error.code == 400
        else:
            assert loaded["kind"] == "Pod"
