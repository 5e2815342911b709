"""Two checkouts with one store: neither gives a number twice, and each knows what the other made the champion."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import msgspec
import pytest

from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import DeployEvidence
from mlconsole.evidence.training import ModelVersion
from mlconsole.headless.reports import show_models
from mlconsole.journal import Journal
from mlconsole.project import Project, open_project
from mlconsole.release import collect, rollback
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.services.models.registry import Registry
from mlconsole.services.models.store import ModelStore
from mlconsole.stages import team
from mlconsole.stages.already import stop_where_released
from mlconsole.stages.base import model_store
from mlconsole.stages.deploy import DeployStage
from tests.services.models.s3_server import S3Server, use_s3

if TYPE_CHECKING:
    from conftest import World

    from mlconsole.stages.base import StageContext


class Checkout:
    """A checkout of the project, as it is on one machine."""

    def __init__(self, project: Project, who: str) -> None:
        self.project, self.who = project, who
        self.journal = Journal(project.journal_path)

    def release(self, **asked: object) -> Outcome:
        """Release what is there."""
        return Engine(self.project, self.journal).run(
            msgspec.structs.replace(Order(approved=True, who=self.who), **asked)
        )

    def roll_back(self, wanted: str = "") -> Outcome:
        """Bring a version back, as the command does."""
        team.look(self.project, self.journal)
        engine = Engine(self.project, self.journal)
        version = rollback.target_version(self.journal, "m", wanted)
        return rollback.roll_back(engine, self.journal, Order(approved=True, who=self.who), version)

    def catch_up(self) -> str:
        """What is said when versions are listed."""
        return " ".join(team.look(self.project, self.journal))

    def aliases(self) -> dict[str, str]:
        """The versions of the shared aliases."""
        found = {alias: self.journal.alias("m", alias) for alias in ("champion", "previous")}
        return {alias: version.tag for alias, version in found.items() if version}

    def versions(self) -> dict[str, str]:
        """The versions, oldest first, and who made each elsewhere."""
        return {version.tag: version.elsewhere for version in reversed(self.journal.versions("m"))}

    def notes(self, release: int) -> str:
        """All that was said in a release."""
        return " ".join(getattr(event.body, "text", "") for event in self.journal.events(release))


@pytest.fixture(params=["folder", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    name = uuid.uuid4().hex
    yield {"folder": str(tmp_path / "team"), "file": f"file://{tmp_path}/team", "memory": f"memory://{name}"}[
        request.param
    ]
    if request.param == "memory":
        memory = fsspec.filesystem("memory")
        if memory.exists(f"/{name}"):
            memory.rm(f"/{name}", recursive=True)


@pytest.fixture
def checkout(tmp_path: Path, url: str) -> Iterator[Callable[[str], Checkout]]:
    with ExitStack() as held:

        def made(who: str, address: str = url) -> Checkout:
            folder = tmp_path / who
            folder.mkdir(exist_ok=True)
            (folder / "mlconsole.toml").write_text(f'name = "m"\n[store]\nurl = "{address}"\n')
            found = Checkout(open_project(folder), who)
            held.callback(found.journal.close)
            return found

        yield made


@pytest.fixture
def ada(checkout: Callable[[str], Checkout]) -> Checkout:
    return checkout("ada")


@pytest.fixture
def bob(checkout: Callable[[str], Checkout]) -> Checkout:
    return checkout("bob")


@pytest.fixture
def world(world: World) -> World:
    """Deploy looks at the store as the real one does."""
    world.during["deploy"] = team.refuse_where_champion_moved
    return world


def test_what_one_releases_the_other_knows_with_who_and_where(ada: Checkout, bob: Checkout, world: World) -> None:
    assert ada.release().exit_code == 0
    assert "m@v1 is the champion: ada on " in bob.catch_up()
    assert bob.aliases() == {"champion": "v1"}
    assert bob.versions() == {"v1": team.here("ada", 1)}
    assert ada.versions() == {"v1": ""}
    assert bob.catch_up() == ""
    assert bob.release().exit_code == 0
    assert bob.versions() == {"v1": team.here("ada", 1), "v2": ""}
    assert team.here("bob", 1) in ada.catch_up()
    assert ada.aliases() == bob.aliases() == {"champion": "v2", "previous": "v1"}


def test_a_release_that_is_opened_goes_by_the_champion_of_the_team(ada: Checkout, bob: Checkout, world: World) -> None:
    ada.release()
    rivals: list[ModelVersion | None] = []
    world.during["test"] = lambda context: rivals.append(context.rival)
    bob.release()
    (rival,) = rivals
    assert rival is not None
    assert (rival.label, rival.elsewhere) == ("m@v1", team.here("ada", 1))
    assert model_store(bob.project).path(rival.model.digest).read_text() == "model 1"
    assert "m@v1 is the champion: ada" in bob.notes(1)


def test_two_checkouts_with_an_object_store(
    checkout: Callable[..., Checkout], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MLCONSOLE_TEST_S3` may name a real one with a bucket."""
    server = None if os.environ.get("MLCONSOLE_TEST_S3") else S3Server()
    use_s3(monkeypatch, server.address if server else os.environ["MLCONSOLE_TEST_S3"])
    address = f"s3://bucket/{uuid.uuid4().hex}"
    ada, bob = checkout("ada", address), checkout("bob", address)
    ada.release()
    bob.release()
    assert bob.versions() == {"v1": team.here("ada", 1), "v2": ""}
    assert bob.roll_back().exit_code == 0
    ada.catch_up()
    assert ada.aliases() == bob.aliases() == {"champion": "v1", "previous": "v2"}
    if server is not None:
        server.close()


def test_what_another_deployed_over_is_deployed_again(ada: Checkout, bob: Checkout, world: World) -> None:
    ada.release()
    bob.release()
    world.ran.clear()
    assert ada.release().exit_code == 0
    assert world.ran == ["deploy", "pods"]
    assert ada.aliases() == {"champion": "v1", "previous": "v2"}
    world.ran.clear()
    assert ada.release().release is None
    assert world.ran == []


def test_what_two_deployed_alike_is_deployed_once_by_each(ada: Checkout, bob: Checkout, world: World) -> None:
    ada.release()
    bob.release()
    bob.roll_back("v1")
    assert ada.release().exit_code == 0
    assert ada.aliases() == {"champion": "v1", "previous": "v2"}
    world.ran.clear()
    assert ada.release().release is None
    assert bob.catch_up() == ""
    assert world.ran == []


def test_the_manifests_of_the_last_deploy_of_a_champion_are_kept(ada: Checkout, bob: Checkout, world: World) -> None:
    ada.release()
    assert ada.release(again_from="deploy").exit_code == 0
    bob.catch_up()
    registry = team.registry_of(bob.project)
    assert registry is not None
    found = registry.deployed(bob.journal.version("m", 1))
    assert found is not None
    assert {run.release for run in found.stages} == {2}


def test_a_champion_that_moved_meanwhile_stops_a_release_before_deploy(
    ada: Checkout, bob: Checkout, world: World
) -> None:
    ada.release()
    bob.release(until="train")

    def meanwhile(context: StageContext) -> None:
        world.during.pop("test")
        world.inputs["train"] = "another rate"
        ada.release()

    world.during["test"] = meanwhile
    outcome = bob.release()
    assert outcome.exit_code == 1
    words = "made m@v3 the champion since this release began, which was compared with m@v1."
    assert outcome.sentence == f"{team.here('ada', 2)} {words}"
    run = next(run for run in bob.journal.stage_runs(2) if run.stage == "deploy")
    assert run.problem is not None
    assert (run.state, run.evidence, run.problem.next_step) == ("failed", None, "Run again: mlconsole run")
    assert bob.aliases()["champion"] == "v3"
    world.inputs["train"] = ""
    assert bob.release().exit_code == 0
    assert bob.aliases() == {"champion": "v2", "previous": "v3"}


def test_what_another_released_from_the_same_source_meanwhile_is_not_released_again(
    ada: Checkout, bob: Checkout, world: World
) -> None:
    ada.release()

    def meanwhile(context: StageContext) -> None:
        world.during.pop("test")
        world.inputs["train"] = "another rate"
        ada.release()

    world.during["test"] = meanwhile
    world.during["deploy"] = lambda context: stop_where_released(context, context.known.candidate.source)
    outcome = bob.release()
    assert outcome.release is not None
    assert (outcome.exit_code, outcome.release.state, outcome.release.already) == (0, "paused", "m@v3")
    assert (
        f"m@v3 was released there from the same commit and data already, by {team.here('ada', 2)}" in outcome.sentence
    )
    assert bob.aliases()["champion"] == "v3"
    assert bob.release(again_from="train").exit_code == 0
    assert bob.aliases()["champion"] == "v4"


def test_two_that_train_at_once_get_numbers_of_their_own(ada: Checkout, bob: Checkout, world: World) -> None:
    start = threading.Barrier(2)
    world.during["train"] = lambda context: (start.wait(60), None)[1]
    threads = [threading.Thread(target=checkout.release, kwargs={"until": "train"}) for checkout in (ada, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    own = [next(tag for tag, who in checkout.versions().items() if not who) for checkout in (ada, bob)]
    assert sorted(own) == ["v1", "v2"]
    ada.catch_up()
    bob.catch_up()
    assert list(ada.versions()) == list(bob.versions()) == ["v1", "v2"]


def test_a_number_that_was_taken_during_training_is_said(ada: Checkout, bob: Checkout, world: World) -> None:
    version = ModelVersion(
        name="m",
        number=1,
        model=model_store(bob.project).adopt(bob.project.root / "mlconsole.toml"),
        release=0,
        created_at=now(),
    )
    ada.release(until="train")
    said: list[str] = []
    assert team.number_version(bob.project, version, "bob", said.append).tag == "v2"
    assert said == ["Another machine made v1 meanwhile: this is m@v2."]


def _with_manifests(text: str) -> Callable[[StageContext], None]:
    """What a deploy does in a rollback: it reads the manifests that are stored."""

    def during(context: StageContext) -> None:
        team.refuse_where_champion_moved(context)
        assert context.release is not None
        if context.release.kind == "rollback":
            assert DeployStage()._stored(context) == text

    return during


def test_a_version_made_elsewhere_is_brought_back_by_its_manifests_of_the_store(
    ada: Checkout, bob: Checkout, world: World
) -> None:
    world.during["deploy"] = _with_manifests("kind: Deployment\n")
    ada.release()
    bob.release()
    world.ran.clear()
    outcome = bob.roll_back()
    assert (outcome.exit_code, world.ran) == (0, ["deploy", "pods"])
    assert bob.aliases() == {"champion": "v1", "previous": "v2"}
    runs = {run.stage: run for run in bob.journal.stage_runs(2)}
    assert (runs["train"].state, runs["train"].taken_from) == ("reused", "a release of another machine")
    ada.catch_up()
    assert ada.aliases() == {"champion": "v1", "previous": "v2"}


def test_what_was_never_deployed_elsewhere_is_not_brought_back(ada: Checkout, bob: Checkout, world: World) -> None:
    ada.release(until="test")
    bob.release()
    with pytest.raises(team.NotDeployedThere, match=r"m@v1 was made by ada on .*its manifests are not in"):
        bob.roll_back("v1")


def test_manifests_that_were_changed_in_the_store_are_not_applied(
    ada: Checkout, bob: Checkout, world: World, url: str
) -> None:
    ada.release()
    bob.release()
    fs, root = fsspec.core.url_to_fs(url)
    path = f"{root}/deployed/m/000001.json"
    fs.pipe_file(path, bytes(fs.cat_file(path)).replace(b"kind: Deployment", b"kind: Stolen"))
    with pytest.raises(team.NotDeployedThere, match=r"deploy stage of m@v1 .* is not what was put there"):
        bob.roll_back("v1")


def test_a_champion_of_before_the_store_was_shared_is_told(
    checkout: Callable[..., Checkout], world: World, url: str
) -> None:
    alone = checkout("ada", "")
    alone.release()
    ada, bob = checkout("ada"), checkout("bob")
    assert (ada.catch_up(), bob.catch_up()[:23]) == ("", "m@v1 is the champion: a")
    version = bob.journal.version("m", 1)
    assert model_store(bob.project).path(version.model.digest).read_text() == "model 1"


def test_two_models_of_one_name_from_before_are_told_apart(
    checkout: Callable[..., Checkout], world: World, url: str
) -> None:
    for who in ("ada", "bob"):
        checkout(who, "").release()
    bob_model = checkout("bob", "").project.root / "other.pkl"
    bob_model.write_text("of bob's own")
    ada, bob = checkout("ada"), checkout("bob")
    own = msgspec.structs.replace(bob.journal.version("m", 1), model=ModelStore(bob.project.store).adopt(bob_model))
    bob.journal._write("UPDATE versions SET body = ?", msgspec.json.encode(own))
    ada.catch_up()
    assert "m@v1 the champion, which is another model here: it is not taken over." in bob.catch_up()
    assert bob.catch_up() == ""
    world.inputs["train"] = "new"
    assert bob.release().exit_code == 0
    ada.catch_up()
    assert ada.aliases() == bob.aliases() == {"champion": "v2", "previous": "v1"}


def test_garbage_collection_keeps_what_the_champion_of_the_team_is(ada: Checkout, bob: Checkout, world: World) -> None:
    ada.release()
    bob.catch_up()
    version = bob.journal.version("m", 1)
    model_store(bob.project).path(version.model.digest)
    (entry,) = collect.look(bob.project, bob.journal, 0)
    assert "champion" in entry.reasons


def test_a_store_out_of_reach_holds_up_only_what_needs_it(
    ada: Checkout, bob: Checkout, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.release()
    bob.catch_up()

    def gone(self: Registry, name: str) -> tuple[int, ...]:
        with self._failures("read"):
            raise ConnectionError("nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "numbers", gone)
        assert "as they were last known. The store" in bob.catch_up()
        assert bob.release(until="data").exit_code == 0
        assert "nobody answers" in bob.notes(1)
        outcome = bob.release()
        assert (outcome.exit_code, "nobody answers" in outcome.sentence) == (3, True)
        assert "train" in world.ran and bob.versions() == {"v1": team.here("ada", 1)}
    assert bob.release().exit_code == 0
    assert bob.aliases() == {"champion": "v2", "previous": "v1"}


def test_a_champion_that_could_not_be_told_is_told_later(
    ada: Checkout, bob: Checkout, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Registry, move: object) -> bool:
        with self._failures("written to"):
            raise ConnectionError("nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "add_move", gone)
        assert ada.release().exit_code == 0
    assert "Other machines don't know of the new champion" in ada.notes(1)
    assert bob.catch_up() == ""
    ada.catch_up()
    assert "m@v1 is the champion" in bob.catch_up()


def test_of_two_that_made_a_champion_unknown_to_each_other_the_first_stands(
    ada: Checkout, bob: Checkout, world: World
) -> None:
    world.during["deploy"] = lambda context: None
    ada.release(until="test")
    bob.release(until="test")
    world.during["pods"] = lambda context: (world.during.pop("pods"), ada.release(), None)[2]
    assert bob.release().exit_code == 0
    assert "the store keeps that" in bob.notes(2)
    bob.catch_up()
    assert ada.aliases()["champion"] == bob.aliases()["champion"] == "v1"


def test_models_list_shows_who_made_what(
    ada: Checkout, bob: Checkout, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    ada.release()
    show_models(bob.project, as_json=False)
    said = capsys.readouterr()
    (row,) = [line for line in said.out.splitlines() if "m@v1" in line]
    assert "champion" in row
    assert team.here("ada", 1) in row
    assert "m@v1 is the champion: ada on" in said.err


@pytest.mark.parametrize(
    ("context", "address", "shared"),
    [
        ("prod", "s3://bucket/models", True),
        ("prod", "/mnt/models", True),
        ("local", "/mnt/models", True),
        ("local", "s3://bucket/models", False),
        ("prod", "", False),
    ],
)
def test_a_local_cluster_moves_the_champion_of_no_store_of_other_machines(
    tmp_path: Path, context: str, address: str, shared: bool
) -> None:
    (tmp_path / "mlconsole.toml").write_text(f'[deploy]\ncontext = "{context}"\n[store]\nurl = "{address}"\n')
    assert team.shares_champion(open_project(tmp_path)) is shared


def test_without_a_store_nobody_is_asked(
    checkout: Callable[..., Checkout], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(url: str) -> None:
        raise AssertionError(url)

    monkeypatch.setattr(team, "Registry", asked)
    alone = checkout("carl", "")
    world.during.pop("deploy")
    assert alone.release().exit_code == 0
    assert alone.versions() == {"v1": ""}
    evidence = next(run.evidence for run in alone.journal.stage_runs(1) if run.stage == "deploy")
    assert isinstance(evidence, DeployEvidence)
