"""The last stage: what it tells to do by hand goes where the release goes."""

from __future__ import annotations

import pytest

from mlconsole.evidence.cluster import ClusterTarget
from mlconsole.stages.pods import kubectl_line


@pytest.mark.parametrize(
    ("context", "line"),
    [
        ("lab", "kubectl --context lab get pods -l 'app in (a, b)'"),
        ("", "kubectl get pods -l 'app in (a, b)'"),
    ],
)
def test_a_command_goes_to_the_context_of_the_release(context: str, line: str) -> None:
    target = ClusterTarget(context=context, namespace="default", selector="app in (a, b)", server="")
    assert kubectl_line(target, "get", "pods", "-l", target.selector) == line
