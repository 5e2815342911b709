"""How soon `mlconsole --help` answers, and how soon the console shows its first frame beside a bare Textual app."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from measure import command, compare, first_frame

BARE_APP = """\
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("bare-app-is-there")

Bare().run()
"""


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


if __name__ == "__main__":
    main()
