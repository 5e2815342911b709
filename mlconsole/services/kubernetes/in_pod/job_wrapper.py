"""Runs a training inside a container and brings its model to the store. One file, nothing but Python 3.7 or later.

It travels in a ConfigMap, so that an image needs no part of mlconsole:

    python3 job_wrapper.py --model PATH --store URI [--cwd DIR] [--find PATTERN] [--output PATTERN …]
        [--keep PATH=NAME …] [--watch FILE …] [--copy NAME] -- COMMAND…

What the command prints goes on as it comes, line by line. Between its lines stand marks, each a line of
`::mlconsole:: ` and JSON, which whoever reads the log takes out: `start` (the Python), `packages`, `use` (what the
processes use, once a second, and how many lines went before), `report` (what the helper `mlconsole.report` told),
`file` (a small file of metrics, whenever it changed) and `end` (how it ended, and what was brought to the store).

A model goes to `<store>/sha256/<first two>/<digest>/<name>`: by copying for `file://` and plain paths, for all others
by fsspec, with whatever rights the pod has. One that is a folder goes to `<store>/tree/<first two>/<digest>/<name>/`,
where `<digest>.tree` lists its files, and comes last; the digest is that of this list. Exit code 97 is ours: the
command ended well, but there is no model, or it can't be brought to the store. A second try would not help.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

MARK = "::mlconsole:: "
TERMINATION_LOG = Path("/dev/termination-log")
"""There in every container of Kubernetes, unless its manifest says otherwise."""

NO_MODEL = 97
LONGEST_LINE = 8 * 1024
PACKAGES_A_LINE = 100
SAMPLE_SECONDS = 1.0
LOOK_SECONDS = 0.1
SAMPLE_COST = 0.01
CHUNK = 1 << 20
FOLDER_MARKS = {"saved_model.pb", "MLmodel", "model_index.json", "adapter_config.json"}
WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".h5", ".msgpack", ".onnx")


class Output:
    """Hands on whole lines, counts them, and keeps a compressed copy: a cluster forgets what its log rotates away."""

    def __init__(self, copy: Path | None) -> None:
        self.lines = 0
        self._rest = b""
        self._copy = gzip.open(copy, "wb", compresslevel=1) if copy else None  # noqa: SIM115

    def feed(self, data: bytes) -> None:
        """Take output as it comes; a carriage return, which progress bars are drawn with, ends a line too."""
        data = (self._rest + data).replace(b"\r\n", b"\n")
        held = b"\r" if data.endswith(b"\r") else b""
        *whole, rest = data[: len(data) - len(held)].replace(b"\r", b"\n").split(b"\n")
        while len(rest) > LONGEST_LINE:
            whole.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest + held
        self._write(whole)

    def close(self) -> None:
        """Hand on what has no end of its line, and finish the copy."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        self._write([rest] if rest else [])
        if self._copy is not None:
            self._copy.close()

    def mark(self, **what: Any) -> None:
        """Put a mark between the lines."""
        data = (MARK + json.dumps(what) + "\n").encode()
        write_all(data)
        if self._copy is not None and "report" in what:
            self._copy.write(data)

    def _write(self, whole: list[bytes]) -> None:
        lines = [line[at : at + LONGEST_LINE] for line in whole for at in range(0, len(line) or 1, LONGEST_LINE)]
        if lines:
            block = b"\n".join(lines) + b"\n"
            self.lines += len(lines)
            write_all(block)
            if self._copy is not None:
                self._copy.write(block)


def write_all(data: bytes) -> None:
    """Write to standard output, all of it and at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


class Reports:
    """What the helper `mlconsole.report` appends to a file, where it came with the wrapper."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._rest = path, 0, b""
        self._helper = Path(__file__).resolve().parent / "helper"

    def environment(self) -> dict[str, str]:
        """The variables that put the helper in the command's reach."""
        paths = [str(self._helper), os.environ.get("PYTHONPATH", "")]
        return {"MLCONSOLE_REPORT": str(self._path), "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def look(self, output: Output) -> None:
        """Hand on what is new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            return
        self._read += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            output.mark(report=line[:LONGEST_LINE].decode("utf-8", "replace"))


class Watched:
    """Small text files that are handed on whenever they change; what was there before is not of this run."""

    def __init__(self, names: list[str], folders: list[Path]) -> None:
        self._paths = {str(folder / name): (name, folder / name) for folder in folders for name in names}
        self._states = {key: self._state(path) for key, (_, path) in self._paths.items()}

    def look(self, output: Output) -> None:
        """Hand on those that changed since the last look."""
        for key, (name, path) in self._paths.items():
            state = self._state(path)
            if state is None or state == self._states[key] or not 0 < state[0] <= LONGEST_LINE:
                continue
            try:
                text = path.read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            # what is being written just now is handed on by a later look, once and whole
            if self._state(path) == state:
                self._states[key] = state
                output.mark(file={"name": name, "text": text})

    @staticmethod
    def _state(path: Path) -> tuple[int, int, int] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ino


class Use:
    """What a process and its descendants use, read from /proc about once a second; silent where there is none."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = self._last = time.monotonic()
        self._next = self._began + SAMPLE_SECONDS
        self._processors = 0.0

    def left(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - time.monotonic())

    def look(self) -> dict[str, Any]:
        """Look once: seconds since the start, processors, resident bytes, and how many processes."""
        began = time.monotonic()
        processors, memory, found = 0.0, 0, 0
        for pid in self._tree():
            try:
                fields = stat_of(pid)
            except OSError:
                continue
            processors += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            memory += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            found += 1
        took = time.monotonic() - began
        rate = max(0.0, processors - self._processors) / max(began - self._last, 0.001)
        self._processors, self._last = processors, began
        self._next = time.monotonic() + max(SAMPLE_SECONDS, took / SAMPLE_COST)
        seconds = round(began - self._began, 3)
        return {"seconds": seconds, "processors": round(rate, 3), "memory": memory, "processes": found}

    def _tree(self) -> list[int]:
        parents: dict[int, list[int]] = {}
        try:
            names = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        except OSError:
            return []
        for name in names:
            try:
                parent = int(stat_of(int(name))[1])
            except (OSError, ValueError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
        found, waiting = [self._pid], [self._pid]
        while waiting:
            children = parents.get(waiting.pop(), [])
            found += children
            waiting += children
        return found


def stat_of(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat behind the program's name."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


class Failed(Exception):
    """There is no model, or it can't be brought to the store: in a sentence."""


def run(command: list[str], cwd: str, output: Output, reports: Reports, watched: Watched) -> tuple[int, dict[str, Any]]:
    """Run the command to its end; returns its exit code, a shell's for a signal, and what it used."""
    began = time.monotonic()
    if command[0] in ("python", "python3"):
        command = [sys.executable, *command[1:]]
    try:
        child = subprocess.Popen(
            command,
            cwd=cwd or None,
            env=dict(os.environ, PYTHONUNBUFFERED="1", **reports.environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        output.feed(f"can't run {command[0]}: {error.strerror}\n".encode())
        return 127, {"seconds": 0.0}
    signal.signal(signal.SIGTERM, lambda *_: signal_all(child.pid, signal.SIGTERM))
    assert child.stdout is not None
    use, descriptor, looked = Use(child.pid), child.stdout.fileno(), 0.0
    while True:
        if select.select([descriptor], [], [], min(use.left(), LOOK_SECONDS))[0]:
            data = os.read(descriptor, 1 << 16)
            if not data:
                break
            output.feed(data)
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            reports.look(output)
            watched.look(output)
        if not use.left():
            output.mark(use=use.look(), lines=output.lines)
    code = child.wait()
    signal_all(child.pid, signal.SIGKILL)
    reports.look(output)
    watched.look(output)
    output.close()
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return code if code >= 0 else 128 - code, {
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory": used.ru_maxrss * 1024,
    }


def signal_all(group: int, number: int) -> None:
    """Send a signal to what is left of a process group."""
    try:
        os.killpg(group, number)
    except OSError:
        return


def written(pattern: str, folders: list[Path], since: float) -> list[Path]:
    """The files that fit a pattern in one of the folders and were written by this run."""
    files = {file for folder in folders for file in folder.glob(pattern) if file.is_file()}
    return sorted(file for file in files if file.stat().st_mtime >= since - 1)


def find_model(path: Path, pattern: str, folders: list[Path], since: float) -> Path:
    """The model: at its path, or the newest file or folder that fits the pattern and was written by this run."""
    if pattern:
        new = written_folders(pattern, folders, since) or written(pattern, folders, since)
        if not new:
            raise Failed(f"The training wrote no {'folder' if pattern.endswith('/') else 'file'} that fits {pattern}.")
        path = max(new, key=last_written)
    if path.is_dir():
        if not last_written(path):
            raise Failed("The training left an empty folder at {model}.")
        return path
    if not path.is_file():
        raise Failed("The training ended well, but wrote no model to {model}.")
    if not path.stat().st_size:
        raise Failed("The training wrote an empty file to {model}.")
    return path


def written_folders(pattern: str, folders: list[Path], since: float) -> list[Path]:
    """The folders that fit a pattern as models, by its slash or their files, and were written by this run."""
    found = {path for folder in folders for path in folder.glob(pattern.rstrip("/")) if path.is_dir()}
    models = [path for path in found if pattern.endswith("/") or is_model_folder(path)]
    return sorted(path for path in models if last_written(path) >= since - 1)


def is_model_folder(folder: Path) -> bool:
    """Whether a folder is what Keras, MLflow or Hugging Face's libraries write as a model."""
    names = {entry.name for entry in folder.iterdir()}
    weights = any(name.endswith(WEIGHTS) for name in names)
    return bool(names & FOLDER_MARKS) or ("config.json" in names and weights)


def last_written(path: Path) -> float:
    """When a file, or the last one of a folder, was written; 0 where it has none."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return max((file.stat().st_mtime for file in files), default=0.0)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            sha.update(chunk)
    return sha.hexdigest()


def bring(path: Path, store: str, name: str) -> None:
    """Put a file into the store under a name there: first beside it, then renamed, so that it is whole or absent."""
    parts = urlsplit(store)
    try:
        if parts.scheme in ("", "file"):
            _copy_file(path, Path(url2pathname(parts.path) if parts.scheme else store), name)
        else:
            _send_file(path, store, name)
    except Failed:
        raise
    except Exception as error:
        # each store raises exceptions of its own
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Failed(f"The model can't be written to the store {store}: {why}.") from error


def bring_by_digest(path: Path, store: str, name: str) -> dict[str, Any]:
    """Put a file under its digest; returns digest, size, and the name that it is told by."""
    digest = digest_of(path)
    bring(path, store, f"sha256/{digest[:2]}/{digest}/{path.name}")
    return {"digest": "sha256:" + digest, "size": path.stat().st_size, "filename": name}


def bring_folder(folder: Path, store: str, name: str) -> dict[str, Any]:
    """Put a folder under the digest of its names and contents; returns what `bring_by_digest` does, and how many."""
    lines, size, files = [], 0, {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Failed(f"{inside} in the folder {name} is a link or no file: a model is kept with its files alone.")
        if path.is_file():
            files[inside] = path
    for inside, path in sorted(files.items()):
        runs = "x" if path.stat().st_mode & 0o100 else "-"
        lines.append(f"sha256:{digest_of(path)} {path.stat().st_size} {runs} {inside}\n")
        size += path.stat().st_size
    with tempfile.TemporaryDirectory() as aside:
        listing = Path(aside) / "tree"
        listing.write_bytes("".join(["mlconsole folder 1\n", *lines]).encode("utf-8"))
        digest = digest_of(listing)
        place = f"tree/{digest[:2]}/{digest}"
        for inside, path in files.items():
            bring(path, store, f"{place}/{name}/{inside}")
        bring(listing, store, f"{place}/{digest}.tree")
    return {"digest": "sha256:" + digest, "size": size, "filename": name, "files": len(files)}


def bring_outputs(
    patterns: list[str], folders: list[Path], since: float, store: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Put the outputs of this run under their digests; returns them, and the patterns that none has."""
    brought, missing = {}, []
    for pattern in patterns:
        files = written(pattern, folders, since)
        if not files:
            missing.append(pattern)
        for file in files:
            brought[str(file)] = bring_by_digest(file, store, str(file))
    return list(brought.values()), missing


def _copy_file(path: Path, root: Path, name: str) -> None:
    target, unfinished = root / name, root / f".new-{uuid.uuid4().hex}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, unfinished)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.chmod(0o444 | path.stat().st_mode & 0o111)
        unfinished.replace(target)
    finally:
        if unfinished.exists():
            unfinished.unlink()


def _send_file(path: Path, store: str, name: str) -> None:
    try:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(store.rstrip("/"))
    except ImportError as error:
        raise Failed(f"The image can't write to {store}: install fsspec and what it names ({error}).") from error
    folder, _, last = (root + "/" + name).rpartition("/")
    unfinished = f"{folder}/.new-{uuid.uuid4().hex}"
    files.makedirs(folder, exist_ok=True)
    files.put_file(str(path), unfinished)
    files.mv(unfinished, folder + "/" + last)


def tell_python(output: Output) -> None:
    """Say which Python this is and what is installed, in lines of a length that every log takes."""
    try:
        from importlib.metadata import distributions

        found = sorted({(str(entry.metadata["Name"]), str(entry.version)) for entry in distributions()})
    except ImportError:
        found = []
    version = ".".join(map(str, sys.version_info[:3]))
    output.mark(start={"python": version, "executable": sys.executable, "packages": len(found)})
    for at in range(0, len(found), PACKAGES_A_LINE):
        output.mark(packages=found[at : at + PACKAGES_A_LINE])


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="where the command writes the model")
    parser.add_argument("--store", required=True, help="the store that it is brought to")
    parser.add_argument("--find", default="", help="find the model by this pattern instead")
    parser.add_argument("--cwd", default="", help="the folder to run in")
    parser.add_argument("--copy", default="", help="the name in the store for a copy of the output")
    parser.add_argument("--output", action="append", default=[], help="also bring the files that fit this pattern")
    parser.add_argument("--keep", action="append", default=[], help="also bring the file PATH, as PATH=NAME")
    parser.add_argument("--watch", action="append", default=[], help="hand on this file of metrics when it changes")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    options.command = options.command[1:] if options.command[:1] == ["--"] else options.command
    return options


def main(arguments: list[str]) -> int:
    """Run, bring the model to the store, tell how it went; see the module."""
    options = parse(arguments)
    model, folders = Path(options.model), list(dict.fromkeys([Path(), Path(options.cwd)]))
    model.parent.mkdir(parents=True, exist_ok=True)
    copy = model.parent / "output.gz" if options.copy else None
    output, began = Output(copy), time.time()
    tell_python(output)
    reports, watched = Reports(model.parent / "reports.jsonl"), Watched(options.watch, folders)
    code, used = run(options.command, options.cwd, output, reports, watched)
    end: dict[str, Any] = {"exit_code": code, "lines": output.lines, **used}
    try:
        if copy is not None:
            bring(copy, options.store, options.copy)
            end["copy"] = options.copy
        if code == 0:
            path = find_model(model, options.find, folders, began)
            if path.is_dir():
                end["model"] = bring_folder(path, options.store, path.stem if path == model else path.name)
            else:
                end["model"] = bring_by_digest(path, options.store, path.name)
            if path != model:
                end["found"] = str(path)
            end["outputs"], end["missing"] = bring_outputs(options.output, folders, began, options.store)
            pairs = (entry.partition("=") for entry in options.keep)
            kept = [(Path(place), name) for place, _, name in pairs if Path(place).is_file()]
            end["outputs"] += [bring_by_digest(place, options.store, name) for place, name in kept]
    except Failed as problem:
        end["error"] = str(problem)
        code = code or NO_MODEL
    output.mark(end=end)
    tell_kubernetes(end)
    return code


def tell_kubernetes(end: dict[str, Any]) -> None:
    """Leave the last mark as the termination message, too: it stays where the log is gone. At most 4,096 bytes fit."""
    try:
        with TERMINATION_LOG.open("r+") as file:
            file.write((MARK + json.dumps({"end": {**end, "outputs": []}}))[:4096])
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
