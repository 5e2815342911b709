"""Asks the cluster now and then what the pods use, and posts it; a cluster without a metrics server is asked rarely."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from textual.message import Message

from mlconsole.console.background import Post, Ticker
from mlconsole.evidence.cluster import ClusterTarget, PodUsage

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

SECONDS = 15.0
"""Metrics servers measure about as often."""
SELDOM = 4
"""Where nothing came, only each so-many-th turn asks again."""


class UsageSeen(Message):
    """What the pods use now, by name."""

    def __init__(self, usage: Mapping[str, PodUsage]) -> None:
        super().__init__()
        self.usage = usage


class UsageFeed:
    """Asks in a thread of its own, until it is stopped.

    Args:
        connect: opens a connection.
        target: whose pods.
        post: how messages reach the panel.
    """

    def __init__(self, connect: Callable[[], Any], target: ClusterTarget, post: Post) -> None:
        self._connect, self._target, self._post = connect, target, post
        self._connection: Connection | None = None
        self._skip = 0
        self._ticker = Ticker("usage", self._step, SECONDS, self._failed)
        self._ticker.start()

    def _step(self) -> None:
        from mlconsole.services.kubernetes.usage import pods_usage

        if self._skip:
            self._skip -= 1
            return
        self._connection = self._connection or self._connect()
        found = pods_usage(self._connection, self._target.namespace, self._target.selector)
        if found is None:
            self._skip = SELDOM - 1
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._post(UsageSeen(found))

    def _failed(self, error: BaseException) -> None:
        # the watch of the pods says in words that the cluster is away; here it is only asked again later
        self._connection, self._skip = None, SELDOM - 1

    def stop(self) -> None:
        """End asking."""
        self._ticker.stop()
