"""Make the pictures of the README anew: the console itself, on a real release of the sample project.

    python screenshots/make.py

It takes about a minute: the sample project is released to a local cluster in a temporary folder, a second month
arrives, and each panel is drawn by the running app at two sizes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from mlconsole.console.app import MlconsoleApp
from mlconsole.evidence.base import STAGES
from mlconsole.headless import demo
from mlconsole.headless.release import carry_out
from mlconsole.project import Project, open_project
from mlconsole.release.engine import Order

HERE = Path(__file__).resolve().parent
SIZES = ((160, 50), (80, 24))
SETTLE_SECONDS = 2.0


def released_twice(folder: Path) -> Project:
    """The sample project with v1 in production, and v2 on its way: it waits for an approval."""
    project = demo.prepare(folder)
    # the project's own Python, so that no path of the machine gets into a picture
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    first = Order(approved=True, who="ada", reason="the first one")
    second = Order(who="ada", reason="May has arrived")
    if carry_out(project, first, lambda engine, journal: engine.run(first)):
        sys.exit("the first release failed")
    with (folder / "data/training.csv").open("a") as training:
        training.writelines((folder / "data/batches/2011-05.csv").read_text().splitlines(keepends=True)[1:])
    carry_out(project, second, lambda engine, journal: engine.run(second))
    return open_project(folder)


async def draw(project: Project) -> None:
    """Draw every panel at every size."""
    for columns, rows in SIZES:
        app = MlconsoleApp(project)
        async with app.run_test(size=(columns, rows)) as pilot:
            await pilot.pause(SETTLE_SECONDS)
            for number, stage in enumerate(STAGES, start=1):
                await pilot.press(str(number))
                await pilot.pause(SETTLE_SECONDS / 2)
                path = HERE / f"{stage}-{columns}x{rows}.svg"
                path.write_text(app.export_screenshot(title="mlconsole"), encoding="utf-8")
                print(path.name)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = released_twice(Path(folder) / "bike-sharing")
        try:
            asyncio.run(draw(project))
        finally:
            demo.stop_cluster(project)


if __name__ == "__main__":
    main()
