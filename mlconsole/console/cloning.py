"""A project that is still to come: what is cloned where, before there is anything to open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlconsole.project import Project
from mlconsole.project.settings import Settings


@dataclass(frozen=True)
class CloneOrder:
    """What is to be cloned.

    Args:
        url: the address; empty: a person is asked for it.
        target: the folder to clone into: a new or empty one.
    """

    url: str
    target: Path

    @property
    def project(self) -> Project:
        """What stands for the project meanwhile: its folder, with nothing found in it."""
        return Project(root=self.target, settings=Settings(name=self.target.name), settings_file=None, found=())


def offer_for(project: Project, directory: Path) -> CloneOrder | None:
    """Where the console was opened in an empty folder: the offer to clone a project into it."""
    here = directory.resolve()
    return CloneOrder(url="", target=here) if project.root == here and not any(here.iterdir()) else None
