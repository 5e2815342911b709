"""Data read by a pod beside it, in an image that has mlconsole: what is asked comes as a file, and so does the answer.

    python3 -m mlconsole.services.datasets.there ASKED ANSWER [URI]

URI is where the data is, a path of the pod (a mounted claim) or an address that fsspec knows; without it, the data is
in the folder that this runs in, by its path in the project. Either way its files have the names that they have in the
project, so that the same data has the same digest.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import zlib
from pathlib import Path, PurePosixPath

import msgspec

from mlconsole.errors import Exit, OutsideFailed, Problem
from mlconsole.evidence.base import Record
from mlconsole.evidence.data import DataEvidence
from mlconsole.report import progress
from mlconsole.services.datasets import files
from mlconsole.services.datasets.examine import Asked, examine
from mlconsole.text import clean_line, shorten


class Answer(Record, frozen=True, kw_only=True):
    """What is known of the data, or the sentences that say why nothing is, with the exit code that they have here."""

    evidence: DataEvidence | None = None
    sentence: str = ""
    next_step: str = ""
    exit_code: int = 0


def packed(asked: Asked) -> str:
    """What is asked, as a text that is small enough to travel."""
    return base64.b64encode(zlib.compress(msgspec.json.encode(asked), 9)).decode()


def unpacked(text: str) -> Asked:
    """What `packed` made a text of."""
    return msgspec.json.decode(zlib.decompress(base64.b64decode(text)), type=Asked)


def answer(asked: Asked, uri: str) -> Answer:
    """Read the data; a problem is an answer, too."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root" if uri else Path.cwd()
        try:
            if uri:
                bring(uri, root, asked.path)
            cache = Path(folder) / "digests.json"
            identity = files.identify(root, asked.path, cache, dialect=asked.dialect)

            def report(done: int) -> None:
                progress(done, identity.size, "read")

            return Answer(evidence=examine(root, asked, identity, report=report))
        except Problem as problem:
            return Answer(sentence=problem.sentence, next_step=problem.next_step, exit_code=int(problem.exit_code))


def bring(uri: str, root: Path, path: str) -> None:
    """Have the data of an address below a folder, by its path in the project: linked where it is mounted, else fetched.

    Raises:
        OutsideFailed: it can't be had.
    """
    is_pattern = any(sign in path for sign in "*?[")
    where = uri.removeprefix("file://") if uri.startswith("file://") else uri
    if "://" not in where:
        source = Path(where).parent if is_pattern else Path(where)
        place = root / (PurePosixPath(path).parent if is_pattern else PurePosixPath(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_dir() or place.is_symlink():
            place.symlink_to(source.absolute(), target_is_directory=source.is_dir())
        return
    try:
        _fetch(where, root, path, is_pattern=is_pattern)
    except Exception as error:
        # each backend raises exceptions of its own
        why = shorten(clean_line(str(error) or type(error).__name__).rstrip("."), 200)
        hint = "Check the address, the image's packages (fsspec and what it names), and the rights of its pods."
        raise OutsideFailed(f"The data can't be read from {uri}: {why}.", hint) from error


def _fetch(uri: str, root: Path, path: str, *, is_pattern: bool) -> None:
    from fsspec.core import url_to_fs

    store, inside = url_to_fs(uri)
    if is_pattern:
        top, found = inside.rpartition("/")[0], [str(name) for name in store.glob(inside)]
        place = root / PurePosixPath(path).parent
    elif store.isdir(inside):
        top, found, place = inside.rstrip("/"), [str(name) for name in store.find(inside)], root / path
    else:
        top, found, place = inside, [inside], root / path
    for name in found:
        target = place / name.removeprefix(top).lstrip("/") if name != top else place
        target.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(name, str(target))


def main(words: list[str]) -> int:
    """Read what is asked, and write the answer; see the module."""
    asked = unpacked(Path(words[0]).read_text("utf-8"))
    found = answer(asked, words[2] if len(words) > 2 else "")
    profile = found.evidence.profile if found.evidence else None
    sys.stdout.write(f"{f'{profile.rows} rows, {profile.identity.digest}' if profile else found.sentence}\n")
    Path(words[1]).write_bytes(msgspec.json.encode(found))
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
