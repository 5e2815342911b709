"""`mlconsole init`: look, say what was found and why, ask for the rest, and write the settings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from mlconsole.errors import Exit, WrongUse
from mlconsole.headless.output import narrate, say
from mlconsole.project import Project, open_project
from mlconsole.project.discovery import Found, Question
from mlconsole.project.settings import SETTINGS_FILE, SettingsInvalid
from mlconsole.project.writing import initialise, refuse_second, with_value


class LeftOpen(WrongUse):
    """The settings are written, but something that a release needs was neither found nor said."""


def initialise_settings(directory: Path, given: Sequence[str]) -> int:
    """Write `mlconsole.toml`, and print its path.

    Args:
        directory: a folder of the project.
        given: settings as `KEY=VALUE`, such as `deploy.manifests=k8s`.

    Raises:
        SettingsThere: there are settings already.
        SettingsInvalid: what was given is no setting, or no value of it.
        LeftOpen: what could not be found, where there is nobody to ask; the file is written with the rest.
    """
    project = open_project(directory, personal=False)
    refuse_second(project)
    said = dict(_pair(text) for text in given)
    project = _completed(project, said)
    _narrate_found(project)
    if sys.stdin.isatty() and sys.stderr.isatty():
        project = ask(project, said, _prompt)
    path = initialise(project)
    say(str(path))
    if project.questions:
        raise _left_open(project.questions)
    return Exit.DONE


def ask(project: Project, said: dict[str, str], prompt: Callable[[Question], str]) -> Project:
    """Ask for each open setting once, and look again after each answer: it may tell others.

    Args:
        project: as it was found.
        said: the settings that were given so far, by key; answers are added.
        prompt: asks a person; empty where there is no answer.
    """
    asked: set[str] = set()
    while question := next((entry for entry in project.questions if entry.key not in asked), None):
        asked.add(question.key)
        answer = prompt(question).strip()
        if not answer:
            continue
        try:
            found = _completed(project, {**said, question.key: answer})
        except SettingsInvalid as problem:
            narrate(f"{problem.sentence}")
            asked.discard(question.key)
            continue
        said[question.key] = answer
        new = [entry for entry in found.found if entry not in project.found and entry.key not in said]
        for entry in new:
            narrate(_found_words(entry))
        project = found
    return project


def found_words(project: Project) -> list[str]:
    """Everything that was found, a line each, with why."""
    return [_found_words(entry) for entry in project.found]


def _found_words(found: Found) -> str:
    shown = found.value if isinstance(found.value, str) else ", ".join(found.value)
    return f"{found.key} = {shown}  (found: {found.where})"


def _narrate_found(project: Project) -> None:
    for line in found_words(project):
        narrate(line)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise WrongUse(f"--set {text} is no KEY=VALUE.", "Write it like: --set deploy.manifests=k8s")
    return key.strip(), value.strip()


def _completed(project: Project, said: dict[str, str]) -> Project:
    """The project with what was said, and what is found with that."""
    from mlconsole.project.discovery import complete
    from mlconsole.project.settings import Settings

    settings = Settings()
    for key, value in said.items():
        settings = with_value(settings, key, value)
    completed = complete(project.root, settings)
    return Project(
        root=project.root,
        settings=completed.settings,
        settings_file=None,
        found=completed.found,
        questions=completed.questions,
    )


def _prompt(question: Question) -> str:
    for number, choice in enumerate(question.choices, 1):
        narrate(f"  {number}  {choice}")
    hint = f" {question.next_step}" if question.next_step and not question.choices else ""
    answer = str(
        click.prompt(f"{question.sentence}{hint}\n{question.key}", default="", show_default=False, err=True)
    ).strip()
    if answer.isdecimal() and 0 < int(answer) <= len(question.choices):
        return question.choices[int(answer) - 1]
    return answer


def _left_open(questions: Sequence[Question]) -> LeftOpen:
    """What is open, in one sentence, with the keys to set."""
    if len(questions) == 1:
        (question,) = questions
        return LeftOpen(f"{question.key} is open: {question.sentence}", question.next_step)
    parts = "; ".join(f"{question.key} ({question.sentence.rstrip('.?:')})" for question in questions)
    sentence = f"{len(questions)} settings are open: {parts}."
    return LeftOpen(sentence, f"Set them in {SETTINGS_FILE}.")
