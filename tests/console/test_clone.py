"""A project is cloned on the screen: with progress, to be ended, and nothing is ever asked for in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from mlconsole.console.app import MlconsoleApp
from mlconsole.console.cloning import CloneOrder, offer_for
from mlconsole.console.screens.clone import CloneScreen
from mlconsole.project import open_project
from mlconsole.services import readonly
from mlconsole.services.git import folder_name, is_address

from .conftest import Build, Drive, Driven
from .watchdog import without_collector

Serve = Callable[[int | None], str]


@contextlib.asynccontextmanager
async def cloning(order: CloneOrder, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driven]:
    """A console that begins with a clone, or with the offer of one."""
    app = MlconsoleApp(order.project, clone=order)
    async with app.run_test(size=size) as pilot:
        console = Driven(app, pilot)
        await console.until(lambda: isinstance(app.screen, CloneScreen) and app.screen.is_mounted)
        yield console


def commands_with(text: str) -> list[str]:
    """The processes whose command names something."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if text in words and process.pid != os.getpid():
                found.append(words)
    return found


@pytest.fixture
def remote() -> Iterator[Serve]:
    """Makes a server that answers every request with a status; None: with nothing, until the test is over."""
    over = threading.Event()
    servers: list[ThreadingHTTPServer] = []

    def serve(status: int | None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if status is None:
                    over.wait(30)
                    return
                self.send_response(status)
                self.send_header("WWW-Authenticate", "Basic")
                self.end_headers()

            def log_message(self, format: str, *words: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://ada:secret@127.0.0.1:{server.server_port}/ml-project.git"

    yield serve
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 50)])
async def test_in_an_empty_folder_an_address_is_asked_for_and_the_project_opens(
    build: Build, git_repository: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    target = tmp_path / "here"
    target.mkdir()
    order = offer_for(open_project(target), target)
    assert order is not None
    async with cloning(order, size) as console:
        await console.shows("Clone a project", "It goes into", "Enter clone", "Esc open the empty folder")
        await console.press(*f"file://{tmp_path}/project", "enter")
        await console.until(lambda: console.app.is_open)
        await console.shows("Say [why] it is so", git_repository[:7])
        assert console.app.project.root == target
    assert (target / "README.md").read_text(encoding="utf-8") == "A model.\n"


async def test_without_an_address_the_empty_folder_opens(tmp_path: Path) -> None:
    async with cloning(CloneOrder("", tmp_path)) as console:
        await console.press("enter", "escape")
        await console.shows("is not a git repository", "No release yet")


@pytest.mark.parametrize("way", [("C",), ("colon", *"clone", "enter")], ids=["key", "palette"])
async def test_who_left_the_offer_can_clone_later(
    build: Build, git_repository: str, tmp_path: Path, way: tuple[str, ...]
) -> None:
    target = tmp_path / "here"
    target.mkdir()
    async with cloning(CloneOrder("", target)) as console:
        await console.press("escape")
        await console.shows("Or bring a project here", "C clone a project")
        await console.press("2", *way)
        await console.shows("Clone a project", "Esc back")
        await console.press("escape")
        await console.shows("No release yet")
        await console.press(*way)
        await console.shows("The address of its repository")
        await console.press(*f"file://{tmp_path}/project", "enter")
        await console.shows("Say [why] it is so", git_repository[:7])
        assert console.app.project.root == target
        await console.press("C")
        await console.shows("There is a project here already")
        await console.press("q")
        await console.until(lambda: not console.app.is_running)


async def test_nothing_is_cloned_over_what_has_come_meanwhile(tmp_path: Path) -> None:
    async with cloning(CloneOrder("", tmp_path)) as console:
        await console.press("escape")
        await console.shows("C clone a project")
        (tmp_path / "thesis.txt").write_text("all of it")
        await console.press("C")
        await console.shows("not empty any more", "mlconsole URL")


async def test_an_address_that_was_given_is_cloned_at_once(git_repository: str, tmp_path: Path) -> None:
    order = CloneOrder(f"file://{tmp_path}/project", tmp_path / "new" / "here")
    async with cloning(order) as console:
        await console.until(lambda: console.app.is_open)
        await console.shows(git_repository[:7], "here")
    assert (order.target / "README.md").exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not let us in: the credentials are missing or wrong."),
        (403, "does not let us in"),
        (404, "There is no repository at"),
    ],
)
async def test_what_a_remote_refuses_is_a_sentence_and_nothing_is_asked(
    remote: Serve, tmp_path: Path, status: int, words: str
) -> None:
    async with cloning(CloneOrder(remote(status), tmp_path / "here"), (120, 40)) as console:
        await console.shows("✗", words, "Last lines", "Esc quit")
        text = console.text.replace("http://ada:secret@127", "", 1)
        assert "secret" not in text, "it is only in the field where it was typed"
        await console.press("escape")
        await console.until(lambda: not console.app.is_running)
    assert console.app.return_code == 130
    assert not (tmp_path / "here").exists()


async def test_a_remote_that_is_out_of_reach_is_a_sentence_and_another_one_can_be_typed(
    git_repository: str, tmp_path: Path
) -> None:
    async with cloning(CloneOrder("http://127.0.0.1:9/x.git", tmp_path / "here")) as console:
        await console.shows("is out of reach.", "Enter clone")
        console.app.screen.query_one("Input").value = f"file://{tmp_path}/project"  # type: ignore[attr-defined]
        await console.press("enter")
        await console.until(lambda: console.app.is_open)


async def test_a_clone_is_ended_with_all_of_its_processes(remote: Serve, tmp_path: Path) -> None:
    target = tmp_path / "here"
    async with cloning(CloneOrder(remote(None), target)) as console:
        await console.shows("$ git clone", "Esc end it")
        await console.until(lambda: commands_with(str(target)) and git_is_at_work(target))
        assert "secret" not in console.text.replace("http://ada:secret@127", "", 1)
        await console.press("escape")
        await console.shows("It was ended, and nothing is left of it.", "Enter clone")
        await console.until(lambda: not commands_with(str(target)) and not git_is_at_work(target))
    assert not target.exists()


@pytest.mark.parametrize("what", ["clone", "pull"])
async def test_quitting_while_git_waits_for_its_remote_is_quick(
    remote: Serve, build: Build, drive: Drive, git_repository: str, tmp_path: Path, what: str
) -> None:
    target = tmp_path / "here" if what == "clone" else tmp_path / "project"
    if what == "clone":
        opened: contextlib.AbstractAsyncContextManager[Driven] = cloning(CloneOrder(remote(None), target))
    else:
        follow(build("done").project.root, remote(None))
        opened = drive(target)
    async with opened as console:
        if what == "pull":
            await console.press("1", "p", "tab", "enter")
            await console.shows("Pulling", "c end it")
        await console.until(lambda: git_is_at_work(target))
        with without_collector(time.monotonic) as passed:
            began = passed()
            console.app.exit()
            await console.until(lambda: not console.app.is_running)
            took = passed() - began
        assert took < 1, "benchmarks/quitting.py has the figure: 0.25 s; here others may be at work"
    deadline = time.monotonic() + 40
    while git_is_at_work(target) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert not git_is_at_work(target)


def git_is_at_work(folder: Path) -> bool:
    """Whether there is a git that speaks with a remote for a folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if "git-remote-http" in " ".join(words[:2]):
                places = (process.cwd(), process.environ().get("GIT_DIR", ""))
                if any(place.startswith(str(folder)) for place in places):
                    return True
    return False


def follow(root: Path, url: str) -> None:
    """Let the branch of a repository follow one of a remote that was never fetched from."""
    branch = subprocess.run(
        ["git", "branch", "--show-current"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()
    for command in (
        ["remote", "add", "origin", url],
        ["update-ref", f"refs/remotes/origin/{branch}", "HEAD"],
        ["branch", f"--set-upstream-to=origin/{branch}"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)


async def test_a_pull_is_ended_and_the_rest_goes_on(
    remote: Serve, build: Build, drive: Drive, git_repository: str
) -> None:
    root = build("done").project.root
    follow(root, remote(None))
    async with drive(root, (120, 40)) as console:
        await console.press("1", "p", "tab", "enter")
        await console.shows("◌ Pulling", "c end it")
        await console.until(lambda: git_is_at_work(root))
        await console.press("enter", "end", "d")
        await console.shows("Say [why] it is so", "No model was made from it.")
        await console.press("escape")
        assert console.app.view.busy, "what is opened meanwhile does not take its place"
        await console.press("c")
        await console.shows("The pull was ended: the branch is where it was.")
        assert not console.app.view.busy
        await console.until(lambda: not git_is_at_work(root))


async def test_a_pull_that_is_refused_is_a_panel(
    remote: Serve, build: Build, drive: Drive, git_repository: str
) -> None:
    root = build("done").project.root
    follow(root, remote(401))
    async with drive(root, (120, 40)) as console:
        await console.press("1", "p", "tab", "enter")
        await console.shows("That did not work", "does not let us in", "credential helper")
        assert "secret" not in console.text


async def test_a_read_only_console_clones_nothing(git_repository: str, tmp_path: Path) -> None:
    order = CloneOrder(f"file://{tmp_path}/project", tmp_path / "here")
    app = MlconsoleApp(order.project, clone=order, readonly=True)
    try:
        async with app.run_test() as pilot:
            await Driven(app, pilot).shows("Nothing was cloned: this console is read-only.")
    finally:
        readonly.switch(False)
    assert not order.target.exists()


def test_only_an_empty_folder_that_is_a_project_of_its_own_gets_the_offer(tmp_path: Path) -> None:
    assert offer_for(open_project(tmp_path), tmp_path) == CloneOrder("", tmp_path.resolve())
    (tmp_path / "train_model.py").touch()
    inner = tmp_path / "inner"
    inner.mkdir()
    assert offer_for(open_project(inner), inner) is None
    assert offer_for(open_project(tmp_path), tmp_path) is None


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("https://example.com/team/ml-project.git", "ml-project"),
        ("https://example.com/ml-project/", "ml-project"),
        ("git@example.com:team/ml-project.git", "ml-project"),
        ("git@example.com:ml-project", "ml-project"),
        ("ssh://git@example.com:2222/ml.project", "ml.project"),
        ("file:///srv/git/ml-project/.git", "ml-project"),
    ],
)
def test_an_address_is_told_from_a_path(text: str, folder: str) -> None:
    assert is_address(text)
    assert folder_name(text) == folder


@pytest.mark.parametrize("text", [".", "folder", "a/b", "/srv/x@y", "C:folder", "../up", "name:tag"])
def test_a_path_is_no_address(text: str) -> None:
    assert not is_address(text)
