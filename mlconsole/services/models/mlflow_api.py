"""The REST API of an MLflow tracking server, as far as versions are brought there and fetched from there.

Importing MLflow would take seconds. Source: https://mlflow.org/docs/latest/api_reference/rest-api.html. Credentials are
MLflow's own variables (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN); nothing of
them is written down.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.text import clean_line, shorten

URI_VARIABLE = "MLFLOW_TRACKING_URI"
LABEL_TAG, DIGEST_TAG = "mlconsole.version", "mlconsole.model_digest"
DATA_TAG, COMMIT_TAG, ENVIRONMENT_TAG = "mlconsole.data_digest", "mlconsole.commit", "mlconsole.environment_digest"
FILES_TAG = "mlconsole.model_files"
"""How many files a model has that is a folder."""
SOURCE_COMMIT_TAG = "mlflow.source.git.commit"
MOST_FILES, DEEPEST = 1000, 8
_SECONDS, _UPLOAD_SECONDS = 30.0, 3600.0
_CHUNK = 1 << 20
_T = TypeVar("_T", bound=msgspec.Struct)


class MlflowNotNamed(WrongUse):
    """Nothing says which MLflow server, or what is named is none."""


class MlflowFailed(OutsideFailed):
    """The MLflow server can't be reached, or refuses."""


class Tag(msgspec.Struct):
    """A name and a value, of a run or a version."""

    key: str
    value: str = ""


class StoredFile(msgspec.Struct, frozen=True):
    """A file that the server keeps: its path below the folder that was listed, and its size in bytes, where told."""

    path: str
    size: int | None = None


class _Entry(msgspec.Struct):
    path: str
    is_dir: bool = False
    file_size: int | str | None = None


class _Listing(msgspec.Struct):
    files: list[_Entry] = []


class _Refusal(msgspec.Struct):
    error_code: str = ""
    message: str = ""


class Nothing(msgspec.Struct):
    """An answer of which nothing is read."""


class MlflowApi:
    """A tracking server.

    Args:
        uri: its address, `http://…` or `https://…`.
        environment: where the credentials are.

    Raises:
        MlflowNotNamed: the address is empty or of another kind, such as a folder.
    """

    def __init__(self, uri: str, environment: Mapping[str, str] = os.environ) -> None:
        import urllib3

        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https"):
            raise MlflowNotNamed(
                f"{uri} is no address of an MLflow server." if uri else "Nothing says which MLflow server.",
                f"Set {URI_VARIABLE}=http://…",
            )
        self.uri = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._pool = urllib3.PoolManager()
        self._headers = _credentials(environment)

    def call(
        self, method: str, path: str, given: object = None, *, kind: type[_T] | None = None, fine: tuple[str, ...] = ()
    ) -> _T:
        """Ask the API; a refusal with one of the codes in `fine` is no failure.

        Raises:
            MlflowFailed: see there.
        """
        body = msgspec.json.encode(given) if given is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = self._send(method, f"{self.uri}/api/2.0/mlflow/{path}", body, headers, _SECONDS, fine)
        wanted: Any = kind or Nothing
        answer: _T = self._decoded(data, wanted)
        return answer

    def upload(self, path: Path, target: str) -> None:
        """Write an artifact: by the server itself, or where it keeps them.

        Raises:
            MlflowFailed: see there.
        """
        parts = urlsplit(target)
        if parts.scheme == "mlflow-artifacts":
            with path.open("rb") as file:
                kind = {"Content-Type": "application/octet-stream"}
                self._send("PUT", self._artifact(parts.path), file, kind, _UPLOAD_SECONDS)
            return
        from fsspec.core import url_to_fs

        try:
            fs, name = url_to_fs(target)
            fs.makedirs(name.rpartition("/")[0], exist_ok=True)
            fs.put_file(str(path), name)
        except (ImportError, OSError, ValueError) as error:
            why = shorten(clean_line(str(error)), 200)
            raise MlflowFailed(f"The server keeps its files at {target}, which can't be written: {why}.") from error

    def files(self, folder: str) -> tuple[StoredFile, ...]:
        """The files below an artifact folder, `mlflow-artifacts:/…` or an address that fsspec knows.

        Raises:
            MlflowFailed: it can't be listed, or holds more than `MOST_FILES`.
        """
        found: list[StoredFile] = []
        folders = [("", 0)]
        while folders:
            inside, depth = folders.pop()
            for entry in self._entries(folder, inside):
                path = f"{inside}{entry.path.rstrip('/').rpartition('/')[2]}"
                if entry.is_dir and depth < DEEPEST:
                    folders.append((f"{path}/", depth + 1))
                elif not entry.is_dir:
                    found.append(StoredFile(path, int(entry.file_size) if entry.file_size is not None else None))
            if len(found) > MOST_FILES:
                raise MlflowFailed(f"{folder} holds more than {MOST_FILES:,} files: that is no model.")
        return tuple(sorted(found, key=lambda file: file.path))

    def _entries(self, folder: str, inside: str) -> list[_Entry]:
        parts = urlsplit(folder)
        if parts.scheme == "mlflow-artifacts":
            query = urlencode({"path": f"{parts.path.strip('/')}/{inside}".rstrip("/")})
            address = f"{self.uri}/api/2.0/mlflow-artifacts/artifacts?{query}"
            return self._decoded(self._send("GET", address, None, {}, _SECONDS), _Listing).files
        with self._elsewhere(folder) as (fs, root):
            return [
                _Entry(str(entry["name"]), entry.get("type") == "directory", entry.get("size"))
                for entry in fs.ls(f"{root}/{inside}".rstrip("/"), detail=True)
            ]

    def download(self, folder: str, file: StoredFile, target: Path) -> str:
        """Fetch one of the files that `files` listed and return its digest, `sha256:…`.

        Raises:
            MlflowFailed: it can't be read, or came with another size than was listed.
            OSError: `target` can't be written.
        """
        hasher, count = hashlib.sha256(), 0
        with target.open("wb") as copy:
            for chunk in self._chunks(folder, file.path):
                copy.write(chunk)
                hasher.update(chunk)
                count += len(chunk)
        if file.size is not None and count != file.size:
            raise MlflowFailed(f"{file.path} came with {count:,} bytes, where {self.uri} lists {file.size:,}.")
        return f"sha256:{hasher.hexdigest()}"

    def _chunks(self, folder: str, path: str) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError

        parts = urlsplit(folder)
        if parts.scheme == "mlflow-artifacts":
            response = self._open("GET", self._artifact(f"{parts.path}/{path}"), None, {}, _SECONDS)
            try:
                yield from response.stream(_CHUNK)
            except HTTPError as error:
                raise self._unreachable(error) from error
            finally:
                response.release_conn()
            return
        with self._elsewhere(folder) as (fs, root), fs.open(f"{root}/{path}", "rb") as file:
            while chunk := cast(BinaryIO, file).read(_CHUNK):
                yield chunk

    @contextlib.contextmanager
    def _elsewhere(self, folder: str) -> Iterator[tuple[Any, str]]:
        """The file system and path of files that the server does not hand out itself.

        A folder is one of the server's machine: only where that is this one does its name mean anything.
        """
        if urlsplit(folder).scheme in ("", "file", "local") and not self._is_here:
            raise MlflowFailed(
                f"{self.uri} keeps its files in a folder of its own machine, {folder}.",
                "Start it so that it serves them: mlflow server --artifacts-destination …",
            )
        from fsspec.core import url_to_fs

        try:
            yield url_to_fs(folder)
        except MlflowFailed:
            raise
        except Exception as error:
            # each backend raises exceptions of its own
            why = shorten(clean_line(str(error)), 200)
            raise MlflowFailed(f"The server keeps its files at {folder}, which can't be read: {why}.") from error

    def _artifact(self, path: str) -> str:
        return f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{quote(path.lstrip('/'))}"

    def _decoded(self, data: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise MlflowFailed(f"{self.uri} does not answer as an MLflow server does.") from error

    def _send(
        self, method: str, address: str, body: Any, headers: dict[str, str], seconds: float, fine: tuple[str, ...] = ()
    ) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            response = self._open(method, address, body, headers, seconds, fine)
            return bytes(response.read()) if response.status < 300 else b"{}"
        except HTTPError as error:
            raise self._unreachable(error) from error

    def _open(
        self, method: str, address: str, body: Any, headers: dict[str, str], seconds: float, fine: tuple[str, ...] = ()
    ) -> Any:
        """Send a request and return its answer, whose content has not been read yet."""
        from urllib3.exceptions import HTTPError

        try:
            response = self._pool.request(
                method,
                address,
                body=body,
                headers={**self._headers, **headers},
                timeout=seconds,
                retries=False,
                preload_content=False,
            )
            if response.status < 300:
                return response
            refusal = _refusal(response.read(1 << 20))
        except HTTPError as error:
            raise self._unreachable(error) from error
        if refusal.error_code in fine:
            return response
        why = refusal.message or f"status {response.status}"
        hint = "Check the credentials." if response.status in (401, 403) else ""
        raise MlflowFailed(f"{self.uri} refuses: {shorten(clean_line(why).rstrip('.'), 300)}.", hint)

    def _unreachable(self, error: Exception) -> MlflowFailed:
        why = shorten(clean_line(str(error)), 200)
        return MlflowFailed(f"{self.uri} can't be reached: {why}.", f"Check {URI_VARIABLE}.")


def _credentials(environment: Mapping[str, str]) -> dict[str, str]:
    from urllib3.util import make_headers

    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := environment.get("MLFLOW_TRACKING_USERNAME"):
        return dict(make_headers(basic_auth=f"{user}:{environment.get('MLFLOW_TRACKING_PASSWORD', '')}"))
    return {}


def _refusal(data: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(data, type=_Refusal)
    except msgspec.MsgspecError:
        return _Refusal()
