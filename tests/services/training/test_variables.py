"""Environment variables are kept by name; values only where they steer the run and are no secret."""

from __future__ import annotations

import pytest

from mlconsole.evidence.training import Parameter
from mlconsole.services.training.variables import kept, seed_of


def test_only_harmless_values_are_kept() -> None:
    environment = {
        "OMP_NUM_THREADS": "4",
        "CUDA_VISIBLE_DEVICES": "0",
        "TF_DETERMINISTIC_OPS": "1",
        "LANG": "C",
        "TF_VAR_db": "postgres://me:pw@host",
        "TF_CLI_CONFIG_FILE": "/home/me/.terraformrc",
        "NVIDIA_API_KEY": "k",
        "TORCH_HUB_TOKEN": "t",
        "MLFLOW_TRACKING_URI": "https://me:pw@host",
        "HOME": "/home/me",
    }
    found = {variable.name: variable.value for variable in kept(environment)}
    assert list(found) == sorted(environment)
    assert {name for name, value in found.items() if value} == {
        "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "TF_DETERMINISTIC_OPS", "LANG",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "command", "seed"),
    [
        ({"model.random_state": "7"}, [], "7"),
        ({}, ["python", "a.py", "--seed", "3"], "3"),
        ({}, ["python", "a.py", "--random-seed=4"], "4"),
        ({}, ["python", "a.py", "seed=5"], "5"),
        ({}, ["python", "seed", "a.py"], "11"),
        ({"depth": "7"}, ["make"], "11"),
    ],
)
def test_the_seed_is_found(parameters: dict[str, str], command: list[str], seed: str) -> None:
    given = [Parameter(name=name, value=value) for name, value in parameters.items()]
    assert seed_of(given, command, {"PYTHONHASHSEED": "11"}) == seed
