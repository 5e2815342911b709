"""`mlconsole verify`: what still is what the record says."""

from __future__ import annotations

from collections import Counter

from mlconsole.errors import Exit
from mlconsole.headless.output import narrate, say, say_json
from mlconsole.headless.output import table_lines as lines_of
from mlconsole.headless.reports import journal_of
from mlconsole.present import Table
from mlconsole.project import Project
from mlconsole.release.verify import Check, verify_version
from mlconsole.release.versions import default_version, find_version
from mlconsole.text import short_digest

_MARKS = {"matches": "✓", "differs": "✗", "unknown": "?"}


def verify(project: Project, wanted: str, *, as_json: bool) -> int:
    """Compute every digest of a version again and print a table of them; exit code 1 where one differs."""
    with journal_of(project) as journal:
        name = project.settings.name
        version = find_version(journal, name, wanted) if wanted else default_version(journal, name)
        checks = verify_version(project, journal, version)
    if as_json:
        for check in checks:
            say_json(check)
    else:
        rows = tuple(_row(check) for check in checks)
        for line in lines_of(Table("", ("part", "digest", "", "what"), rows)):
            say(line)
        narrate(_summary(version.label, checks))
    return Exit.REFUSED if any(check.state == "differs" for check in checks) else Exit.DONE


def _row(check: Check) -> tuple[str, ...]:
    state = f"{_MARKS[check.state]} {check.state if check.state != 'unknown' else 'not checked'}"
    return (check.part, short_digest(check.digest), state, check.sentence)


def _summary(label: str, checks: tuple[Check, ...]) -> str:
    counts = Counter(check.state for check in checks)
    words = [f"{label}: {counts['matches']} of {len(checks)} digests match"]
    if counts["differs"]:
        words.append(f"{counts['differs']} differ")
    if counts["unknown"]:
        words.append(f"{counts['unknown']} can't be checked")
    return ", ".join(words) + "."
