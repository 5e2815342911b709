"""Wakes the watcher when something changes in a folder (by watchfiles). It only calls for a look: the look decides."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

DEBOUNCE_MS, STEP_MS, TIMEOUT_MS = 200, 100, 1000


class Waker:
    """Sets an event when something changes in one of some folders.

    Args:
        wake: the event.
    """

    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake
        self._listeners: dict[tuple[Path, bool, int], _Listener] = {}

    def listen(self, folders: Iterable[tuple[Path, bool]]) -> None:
        """Listen to just these folders from now on; each with whether its subfolders count.

        One that was removed and made anew is another one, and one that is not there can't be listened to.
        """
        wanted = {(folder, deep, inode) for folder, deep in folders if (inode := _inode(folder))}
        for key in [key for key, listener in self._listeners.items() if key not in wanted or not listener.is_alive()]:
            self._listeners.pop(key).stop()
        for key in wanted - self._listeners.keys():
            self._listeners[key] = _Listener(key[0], key[1], self._wake)

    def stop(self) -> None:
        """Listen no more."""
        for listener in self._listeners.values():
            listener.stop()
        for listener in self._listeners.values():
            listener.join(5)
        self._listeners.clear()


class _Listener(threading.Thread):
    def __init__(self, folder: Path, deep: bool, wake: threading.Event) -> None:
        super().__init__(name=f"listen {folder.name}", daemon=True)
        self._folder, self._deep, self._wake = folder, deep, wake
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        from watchfiles import watch

        try:
            for _ in watch(
                self._folder,
                watch_filter=None,
                debounce=DEBOUNCE_MS,
                step=STEP_MS,
                rust_timeout=TIMEOUT_MS,
                stop_event=self._stopped,
                recursive=self._deep,
            ):
                self._wake.set()
        except (OSError, RuntimeError):
            # the system has no more watches to give, or the folder is gone: looks go on at their own pace
            self._stopped.wait(TIMEOUT_MS / 1000)

    def stop(self) -> None:
        self._stopped.set()


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except OSError:
        return 0
