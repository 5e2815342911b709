"""`mlconsole where`: what serves, and where it comes from."""

from __future__ import annotations

from contextlib import closing

from mlconsole.errors import Exit
from mlconsole.evidence.base import now
from mlconsole.evidence.serving import Serving, Whereabouts
from mlconsole.headless.output import narrate, say, say_blocks, say_json
from mlconsole.headless.reports import journal_of
from mlconsole.present import Lines, age
from mlconsole.project import Project
from mlconsole.release.where import whereabouts
from mlconsole.text import count, listed


def show_where(project: Project, *, selector: str, context: str, namespace: str, as_json: bool) -> int:
    """Print what serves in the cluster, back to commit and data; exit code 1 where pods and journal disagree.

    Without a selector of the project's, all pods that any release made are looked at.
    """
    from mlconsole.services.kubernetes.serving import OURS, serving
    from mlconsole.stages.target import connect

    chosen = selector or project.settings.deploy.selector or OURS
    with closing(connect(project.aimed_at(context, namespace))) as connection:
        found = serving(connection, chosen)
        where = f"context {connection.context}, namespace {connection.namespace}"
    known = tuple(_known(project, entry) for entry in found)
    if as_json:
        for entry in known:
            say_json(entry)
    elif known:
        say_blocks(tuple(_block(entry) for entry in known))
    else:
        say(f"No pods match {chosen} in {where}.")
    if any(entry.agreement == "differs" for entry in known):
        narrate("The pods and the journal disagree: what serves is not what was released from here under that name.")
        return Exit.REFUSED
    return Exit.DONE


def _known(project: Project, found: Serving) -> Whereabouts:
    # asking where something is leaves nothing behind: a machine without a journal does not get one
    if not project.journal_path.exists():
        return whereabouts(None, project.settings.name, found)
    with journal_of(project) as journal:
        return whereabouts(journal, project.settings.name, found)


def _block(entry: Whereabouts) -> Lines:
    found = entry.serving
    owner = f"{found.owner_kind} {found.owner}" if found.owner else "no owner"
    lines = [
        f"pods      {found.ready} of {count(len(found.pods), 'pod')} ready: {listed(found.pods)}",
        f"owner     {owner}",
        f"image     {listed(found.images)}",
        f"model     {found.model_digest or '(the pods do not tell)'}",
        f"data      {found.data_digest or '(the pods do not tell)'}",
        f"commit    {found.commit or '(the pods do not tell)'}",
    ]
    if found.release:
        cause = f": {found.change_cause}" if found.change_cause else ""
        lines.append(f"released  release {found.release} by {found.changed_by or 'unknown'}{cause}")
    return Lines(found.version or "(no version told)", (*lines, *_journal_lines(entry)))


def _journal_lines(entry: Whereabouts) -> list[str]:
    if entry.agreement == "unknown":
        what = "does not know this version" if entry.serving.version else "can't be asked without a version"
        return [f"journal   The journal of this machine {what}: all of the above is what the pods tell."]
    champion = ", the champion" if entry.is_champion else ", not the champion"
    lines = [f"journal   made by release {entry.made_by}{champion}"]
    if entry.deployed_by:
        when = f", {age(entry.deployed_at, now())}" if entry.deployed_at else ""
        why = f" ({entry.reason})" if entry.reason else ""
        lines.append(f"          deployed by release {entry.deployed_by}, {entry.who}{when}{why}")
    if entry.differs:
        lines.append(f"          ✗ the pods tell another {listed(entry.differs)} than the journal")
    else:
        lines.append("          ✓ model, data and commit are those of the journal")
        lines.append(f"          all of it: mlconsole show {entry.deployed_by or entry.made_by}")
    return lines
