"""What loading a model file would do, found without loading it, and what that means for a release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mlconsole.evidence.base import Reason
from mlconsole.evidence.training import TrainEvidence
from mlconsole.stages.base import StageContext
from mlconsole.text import listed


def scanned(evidence: TrainEvidence, model: Path) -> TrainEvidence:
    """Add what loading the model file would import, found without loading it."""
    from mlconsole.services.models import scan

    try:
        names = scan.imports(model)
        dangerous = scan.dangerous(names)
        unknown = tuple(name for name in scan.unknown(names) if name not in dangerous)
        return msgspec.structs.replace(evidence, dangerous=dangerous, unknown_imports=unknown)
    except scan.ScanFailed as problem:
        return msgspec.structs.replace(evidence, not_scanned=problem.sentence)


def loading_reasons(context: StageContext, evidence: TrainEvidence) -> Iterator[Reason]:
    """What there is to say of loading the model: harm stops a release, what nobody knows or trusts is a warning."""
    if evidence.dangerous:
        names = listed(list(evidence.dangerous))
        sentence = f"Loading this model would import {names}: no model needs that."
        yield Reason(level="fail", sentence=sentence, next_step="Find out what wrote it before anyone loads it.")
    if evidence.unknown_imports:
        yield from _unknown_reasons(evidence.unknown_imports, context.project.settings.train.trusted)
    if evidence.not_scanned:
        yield Reason(level="warn", sentence=f"Nobody knows what loading it runs: {evidence.not_scanned}")


def _unknown_reasons(names: tuple[str, ...], trusted: tuple[str, ...]) -> Iterator[Reason]:
    """A warning where loading the model imports what is neither usual nor trusted."""
    from mlconsole.services.models import scan

    foreign = scan.unknown(names, trusted)
    if foreign:
        packages = ", ".join(json.dumps(name) for name in dict.fromkeys(name.partition(".")[0] for name in foreign))
        sentence = f"Loading this model imports {listed(foreign)}, of no package that models are usually made of."
        hint = f"If you trust it, say so: [train] trusted = [{packages}]"
        yield Reason(level="warn", sentence=sentence, next_step=hint)
