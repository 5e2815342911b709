"""An S3 server in small: what clients ask of one to list, read, write, copy and delete objects.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API. Signatures are not looked at.
"""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import fsspec
import pytest

MOMENT = "2024-02-29T12:00:00.000Z"


class S3Handler(BaseHTTPRequestHandler):
    """Answers for the buckets of its server's `objects`, by `bucket/key`."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    full: threading.Event
    lock = threading.Lock()

    def log_message(self, *words: Any) -> None:
        """Be quiet."""

    def _name(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path).strip("/"), parse_qs(parts.query, keep_blank_values=True)

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return data
        found = b""
        while data:
            head, _, data = data.partition(b"\r\n")
            size = int(head.partition(b";")[0] or b"0", 16)
            if not size:
                break
            found, data = found + data[:size], data[size + 2 :]
        return found

    def do_HEAD(self) -> None:
        self._object(*self._name())

    def do_GET(self) -> None:
        name, query = self._name()
        return self._list(name, query) if "/" not in name or "list-type" in query else self._object(name, query)

    def do_PUT(self) -> None:
        name, _ = self._name()
        body = self._body()
        if self.full.is_set():
            return self._fault(403, "QuotaExceeded", "The store is full")
        if source := self.headers.get("x-amz-copy-source"):
            copied_body = self.objects.get(unquote(source).strip("/"))
            if copied_body is None:
                return self._fault(404, "NoSuchKey", "The specified key does not exist.")
            body = copied_body
        if "/" in name:
            with self.lock:
                if self.headers.get("If-None-Match") == "*" and name in self.objects:
                    return self._fault(412, "PreconditionFailed", "It exists")
                self.objects[name] = body
        copied = f"<CopyObjectResult><ETag>{_tag(body)}</ETag><LastModified>{MOMENT}</LastModified></CopyObjectResult>"
        return self._say(200, copied.encode() if source else b"", {"ETag": _tag(body)})

    def do_POST(self) -> None:
        name, query = self._name()
        if "delete" not in query:
            return self._fault(501, "NotImplemented", "Only deleting many")
        gone = [
            element.text or "" for element in ElementTree.fromstring(self._body()).iter() if element.tag[-3:] == "Key"
        ]
        for key in gone:
            self.objects.pop(f"{name}/{key}", None)
        told = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in gone)
        return self._say(200, f"<DeleteResult>{told}</DeleteResult>".encode())

    def do_DELETE(self) -> None:
        self.objects.pop(self._name()[0], None)
        self._say(204, b"")

    def _object(self, name: str, _query: dict[str, list[str]]) -> None:
        if "/" not in name:
            return self._say(200, b"")
        body = self.objects.get(name)
        if body is None:
            return self._fault(404, "NoSuchKey", "The specified key does not exist.")
        headers = {"ETag": _tag(body), "Last-Modified": "Thu, 29 Feb 2024 12:00:00 GMT"}
        if span := self.headers.get("Range"):
            start, _, end = span.removeprefix("bytes=").partition("-")
            last = min(int(end or len(body) - 1), len(body) - 1)
            headers["Content-Range"] = f"bytes {start}-{last}/{len(body)}"
            return self._say(206, body[int(start) : last + 1], headers)
        return self._say(200, body, headers)

    def _list(self, name: str, query: dict[str, list[str]]) -> None:
        bucket = name.partition("/")[0]
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys, folders = [], set()
        # others write and remove meanwhile
        objects = dict(self.objects)
        for full in sorted(objects):
            key = full.removeprefix(f"{bucket}/")
            if not full.startswith(f"{bucket}/") or not key.startswith(prefix):
                continue
            inside, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if mark:
                folders.add(f"{prefix}{inside}{mark}")
            else:
                keys.append(key)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{MOMENT}</LastModified>"
            f"<ETag>{_tag(objects[f'{bucket}/{key}'])}</ETag><Size>{len(objects[f'{bucket}/{key}'])}</Size>"
            "</Contents>"
            for key in keys
        )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)
        )
        head = f"<Name>{bucket}</Name><KeyCount>{len(keys) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
        self._say(200, f"<ListBucketResult>{head}{contents}{common}</ListBucketResult>".encode())

    def _fault(self, status: int, code: str, message: str) -> None:
        self._say(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())

    def _say(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _tag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class S3Server:
    """A running server with the buckets of its objects."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.full = threading.Event()
        handler = type("Handler", (S3Handler,), {"objects": self.objects, "full": self.full})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def use_s3(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    variables = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1", "ALLOW_HTTP": "true"}
    for key, value in {**variables, "ENDPOINT_URL": address}.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    fsspec.get_filesystem_class("s3").clear_instance_cache() if "s3" in fsspec.registry else None
