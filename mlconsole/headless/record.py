"""A release's record: on the screen, or as a file for others."""

from __future__ import annotations

from mlconsole.headless.output import say
from mlconsole.headless.reports import journal_of
from mlconsole.present import model_card
from mlconsole.project import Project
from mlconsole.release.record import gather

FORMATS = ("json", "markdown", "in-toto")


def export_record(project: Project, release_number: int, kind: str) -> None:
    """Print a release's record in one of `FORMATS`."""
    import msgspec

    with journal_of(project) as journal:
        found = gather(journal, release_number)
    match kind:
        case "json":
            say(msgspec.json.format(msgspec.json.encode(found)).decode())
        case "markdown":
            say(model_card(found).rstrip("\n"))
        case _:
            from mlconsole.services.provenance.statement import statement
            from mlconsole.stages.base import model_store

            is_folder = found.version is not None and found.version.model.files > 0
            tree = model_store(project).tree(found.version.model.digest) if found.version and is_folder else None
            say(msgspec.json.format(msgspec.json.encode(statement(found, tree))).decode())
