"""The bytes of a text table as UTF-8, however the file is compressed and encoded."""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from mlconsole.services.datasets import faults
from mlconsole.services.datasets.faults import DataUnfit
from mlconsole.services.datasets.files import COMPRESSIONS
from mlconsole.text import listed

_BUFFER = 1 << 20
_HEAD = 4096
_FEWEST_NULS = 0.1
"""The part of the characters that are of ASCII in any table of UTF-16: its delimiters and line ends at least."""
# The marks of UTF-32 begin with those of UTF-16, so that they are looked for first.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class TextStream:
    """Opens one file, again and again, as a stream of UTF-8.

    Args:
        path: where it is; the ending says how it is compressed.
        name: what to call it in messages.
        encoding: how its text is encoded; empty: UTF-8, or what its byte order mark says, or UTF-16 without one.

    Raises:
        DataUnfit: there is no such encoding, or the file can't be read.
    """

    def __init__(self, path: Path, name: str, encoding: str) -> None:
        self._path, self._name = path, name
        self.encoding = self._known(encoding) if encoding else self._marked()

    @property
    def is_plain(self) -> bool:
        """Whether the file's own bytes are UTF-8."""
        return not self.encoding and not self._path.name.lower().endswith(COMPRESSIONS)

    def raw(self) -> BinaryIO:
        """The file's own bytes."""
        try:
            return cast("BinaryIO", self._path.open("rb", buffering=0))
        except OSError as error:
            raise faults.unreadable(self._name, error) from error

    def open(self, raw: BinaryIO | None = None) -> BinaryIO:
        """Open the file, or a stream of its bytes; plain UTF-8 is that very stream."""
        stream = self._decompressed(raw)
        if not self.encoding:
            return stream
        return cast("BinaryIO", io.BufferedReader(_Recoded(stream, self.encoding), _BUFFER))

    def _known(self, encoding: str) -> str:
        try:
            name = codecs.lookup(encoding).name
        except LookupError as error:
            sentence = f"There is no encoding {encoding}, which the settings name."
            raise DataUnfit(sentence, 'Set `encoding` under `[data]`: "latin-1", "cp1252", "utf-16", …') from error
        if name == "utf-16":
            # without a mark it would be read by the byte order of this machine
            return self._marked() or name
        return "" if name in ("utf-8", "ascii", "utf-8-sig") else name

    def _marked(self) -> str:
        with self._decompressed(None) as stream:
            try:
                head = stream.read(_HEAD)
            except Exception:  # noqa: BLE001 (whoever reads the rows will meet the same fault, and tell it)
                return ""
        marked = next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), "")
        return marked or unmarked_utf16(head)

    def _decompressed(self, raw: BinaryIO | None) -> BinaryIO:
        name = self._path.name.lower()
        if not name.endswith(COMPRESSIONS):
            return raw or self.raw()
        try:
            if name.endswith(".gz"):
                import gzip

                return cast("BinaryIO", gzip.open(raw or self._path, "rb"))
            if name.endswith(".bz2"):
                import bz2

                return cast("BinaryIO", bz2.open(raw or self._path, "rb"))
            if name.endswith(".xz"):
                import lzma

                return cast("BinaryIO", lzma.open(raw or self._path, "rb"))
            if name.endswith(".zip"):
                return self._zipped(raw)
            return cast("BinaryIO", pa.input_stream(raw or str(self._path), compression="zstd"))
        except OSError as error:
            raise faults.unreadable(self._name, error) from error

    def _zipped(self, raw: BinaryIO | None) -> BinaryIO:
        """The one file in an archive."""
        import zipfile

        try:
            archive = zipfile.ZipFile(raw or self._path)
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
            tables = [name for name in names if not name.startswith("__MACOSX/")]
            if len(tables) != 1:
                held = f"{len(tables)} files: {listed(tables)}" if tables else "no file"
                raise DataUnfit(f"{self._name} holds {held}.", "Unpack it, and name the folder under `[data]`.")
            return cast("BinaryIO", archive.open(tables[0]))
        except zipfile.BadZipFile as error:
            raise DataUnfit(f"{self._name} is no whole zip archive.", "Fetch or write it again.") from error
        except (RuntimeError, NotImplementedError) as error:
            raise DataUnfit(
                f"{self._name} can't be unpacked: {error}.", "Unpack it, and name what was in it."
            ) from error


def unmarked_utf16(head: bytes) -> str:
    """UTF-16 with its byte order, where the beginning of a file is that without a byte order mark; else empty.

    Delimiters, digits and line ends have a byte that is NUL, always on the same side of the other. In a damaged text
    NUL bytes are few, or on both sides alike. (Of other characters, few have a NUL on the other side, such as 一.)
    """
    head = head[: len(head) // 2 * 2]
    sides = {"utf-16-be": head[::2].count(0), "utf-16-le": head[1::2].count(0)}
    (_, fewer), (encoding, more) = sorted(sides.items(), key=lambda side: side[1])
    if not more or more < len(head) // 2 * _FEWEST_NULS or fewer * 3 > more:
        return ""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return ""
    has_lines = "\n" in text or "\r" in text
    return encoding if has_lines and "\0" not in text else ""


class _Recoded(io.RawIOBase):
    """Another encoding's bytes as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream, self._decoder = stream, codecs.getincrementaldecoder(encoding)()
        self._rest, self._ended = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._ended:
            data = self._stream.read(_BUFFER)
            self._ended = not data
            self._rest = self._decoder.decode(data, final=self._ended).encode("utf-8")
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()
