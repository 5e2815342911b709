"""Label selectors as kubectl's `-l` takes them: `app=ml-model,tier in (a, b),!canary`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlconsole.errors import WrongUse

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<operator>!=|==|=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=,()]+)$")


def matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether `labels` fulfil every requirement of `selector`; an empty one matches all.

    Raises:
        WrongUse: it is not a selector.
    """
    return all(_fulfils(part.strip(), labels) for part in re.split(r",(?![^(]*\))", selector) if part.strip())


def _fulfils(requirement: str, labels: Mapping[str, str]) -> bool:
    if found := _SET.match(requirement):
        values = {value.strip() for value in found["values"].split(",")}
        return (labels.get(found["key"]) in values) is (found["operator"] == "in")
    if found := _EQUAL.match(requirement):
        return (labels.get(found["key"]) == found["value"]) is (found["operator"] != "!=")
    if found := _EXISTS.match(requirement):
        return (found["key"] in labels) is not bool(found["no"])
    raise WrongUse(f"{requirement!r} is not a label selector.", "Write it as kubectl's -l takes it: app=ml-model.")


def text_of(labels: Mapping[str, str]) -> str:
    """Write labels that all have to match as a selector: `a=b,c=d`."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
