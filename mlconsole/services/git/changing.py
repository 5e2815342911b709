"""The git commands that change something: clone, pull, and the first commit of a new project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from mlconsole.errors import Cancelled, Problem
from mlconsole.evidence.repo import CloneProgress
from mlconsole.services import readonly
from mlconsole.services.git.common import (
    FolderTaken,
    GitFailed,
    NotPulled,
    RemoteRefused,
    check_git,
    first_fatal,
    masked,
    quiet_environment,
)
from mlconsole.services.git.reading import inspect
from mlconsole.services.processes import ChildResult, run_child
from mlconsole.text import clean_line

WRITE_SECONDS = 300

Phase = Literal["counting", "compressing", "receiving", "resolving", "writing", "checking out", "working"]

_NEVER_ASK = "Set up access that needs no typing (an SSH key in the agent, or a credential helper), then try again."
_REMOTE_FAULTS = (
    # before what a remote says: that is also called "Permission denied"
    (
        "could not create (work tree|leading director)[^\n]*permission denied|cannot mkdir[^\n]*permission denied",
        "The folder to clone into can't be made: permission denied.",
        "Name a folder that you may write to.",
    ),
    (
        "could not read username|could not read password|authentication failed|permission denied|publickey"
        "|terminal prompts disabled|invalid credentials|access denied|error: 40[13]",
        "{url} does not let us in: the credentials are missing or wrong.",
        _NEVER_ASK,
    ),
    (
        "host key verification failed|remote host identification has changed",
        "The host of {url} is not among the known SSH hosts, or its key is another one now.",
        "Connect to it once with `ssh` and check its key, then try again.",
    ),
    (
        "repository not found|does not exist|not found|does not appear to be a git repository|no such file",
        "There is no repository at {url}, or none that we may see.",
        "Check the address.",
    ),
    (
        "could not resolve host|could not connect|connection refused|timed out|network is unreachable|no route to host"
        "|name or service not known|temporary failure|failed to connect|connection reset|couldn't connect",
        "{url} is out of reach.",
        "Check the network, a proxy or VPN, and the host's name.",
    ),
    (
        "certificate|ssl",
        "The certificate of {url} can't be verified.",
        "Check the proxy and the system's certificates.",
    ),
    ("no space left", "The disk is full.", "Make room and try again."),
    (
        "transport '.*' not allowed|unable to find remote helper|transport .* not supported",
        "{url} uses a protocol that git does not allow here.",
        "Use an https:// or ssh address.",
    ),
)
_NO_UPSTREAM = (
    "This branch follows no branch of a remote.",
    "Set one with `git branch --set-upstream-to=origin/main`.",
)
_PULL_FAULTS = (
    ("no tracking information|no such ref was fetched|not currently on a branch", *_NO_UPSTREAM),
    (
        "not possible to fast-forward|divergent branches|diverging",
        "The branch here and its upstream have both moved on, so it can't be fast-forwarded.",
        "Merge or rebase it with git, then try again.",
    ),
    (
        "would be overwritten|local changes|unmerged files|not concluded your merge",
        "Files that were changed here are in the way of the pull.",
        "Commit or stash them, then try again.",
    ),
)


def clone(url: str, directory: Path, *, report: Callable[[CloneProgress], None], cancelled: threading.Event) -> Path:
    """Clone a repository into a new or empty folder, without ever asking for a password.

    Args:
        url: an address or path, as `git clone` takes it.
        directory: the folder to make; its parents are made too.
        report: gets each step of progress, in this thread.
        cancelled: ends the clone; what was there of it is removed.

    Returns:
        The folder, absolute.

    Raises:
        FolderTaken, RemoteRefused, GitFailed, Cancelled.
    """
    readonly.check("Nothing was cloned")
    check_git()
    target = directory.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FolderTaken(f"{target} has something in it already.", "Name another folder, or empty this one.")
    was_there = target.is_dir()
    done = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        command = ("git", "clone", "--progress", "--", url, str(target))
        result = _with_progress(command, cwd=target.parent, report=report, cancelled=cancelled)
        done = result.exit_code == 0 and result.ended == "by itself"
    except OSError as error:
        raise GitFailed(f"Can't make {target}: {error.strerror}.") from error
    finally:
        if not done:
            _remove(target, keep_folder=was_there)
    if not done:
        raise _remote_problem(result, masked(url), command)
    return target


def pull(root: Path, *, report: Callable[[CloneProgress], None], cancelled: threading.Event) -> str:
    """Fast-forward the current branch to its upstream and return the full hash of the commit that it is at now.

    Raises:
        NotPulled: no upstream, changed files in the way, or both sides moved on.
        RemoteRefused, GitFailed, Cancelled.
    """
    readonly.check("Nothing was pulled")
    before = inspect(root, recent=1)
    if not before.upstream:
        raise NotPulled(*_NO_UPSTREAM)
    command = ("git", "pull", "--ff-only", "--progress")
    result = _with_progress(command, cwd=root, report=report, cancelled=cancelled)
    if result.exit_code or result.ended != "by itself":
        raise _remote_problem(result, before.url or "the remote", command)
    after = inspect(root, recent=1)
    return after.commit.sha if after.commit else ""


def fetch(root: Path, remote: str, branch: str, *, cancelled: threading.Event) -> None:
    """Bring what a remote's branch holds here; the working copy stays as it is.

    Raises:
        RemoteRefused, GitFailed, Cancelled.
    """
    readonly.check("Nothing was fetched")
    command = ("git", "fetch", "--progress", "--no-tags", "--", remote, branch)
    result = _with_progress(command, cwd=root, report=lambda progress: None, cancelled=cancelled)
    if result.exit_code or result.ended != "by itself":
        raise _remote_problem(result, f"the remote {masked(remote)}", command)


def initialise(root: Path, message: str) -> str:
    """Make `root` a repository with everything in it committed, and return the commit's full hash.

    Where no identity is configured, one is given to this commit only; nothing is written to the user's settings.
    No hook runs and nothing is signed.
    """
    check_git()
    environment = quiet_environment()
    if not (root / ".git").exists():
        write(root, environment, "-c", "init.defaultBranch=main", "init", "--quiet")
    write(root, environment, "add", "--all")
    quiet = ("-c", f"core.hooksPath={os.devnull}", "-c", "commit.gpgSign=false")
    identity = fallback_identity(root, environment)
    write(root, environment, *quiet, *identity, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", message)
    return write(root, environment, "rev-parse", "HEAD").strip()


def write(root: Path, environment: dict[str, str], *arguments: str) -> str:
    readonly.check("The repository was not changed")
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WRITE_SECONDS,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"Git did not end within {WRITE_SECONDS} s in {root}.") from error
    except OSError as error:
        raise GitFailed(f"Git can't work in {root}: {error.strerror}.") from error
    if done.returncode:
        text = masked(done.stderr.decode("utf-8", "replace"))
        raise GitFailed(f"Git can't set up {root}: {first_fatal(text)}.", tail=tuple(text.splitlines()[-5:]))
    return done.stdout.decode("utf-8", "replace")


def fallback_identity(root: Path, environment: dict[str, str]) -> tuple[str, ...]:
    """Settings for one command that name an author where the user has none configured."""
    asked = subprocess.run(
        ["git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WRITE_SECONDS,
        check=False,
    )
    return ("-c", "user.name=mlconsole", "-c", "user.email=mlconsole@localhost") if asked.returncode else ()


def _with_progress(
    command: Sequence[str], *, cwd: Path, report: Callable[[CloneProgress], None], cancelled: threading.Event
) -> ChildResult:
    """Run a git command that tells its progress; it never asks a person for anything."""
    on_line = _progress_reader(report)
    environment = quiet_environment(GIT_SSH_COMMAND=_silent_ssh(cwd))
    with tempfile.TemporaryDirectory(prefix="mlconsole-git-") as folder:
        return run_child(
            command,
            cwd=cwd,
            log_path=Path(folder) / "log",
            cancelled=cancelled,
            on_line=on_line,
            environment=environment,
        )


def _silent_ssh(cwd: Path) -> str:
    """The user's own ssh command, told to fail rather than to ask."""
    asked = subprocess.run(
        ["git", "config", "--get", "core.sshCommand"],
        cwd=cwd,
        env=quiet_environment(),
        capture_output=True,
        text=True,
        timeout=WRITE_SECONDS,
        check=False,
    )
    ssh = os.environ.get("GIT_SSH_COMMAND") or asked.stdout.strip() or shlex.quote(os.environ.get("GIT_SSH", "ssh"))
    return f"{ssh} -o BatchMode=yes"


def _progress_reader(report: Callable[[CloneProgress], None]) -> Callable[[str], None]:
    """Return a function that takes git's lines and reports what they say, read by GitPython."""
    from git import RemoteProgress

    phases: dict[int, Phase] = {
        RemoteProgress.COUNTING: "counting",
        RemoteProgress.COMPRESSING: "compressing",
        RemoteProgress.WRITING: "writing",
        RemoteProgress.RECEIVING: "receiving",
        RemoteProgress.RESOLVING: "resolving",
        RemoteProgress.FINDING_SOURCES: "counting",
        RemoteProgress.CHECKING_OUT: "checking out",
    }

    class Progress(RemoteProgress):
        def update(
            self, op_code: int, cur_count: str | float, max_count: str | float | None = None, message: str = ""
        ) -> None:
            most = float(max_count or 0)
            fraction = min(float(cur_count or 0) / most, 1.0) if most else None
            phase = phases.get(op_code & self.OP_MASK, "working")
            report(CloneProgress(phase=phase, message=masked(clean_line(message)), fraction=fraction))

        def line_dropped(self, line: str) -> None:
            if line.strip():
                report(CloneProgress(phase="working", message=masked(clean_line(line))))

    return Progress().new_message_handler()


def _remote_problem(result: ChildResult, url: str, command: Sequence[str]) -> Problem:
    """Put in words why a command that speaks with a remote failed."""
    if result.ended == "cancelled":
        return Cancelled(f"`git {command[1]}` was cancelled.")
    tail = tuple(masked(line) for line in result.tail if line.strip())
    line = masked(shlex.join(command))
    said = "\n".join(tail).lower()
    for signs, sentence, next_step in _PULL_FAULTS if command[1] == "pull" else ():
        if re.search(signs, said):
            return NotPulled(sentence, next_step, command=line, tail=tail)
    for signs, sentence, next_step in _REMOTE_FAULTS:
        if re.search(signs, said):
            return RemoteRefused(sentence.format(url=url), next_step, command=line, tail=tail)
    return GitFailed(f"`git {command[1]}` failed: {first_fatal(chr(10).join(tail))}.", command=line, tail=tail)


def _remove(folder: Path, *, keep_folder: bool) -> None:
    """Remove what a clone left behind; the folder itself stays where it was there before."""
    if keep_folder:
        for entry in folder.iterdir():
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() and not entry.is_symlink() else entry.unlink(
                missing_ok=True
            )
    else:
        shutil.rmtree(folder, ignore_errors=True)
