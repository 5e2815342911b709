"""What most likely made a command fail, told from its last lines; only what they say plainly."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CAUSES: tuple[tuple[str, str], ...] = (
    (r"No module named '?([\w.]+)'?", "The project's Python lacks the package {0}: install it there."),
    (r"cannot import name '?(\w+)'? from '?([\w.]+)", "The installed {1} has no {0}: its version is another one."),
    (r"No space left on device", "The disk is full."),
    (r"CUDA out of memory|OutOfMemoryError", "The graphics card's memory was not enough: train on smaller batches."),
    (r"MemoryError|Unable to allocate|bad_alloc|^Killed$|OOMKilled", "There was not enough memory."),
    (r"FileNotFoundError.*'([^']+)'", "The file {0} is not where the command looks for it."),
    (r"(?:can't open file|No such file or directory:?) '?([^'\n]+?)'?(?::|$)", "The file {0} is not there."),
    (r"PermissionError.*'([^']+)'|Permission denied", "The file's permissions forbid it."),
    (r"could not convert string to float: '?([^'\n]*)'?", "A column that has to be numeric has the text {0!r} in it."),
    (r"Input (?:X )?contains NaN", "The data has missing values that the model does not take."),
    (r"KeyError: '([^']+)'", "The data has no column {0}, or the parameters have no such key."),
    (r"SyntaxError|IndentationError", "The project's code is no valid Python: its last change broke it."),
    (r"error: unrecognized arguments?: (.+)", "The command does not know the arguments {0}."),
    (r"Connection refused|Name or service not known|Temporary failure in name resolution", "A server was not reached."),
    (r"Address already in use", "Another process has the port."),
    (r"certificate verify failed|x509:", "A certificate is not trusted."),
)
"""Patterns of a line, and what they mean; the first that matches, looked for from the last line upwards, counts."""


def likely_cause(tail: Sequence[str]) -> str:
    """What a command's last lines say of why it failed, as a sentence; empty where they don't say it plainly."""
    for text in reversed(tail):
        for pattern, sentence in _CAUSES:
            if found := re.search(pattern, text):
                return sentence.format(*(part or "" for part in found.groups()))
    return ""
