"""The helper that scripts import: exact inside mlconsole, nothing outside, in old Pythons, threads and forks."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mlconsole.evidence.training import MetricPoint, Parameter, TrainingProgress
from mlconsole.services.training.output import OutputReader
from mlconsole.services.training.reports import HELPER, ReportFile, ReportReader, reporting_environment

SCRIPT = """
    from mlconsole.report import metric, metrics, parameter, progress
    import mlconsole
    metric("mae", 3.5, step=2)
    progress(1, 4)
    parameter("depth", 3)
    print("mlconsole is", "installed" if getattr(mlconsole, "__file__", None) else "only its helper")
"""


def run(script: str, environment: dict[str, str], *options: str) -> str:
    command = [sys.executable, *options, "-c", textwrap.dedent(script)]
    # not in this repository: its folder would be looked in first
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=True, timeout=100)
    return done.stdout


def test_a_python_without_mlconsole_finds_the_helper(tmp_path: Path) -> None:
    environment, reports = reporting_environment(tmp_path, {"PATH": os.environ["PATH"]})
    assert run(SCRIPT, environment, "-S") == "mlconsole is only its helper\n"
    point, progress, parameter = reports.look()
    reports.close()
    assert (point, parameter) == (MetricPoint(name="mae", value=3.5, step=2), Parameter(name="depth", value="3"))
    assert isinstance(progress, TrainingProgress)
    assert (progress.fraction, progress.message) == (0.25, "1/4")


def test_where_mlconsole_is_installed_it_is_not_hidden_by_its_helper(tmp_path: Path) -> None:
    environment, reports = reporting_environment(tmp_path, dict(os.environ))
    assert run(SCRIPT, environment) == "mlconsole is installed\n"
    assert len(reports.look()) == 3
    reports.close()


def test_the_variable_for_modules_keeps_what_it_had(tmp_path: Path) -> None:
    environment, _ = reporting_environment(tmp_path, {"PYTHONPATH": "/project/src"})
    assert environment["PYTHONPATH"].endswith(f"{os.pathsep}/project/src")


def test_outside_of_mlconsole_it_does_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "report.py"
    copy.write_bytes(HELPER.read_bytes())
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport report\nreport.metric('mae', object())\n"
    environment = {"PATH": os.environ["PATH"]}
    assert run(script + "report.metric('a', 1); report.progress(1, 2); report.parameter('x', 1)", environment) == ""
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["report.py"]


def test_it_is_written_for_python_3_8() -> None:
    tree = ast.parse(HELPER.read_text("utf-8"), feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= {"json", "os", "sys"}


def test_threads_and_forked_processes_report_whole_lines(tmp_path: Path) -> None:
    environment, reports = reporting_environment(tmp_path, {"PATH": os.environ["PATH"]})
    script = """
        import os, threading
        from mlconsole.report import metric
        def work(name):
            for step in range(200):
                metric(name, step, step)
        threads = [threading.Thread(target=work, args=[f"thread {n}"]) for n in range(3)]
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                work(f"process {number}")
                os._exit(0)
            children.append(child)
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        for child in children: os.waitpid(child, 0)
    """
    run(script, environment)
    told = reports.look()
    reports.close()
    by_name: dict[str, list[float]] = {}
    for point in told:
        assert isinstance(point, MetricPoint)
        by_name.setdefault(point.name, []).append(point.value)
    assert len(by_name) == 6
    assert all(values == list(range(200)) for values in by_name.values())


def test_over_standard_output_it_is_read_as_exactly(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HELPER.parents[1]), "MLCONSOLE_REPORT": "-"}
    lines = run(
        "from mlconsole.report import metric, progress\nmetric('seed', 3, 1)\nprogress(1, 2, 'fold')", environment
    )
    told = [seen for line in lines.splitlines() for seen in OutputReader().feed(line)]
    assert told[0] == MetricPoint(name="seed", value=3, step=1)
    assert isinstance(told[1], TrainingProgress)
    assert (told[1].fraction, told[1].message) == (0.5, "fold 1/2")


NO_VALUE = '{"mlconsole": 1, "metric": "a", "value": "b"}'


@pytest.mark.parametrize("line", ["", "x", "{}", '{"mlconsole": 1}', NO_VALUE, "[" * 9999, '{"metric": 1}'])
def test_what_is_no_report_is_left_out(line: str) -> None:
    assert ReportReader().read(line) is None


def test_names_from_outside_are_cleaned() -> None:
    told = ReportReader().read('{"mlconsole": 1, "metric": "\\u001b[31mmae\\n", "value": 1}')
    assert told == MetricPoint(name="mae", value=1)


def test_a_line_that_is_half_written_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    reports = ReportFile(path)
    assert list(reports.look()) == []
    path.write_text('{"mlconsole": 1, "metric": "mae", ')
    assert list(reports.look()) == []
    with path.open("a") as file:
        file.write('"value": 2}\n')
    assert list(reports.look()) == [MetricPoint(name="mae", value=2)]
    reports.close()
