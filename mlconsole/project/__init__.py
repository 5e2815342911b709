"""A project: where it is, its settings, and what is found in it where none are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.project.discovery import Found, Question, complete, looks_like_project
from mlconsole.project.preferences import read_preferences
from mlconsole.project.settings import SETTINGS_FILE, Settings, read_settings

STATE_FOLDER = ".mlconsole"
CLUSTER_FOLDER = "cluster"


@dataclass(frozen=True)
class Project:
    """One project: all of its places, and settings in which nothing is left open that could be found.

    `found` says in words where each setting came from that was not given; `settings_file` is None without settings.
    """

    root: Path
    settings: Settings
    settings_file: Path | None
    found: tuple[Found, ...]
    questions: tuple[Question, ...] = ()
    """What a release needs, and was neither given nor found for certain; in the order of the stages."""

    def question(self, *keys: str) -> Question | None:
        """What is to be asked about one of some settings; None where nothing is."""
        return next((question for question in self.questions if question.key in keys), None)

    def asked(self, key: str) -> Question:
        """What is to be asked about a setting that is open."""
        return self.question(key) or Question(key, f"{key} is not set.", "Set it in mlconsole.toml.")

    @cached_property
    def state(self) -> Path:
        """The folder of everything that mlconsole keeps."""
        return self.root / STATE_FOLDER

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        return self.state / "journal.db"

    @property
    def store(self) -> Path:
        """The model store's folder."""
        return self.state / "store"

    @property
    def cluster_state(self) -> Path:
        """The folder of the project's local cluster."""
        return self.state / CLUSTER_FOLDER

    @property
    def is_local(self) -> bool:
        """Whether releases go to the local cluster."""
        return self.settings.deploy.context == "local"

    @property
    def kubeconfig(self) -> Path | None:
        """The kubeconfig to use instead of the user's own: the local cluster's."""
        return self.cluster_state / "kubeconfig" if self.is_local else None

    def aimed_at(self, context: str, namespace: str = "") -> Project:
        """Return this project with another kubeconfig context, or namespace, than its settings'; empty keeps theirs.

        Another context brings its own namespace along.
        """
        deploy = self.settings.deploy
        if context and context != deploy.context:
            deploy = msgspec.structs.replace(deploy, context=context, namespace="")
        if namespace:
            deploy = msgspec.structs.replace(deploy, namespace=namespace)
        return replace(self, settings=msgspec.structs.replace(self.settings, deploy=deploy))

    def release_folder(self, number: int) -> Path:
        """Where the logs and files of a release are."""
        return self.state / "releases" / str(number)


def find_root(start: Path) -> Path:
    """The project that a folder belongs to: the nearest one above it with settings, or laid out as one; else itself.

    The search ends at the repository's top: a project may be a folder of a larger repository.
    """
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file() or (folder / STATE_FOLDER).is_dir() or looks_like_project(folder):
            return folder
        if (folder / ".git").exists():
            return folder
    return start


def open_project(directory: Path, *, personal: bool = True) -> Project:
    """Read the project that a folder belongs to.

    Args:
        directory: the folder.
        personal: where its settings name no context, take the one that the person prefers.

    Raises:
        WrongUse: there is no such folder.
        SettingsInvalid: its settings, or the person's preferences, can't be read.
    """
    root = _root_of(directory)
    given, settings_file = read_settings(root)
    settings, found, questions = complete(root, given)
    project = Project(root=root, settings=settings, settings_file=settings_file, found=found, questions=questions)
    preferred = read_preferences().context if personal else ""
    if preferred and not settings.deploy.context:
        where = Found("deploy.context", preferred, "your own config.toml")
        return replace(project.aimed_at(preferred, settings.deploy.namespace), found=(*found, where))
    return project


def open_without_settings(directory: Path) -> Project:
    """As `open_project`, by what is found in the folder alone: for those who only want what was kept in it.

    Raises:
        WrongUse: there is no such folder.
    """
    root = _root_of(directory)
    settings, found, questions = complete(root, Settings())
    return Project(root=root, settings=settings, settings_file=None, found=found, questions=questions)


def cluster_state_of(directory: Path) -> Path:
    """The folder of a project's local cluster, whatever the project's settings say, or whether they can be read.

    Raises:
        WrongUse: there is no such folder.
    """
    return _root_of(directory) / STATE_FOLDER / CLUSTER_FOLDER


def _root_of(directory: Path) -> Path:
    if not directory.is_dir():
        raise WrongUse(f"There is no folder {directory}.", "Check the path, or clone first: mlconsole clone URL")
    return find_root(directory.resolve())
