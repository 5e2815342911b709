"""The demonstration: the sample project in a folder of its own, a local cluster, and a release."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlconsole.errors import WrongUse
from mlconsole.headless import cluster
from mlconsole.headless.output import narrate, say, say_blocks
from mlconsole.headless.release import carry_out
from mlconsole.headless.reports import journal_of
from mlconsole.present import record
from mlconsole.project import STATE_FOLDER, Project, open_project
from mlconsole.project.settings import SETTINGS_FILE
from mlconsole.release.decisions import who_am_i
from mlconsole.release.engine import Order
from mlconsole.release.record import gather

_SETTINGS = """\
# Everything that is not here is found in the project. `mlconsole init` writes a file with every key.
[deploy]
context = "local"   # the project's own local cluster
settle = "5s"

[deploy.smoke]      # after the rollout, each pod has to answer this with the release's version
path = "/predict"
body = '''{"rows": [{"season": 2, "mnth": "May", "hr": 8, "holiday": 0, "weekday": 2, "workingday": 1,
                    "weathersit": "clear", "temp": 0.5, "atemp": 0.5, "hum": 0.5, "windspeed": 0.2}]}'''
"""
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "models", ".venv", STATE_FOLDER, ".pytest_cache")


def sample_project() -> Path:
    """The folder of the sample project: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "sample_project", package.parent / "sample_project"):
        if (folder / "train_model.py").is_file():
            return folder
    raise WrongUse("The sample project is not part of this installation.", "Install mlconsole again.")


def prepare(directory: Path) -> Project:
    """Put the sample project into a folder, as a git repository, and start its cluster. What is there already stays.

    Raises:
        WrongUse: the folder holds something else.
    """
    from mlconsole.services import git

    if not (directory / SETTINGS_FILE).is_file():
        if directory.exists() and any(directory.iterdir()):
            raise WrongUse(f"{directory} is not empty, and no demonstration.", "Name another folder.")
        narrate(f"Copying the sample project to {directory}")
        shutil.copytree(sample_project(), directory, ignore=_LEFT_OUT, dirs_exist_ok=True)
        (directory / SETTINGS_FILE).write_text(_SETTINGS, encoding="utf-8")
        git.initialise(directory, "The bike-sharing model")
    project = open_project(directory)
    cluster.start(project)
    return project


def release_and_show(project: Project) -> int:
    """Release the sample project to the end, and print the record."""
    order = Order(approved=True, who=who_am_i(), reason="demonstration")
    code = carry_out(project, order, lambda engine, journal: engine.run(order))
    with journal_of(project) as journal:
        latest = journal.latest_release()
        if latest is not None:
            say()
            say_blocks(record(gather(journal, latest.number)))
    return code


def stop_cluster(project: Project) -> None:
    """Stop the demonstration's cluster, with all of its pods."""
    cluster.stop(project.cluster_state)
