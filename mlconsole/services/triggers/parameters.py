"""Parameters of the training as a trigger: what they say counts, not how the file is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mlconsole.evidence.training import Parameter
from mlconsole.text import listed


def digest_of_parameters(parameters: Sequence[Parameter]) -> str:
    """A digest of names and values, in whatever order they stand."""
    sha = hashlib.sha256()
    for entry in sorted(parameters, key=lambda entry: entry.name):
        sha.update(f"{entry.name}\0{entry.value}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{sha.hexdigest()}"


def changed_words(parameters: Sequence[Parameter], before: Sequence[Parameter]) -> str:
    """Say what differs: `epochs 10 → 20 and depth = 3`."""
    old = {entry.name: entry.value for entry in before}
    new = {entry.name: entry.value for entry in parameters}
    words = [f"{name} {old[name]} → {new[name]}" for name in new if name in old and old[name] != new[name]]
    words += [f"{name} = {value}" for name, value in new.items() if name not in old]
    words += [f"no {name}" for name in old if name not in new]
    return listed(words)
