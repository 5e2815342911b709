"""The Secrets of a plan. They are kept in this process's memory alone: a plan goes into the journal without them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from mlconsole.errors import WrongUse
from mlconsole.evidence.cluster import DeployPlan
from mlconsole.services.kubernetes.documents import Manifest
from mlconsole.text import listed

_PLANS_KEPT = 8
_secrets: OrderedDict[str, tuple[Manifest, ...]] = OrderedDict()


def keep_secrets(digest: str, manifests: Sequence[Manifest]) -> None:
    """Keep the Secrets among a plan's manifests, by the plan's digest, until some later plans were made."""
    found = tuple(manifest for manifest in manifests if manifest.kind == "Secret")
    if found:
        _secrets[digest] = found
        while len(_secrets) > _PLANS_KEPT:
            _secrets.popitem(last=False)


def secrets_of(plan: DeployPlan, given: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """Return the Secrets of a plan: those among `given`, else those that were kept.

    Raises:
        WrongUse: the plan changes a Secret that is not at hand.
    """
    wanted = {change.name for change in plan.changes if change.kind == "Secret" and change.action in _WRITTEN}
    found = tuple(manifest for manifest in given if manifest.kind == "Secret") or _secrets.get(plan.digest, ())
    missing = sorted(wanted - {manifest.name for manifest in found})
    if missing:
        raise WrongUse(
            f"The plan changes the Secret {listed(missing)}, whose content is never kept.",
            "Plan again from the manifests, then apply.",
        )
    return found


_WRITTEN = ("create", "change")
