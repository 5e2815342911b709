"""What code is this? The git commands that only read.

Reading is done with git itself, in its machine formats, so that worktrees, reftables and SHA-256 repositories work.
A repository that was only opened runs nothing of its own: its hooks, fsmonitor, filters, external diffs, text
conversions, signature checks, submodules and lazy fetches are switched off for every reading command.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlconsole.evidence.repo import CommitInfo, FileChange, RepoEvidence, TrackedModel
from mlconsole.services.git.common import (
    READ_SECONDS,
    GitFailed,
    NotARepository,
    check_git,
    masked,
    quiet_environment,
    reading_problem,
)
from mlconsole.text import clean, clean_line

LARGE_BINARY = 5 * 1024 * 1024
HASHED_WHOLE = 16 * 1024 * 1024
LONGEST_DIFF = 1024 * 1024
MODEL_ENDINGS = (
    *(".bin", ".bst", ".cbm", ".ckpt", ".gguf", ".h5", ".hdf5", ".joblib", ".keras", ".lgb", ".mlmodel", ".model"),
    *(".npy", ".npz", ".onnx", ".pb", ".pickle", ".pkl", ".pmml", ".pt", ".pth", ".safetensors", ".skops"),
    *(".tflite", ".ubj", ".xgb"),
)

_OWN = (".mlconsole",)
_BY_RUNNING = ("__pycache__", ".pytest_cache", ".ipynb_checkpoints")
_SAFE_SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.bigFileThreshold": "16m",
    "core.quotePath": "false",
    "log.showSignature": "false",
    "diff.external": "",
    "color.ui": "false",
}
_FILTER = re.compile(r"filter\.(.+)\.(clean|smudge|process|required)\Z", re.DOTALL)
_LFS = re.compile(r"git[- ]lfs (clean|smudge|filter-process)( --skip)?( -- %f)?\Z")


def inspect(root: Path, *, recent: int = 20) -> RepoEvidence:
    """Say which code is in `root`: a repository's top folder or any folder below it.

    Args:
        root: the project's folder; changed files are those below it, with paths relative to it.
        recent: how many commits of the log to read.

    Raises:
        NotARepository, GitMissing, NotTrusted, RepositoryBroken, GitFailed: each with its next step.
    """
    reader = _Reader(root)
    status = reader.status()
    commits = tuple(reader.log(recent if recent > 0 else 1)) if status.commit else ()
    return RepoEvidence(
        root=clean(str(root)),
        commit=commits[0] if commits else None,
        branch=clean(status.branch),
        url=masked(reader.url(status.branch)),
        upstream=clean(status.upstream),
        ahead=status.ahead,
        behind=status.behind,
        dirty=tuple(FileChange(path=clean_line(path), state=state) for path, state in status.changes),
        recent=commits[: max(recent, 0)],
        tracked_models=tuple(reader.tracked_models()),
    )


def state_digest(root: Path, *, exclude: Sequence[str] = ()) -> str:
    """Digest HEAD, the branch, and the content of every changed or untracked file below `root`, for fingerprints.

    Files above 16 MiB enter by size and time stamps instead of content: a change is never missed, a mere touch counts
    as one. Ignored files, `.mlconsole` and Python's caches are left out.

    Args:
        root: the project's folder.
        exclude: further paths relative to `root` (files or folders) to leave out, such as the model to be trained.
    """
    status = _Reader(root).status(leave_out=(*_OWN, *_BY_RUNNING, *exclude))
    digest = hashlib.sha256(f"{status.commit}\0{status.branch}\0".encode("utf-8", "surrogateescape"))
    for path, state in sorted(status.changes):
        digest.update(f"{path}\0{state}\0".encode("utf-8", "surrogateescape"))
        digest.update(_content_digest(root / path))
    return f"sha256:{digest.hexdigest()}"


def source_files(root: Path) -> tuple[str, ...]:
    """List the files below `root` that are tracked, or untracked but not ignored; paths relative to `root`, sorted.

    The names are as they are on disk: `text.clean` them before they are shown.
    """
    reader = _Reader(root)
    output = reader.read("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", ".")
    outside = {*_OWN, *_BY_RUNNING}
    paths = (os.fsdecode(path) for path in output.split(b"\0") if path)
    return tuple(sorted(path for path in paths if outside.isdisjoint(path.split("/")) and os.path.lexists(root / path)))


def commits_ahead(root: Path, branch: str, *, recent: int = 20) -> tuple[CommitInfo, ...]:
    """The commits that a remote branch, such as `origin/main`, has and HEAD does not, newest first.

    Raises:
        GitFailed: there is no such branch here.
    """
    reader = _Reader(root)
    return tuple(reader.log(recent, "--end-of-options", f"HEAD..refs/remotes/{branch}"))


def commit_digest(root: Path, sha: str) -> str:
    """Compute a commit's name from its content again; empty where the repository does not hold it.

    Source: a git object's name is the hash of `type size\\0content` (git help hash-object).

    Raises:
        Problem: git can't be asked.
    """
    reader = _Reader(root)
    header, _, content = reader.read("cat-file", "--batch", given=f"{sha}\n".encode()).partition(b"\n")
    words = header.split(b" ")
    if len(words) != 3 or words[1] != b"commit":
        return ""
    commit = content[: int(words[2])]
    hasher = hashlib.sha1 if len(sha) == 40 else hashlib.sha256
    return hasher(b"commit %d\0%s" % (len(commit), commit), usedforsecurity=False).hexdigest()


def differs(root: Path, before: str, now: str, without: Sequence[str] = ()) -> bool:
    """Whether two commits differ in a file below `root`.

    Args:
        root: the project's folder.
        before: a commit.
        now: another.
        without: pathspecs of what does not count, such as `:(exclude,glob)**/*.md`.

    Raises:
        Problem: git can't be asked, or the repository does not hold one of them.
    """
    found = _Reader(root).read(
        "diff-tree", "-r", "--no-renames", "--name-only", "-z", "--end-of-options", before, now, "--", ".", *without
    )
    return bool(found)


def diff(root: Path, path: str) -> str:
    """Return the unified diff of one changed or untracked file against the commit, cleaned; empty if it is unchanged.

    Args:
        root: the project's folder.
        path: as `inspect` names it, relative to `root`.
    """
    reader = _Reader(root)
    status = reader.status()
    found = next(((real, state) for real, state in status.changes if path in (real, clean_line(real))), None)
    if found is None:
        return ""
    real, state = found
    plain = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short", "--ignore-submodules=dirty")
    if state == "??" or not status.commit:
        output = reader.read(*plain, "--no-index", "--", os.devnull, f"./{real}", differs=True)
    else:
        output = reader.read(*plain, "--relative", "HEAD", "--", f":(literal){real}")
    text = output[:LONGEST_DIFF].decode("utf-8", "replace")
    return clean(text) + ("\n… the rest of this diff is left out." if len(output) > LONGEST_DIFF else "")


class _Status:
    """What `git status` says; `changes` are pairs of a path relative to the project and git's two-letter code."""

    def __init__(self) -> None:
        self.commit = self.branch = self.upstream = ""
        self.ahead = self.behind = 0
        self.changes: list[tuple[str, str]] = []

    def header(self, key: str, value: str) -> None:
        if key == "branch.oid" and value != "(initial)":
            self.commit = value
        elif key == "branch.head" and value != "(detached)":
            self.branch = value
        elif key == "branch.upstream":
            self.upstream = value
        elif key == "branch.ab":
            ahead, behind = value.split()
            self.ahead, self.behind = int(ahead), -int(behind)


class _Reader:
    """Runs git in a folder in such a way that nothing of the repository's own is run, changed or locked."""

    def __init__(self, root: Path) -> None:
        check_git()
        if not root.is_dir():
            raise NotARepository(f"{root} is not a folder.", "Check the path.")
        self._root = root
        self._environment = quiet_environment(GIT_OPTIONAL_LOCKS="0", GIT_NO_LAZY_FETCH="1", GIT_ALLOW_PROTOCOL="none")
        self._configure(_SAFE_SETTINGS)
        inside, _, prefix = self.read("rev-parse", "--is-inside-work-tree", "--show-prefix").partition(b"\n")
        if inside != b"true":
            raise NotARepository(
                f"{root} is a bare repository or a .git folder: it holds history, but no files to train with.",
                "Open a working copy of it: `git clone` it into another folder.",
            )
        self._prefix = os.fsdecode(prefix.rstrip(b"\n"))
        self._settings = self._read_settings()
        self._configure({**_SAFE_SETTINGS, **self._without_filters()})

    def read(self, *arguments: str, differs: bool = False, given: bytes | None = None) -> bytes:
        """Run a reading command and return its output; exit code 1 is fine where `differs`."""
        try:
            done = subprocess.run(
                ["git", "--no-pager", *arguments],
                cwd=self._root,
                env=self._environment,
                input=given if given is not None else b"",
                capture_output=True,
                timeout=READ_SECONDS,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise GitFailed(f"`git {arguments[0]}` did not end within {READ_SECONDS} s in {self._root}.") from error
        if done.returncode and not (differs and done.returncode == 1):
            raise reading_problem(self._root, arguments, done.stderr)
        return done.stdout

    def status(self, *, leave_out: Sequence[str] = _OWN) -> _Status:
        arguments = ("--porcelain=v2", "-z", "--branch", "--no-renames", "--untracked-files=all")
        output = self.read("status", *arguments, "--ignore-submodules=dirty", "--", ".")
        status = _Status()
        for entry in map(os.fsdecode, output.split(b"\0")):
            kind, _, rest = entry.partition(" ")
            if kind == "#":
                status.header(*rest.split(" ", 1))
            elif kind in ("1", "u"):
                fields = rest.split(" ", 7 if kind == "1" else 9)
                status.changes.append((self._relative(fields[-1]), fields[0].replace(".", " ")))
            elif kind == "?":
                status.changes.append((self._relative(rest), "??"))
        status.changes = [change for change in status.changes if not _below(change[0], leave_out)]
        return status

    def log(self, most: int, *which: str) -> Iterator[CommitInfo]:
        """Yield the last commits, of HEAD or of what `which` says. `most` bounds their number."""
        form = "--format=%H%x00%an%x00%at%x00%s%x00"
        output = self.read("log", f"--max-count={most}", "--no-color", "--encoding=UTF-8", form, *which)
        fields = output.decode("utf-8", "replace").split("\0")
        for sha, author, at, subject in zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=False):
            yield CommitInfo(sha=sha.strip(), author=clean_line(author), at=_moment(at), subject=clean_line(subject))

    def url(self, branch: str) -> str:
        """The address of the branch's remote, of `origin`, or of the first remote."""
        remotes = [key[7:-4] for key in self._settings if key.startswith("remote.") and key.endswith(".url")]
        wanted = self._settings.get(f"branch.{branch}.remote", "origin")
        remote = wanted if wanted in remotes else next(iter(remotes), "")
        return self._settings.get(f"remote.{remote}.url", "")

    def tracked_models(self) -> Iterator[TrackedModel]:
        """Yield model files and large binaries that git keeps itself: what git-lfs keeps is left out."""
        paths = [os.fsdecode(path) for path in self.read("ls-files", "-z", "--", ".").split(b"\0") if path]
        root = f"{self._root}/"
        sizes = {path: size for path in paths if (size := _model_size(root + path)) is not None}
        if not sizes:
            return
        given = b"".join(os.fsencode(path) + b"\0" for path in sizes)
        answer = self.read("check-attr", "-z", "--stdin", "filter", given=given).split(b"\0")
        in_lfs = {os.fsdecode(path) for path, value in zip(answer[::3], answer[2::3], strict=False) if value == b"lfs"}
        for path, size in sizes.items():
            if path not in in_lfs:
                yield TrackedModel(path=clean_line(path), size=size)

    def _relative(self, path: str) -> str:
        return path.removeprefix(self._prefix)

    def _configure(self, settings: dict[str, str]) -> None:
        """Set settings for every command of this reader, after those that the person's environment sets."""
        given = os.environ.get("GIT_CONFIG_COUNT", "")
        first = int(given) if given.isdigit() else 0
        self._environment["GIT_CONFIG_COUNT"] = str(first + len(settings))
        for index, (key, value) in enumerate(settings.items(), first):
            self._environment[f"GIT_CONFIG_KEY_{index}"] = key
            self._environment[f"GIT_CONFIG_VALUE_{index}"] = value

    def _read_settings(self) -> dict[str, str]:
        """The effective settings; those that the repository itself makes for filters are in `_own_filters`."""
        fields = self.read("config", "--list", "--null", "--show-scope").split(b"\0")
        settings: dict[str, str] = {}
        self._own_filters: dict[str, str] = {}
        for scope, entry in zip(fields[::2], fields[1::2], strict=False):
            key, _, value = os.fsdecode(entry).partition("\n")
            settings[key] = value
            if scope in (b"local", b"worktree") and _FILTER.match(key):
                self._own_filters[key] = value
        return settings

    def _without_filters(self) -> dict[str, str]:
        """Settings that switch off the filters that the repository brings; git-lfs, known by its command, may stay."""
        names = {
            match[1]
            for key, value in self._own_filters.items()
            if (match := _FILTER.match(key)) and match[2] != "required" and not _LFS.match(value)
        }
        off = {"clean": "", "smudge": "", "process": "", "required": "false"}
        return {f"filter.{name}.{key}": value for name in sorted(names) for key, value in off.items()}


def _below(path: str, folders: Sequence[str]) -> bool:
    """Is a path one of `folders` or in one? Our own folder and Python's caches count at any depth."""
    parts = path.rstrip("/").split("/")
    anywhere = {*_OWN, *_BY_RUNNING}.intersection(folders)
    return not anywhere.isdisjoint(parts) or any(
        f"{path}/".startswith(f"{folder.rstrip('/')}/") for folder in folders if folder not in anywhere
    )


def _moment(seconds: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _content_digest(path: Path) -> bytes:
    """A digest of what is at `path` now: a file's mode and content, a link's target, or that nothing is there."""
    try:
        if path.is_symlink():
            return hashlib.sha256(os.fsencode(path.readlink())).digest()
        if not path.is_file():
            return b"folder" if path.exists() else b"gone"
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size > HASHED_WHOLE:
                return repr((found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)).encode()
            digest = hashlib.file_digest(file, "sha256").digest()
        return digest + bytes([bool(found.st_mode & 0o100)])
    except OSError as error:
        return f"unreadable {error.errno}".encode()


def _model_size(path: str) -> int | None:
    """The size of a file that is a model by its ending or a large binary, otherwise None.

    It is asked of each file of a repository, again and again: a `Path` for each would take most of the time.
    """
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return None
        if path.lower().endswith(MODEL_ENDINGS):
            return found.st_size
        if found.st_size <= LARGE_BINARY:
            return None
        with Path(path).open("rb") as file:
            return found.st_size if b"\0" in file.read(8000) else None
    except OSError:
        return None
