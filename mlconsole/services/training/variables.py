"""The environment variables that a training ran with, as far as they may be kept, and the seed of its randomness."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from mlconsole.evidence.training import Parameter, Variable
from mlconsole.text import clean_line, shorten

_SHOWN = re.compile(
    r"(?:OMP|MKL|OPENBLAS|BLIS|VECLIB|NUMEXPR|GOTO|KMP|LOKY|CUDA|CUDNN|CUBLAS|NVIDIA|ROCR|HIP|TORCH|PYTORCH|NCCL|XLA|JAX"
    r"|POLARS|LC)_[A-Z0-9_]+|TF_(?:ENABLE|DETERMINISTIC|CUDNN|NUM|XLA|FORCE_GPU|GPU|USE|CPP)_[A-Z0-9_]+|KERAS_BACKEND"
    r"|TOKENIZERS_PARALLELISM|PYTHONHASHSEED|PYTHONOPTIMIZE|LANG|TZ|MALLOC_ARENA_MAX"
)
_SECRET = re.compile(r"TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE|SIGNATURE|_KEYS?(?:_|$)|^KEY", re.IGNORECASE)
_SEEDS = ("seed", "random_seed", "random_state", "rng_seed", "global_seed", "torch_seed", "numpy_seed")


def kept(environment: Mapping[str, str]) -> tuple[Variable, ...]:
    """All variables by their names; the values only of those that steer threads, devices, libraries and language.

    Any other value may hold a secret, and is not kept.
    """
    return tuple(
        Variable(name=clean_line(name), value=shorten(clean_line(value), 200) if _is_shown(name) else "")
        for name, value in sorted(environment.items())
    )


def _is_shown(name: str) -> bool:
    secret = _SECRET.search(name.removeprefix("TOKENIZERS"))
    return _SHOWN.fullmatch(name) is not None and secret is None


def seed_of(parameters: Iterable[Parameter], command: Sequence[str], environment: Mapping[str, str]) -> str:
    """The seed of randomness: a parameter of such a name, an option of the command, or Python's hash seed."""
    for parameter in parameters:
        if parameter.name.rpartition(".")[2].lower() in _SEEDS:
            return parameter.value
    for word, after in zip(command, [*command[1:], ""], strict=True):
        name, equals, value = word.lstrip("-").partition("=")
        if name.replace("-", "_").lower() in _SEEDS and (equals or word.startswith("-")):
            return value if equals else after
    return environment.get("PYTHONHASHSEED", "")
