"""The one node of the local cluster: containers as local processes, probes, logs, and the Services in front."""

from __future__ import annotations

from mlconsole.localcluster.node.cluster import Cluster
from mlconsole.localcluster.node.timing import Timing

__all__ = ["Cluster", "Timing"]
