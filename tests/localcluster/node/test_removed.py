"""A cluster whose folder is removed while it runs, as together with its project."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from tests.waiting import removed

Box = Callable[..., dict[str, Any]]


async def test_a_cluster_whose_folder_was_removed_does_not_make_it_anew(world: Any, box: Box) -> None:
    world.create("pods", "web", {"containers": [box()]})
    await world.until(world.ready)
    pid = world.container_pid("web")
    await world.until(lambda: removed(world.state))
    os.kill(pid, signal.SIGKILL)
    # as long as the server has not noticed, it goes on to restart what ended
    await world.until(lambda: any("FileNotFoundError" in message for message in world.messages("Failed")))
    assert not world.state.exists()
