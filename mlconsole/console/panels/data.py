"""Is this data fit to train on, and is it new? The profile of the shown release, or the files that are there."""

from __future__ import annotations

from textual.content import Content

from mlconsole.console.paint import DIM, blank, heading, line, problem_lines
from mlconsole.console.panels.base import DocumentPanel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.view import View
from mlconsole.text import count, size

MOST_FILES = 40


class DataPanel(DocumentPanel):
    """Broken rules and changes first, then a row for each column."""

    stage = "data"

    def lines(self, view: View, width: int) -> list[Content]:
        """All lines of a view."""
        run = view.run("data")
        evidence = evidence_lines(run, width)
        if evidence:
            return sections(run_lines(run, width), evidence, command_lines(run))
        if run is not None and run.state == "running":
            return sections(quiet("The data is being read …"), _notes(view))
        return sections(run_lines(run, width), [] if view.past else _files(view, width, unread=run is None))


def _files(view: View, width: int, *, unread: bool) -> list[Content]:
    if view.data is None:
        return quiet("Looking for data …")
    if view.data.problem is not None:
        return problem_lines(view.data.problem, width)
    files = view.data.files
    total = sum(length for _, length in files)
    lines = [heading(view.project.settings.data.path, f"{count(len(files), 'file')}, {size(total)}")]
    lines += [line(f"{size(length):>9}  {path}") for path, length in files[:MOST_FILES]]
    if len(files) > MOST_FILES:
        lines.append(line((f"and {len(files) - MOST_FILES:,} more", DIM)))
    if target := view.project.settings.data.target:
        lines += [line((f"{'Target':<9}  ", DIM), target)]
    if unread:
        lines += [blank(), *quiet("Not profiled yet: run the stage with n.")]
    return lines


def _notes(view: View) -> list[Content]:
    return [line((happening.words, DIM)) for happening in view.story.happenings if happening.stage == "data"][-5:]
