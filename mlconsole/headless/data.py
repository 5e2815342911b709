"""The data by itself, without a release: its learnt schema as a file, and what breaks the rules."""

from __future__ import annotations

from pathlib import Path

from mlconsole.errors import Exit, WrongUse
from mlconsole.evidence.data import DataEvidence, DataProfile
from mlconsole.headless.output import narrate, say, say_blocks, say_json
from mlconsole.headless.reports import journal_of
from mlconsole.present import Table
from mlconsole.project import Project
from mlconsole.services.datasets import profile, schema
from mlconsole.services.datasets.examine import broken_rules
from mlconsole.stages.data import evidence_of, expected_of, identify
from mlconsole.text import count

DEFAULT = "data/checks.yaml"


def write_schema(project: Project, *, force: bool) -> None:
    """Learn a schema from the champion's data, or where there is no champion from today's, and write it to a file.

    Raises:
        WrongUse: the file is there, and nobody asked to replace it.
    """
    name = project.settings.data.checks or DEFAULT
    path = project.root / name
    if path.exists() and not force:
        raise WrongUse(f"{name} is there already.", "Edit it, or learn it anew: mlconsole data schema --force")
    champion = _champion(project)
    learnt = schema.learn(champion.profile if champion else _today(project))
    schema.write(path, learnt)
    say(name)
    narrate(f"{count(len(learnt.columns), 'column')}, learnt from {learnt.learnt_from}. Edit it freely.")
    if not project.settings.data.checks:
        narrate(f'To have it checked, write under [data] in the settings: checks = "{name}"')


def check_data(project: Project, *, as_json: bool) -> int:
    """Print which rules today's data breaks; fail where one of them would stop a release."""
    champion, today = _champion(project), _today(project)
    expected = expected_of(project, champion.profile if champion else today)
    found = broken_rules(project.root, today, expected)
    if as_json:
        for violation in found:
            say_json(violation)
    elif found:
        rows = tuple((entry.level, entry.column, entry.sentence, ", ".join(entry.examples)) for entry in found)
        say_blocks((Table("Broken rules", ("level", "column", "what", "examples"), rows),))
    else:
        say(f"{count(today.rows, 'row')} break none of the rules of {count(len(expected.columns), 'column')}.")
    return Exit.REFUSED if any(entry.level == "fail" for entry in found) else Exit.DONE


def _champion(project: Project) -> DataEvidence | None:
    if not Path(project.journal_path).exists():
        return None
    with journal_of(project) as journal:
        champion = journal.alias(project.settings.name, "champion")
        return evidence_of(journal, champion) if champion else None


def _today(project: Project) -> DataProfile:
    return profile(project.root, identify(project), target=project.settings.data.target)
