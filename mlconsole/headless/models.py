"""Model versions without a screen: one in full, two side by side, the store tidied up, tags."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.errors import WrongUse
from mlconsole.evidence.training import ModelVersion
from mlconsole.headless.output import narrate, say, say_blocks, say_json
from mlconsole.headless.output import table_lines as lines_of
from mlconsole.headless.reports import journal_of, narrate_of_others
from mlconsole.journal import Journal
from mlconsole.present import Lines, Table, comparison_lines, final_metrics, further_table
from mlconsole.project import Project
from mlconsole.release.versions import ALIASES, find_version
from mlconsole.text import count, number, short_digest, size

if TYPE_CHECKING:
    from mlconsole.services.models.mlflow_api import MlflowApi


def show_version(project: Project, wanted: str, *, as_json: bool) -> None:
    """Print all that is known of a version."""
    with journal_of(project) as journal:
        narrate_of_others(project, journal)
        version = find_version(journal, project.settings.name, wanted)
        names = _aliases(journal, version)
        releases = [release for release in journal.releases(1_000_000) if release.version == version.label]
    if as_json:
        say_json(version)
        return
    head = (
        f"aliases     {', '.join(names) or 'none'}",
        f"model       {version.model.filename}, {version.model.amount}, {version.model.digest}",
        f"commit      {version.commit or ('not known' if version.origin else 'none')}",
        f"data        {version.data_digest or 'not known'}",
        f"packages    {version.environment_digest or 'not known'}",
        f"made        {version.created_at.astimezone():%Y-%m-%d %H:%M:%S} by release {version.release}"
        if version.release
        else f"made        {version.created_at.astimezone():%Y-%m-%d %H:%M:%S} by {version.elsewhere}"
        if version.elsewhere
        else f"imported    {version.created_at.astimezone():%Y-%m-%d %H:%M:%S} from {version.origin}",
        f"releases    {', '.join(str(release.number) for release in reversed(releases)) or 'none'}",
    )
    metrics = tuple((metric.name, number(metric.value)) for metric in final_metrics(version.metrics))
    parameters = tuple((entry.name, entry.value) for entry in version.parameters)
    say_blocks((Lines(version.label, head),))
    if metrics:
        say_blocks((Table("Metrics", ("metric", "value"), metrics, frozenset({1})),))
    if parameters:
        say_blocks((Table("Parameters", ("parameter", "value"), parameters),))


def _aliases(journal: Journal, version: ModelVersion) -> list[str]:
    found = ((alias, journal.alias(version.name, alias)) for alias in ALIASES)
    return [alias for alias, at in found if at is not None and at.number == version.number]


def compare_versions(project: Project, first: str, second: str, *, as_json: bool) -> None:
    """Print two versions side by side, and how the first does against the second on the hold-out."""
    from mlconsole.release.comparing import compare_on_holdout, seen_on_holdout

    with journal_of(project) as journal:
        name = project.settings.name
        ours, theirs = find_version(journal, name, first), find_version(journal, name, second)
    if ours.number == theirs.number:
        raise WrongUse(f"{first} and {second} are the same version.", "See: mlconsole models list")
    if not as_json:
        say_blocks(_side_by_side(ours, theirs))
    if not project.settings.quality.holdout or not project.settings.data.target:
        narrate("Not compared on a hold-out: the settings don't name quality.holdout and data.target.")
        return
    found = compare_on_holdout(project, ours, theirs, threading.Event())
    if seen := seen_on_holdout(project, threading.Event()):
        narrate(f"{seen:,} of the {count(found[0].rows, 'row')} to compare on are in the training data of now, too.")
    if as_json:
        for entry in found:
            say_json(entry)
        return
    say_blocks((Lines(f"On {project.settings.quality.holdout}", comparison_lines(found[0])),))
    if found[1:]:
        say_blocks((further_table(found[1:]),))


def _side_by_side(ours: ModelVersion, theirs: ModelVersion) -> tuple[Table, ...]:
    def facts(version: ModelVersion) -> dict[str, str]:
        return {
            "made by": version.made_by,
            "commit": version.commit[:12],
            "data": short_digest(version.data_digest),
            "packages": short_digest(version.environment_digest),
            "model": f"{short_digest(version.model.digest)}, {size(version.model.size)}",
        }

    def metrics(version: ModelVersion) -> dict[str, str]:
        return {metric.name: number(metric.value) for metric in final_metrics(version.metrics)}

    def parameters(version: ModelVersion) -> dict[str, str]:
        return {entry.name: entry.value for entry in version.parameters}

    tables = []
    for title, read in (("Made of", facts), ("Metrics, as training printed them", metrics), ("Parameters", parameters)):
        one, two = read(ours), read(theirs)
        rows = tuple(
            (key, one.get(key, ""), two.get(key, ""), "" if one.get(key) == two.get(key) else "differs")
            for key in {**one, **two}
        )
        if rows:
            tables.append(Table(title, ("", ours.label, theirs.label, " "), rows))
    return tuple(tables)


def collect_garbage(project: Project, keep: int, *, dry_run: bool, as_json: bool) -> None:
    """Remove the stored models that nobody needs, and say why the others stay."""
    from mlconsole.release.collect import look, remove

    with journal_of(project) as journal:
        narrate_of_others(project, journal)
        found = look(project, journal, keep)
    unneeded = tuple(entry for entry in found if not entry.reasons)
    if not dry_run:
        remove(project, unneeded)
    if as_json:
        for entry in found:
            say_json(entry)
    elif found:
        fate = "would go" if dry_run else "removed"
        rows = tuple(
            (
                short_digest(entry.digest),
                size(entry.size),
                ", ".join(entry.labels) or "(no version)",
                ", ".join(entry.reasons) or fate,
            )
            for entry in found
        )
        for line in lines_of(Table("", ("model", "size", "versions", "why it stays"), rows, frozenset({1}))):
            say(line)
    freed = size(sum(entry.size for entry in unneeded))
    narrate(f"{count(len(unneeded), 'model')}, {freed}, {'would be' if dry_run else 'were'} removed.")


def tag_version(project: Project, wanted: str, stage: str) -> None:
    """Write a version, or that it is in a stage such as `prod`, as an annotated git tag in the way of GTO."""
    from mlconsole.release.tags import tag

    with journal_of(project) as journal:
        version = find_version(journal, project.settings.name, wanted)
    for name in tag(project.root, version, stage):
        say(name)


def export_version(project: Project, wanted: str) -> None:
    """Bring a version with its aliases to the MLflow server of MLFLOW_TRACKING_URI, and print where it is there."""
    import os

    from mlconsole.services.models.mlflow import export
    from mlconsole.services.models.mlflow_api import URI_VARIABLE, MlflowApi
    from mlconsole.stages.base import model_store

    api = MlflowApi(os.environ.get(URI_VARIABLE, ""))
    with journal_of(project) as journal:
        version = find_version(journal, project.settings.name, wanted)
        names = _aliases(journal, version)
    done = export(api, version, model_store(project).path(version.model.digest), names)
    narrate(f"{version.label} {'was there already' if done.was_there else 'is registered'} as version {done.version}.")
    say(f"models:/{done.name}/{done.version}")


def import_from_mlflow(project: Project, reference: str, filename: str, target: Path | None, *, as_json: bool) -> None:
    """Make a model of the MLflow server of MLFLOW_TRACKING_URI a version, or only fetch its file where one is given.

    A file that is fetched prints the metrics of its run, as a training would.
    """
    import os

    from mlconsole.release.importing import import_version
    from mlconsole.services.models.mlflow_api import URI_VARIABLE, MlflowApi

    api = MlflowApi(os.environ.get(URI_VARIABLE, ""))
    if target is not None:
        _fetch_to(api, reference, filename, target)
        return
    with journal_of(project) as journal:
        done = import_version(project, journal, api, reference, filename)
    for warning in done.warnings:
        narrate(warning)
    if as_json:
        say_json(done.version)
        return
    came = "was imported before" if done.was_there else "is imported"
    narrate(f"{done.version.label} {came}: {size(done.version.model.size)} from {done.version.origin}.")
    narrate(f"Test, compare and deploy it: mlconsole run --version {done.version.tag}")
    say(done.version.label)


def _fetch_to(api: MlflowApi, reference: str, filename: str, target: Path) -> None:
    from mlconsole.release.importing import fetch_scanned
    from mlconsole.services.training.files import remove

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=target.parent) as folder:
        fetched = fetch_scanned(api, reference, Path(folder), filename)
        remove(target)
        fetched.model.replace(target)
    for metric in fetched.metrics:
        say(f"{metric.name}={metric.value!r}")
    narrate(f"{target} is {fetched.origin}, {short_digest(fetched.digest)}.")
