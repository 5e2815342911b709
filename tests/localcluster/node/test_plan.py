"""From manifests and Dockerfiles to commands."""

from __future__ import annotations

import fcntl
import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster.node.environment import base_environment, expand, field_of, resolve_python
from mlconsole.localcluster.node.images import Image, ImageUnknown, command_of, find_image, parse_dockerfile
from mlconsole.localcluster.node.plan import Site, plan
from mlconsole.localcluster.node.ports import BLOCK, RANGE, PortBook, with_real_ports
from mlconsole.localcluster.node.timing import BackOff, go_duration
from mlconsole.localcluster.node.volumes import PathMap
from mlconsole.localcluster.store import Store

DOCKERFILE = b"""
ARG VERSION=3.11
FROM python:${VERSION} AS base
ENV MODEL_DIR=/app/models \\
    LEVEL="very verbose"
ENV MODEL=$MODEL_DIR/m.pkl
ENV OLD style value
WORKDIR /app
# a comment
FROM scratch AS unrelated
ENTRYPOINT ["/never"]
FROM base
WORKDIR service
COPY . .
EXPOSE 8080
CMD uvicorn app:app --port 8080
"""


def test_the_last_stage_counts_with_what_it_comes_from() -> None:
    image = parse_dockerfile(DOCKERFILE)
    assert image.command == ("/bin/sh", "-c", "uvicorn app:app --port 8080")
    assert image.entrypoint == ()
    assert image.workdir == "/app/service"
    assert image.env == {
        "MODEL_DIR": "/app/models",
        "LEVEL": "very verbose",
        "MODEL": "/app/models/m.pkl",
        "OLD": "style value",
    }


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({}, ("python", "serve.py", "--fast")),
        ({"args": ["--slow"]}, ("python", "serve.py", "--slow")),
        ({"command": ["sh"]}, ("sh",)),
        ({"command": ["sh"], "args": ["-c", "x"]}, ("sh", "-c", "x")),
    ],
)
def test_command_and_args_replace_entrypoint_and_cmd(container: dict[str, Any], words: tuple[str, ...]) -> None:
    image = parse_dockerfile(b'FROM x\nENTRYPOINT ["python", "serve.py"]\nCMD ["--fast"]\n')
    assert command_of(container, image) == words


def test_an_entrypoint_forgets_the_cmd_of_the_stage_before() -> None:
    image = parse_dockerfile(b'FROM x AS a\nCMD ["old"]\nFROM a\nENTRYPOINT ["new"]\n')
    assert command_of({}, image) == ("new",)


@pytest.mark.parametrize("image", [None, Image()])
def test_without_a_command_nothing_can_run(image: Image | None) -> None:
    with pytest.raises(ImageUnknown, match="give the container a command or add a Dockerfile"):
        command_of({}, image)


@given(st.binary(max_size=200))
def test_no_dockerfile_breaks_the_reader(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_bytes(content)
        try:
            assert find_image(Path(folder)) is not None
        except ImageUnknown as error:
            assert "can't be read" in str(error)


def test_a_port_that_the_command_names_is_the_real_one() -> None:
    ports = {"8080": 41234, "80": 41235, "": 41236}

    def real(*words: str) -> tuple[str, ...]:
        return with_real_ports(words, ports)

    assert real("uvicorn", "app:app", "--port", "8080") == ("uvicorn", "app:app", "--port", "41234")
    assert real("gunicorn", "-b", "0.0.0.0:8080") == ("gunicorn", "-b", "0.0.0.0:41234")
    assert real("gunicorn", "--bind=:80") == ("gunicorn", "--bind=:41235")
    assert real("python", "-m", "http.server", "8080") == ("python", "-m", "http.server", "41234")
    assert real("sh", "-c", "uvicorn a:b --port 8080 --workers 80") == (
        "sh",
        "-c",
        "uvicorn a:b --port 41234 --workers 80",
    )
    assert real("train", "--rows", "8080", "80801", "--timeout=80") == (
        "train",
        "--rows",
        "8080",
        "80801",
        "--timeout=80",
    )


def test_paths_of_the_image_become_paths_of_this_machine() -> None:
    paths = PathMap({"/app": Path("/home/me/project"), "/etc/model": Path("/state/volumes/config")})
    assert paths("/app/serve.py") == "/home/me/project/serve.py"
    assert paths("cd /app && cat /etc/model/a.yaml") == "cd /home/me/project && cat /state/volumes/config/a.yaml"
    assert paths("--config=/etc/model/a.yaml") == "--config=/state/volumes/config/a.yaml"
    assert paths("/application /srv/app https://x.org/app") == "/application /srv/app https://x.org/app"


def test_working_directories_are_found_below_the_project(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM x\nWORKDIR /app\nCMD ["true"]\n')
    (tmp_path / "service").mkdir()
    pod = {"metadata": {"name": "p", "namespace": "default", "uid": "1"}, "spec": {"containers": []}}

    def cwd(workdir: str | None) -> Path:
        container = {"name": "model", "image": "x", "workingDir": workdir}
        return plan(Store(None), pod, container, {}, Site(tmp_path, tmp_path / "s", tmp_path / "c"))[0].cwd

    assert [cwd(name) for name in (None, "/app", "/app/service", "/service", "/elsewhere")] == [
        tmp_path, tmp_path, tmp_path / "service", tmp_path / "service", tmp_path,
    ]  # fmt: skip


def test_the_interpreter_of_the_project_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLCONSOLE_PYTHON", str(tmp_path / "bin" / "python"))
    path = base_environment()["PATH"]
    assert path.startswith(f"{tmp_path}/bin:")
    monkeypatch.delenv("MLCONSOLE_PYTHON")
    assert resolve_python(("python", "a.py"), "/nowhere") == (sys.executable, "a.py")
    assert resolve_python(("uvicorn", "a"), "/nowhere") == ("uvicorn", "a")


def test_nothing_private_of_the_server_gets_into_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert "AWS_SECRET_ACCESS_KEY" not in base_environment()


@given(st.text(max_size=30), st.dictionaries(st.sampled_from(["A", "B_1"]), st.text(max_size=5)))
def test_text_without_references_is_left_alone(text: str, env: dict[str, str]) -> None:
    if "$" not in text:
        assert expand(text, env) == text
    assert expand("$(A)", {"A": text}) == text


def test_fields_of_the_pod() -> None:
    meta = {"name": "p", "namespace": "n", "uid": "u", "labels": {"a/b": "c"}, "annotations": {"v": "1"}}
    pod = {"metadata": meta, "spec": {"nodeName": "local"}}
    paths = ["metadata.uid", "metadata.labels['a/b']", "metadata.annotations['v']", "status.podIP", "spec.nodeName"]
    assert [field_of(pod, path) for path in paths] == ["u", "c", "1", "127.0.0.1", "local"]


def test_back_off_doubles_up_to_its_cap_and_forgets_after_a_long_run() -> None:
    waits = BackOff(10, 300, 600)
    assert [waits.next(1) for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert [waits.next(601), waits.next(1)] == [0, 10]
    assert [go_duration(seconds) for seconds in (10, 80, 300)] == ["10s", "1m20s", "5m0s"]


def test_no_port_is_given_twice() -> None:
    book = PortBook()
    ports = [book.take() for _ in range(50)]
    assert len(set(ports)) == 50
    assert book.take(ports[0]) != ports[0]
    book.give_back(ports[0])
    assert book.take(ports[0]) == ports[0]


def test_two_clusters_are_given_ports_of_different_blocks_until_one_ends(tmp_path: Path) -> None:
    books = [PortBook(tmp_path / "locks") for _ in range(3)]
    blocks = [book.take() // BLOCK for book in books]
    assert len(set(blocks)) == 3
    assert {books[0].take() // BLOCK for _ in range(20)} == {blocks[0]}
    assert len({books[0].take() // BLOCK for _ in range(BLOCK)}) > 1, "where the block is used up"
    files = {int(path.name) // BLOCK for path in (tmp_path / "locks").iterdir()}
    assert files == set(blocks)
    del books[:]
    gc.collect()
    freed = [(tmp_path / "locks" / str(block * BLOCK)).open() for block in blocks]
    for file in freed:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.close()


def test_where_blocks_can_not_be_locked_any_free_port_is_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert PortBook(tmp_path / "file").take() in RANGE
