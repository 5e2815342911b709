"""Refusals as the Kubernetes API words them: ``metav1.Status`` objects.

Texts and shapes are those of a real API server, so that clients that match on them behave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlconsole.localcluster.api.registry import Resource


class Cause(NamedTuple):
    """One entry of ``details.causes``."""

    reason: str
    message: str
    field: str


class ApiError(Exception):
    """A request that is refused. ``status`` is the Status object to answer with."""

    def __init__(
        self, code: int, message: str, reason: str | None = None, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.status["message"] = message
        if reason:
            self.status["reason"] = reason
        if details:
            self.status["details"] = details
        self.status["code"] = code


def _details(resource: Resource, name: str, *, kind: bool = False) -> dict[str, Any]:
    details = {"name": name, "group": resource.group, "kind": resource.kind if kind else resource.plural}
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> ApiError:
    """404 for an object that is not there."""
    return ApiError(404, f'{resource.qualified} "{name}" not found', "NotFound", _details(resource, name))


def forbidden(resource: Resource, name: str, message: str) -> ApiError:
    """403 for what a quota does not let in."""
    return ApiError(403, message, "Forbidden", _details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 for a create of what is there."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, message, "AlreadyExists", _details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    """409 for a write on the basis of an outdated resourceVersion (or another precondition)."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, message, "Conflict", _details(resource, name))


def apply_conflict(causes: Sequence[Cause]) -> ApiError:
    """409 for a server-side apply of fields that other managers own."""
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        text = f"Apply failed with {len(causes)} conflicts: {_grouped(causes)}"
    return ApiError(409, text, "Conflict", {"causes": [cause._asdict() for cause in causes]})


def _grouped(causes: Sequence[Cause]) -> str:
    groups: dict[str, list[str]] = {}
    for cause in causes:
        groups.setdefault(cause.message.removeprefix("conflict with "), []).append(f"- {cause.field}")
    return "\n".join(f"conflicts with {who}:\n" + "\n".join(fields) for who, fields in sorted(groups.items()))


def invalid(resource: Resource | None, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 for an object whose values are not allowed."""
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    kind = resource.qualified_kind if resource else ""
    details: dict[str, Any] = _details(resource, name, kind=True) if resource else {}
    details["causes"] = [cause._asdict() for cause in causes]
    return ApiError(422, f'{kind} "{name}" is invalid: {joined}', "Invalid", details)


def manager_required() -> ApiError:
    """422 for a server-side apply that does not say for whom."""
    cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
    message = f'PatchOptions.meta.k8s.io "" is invalid: {cause.field}: {cause.message}'
    details = {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [cause._asdict()]}
    return ApiError(422, message, "Invalid", details)


def bad_request(message: str) -> ApiError:
    """400 for a request that can't be understood."""
    return ApiError(400, message, "BadRequest")


def unauthorized() -> ApiError:
    """401 for a missing or wrong token."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """405 for a verb that the resource does not have."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, message, "MethodNotAllowed", {})


def not_offered(subresource: str) -> ApiError:
    """501 for what a container that is a local process can't have."""
    message = f"the local cluster does not offer {subresource}: its containers are processes of this machine"
    return ApiError(501, message, "NotImplemented")


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415 for a body of a type that the endpoint does not read."""
    message = "the body of the request was in an unknown format - accepted media types include: "
    return ApiError(415, message + ", ".join(accepted), "UnsupportedMediaType")


def expired(since: int, oldest: int) -> ApiError:
    """410 for a watch from a version whose events are gone."""
    return ApiError(410, f"too old resource version: {since} ({oldest})", "Expired")


def continue_expired() -> ApiError:
    """410 for the next page of a list that is no longer there."""
    message = "The provided continue parameter is too old to display a consistent list result."
    return ApiError(410, message, "Expired")


def version_too_large(wanted: int, current: int) -> ApiError:
    """504 for a list at a version that is not reached yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return ApiError(504, message, "Timeout", {"causes": [cause], "retryAfterSeconds": 1})


def unavailable(message: str) -> ApiError:
    """503 for a proxy target that does not answer."""
    return ApiError(503, message, "ServiceUnavailable")
