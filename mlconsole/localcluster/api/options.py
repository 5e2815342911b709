"""The options of a request: what its query and headers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlconsole.localcluster.api.errors import ApiError, Cause, bad_request, invalid

_TRUE = ("1", "t", "true", "")
_VALIDATION = ("Ignore", "Strict", "Warn")


@dataclass(slots=True)
class WriteOptions:
    """How a write is to be made, and the warnings that it gave rise to.

    ``named`` says whether the client named its manager; else ``manager`` is taken from its User-Agent.
    """

    manager: str
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False
    named: bool = True
    warnings: list[str] = field(default_factory=list)

    def settle(self, complaints: list[str]) -> list[str]:
        """Takes unknown fields as warnings; returns those that must refuse the request."""
        if self.validation == "Warn":
            self.warnings += complaints
        return complaints if self.validation == "Strict" else []


def write_options(query: Mapping[str, str], user_agent: str) -> WriteOptions:
    """Reads fieldManager, dryRun, fieldValidation and force. Raises ApiError for values that do not exist."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in _VALIDATION:
        listed = ", ".join(f'"{value}"' for value in ("", *_VALIDATION))
        why = f'Unsupported value: "{validation}": supported values: {listed}'
        raise invalid(None, "", [Cause("FieldValueNotSupported", why, "fieldValidation")])
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        why = f'Unsupported value: ["{dry_run}"]: supported values: "All"'
        raise invalid(None, "", [Cause("FieldValueNotSupported", why, "dryRun")])
    named = query.get("fieldManager", "")
    manager = named or user_agent.split("/")[0].split(" ")[0] or "unknown"
    if len(manager) > 128 or not manager.isprintable():
        raise bad_request("fieldManager must be at most 128 printable characters")
    return WriteOptions(manager, dry_run == "All", validation, flag(query, "force"), bool(named))


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean of the query."""
    return name in query and query[name].lower() in _TRUE


def number(query: Mapping[str, str], name: str) -> int | None:
    """A whole number of the query, or None where it is not given. Raises ApiError 400."""
    text = query.get(name, "")
    if not text:
        return None
    if not text.removeprefix("-").isdecimal():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def version(query: Mapping[str, str]) -> int | None:
    """``resourceVersion``, or None where it is not given. Raises ApiError 400."""
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isdecimal():
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(400, why, "BadRequest")
    return int(text)


def shape_asked(accept: str) -> str:
    """``Table``, ``PartialObjectMetadata`` or nothing, by the Accept header."""
    for choice in accept.split(","):
        words = [word.strip() for word in choice.split(";")]
        if words[0] not in ("application/json", "*/*", "application/*", ""):
            continue
        wanted = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        kind = wanted.get("as", "")
        if kind == "" or (wanted.get("g") == "meta.k8s.io" and wanted.get("v") == "v1" and kind in _SHAPES):
            return kind.removesuffix("List")
    return ""


_SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
