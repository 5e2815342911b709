"""Holds a process back from changing anything outside: what a console that was opened read-only does not do.

The switch is the process's own. Whatever changes a cluster, a repository, the journal, or starts a runner, asks `check`
first, so that no key and no defect of a screen gets past it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlconsole.errors import Refused

_state = {"on": False}
_REVIEWS = "/selfsubject"
"""Reviews are asked by POST, and change nothing."""


class ReadOnly(Refused):
    """This process changes nothing."""


def switch(on: bool) -> None:
    """From now on refuse every change, or allow them again."""
    _state["on"] = on


def is_on() -> bool:
    """Whether changes are refused."""
    return _state["on"]


@contextmanager
def switched_on() -> Iterator[None]:
    """Refuse every change for a while."""
    before = is_on()
    switch(True)
    try:
        yield
    finally:
        switch(before)


def check(what: str) -> None:
    """Refuse a change where the process is read-only.

    Args:
        what: the beginning of a sentence, such as `The journal is not written`.

    Raises:
        ReadOnly: it is.
    """
    if _state["on"]:
        raise ReadOnly(f"{what}: this console is read-only.", "Open it without --readonly to change anything.")


def check_request(method: str, path: str, query: Mapping[str, str]) -> None:
    """Refuse a request to a cluster's API that would change something.

    Raises:
        ReadOnly: the process is read-only, and the request neither reads nor is a dry run.
    """
    harmless = method in ("GET", "HEAD") or query.get("dryRun") == "All" or _REVIEWS in path
    if not harmless:
        check(f"{method} {path} was not sent")
