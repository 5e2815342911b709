"""The contexts that releases can go to, and a project that is aimed at another one for once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlconsole.headless.cluster import show_contexts
from mlconsole.project import open_project


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kubeconfig = {
        "current-context": "prod",
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("prod", "staging")],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "shown"), [("", ["* prod", "  staging"]), ('[deploy]\ncontext = "staging"', ["  prod", "* staging"])]
)
def test_a_star_is_before_the_context_that_releases_go_to(
    project_folder: Path, capsys: pytest.CaptureFixture[str], settings: str, shown: list[str]
) -> None:
    (project_folder / "mlconsole.toml").write_text(settings)
    show_contexts(open_project(project_folder), as_json=False)
    assert capsys.readouterr().out.splitlines() == shown


def test_the_local_cluster_is_a_context_once_it_was_started(
    project_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project_folder / ".mlconsole" / "cluster").mkdir(parents=True)
    show_contexts(open_project(project_folder), as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["context"] for row in rows if not row["chosen"]] == ["staging", "local"]


def test_another_context_brings_its_own_namespace(project_folder: Path) -> None:
    (project_folder / "mlconsole.toml").write_text('[deploy]\ncontext = "staging"\nnamespace = "models"\n')
    project = open_project(project_folder)

    def aim(context: str, namespace: str = "") -> tuple[str, str]:
        deploy = project.aimed_at(context, namespace).settings.deploy
        return deploy.context, deploy.namespace

    assert aim("") == ("staging", "models")
    assert aim("staging") == ("staging", "models")
    assert aim("prod") == ("prod", "")
    assert aim("prod", "other") == ("prod", "other")
    assert aim("", "other") == ("staging", "other")
    assert project.aimed_at("local").is_local
