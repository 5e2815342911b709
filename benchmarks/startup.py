"""How soon `mlconsole --help` answers, and how soon the console shows its first frame beside a bare Textual app.

And how long after it all local panels of the sample project (Repo, Data, Train, Test) have been looked at, one after
another, each filled with what a release and the folder say.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import command, compare, drawn, first_frame, load

BARE_APP = """\
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("bare-app-is-there")

Bare().run()
"""

SAMPLE = Path(__file__).resolve().parent.parent / "sample_project"
PANELS = ((b"", b"Release 1"), (b"1", b"Branch"), (b"2", b"windspeed"), (b"3", b"valid_mae"), (b"4", b"test_rush_hour"))
"""What is only drawn once the main screen is there, and then by each panel that is filled."""


def panels_filled(program: str, project: Path, runs: int = 9) -> None:
    """Print how long after the first frame all local panels were filled."""
    shutil.copytree(SAMPLE, project)
    for arguments in (
        ["git", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "Bikes"],
        [program, "run", "--until", "test"],
    ):
        subprocess.run(arguments, cwd=project, check=True, capture_output=True)
    took = [drawn([program, str(project)], project, b"Repo", PANELS)[1] for _ in range(runs + 1)][1:]
    print(f"all local panels filled, after the first frame (target: 1 s) {load()}")
    print(f"  {'mlconsole':<40} median {statistics.median(took):6.3f} s   {min(took):.3f} … {max(took):.3f}\n")


def main() -> None:
    program = str(Path(sys.executable).with_name("mlconsole"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "bare.py").write_text(BARE_APP)
        project = root / "project"
        project.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=project, check=True)
        compare(
            "--help, beside Python that does nothing",
            command("mlconsole --help", [program, "--help"], project),
            command("python -c pass", [sys.executable, "-c", "pass"], project),
        )
        compare(
            "first frame, beside a bare Textual app (target: at most 1.5)",
            first_frame("mlconsole", [program, str(project)], project, b"Repo"),
            first_frame("bare Textual app", [sys.executable, str(root / "bare.py")], project, b"bare-app-is-there"),
        )
        panels_filled(program, root / "sample")


if __name__ == "__main__":
    main()
