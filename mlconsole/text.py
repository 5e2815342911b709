"""Foreign text made safe to show, and numbers made easy to read.

Logs, commit messages, file names and test output can hold terminal escapes that move the cursor, set the clipboard
or hide what follows. Everything from outside passes `clean` at the border; nothing behind it has to think of escapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# ECMA-48: CSI sequences, OSC/DCS/SOS/PM/APC strings with their terminators, and two-byte escapes; 8-bit forms too.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 without tab and newline, DEL, C1, and the marks that reorder what a person reads (Unicode "Trojan Source").
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` without escape sequences, control characters and direction marks; tabs and newlines stay."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub("", _ESCAPE.sub("", text.replace("\r\n", "\n")))


def clean_line(text: str) -> str:
    """Return `text` cleaned and on one line: what follows a carriage return replaces what stood before it."""
    line = text.rstrip("\r\n").rsplit("\r", 1)[-1]
    return " ".join(clean(line).expandtabs(4).split("\n"))


def shorten(text: str, width: int) -> str:
    """Return `text` in at most `width` characters, its end cut with an ellipsis."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def duration(seconds: float) -> str:
    """Say a length of time as people do: `0.3 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`, `2 y 31 d`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    days = whole // 86400
    return f"{days} d {whole % 86400 // 3600} h" if days < 365 else f"{days // 365} y {days % 365} d"


def size(count: int) -> str:
    """Say a number of bytes: `512 B`, `3.4 KiB`, `12 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def cores(amount: float) -> str:
    """Say a number of processor cores as Kubernetes does: `12m` below one core, `1.5` from there on."""
    return f"{amount * 1000:.0f}m" if amount < 1 else f"{amount:.2g}"


def number(value: float) -> str:
    """Say a measured number with at most four significant digits and no exponent where a person can read it."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if 1e-4 <= abs(value) < 1e4 else f"{value:,.1f}" if abs(value) < 1e12 else f"{value:.3e}"


def count(amount: int, noun: str, plural: str = "") -> str:
    """Say how many: `1 row`, `8,645 rows`."""
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Say a list of names: `a, b and c`, or `a, b, c and 4 more`."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def short_digest(digest: str, length: int = 12) -> str:
    """Return the first characters of a digest, without its `sha256:`."""
    return digest.rpartition(":")[2][:length]
