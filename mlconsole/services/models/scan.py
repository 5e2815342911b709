"""What a model file would import when it is loaded, found without loading it.

A pickle is a program. It is run here by Python's own unpickler, written in Python, with nothing to import: each name
that it asks for is noted and answered by a stand-in that does nothing. So the names are those that a real load looks
up. joblib puts the bytes of arrays between the opcodes; they are stepped over as joblib's `NumpyArrayWrapper` reads
them. picklescan, which is kept up to date for that, knows which names are dangerous.
"""

from __future__ import annotations

import _compat_pickle
import bz2
import contextlib
import gzip
import io
import logging
import lzma
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from mlconsole.errors import OutsideFailed
from mlconsole.text import clean_line

_ARRAY_WRAPPER = "NumpyArrayWrapper"
_SKOPS_SCHEMA = "schema.json"
_CHUNK = 1 << 20
_NUMPY = b"\x93NUMPY"
_LARGEST_ITEM = 1 << 20
_NP_ITEM_HASOBJECT = 1
# picklescan has no entry for these; they run code, load other files or start processes.
_ALSO_DANGEROUS = re.compile(
    r"(?:builtins\.(?:__import__|delattr|setattr|globals|vars)|importlib\..*|multiprocessing\..*|platform\.popen"
    r"|joblib\.(?:load|numpy_pickle\.load)|numpy\.load|pandas\.(?:io\.pickle\.)?(?:read_pickle|eval)|dill\..*"
    r"|threading\..*|signal\..*|pathlib\.Path\.(?:unlink|write_text|write_bytes|open)|tempfile\..*|http\..*|ftplib\..*"
    r"|smtplib\..*|code\..*|codeop\..*|concurrent\.futures\..*|marshal\..*|urllib\..*|yaml\.(?:unsafe_)?load)"
)


WELL_KNOWN = (
    *(
        "numpy",
        "scipy",
        "sklearn",
        "pandas",
        "joblib",
        "xgboost",
        "lightgbm",
        "catboost",
        "torch",
        "tensorflow",
        "keras",
    ),
    *("collections", "copyreg", "_codecs", "datetime", "decimal", "fractions", "enum", "functools", "uuid", "zoneinfo"),
)
"""Packages that models are made of; what of them runs commands is dangerous all the same."""

_PLAIN = frozenset(
    kind.__name__
    for kind in (
        bool,
        bytearray,
        bytes,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        object,
        range,
        set,
        slice,
        str,
        tuple,
    )
)


class ScanFailed(OutsideFailed):
    """A model file can't be read without loading it, so nobody knows what it would import."""


def imports(path: Path) -> tuple[str, ...]:
    """Every name that a pickle or joblib file would look up when loaded, such as `sklearn.pipeline.Pipeline`, sorted.

    Compressed joblib files (zlib, gzip, bz2, xz, lzma), the pickles inside a zip (PyTorch) or a NumPy file of objects
    and the schema of a skops file are read too. A file of another format (ONNX, JSON) imports nothing. Of a folder,
    every file is read.

    Raises:
        ScanFailed: the file can't be read, or it is a pickle that breaks off.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return tuple(sorted({name for file in files for name in imports(file)}))
    try:
        found = _of_zip(path) if zipfile.is_zipfile(path) else _of_stream(lambda: _decompressed(path))
        return tuple(sorted(found))
    except _Broken as error:
        raise ScanFailed(
            f"{path.name} can't be scanned: {error}.", "Load it only if you trust where it comes from."
        ) from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, lzma.LZMAError, zlib.error) as error:
        why = clean_line(" ".join(str(getattr(error, "strerror", None) or error).split()))
        raise ScanFailed(f"{path.name} can't be scanned: {why or 'it breaks off'}.") from error


def dangerous(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the imported names that can run commands, open connections or load other code, in their order."""
    listed = list(dict.fromkeys(names))
    known = _known_dangerous(listed)
    return tuple(name for name in listed if name in known or _ALSO_DANGEROUS.fullmatch(name))


def unknown(names: Iterable[str], trusted: Iterable[str] = ()) -> tuple[str, ...]:
    """Those of the imported names that belong to no well-known package and are not trusted, in their order.

    Args:
        names: as `imports` gives them.
        trusted: packages or patterns such as `mypackage` or `mypackage.steps.*`: a project's settings say them, never
            the model's own file.
    """
    patterns = tuple(trusted)
    return tuple(name for name in dict.fromkeys(names) if not _is_well_known(name) and not _is_trusted(name, patterns))


def _is_well_known(name: str) -> bool:
    package, _, attribute = name.partition(".")
    return package in WELL_KNOWN or (package == "builtins" and attribute in _PLAIN)


def _is_trusted(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == entry or name.startswith(f"{entry}.") or fnmatchcase(name, entry) for entry in patterns)


def _known_dangerous(names: list[str]) -> set[str]:
    """What picklescan says of names, asked through a pickle that does nothing but look them up."""
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes  # type: ignore[import-untyped]

    # It logs each finding as a warning; they are ours to show.
    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)
    stream = io.BytesIO()
    by_pair: dict[tuple[str, str], str] = {}
    for name in names:
        for module, attribute in _splits(name):
            by_pair[module, attribute] = name
            for text in (module.encode("utf-8", "replace"), attribute.encode("utf-8", "replace")):
                stream.write(b"X" + len(text).to_bytes(4, "little") + text)
            stream.write(b"\x930")
    stream.write(b"N.")
    stream.seek(0)
    result = scan_pickle_bytes(stream, "model", multiple_pickles=False)
    found = {(entry.module, entry.name) for entry in result.globals if entry.safety is SafetyLevel.Dangerous}
    return {name for pair, name in by_pair.items() if pair in found}


def _splits(name: str) -> list[tuple[str, str]]:
    """A dotted name as module and attribute, wherever the border may be: `torch.fx.X.run` has three."""
    parts = name.split(".")
    return [(".".join(parts[:at]), ".".join(parts[at:])) for at in range(1, len(parts))] or [("unknown", name)]


class _Broken(Exception):
    """A pickle ends before its end, or does what none does."""


class _StandIn:
    """Answers for whatever a pickle asks for: can be called, filled and set, and does nothing."""

    name = ""
    args: tuple[Any, ...] = ()
    state: Any = None

    def __new__(cls, *_args: object, **_named: object) -> _StandIn:
        return object.__new__(_StandIn)

    def __init__(self, *_args: object, **_named: object) -> None:
        """Take anything."""

    def __call__(self, *args: object, **_named: object) -> _StandIn:
        made = _StandIn()
        made.name, made.args = self.name, args
        return made

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """Keep nothing."""

    def append(self, _item: object) -> None:
        """Keep nothing."""

    def extend(self, _items: object) -> None:
        """Keep nothing."""

    def add(self, _item: object) -> None:
        """Keep nothing."""


# The unpickler in C has no hook between two opcodes; this one is pickle's own too, written in Python.
_PythonUnpickler: Any = pickle._Unpickler


class _Reader(_PythonUnpickler):  # type: ignore[misc]
    """Goes through a pickle with stand-ins and notes each name that it looks up.

    Args:
        file: at the pickle's first byte.
        found: gets the names.
        arrays: step over joblib's arrays. `pickle.load` does not, and takes their bytes for opcodes.
    """

    dispatch = dict(_PythonUnpickler.dispatch)

    def __init__(self, file: BinaryIO, found: set[str], arrays: bool) -> None:
        super().__init__(file)
        self.saw_array = False
        self._stream = file
        self._found = found
        self._arrays = arrays

    def find_class(self, module: object, name: object) -> _StandIn:
        if not isinstance(module, str) or not isinstance(name, str):
            self._found.add("unknown.unknown")
            return _StandIn()
        if self.proto < 3:
            module, name = _compat_pickle.NAME_MAPPING.get(
                (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            )
        self._found.add(clean_line(f"{module}.{name}"))
        stand_in = _StandIn()
        stand_in.name = f"{module}.{name}"
        return stand_in

    def get_extension(self, code: int) -> None:
        # A number that stands for a name in a registry of the loading process: it can be anything.
        self._found.add("unknown.unknown")
        self.append(_StandIn())

    def persistent_load(self, _pid: object) -> _StandIn:
        return _StandIn()

    def load_build(self) -> None:
        super().load_build()
        top = self.stack[-1]
        if isinstance(top, _StandIn) and top.name.rpartition(".")[2] == _ARRAY_WRAPPER:
            self.saw_array = True
            if self._arrays:
                self._skip_array(top)

    dispatch[pickle.BUILD[0]] = load_build

    def load_newobj(self) -> None:
        self._made(self.stack.pop())

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self._made(self.stack.pop())

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def _made(self, args: object) -> None:
        cls = self.stack.pop()
        if not isinstance(cls, _StandIn) or not isinstance(args, tuple):
            raise _Broken("it makes an object of something that is no class")
        self.append(cls(*args))

    def _skip_array(self, wrapper: _StandIn) -> None:
        """Step over an array's bytes, or go through the pickle that holds its objects."""
        state = wrapper.state if isinstance(wrapper.state, dict) else {}
        shape, dtype = state.get("shape"), state.get("dtype")
        if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise _Broken("an array in it has no shape")
        if not isinstance(dtype, _StandIn):
            raise _Broken("an array in it has no type")
        if _has_objects(dtype):
            _Reader(self._stream, self._found, self._arrays).load()
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            _skip(self._stream, _exactly(self._stream, 1)[0])
        count = _item_size(dtype)
        for extent in shape:
            count *= extent
        _skip(self._stream, count)


def _item_size(dtype: _StandIn) -> int:
    """Bytes of one item of a dtype that was pickled as `numpy.dtype('f8', …)`."""
    code = dtype.args[0] if dtype.args else None
    match = re.fullmatch(r"[<>=|]?[biufcmMSVUO](\d{1,7})", code) if isinstance(code, str) else None
    if match is None:
        raise _Broken("an array in it has a type that is not known")
    width = int(match[1]) * (4 if "U" in str(code) else 1)
    if width > _LARGEST_ITEM:
        raise _Broken("an array in it has items without measure")
    return width


def _has_objects(dtype: _StandIn) -> bool:
    code = dtype.args[0] if dtype.args else ""
    flags = dtype.state[7] if isinstance(dtype.state, tuple) and len(dtype.state) > 7 else 0
    return str(code).startswith(("O", "|O")) or bool(isinstance(flags, int) and flags & _NP_ITEM_HASOBJECT)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise _Broken("it breaks off")
    return data


def _skip(stream: BinaryIO, count: int) -> None:
    while count:
        count -= len(_exactly(stream, min(count, _CHUNK)))


def _decompressed(path: Path) -> BinaryIO:
    """The stream behind the compression that joblib would find by the first bytes."""
    with path.open("rb") as raw:
        start = raw.read(6)
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path))
    if start.startswith(b"BZ"):
        return cast(BinaryIO, bz2.open(path))
    if start.startswith((b"\xfd7zXZ", b"]\x00")):
        return cast(BinaryIO, lzma.open(path))
    if start.startswith(b"\x78"):
        from joblib.compressor import BinaryZlibFile

        return cast(BinaryIO, BinaryZlibFile(str(path), "rb"))
    if start.startswith((b"\x04\x22\x4d\x18", b"ZF")):
        raise _Broken("its compression (LZ4, or that of joblib before 0.10) is not read here")
    return path.open("rb")


def _of_stream(open_stream: Callable[[], BinaryIO]) -> set[str]:
    """The names that the pickle at the head of a stream looks up; none where it holds no pickle."""
    found: set[str] = set()
    with _peekable(open_stream()) as stream:
        if stream.peek(len(_NUMPY))[: len(_NUMPY)] == _NUMPY and not _reach_objects(stream):
            return found
        start = stream.peek(2)[:2]
        is_pickle = len(start) == 2 and start[0] == 0x80 and start[1] <= pickle.HIGHEST_PROTOCOL
        reader = _Reader(stream, found, arrays=True)
        try:
            reader.load()
        except RecursionError as error:
            raise _Broken("it is nested too deeply") from error
        except Exception as error:
            if is_pickle or found:
                raise error if isinstance(error, _Broken | OSError) else _Broken("its pickle is broken") from error
    if reader.saw_array:
        # A file may be made to read as one thing for joblib and as another for pickle.
        with _peekable(open_stream()) as stream, contextlib.suppress(Exception):
            _Reader(stream, found, arrays=False).load()
    return found


def _reach_objects(stream: BinaryIO) -> bool:
    """Step over the header of a NumPy file; says whether a pickle is behind it, in place of numbers.

    Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    version = _exactly(stream, len(_NUMPY) + 2)[len(_NUMPY)]
    length = int.from_bytes(_exactly(stream, 2 if version == 1 else 4), "little")
    if length > _LARGEST_ITEM:
        raise _Broken("the header of its array has no end")
    return re.search(rb"""['"][|<>=]?O['"]""", _exactly(stream, length)) is not None


def _peekable(stream: BinaryIO) -> io.BufferedReader:
    if isinstance(stream, io.BufferedReader):
        return stream
    return io.BufferedReader(cast(io.RawIOBase, stream), _CHUNK)


def _of_zip(path: Path) -> set[str]:
    found: set[str] = set()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name == _SKOPS_SCHEMA:
                found |= _of_skops(_exactly(_member(archive, name), archive.getinfo(name).file_size))
            if name.endswith((".pkl", ".pickle", ".joblib", ".npy")):
                found |= _of_stream(partial(_member, archive, name))
    return found


def _of_skops(schema: bytes) -> set[str]:
    """The names in a skops file's schema: every node tells its class and module, one of a function where that is."""
    try:
        nodes: list[object] = [msgspec.json.decode(schema)]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _Broken("its schema is no JSON") from error
    found = set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += node.values()
            pairs = [("__module__", "__class__"), ("module_path", "function")]
            found |= {f"{node[a]}.{node[b]}" for a, b in pairs if a in node and b in node}
        elif isinstance(node, list):
            nodes += node
    return {clean_line(name) for name in found}


def _member(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    return cast(BinaryIO, archive.open(name))
