"""The sample project by itself, used as its README says: no part of mlconsole is involved."""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.waiting import until

SAMPLE = Path(__file__).resolve().parents[2] / "sample_project"
QUICK = "epochs: 2\ntrees_per_epoch: 5\nlearning_rate: 0.3\n"


def python(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample with a model of a few trees."""
    copy = tmp_path_factory.mktemp("work") / "bikes"
    shutil.copytree(SAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", "models", ".mlconsole"))
    (copy / "quick.yaml").write_text(QUICK)
    done = python("train_model.py", *train_arguments("models/model_v1.pkl"), cwd=copy)
    assert done.returncode == 0, done.stderr
    (copy / "training.log").write_text(done.stdout)
    return copy


def train_arguments(output: str, data: str = "data/training.csv", params: str = "quick.yaml") -> list[str]:
    return ["--data", data, "--output", output, "--params", params]


def published() -> list[Path]:
    data = SAMPLE / "data"
    return [data / "training.csv", data / "holdout.csv", *sorted((data / "batches").glob("*.csv"))]


def test_the_data_files_are_a_partition_of_the_original() -> None:
    rows = [row for path in published() for row in rows_of(path)]
    assert len(rows) == 8645
    assert len({(row["day"], row["hr"]) for row in rows}) == 8645
    assert not {"casual", "registered"} & set(rows[0])


def test_the_split_is_made_again_from_the_original_byte_by_byte(tmp_path: Path) -> None:
    rows = [{**row, "casual": "1", "registered": "2"} for path in published() for row in rows_of(path)]
    with (tmp_path / "Bikeshare.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    done = python(SAMPLE / "data" / "split.py", "Bikeshare.csv", "--output", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for path in published():
        assert (tmp_path / path.relative_to(SAMPLE / "data")).read_bytes() == path.read_bytes(), path.name


def test_training_shows_its_progress_and_its_metrics(project: Path) -> None:
    lines = (project / "training.log").read_text().splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split()[1] for line in epochs] == ["1/2", "2/2"]
    assert all("train_mae=" in line and "valid_mae=" in line for line in epochs)
    metrics = dict(line.split(": ") for line in lines[-3:])
    assert 10 < float(metrics["mean_absolute_error"]) < 100
    assert 0 < float(metrics["r2"]) < 1


def test_the_same_data_and_parameters_give_the_same_bytes(project: Path) -> None:
    assert python("train_model.py", *train_arguments("again/model.pkl"), cwd=project).returncode == 0
    assert (project / "again/model.pkl").read_bytes() == (project / "models/model_v1.pkl").read_bytes()
    assert [path.name for path in (project / "again").iterdir()] == ["model.pkl"]


def test_the_model_needs_nothing_of_the_project(project: Path, tmp_path: Path) -> None:
    ask = "import joblib, pandas, sys; print(*joblib.load(sys.argv[1]).predict(pandas.read_csv(sys.argv[2]).tail(5)))"
    done = python("-c", ask, project / "models/model_v1.pkl", project / "data/holdout.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    predictions = [float(word) for word in done.stdout.split()]
    assert len(predictions) == 5
    assert all(value >= 0 for value in predictions)


@pytest.mark.parametrize(
    ("data", "params", "sentence"),
    [
        ("nothing.csv", "quick.yaml", "there is no data file nothing.csv"),
        ("few.csv", "quick.yaml", "few.csv has no column windspeed, bikers"),
        ("data/training.csv", "wrong.yaml", "wrong.yaml names an unknown parameter 'epoch'"),
    ],
)
def test_training_says_in_one_line_what_is_wrong(project: Path, data: str, params: str, sentence: str) -> None:
    (project / "few.csv").write_text("season,mnth,day,hr,holiday,weekday,workingday,weathersit,temp,atemp,hum\n")
    (project / "wrong.yaml").write_text("epoch: 3\n")
    done = python("train_model.py", *train_arguments("x.pkl", data, params), cwd=project)
    assert done.returncode == 1
    assert done.stderr.startswith(f"train_model.py: {sentence}")
    assert done.stderr.count("\n") == 1


class Served:
    """A running serve.py."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path: str, body: object = None) -> tuple[int, str]:
        data = None if body is None else json.dumps(body)
        self.connection.request("GET" if body is None else "POST", path, data)
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def wait_until_ready(self) -> None:
        until(lambda: self.ask("/healthz")[0] == 200)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(project: Path, *program: str, **environment: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, *(program or ["serve.py"])],
        cwd=project,
        env={**os.environ, "HOST": "127.0.0.1", "PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Served(process, int(process.stdout.readline().rsplit(":", 1)[1]))
    finally:
        process.kill()
        process.communicate()


def digest_of(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def a_row(project: Path) -> dict[str, object]:
    row = rows_of(project / "data/holdout.csv")[8]
    return {name: value if name in ("mnth", "weathersit") else float(value) for name, value in row.items()}


SLOW = """
import pathlib, time
import joblib

def load(model, go):
    while not pathlib.Path(go).exists():
        time.sleep(0.01)
    return joblib.load(model)
"""


def test_serving_answers_measures_and_ends_cleanly(project: Path, tmp_path: Path) -> None:
    (project / "slow.py").write_text(SLOW)
    slow, go = project / "models/slow_v7.pkl", tmp_path / "go"
    slow.write_bytes(f"cslow\nload\n(V{project / 'models/model_v1.pkl'}\nV{go}\ntR.".encode())
    digest = digest_of(slow)
    with serving(project, MODEL_URI=str(slow), MODEL_VERSION="v7", MODEL_DIGEST=digest) as served:
        assert served.ask("/healthz")[0] == 503
        go.touch()
        served.wait_until_ready()
        status, answer = served.ask("/predict", {"rows": [a_row(project)] * 3})
        assert status == 200
        assert json.loads(answer)["model_version"] == "v7"
        assert len(json.loads(answer)["predictions"]) == 3
        status, answer = served.ask("/predict", [{**a_row(project), "temp": "warm"}])
        assert (status, json.loads(answer)) == (400, {"error": "row 0: temp must be a number"})
        metrics = served.ask("/metrics")[1].splitlines()
        assert f'model_info{{version="v7",digest="{digest}"}} 1' in metrics
        assert 'http_requests_total{path="/predict",code="400"} 1' in metrics
        assert "model_predictions_count 3" in metrics
        assert metrics[-1] == "# EOF"
        assert served.end() == 0


def test_a_server_that_is_told_to_stop_says_so_before_it_does(project: Path) -> None:
    lingers = "import serve; serve.LINGER_SECONDS = 600; serve.main()"
    with serving(project, "-c", lingers) as served:
        served.wait_until_ready()
        served.process.send_signal(signal.SIGTERM)
        until(lambda: served.ask("/healthz")[0] == 503)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"MODEL_DIGEST": "sha256:" + "0" * 64}, "is not the model that MODEL_DIGEST names"),
        ({"MODEL_URI": "models/absent.pkl"}, "cannot be read: No such file"),
        ({"MODEL_URI": "s3://bucket/model.pkl"}, "MODEL_URI must be a path or a file:// URL"),
        ({"PORT": "http"}, "PORT must be a number"),
    ],
)
def test_serving_refuses_what_it_cannot_serve(project: Path, environment: dict[str, str], sentence: str) -> None:
    done = python("serve.py", cwd=project, **{"HOST": "127.0.0.1", "PORT": "0", **environment})
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_manifests_fit_together() -> None:
    deployment, service = yaml.safe_load_all((SAMPLE / "deployment.yaml").read_text())
    pod = deployment["spec"]["template"]
    container = pod["spec"]["containers"][0]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == pod["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    environment = {item["name"]: item["value"] for item in container["env"]}
    assert environment["PORT"] == str(container["ports"][0]["containerPort"])
    assert environment["MODEL_URI"] == f"models/model_{environment['MODEL_VERSION']}.pkl"


@pytest.mark.end_to_end
def test_later_months_make_a_better_model_and_both_may_be_released(project: Path, tmp_path: Path) -> None:
    months = [project / "data/training.csv", *sorted((project / "data/batches").glob("*.csv"))]
    errors = []
    for version, count in (("v1", 1), ("v2", 3)):
        header, *_ = months[0].read_text().splitlines()
        lines = [line for month in months[:count] for line in month.read_text().splitlines()[1:]]
        (tmp_path / "training.csv").write_text("\n".join([header, *lines]) + "\n")
        model = tmp_path / f"model_{version}.pkl"
        arguments = train_arguments(str(model), str(tmp_path / "training.csv"), "params.yaml")
        assert python("train_model.py", *arguments, cwd=project).returncode == 0
        report = tmp_path / f"{version}.xml"
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tests"]
        tested = python(*command, cwd=project, MODEL_PATH=str(model))
        assert tested.returncode == 0, tested.stdout
        value = report.read_text().split('name="mean_absolute_error" value="')[1].split('"')[0]
        errors.append(float(value))
    assert errors[1] < 0.85 * errors[0]
