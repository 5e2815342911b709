"""The demonstration of a year, in short: a month that is better is released, one in a wrong unit is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlconsole.localcluster import control

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]


def test_a_year_in_short_finds_drift_keeps_out_what_is_wrong_and_fails_no_request(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "mlconsole", "demo", str(folder), "--year", "--headless", "--stop"]
    try:
        done = subprocess.run(
            [*command, "--months", "2011-05,2011-08"], capture_output=True, text=True, timeout=800, check=False
        )
    finally:
        control.stop(folder / ".mlconsole" / "cluster")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert re.search(r"what ml-model@v1 is asked drifts in .*\btemp\b", said), said
    table = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.startswith(("2011-", "mean"))}
    assert table["2011-05"][3:5] == ["released", "ml-model@v2"]
    assert table["2011-08"][3:5] == ["refused", "ml-model@v2"]
    assert "2011-08: Data says no: temp is out of range in 618 rows" in done.stdout
    learning, kept = float(table["mean"][1]), float(table["mean"][2])
    assert learning < kept, "the first model, kept for ever, is worse"
    assert re.search(r"^[\d,]+ requests, 0 failed\.$", done.stdout, re.MULTILINE), done.stdout
