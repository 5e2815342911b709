"""``pods/log``: the lines of a container, selected, and followed while it runs.

A log file has one line of output a line, each with an RFC 3339 timestamp and a space before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from aiohttp import web

from mlconsole.localcluster.api import options
from mlconsole.localcluster.api.errors import ApiError, Cause, bad_request, invalid
from mlconsole.localcluster.api.tables.durations import parse_time
from mlconsole.localcluster.store import NotFound, Store

if TYPE_CHECKING:
    from pathlib import Path

    from mlconsole.localcluster.api.hosting import Host
    from mlconsole.localcluster.api.targets import Target

Object = dict[str, Any]

FOLLOW_POLL = 0.1
_CHUNK = 64 * 1024


@dataclass(slots=True)
class LogOptions:
    """Which lines are wanted, and how."""

    container: str
    follow: bool
    previous: bool
    timestamps: bool
    tail: int | None
    since: str
    limit: int | None


async def serve_log(request: web.Request, store: Store, host: Host, target: Target, pod: Object) -> web.StreamResponse:
    """Answers a request for the log of a pod. Raises ApiError."""
    asked = _options(request.query, pod)
    headers = {"Content-Type": "text/plain", "Cache-Control": "no-cache, private"}
    if not (pod.get("spec") or {}).get("nodeName"):
        return web.Response(headers=headers)
    from_last = _which_run(pod, asked)
    try:
        path = host.log_path(target.namespace or "", target.name or "", asked.container, from_last)
    except NotFound:
        raise bad_request(_missing_text(pod, asked)) from None
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        await _send(response, store, target, pod, path, asked)
        await response.write_eof()
    except ConnectionResetError:
        # The reader has left; there is nobody to tell.
        return response
    return response


def _options(query: Mapping[str, str], pod: Object) -> LogOptions:
    spec, name = pod.get("spec") or {}, pod["metadata"]["name"]
    containers = [item["name"] for item in spec.get("containers") or []]
    every = [item["name"] for item in spec.get("initContainers") or []] + containers
    container = query.get("container", "")
    if not container:
        if len(every) != 1:
            raise bad_request(_choose(name, every[: -len(containers)], containers))
        container = every[0]
    if container not in every:
        raise bad_request(f"container {container} is not valid for pod {name}")
    tail, limit = options.number(query, "tailLines"), options.number(query, "limitBytes")
    if tail is not None and tail < 0:
        raise _invalid_option("tailLines", tail, "must be greater than or equal to 0")
    if limit is not None and limit < 1:
        raise _invalid_option("limitBytes", limit, "must be greater than 0")
    return LogOptions(
        container,
        options.flag(query, "follow"),
        options.flag(query, "previous"),
        options.flag(query, "timestamps"),
        tail,
        _since(query),
        limit,
    )


def _choose(pod: str, init: list[str], containers: list[str]) -> str:
    text = f"a container name must be specified for pod {pod}, choose one of: [{' '.join(containers)}]"
    return text + (f" or one of the init containers: [{' '.join(init)}]" if init else "")


def _invalid_option(field: str, value: int, why: str) -> ApiError:
    error = invalid(None, "", [Cause("FieldValueInvalid", f"Invalid value: {value}: {why}", field)])
    error.status["message"] = f'PodLogOptions "" is invalid: {field}: Invalid value: {value}: {why}'
    return error


def _since(query: Mapping[str, str]) -> str:
    """The time from which lines are wanted, as it compares with the timestamps in the file."""
    seconds, text = options.number(query, "sinceSeconds"), query.get("sinceTime", "")
    if seconds is not None:
        moment: datetime | None = datetime.now(UTC) - timedelta(seconds=max(seconds, 0))
    else:
        moment = parse_time(text)
        if text and moment is None:
            raise bad_request(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse it')
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else ""


def _state(pod: Object, container: str) -> Object:
    status = pod.get("status") or {}
    for group in ("containerStatuses", "initContainerStatuses"):
        for item in status.get(group) or []:
            if item.get("name") == container:
                return dict(item)
    return {}


def _which_run(pod: Object, asked: LogOptions) -> bool:
    """Whether the log of the run before is wanted. Raises ApiError 400 where there is no log yet."""
    status = _state(pod, asked.container)
    state, last = status.get("state") or {}, status.get("lastState") or {}
    ended = last.get("terminated") is not None
    if asked.previous:
        if not ended:
            raise bad_request(_missing_text(pod, asked))
        # While a container waits for its next start, the run that ended last is the newest there is.
        return state.get("waiting") is None
    if state.get("running") is None and state.get("terminated") is None and not ended:
        raise bad_request(_missing_text(pod, asked))
    return False


def _missing_text(pod: Object, asked: LogOptions) -> str:
    name = pod["metadata"]["name"]
    if asked.previous:
        return f'previous terminated container "{asked.container}" in pod "{name}" not found'
    waiting = (_state(pod, asked.container).get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason") or "ContainerCreating"
    words = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }
    return f'container "{asked.container}" in pod "{name}" is waiting to start: {words.get(reason, reason)}'


async def _send(
    response: web.StreamResponse, store: Store, target: Target, pod: Object, path: Path, asked: LogOptions
) -> None:
    budget = asked.limit
    with path.open("rb") as file:
        if asked.tail is not None:
            _seek_tail(file, asked.tail)
        lines = _Lines(file, asked)
        runs = _state(pod, asked.container).get("restartCount", 0)
        if asked.since and asked.tail is None and budget is None:
            for chunk in _rotated_lines(path, file, asked):
                await response.write(chunk)
        while True:
            ended = not asked.follow or _has_ended(store, target, pod, asked.container, runs)
            for chunk in lines.read(final=ended):
                piece = chunk if budget is None else chunk[:budget]
                await response.write(piece)
                if budget is not None:
                    budget -= len(piece)
                    if budget <= 0:
                        return
            if lines.rotated(path):
                file.close()
                file = path.open("rb")
                lines.file = file
                continue
            if ended:
                return
            await asyncio.sleep(FOLLOW_POLL)


def _rotated_lines(path: Path, current: BinaryIO, asked: LogOptions) -> Iterator[bytes]:
    """What is wanted of the file before this one, so that whoever comes back after a rotation misses nothing."""
    before = path.with_name(path.name + ".1")
    try:
        with before.open("rb") as file:
            # Between the two, the present file may have become the one before.
            if _inode(file) != _inode(current):
                yield from _Lines(file, asked).read(final=True)
    except OSError:
        return


def _has_ended(store: Store, target: Target, pod: Object, container: str, runs: int) -> bool:
    try:
        now = store.peek("pods", target.namespace, target.name or "")
    except NotFound:
        return True
    status = _state(now, container)
    if now["metadata"]["uid"] != pod["metadata"]["uid"] or status.get("restartCount", 0) != runs:
        return True
    return (status.get("state") or {}).get("running") is None


class _Lines:
    """Reads the file on, line by line."""

    def __init__(self, file: BinaryIO, asked: LogOptions) -> None:
        self.file = file
        self.asked = asked
        self._rest = b""

    def read(self, *, final: bool) -> Iterator[bytes]:
        """What is new, in chunks of whole lines; the unfinished last line only where nothing more will come."""
        while data := self.file.read(_CHUNK):
            block, newline, self._rest = (self._rest + data).rpartition(b"\n")
            if newline and (wanted := self._wanted(block.split(b"\n"))):
                yield wanted
        if final and self._rest and (wanted := self._wanted([self._rest])):
            yield wanted

    def rotated(self, path: Path) -> bool:
        """Whether another file lies at the path by now, and this one is read to its end."""
        try:
            return path.stat().st_ino != _inode(self.file) and not self.file.peek(1)  # type: ignore[attr-defined]
        except OSError:
            return False

    def _wanted(self, lines: list[bytes]) -> bytes:
        since = self.asked.since.encode()
        chosen = [line for line in lines if not since or line[: len(since)] >= since]
        if not self.asked.timestamps:
            chosen = [line.partition(b" ")[2] for line in chosen]
        return b"\n".join([*chosen, b""]) if chosen else b""


def _inode(file: BinaryIO) -> int:
    import os

    return os.fstat(file.fileno()).st_ino


def _seek_tail(file: BinaryIO, count: int) -> None:
    """Goes to the start of the last ``count`` lines."""
    end = file.seek(0, 2)
    position, found, last = end, 0, True
    while position > 0:
        step = min(_CHUNK, position)
        position -= step
        file.seek(position)
        block = file.read(step)
        index = len(block)
        while (index := block.rfind(b"\n", 0, index)) >= 0:
            if last and position + index == end - 1:
                last = False
                continue
            found += 1
            if found >= count:
                file.seek(end if count == 0 else position + index + 1)
                return
    file.seek(end if count == 0 else 0)
