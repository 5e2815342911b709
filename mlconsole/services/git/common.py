"""What every git command needs: git itself, an environment that asks nobody, and faults in words."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mlconsole.errors import OutsideFailed, Problem, WrongUse
from mlconsole.text import clean, clean_line

OLDEST_GIT = (2, 31)
READ_SECONDS = 60

_CREDENTIALS = re.compile(r"(?<=://)[^/\s@'\"]+(?:@[^/\s@'\"]+)*(?=@)")


_NEVER_ASK = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GCM_INTERACTIVE": "never", "SSH_ASKPASS_REQUIRE": "never"}
"""What keeps git, credential helpers and ssh from asking in the terminal or in a window."""


class NotARepository(WrongUse):
    """The folder is not in a git repository, or not one with files in it."""


class GitMissing(WrongUse):
    """Git is not installed, or too old."""


class NotTrusted(WrongUse):
    """Git refuses to read the repository because it belongs to somebody else."""


class RepositoryBroken(OutsideFailed):
    """The repository's own files are damaged."""


class GitFailed(OutsideFailed):
    """A git command failed."""


class FolderTaken(WrongUse):
    """The folder to clone into has something in it already."""


class NotPulled(WrongUse):
    """The branch can't be fast-forwarded as it is."""


class RemoteRefused(OutsideFailed):
    """A remote repository is not there, out of reach, or doesn't let us in."""


def masked(text: str) -> str:
    """Return `text` cleaned, with `user:password@` of every URL in it replaced by `***@`."""
    return _CREDENTIALS.sub("***", clean(text))


@functools.cache
def check_git() -> None:
    """Raise unless git is there and new enough; asked once a process (a failure is asked again)."""
    if shutil.which("git") is None:
        raise GitMissing("Git is not installed.", "Install it from https://git-scm.com and try again.")
    done = subprocess.run(["git", "version"], capture_output=True, text=True, timeout=READ_SECONDS, check=False)
    numbers = re.search(r"(\d+)\.(\d+)", done.stdout)
    if numbers is None:
        raise GitMissing("The `git` command on the path doesn't work.", "Try `git version`, then install git again.")
    if (int(numbers[1]), int(numbers[2])) < OLDEST_GIT:
        raise GitMissing(f"Git {numbers[0]} is too old.", "Install git 2.31 or newer.")


def quiet_environment(**extra: str) -> dict[str, str]:
    """Our environment without what ties git to another repository, and with nothing that asks a person."""
    tied = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_NAMESPACE"}
    tied |= {"GIT_COMMON_DIR", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_TRACE"}
    kept = {name: value for name, value in os.environ.items() if name not in tied}
    return {**kept, "LC_ALL": "C.UTF-8", "LANGUAGE": "C", **_NEVER_ASK, **extra}


def reading_problem(root: Path, arguments: Sequence[str], stderr: bytes) -> Problem:
    text = masked(stderr.decode("utf-8", "replace"))
    tail = tuple(text.strip().splitlines()[-5:])
    if "dubious ownership" in text:
        return NotTrusted(
            f"Git does not trust {root}, because it belongs to another user.",
            f'If you trust it, run `git config --global --add safe.directory "{root.resolve()}"`.',
            tail=tail,
        )
    if "not a git repository" in text and not any((folder / ".git").exists() for folder in _and_above(root)):
        return NotARepository(
            f"{root} is not a git repository.",
            'Make it one with `git init && git add -A && git commit -m "First commit"`.',
        )
    signs = "not a git repository|bad object|corrupt|index file|bad signature|unable to read|bad tree|loose object"
    if re.search(f"{signs}|is empty|bad config|broken|missing|invalid gitfile|unknown index|malformed", text):
        return RepositoryBroken(
            f"The git repository of {root} is damaged: {first_fatal(text)}.",
            "Look at it with `git fsck`, or clone it again.",
            tail=tail,
        )
    return GitFailed(f"`git {arguments[0]}` failed in {root}: {first_fatal(text)}.", tail=tail)


def _and_above(root: Path) -> tuple[Path, ...]:
    whole = root.resolve()
    return (whole, *whole.parents)


def first_fatal(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    chosen = next(
        (line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "no reason given"
    )
    return clean_line(chosen.partition(":")[2].strip() if chosen.startswith(("fatal:", "error:")) else chosen).rstrip(
        "."
    )
