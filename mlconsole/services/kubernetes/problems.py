"""What a cluster can answer or fail with, as problems that a person can act on.

`problem_of` turns the Status object of a refused request into one of them; `unreachable` does so for a connection
that fails.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from mlconsole.errors import OutsideFailed, Problem, WrongUse
from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.objects import Cause, Status, StatusDetails
from mlconsole.text import clean_line, listed, shorten

T = TypeVar("T")

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
LONGEST_MESSAGE = 400


class NoCluster(OutsideFailed):
    """There is no kubeconfig, it can't be read, or the context asked for is not in it."""


class Unreachable(OutsideFailed):
    """Nothing answers at the cluster's address, or what answers is not trusted."""


class Unauthorized(OutsideFailed):
    """The cluster does not accept the credentials, or there are none to be had."""


class Forbidden(OutsideFailed):
    """The credentials are good, but may not do this."""


class NotFound(OutsideFailed):
    """An object, its namespace, or the whole kind does not exist in the cluster."""


class FieldConflict(Record, frozen=True, kw_only=True):
    """A field that another manager owns."""

    manager: str
    field: str


class ApplyConflict(OutsideFailed):
    """An apply would change fields that others own, or somebody changed the object meanwhile."""

    def __init__(self, sentence: str, next_step: str = "", *, conflicts: tuple[FieldConflict, ...] = ()) -> None:
        super().__init__(sentence, next_step)
        self.conflicts = conflicts


class Invalid(WrongUse):
    """The cluster does not accept the object: `fields` are those that are wrong."""

    def __init__(self, sentence: str, next_step: str = "", *, fields: tuple[str, ...] = ()) -> None:
        super().__init__(sentence, next_step, tail=())
        self.fields = fields


class QuotaExceeded(OutsideFailed):
    """A quota of the namespace is used up."""


class TooManyRequests(OutsideFailed):
    """The server asks to come back later; `retry_after` says in how many seconds."""

    def __init__(self, sentence: str, next_step: str = "", *, retry_after: float = 1) -> None:
        super().__init__(sentence, next_step)
        self.retry_after = retry_after


class ServerFailed(OutsideFailed):
    """The server failed, or answers what can't be understood."""


class Expired(ServerFailed):
    """The version that a watch or a list was to go on from is too old: list again (410 Gone)."""


def problem_of(
    code: int, body: bytes, *, method: str, path: str, context: str, retry_after: str | None = None
) -> Problem:
    """Make the problem that fits a refused request.

    Args:
        code: the HTTP status.
        body: what came with it; a Status object, or any text.
        method: the request's.
        path: the request's, without the server's address.
        context: the name of the context, for the sentence.
        retry_after: the answer's `Retry-After`: the server's flow control says it there only.
    """
    status = read_status(body)
    message = _one_line(status.message) or _one_line(body.decode("utf-8", "replace")) or f"HTTP status {code}"
    if code == 401:
        return Unauthorized(
            f"The cluster of context {context} does not accept the credentials ({message}).",
            "Log in again as your cluster asks for, then try `kubectl get pods` once.",
        )
    if code == 403:
        return _forbidden(message, method, path)
    if code == 404:
        return _not_found(status, message, path)
    if code == 409:
        return _conflict(status, message)
    if code == 410:
        return Expired(f"The cluster no longer has that version: {message}", "List again.")
    undeclared = re.search(r"(\S+): field not declared in schema", message)
    mistyped = re.search(r"failed to create typed patch object \([^)]*\): (?:errors:\s*)?(\.\S+): (.+)", message)
    if mistyped and not undeclared:
        # The server takes a value of a wrong type for a failure of its own (500).
        return Invalid(
            f"{_kind_in(path)}: {mistyped.group(1)} has a value of a wrong type: {mistyped.group(2)}.",
            "Correct it in the manifest.",
            fields=(mistyped.group(1),),
        )
    if code in (400, 422) or undeclared:
        return _invalid(status, message, undeclared.group(1) if undeclared else "", path)
    if code == 429:
        told = int(retry_after) if retry_after and retry_after.isdecimal() else 0
        seconds = (status.details.retry_after_seconds if status.details else 0) or told or 1
        return TooManyRequests(
            f"The cluster is busy and asks to come back in {seconds} s.",
            "Try again a little later.",
            retry_after=seconds,
        )
    return ServerFailed(
        f"The cluster failed at {method} {path.partition('?')[0]} (HTTP {code}): {message}",
        "Try again; if it stays, look at the health of the API server.",
    )


def read_status(body: bytes) -> Status:
    """Read a Status object; an empty one where the body is something else."""
    try:
        return msgspec.json.decode(body, type=Status)
    except msgspec.MsgspecError:
        return Status()


def decode(data: bytes, kind: type[T]) -> T:
    """Decode an answer.

    Raises:
        ServerFailed: it is not what was asked for: no Kubernetes API answers there, or something stands before it.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        start = _one_line(data[:80].decode("utf-8", "replace"))
        raise ServerFailed(
            f"What answers is not a Kubernetes API, or can't be understood ({error}): {start}",
            "Check the server's address in the kubeconfig, and proxies on the way to it.",
        ) from error


def unreachable(host: str, why: str, next_step: str = "") -> Unreachable:
    """Say that nothing can be had from `host` (`name:port`)."""
    return Unreachable(
        f"Can't reach the cluster at {host}: {why}.",
        next_step or "Check that it runs and that this machine's network or VPN leads to it.",
    )


def _forbidden(message: str, method: str, path: str) -> Problem:
    if "exceeded quota" in message:
        quota = re.search(r"exceeded quota: ([^,]+), (.*)", message)
        what = f"The quota {quota.group(1)} is used up: {quota.group(2)}." if quota else message
        return QuotaExceeded(what, "Ask for a larger quota, lower the requests, or free some of it.")
    cannot = re.search(r'User "([^"]*)" cannot (\S+) resource "([^"]*)"(.*)', message)
    if cannot is None:
        return Forbidden(
            f"The cluster forbids {VERBS.get(method, 'get')} at {path.partition('?')[0]}: {message}",
            "Ask whoever runs the cluster; a policy may be in the way.",
        )
    user, verb, resource, rest = cannot.groups()
    group = re.search(r'in API group "([^"]*)"', rest)
    namespace = re.search(r'in the namespace "([^"]*)"', rest)
    full = f"{resource}.{group.group(1)}" if group and group.group(1) else resource
    where = f"in namespace {namespace.group(1)}" if namespace else "in the whole cluster"
    flag = f" -n {namespace.group(1)}" if namespace else ""
    return Forbidden(
        f"{user} may not {verb} {full} {where}.",
        f"Ask for a role that allows it; `kubectl auth can-i {verb} {full}{flag}` checks it.",
    )


def _not_found(status: Status, message: str, path: str) -> Problem:
    details = status.details
    if details is None or not details.name:
        kind = _kind_in(path)
        return NotFound(
            f"The cluster does not know {kind}.",
            "Correct apiVersion and kind in the manifest, or install what defines them.",
        )
    if details.kind == "namespaces":
        return NotFound(
            f"The namespace {details.name} does not exist.",
            f"Create it (`kubectl create namespace {details.name}`), or name another one in the settings.",
        )
    full = f"{details.kind}.{details.group}" if details.group else details.kind
    return NotFound(f"There is no {details.name} among the {full}.", "Check its name, the namespace and the context.")


def _conflict(status: Status, message: str) -> Problem:
    causes = (status.details.causes if status.details else None) or []
    conflicts = tuple(
        FieldConflict(manager=_manager_in(cause.message), field=cause.field)
        for cause in causes
        if cause.reason == "FieldManagerConflict"
    )
    if not conflicts:
        return ApplyConflict(f"Somebody else changed it meanwhile: {message}", "Plan again, then apply.")
    return conflict_of(conflicts)


def conflict_of(conflicts: tuple[FieldConflict, ...], what: str = "") -> ApplyConflict:
    """Say who owns which fields that an apply would change."""
    owners = {conflict.manager: "" for conflict in conflicts}
    told = [
        f"{owner} owns {listed([entry.field for entry in conflicts if entry.manager == owner], 5)}" for owner in owners
    ]
    return ApplyConflict(
        (f"{what}: " if what else "Others own fields that would change: ") + "; ".join(told) + ".",
        "Take them out of the manifest, or choose: --force-conflicts takes them over, --leave-conflicts does not.",
        conflicts=conflicts,
    )


def _manager_in(message: str) -> str:
    """`conflict with "kubectl-edit" using apps/v1 at …` → `kubectl-edit`; with a subresource, `kubectl (scale)`."""
    found = re.search(r'conflict with "([^"]*)"(?: with subresource "([^"]*)")?', message)
    if found is None:
        return message
    return f"{found.group(1)} ({found.group(2)})" if found.group(2) else found.group(1)


def _invalid(status: Status, message: str, undeclared: str, path: str) -> Problem:
    details = status.details or StatusDetails()
    causes = details.causes or []
    what = f"{details.kind} {details.name}".strip() or _kind_in(path)
    if undeclared:
        return Invalid(
            f"{what}: the field {undeclared} does not exist.",
            "Correct its spelling in the manifest.",
            fields=(undeclared,),
        )
    unknown = re.findall(r'unknown field "([^"]+)"|duplicate field "([^"]+)"', message)
    if unknown:
        fields = tuple(first or second for first, second in unknown)
        return Invalid(f"{what}: {listed(fields)} can't be used: {message}", "Correct the manifest.", fields=fields)
    if any("immutable" in cause.message for cause in causes):
        fields = tuple(cause.field for cause in causes)
        return Invalid(
            f"{what}: {listed(fields)} can't be changed once the object exists.",
            "Keep the value, or delete the object first and deploy anew (its pods stop meanwhile).",
            fields=fields,
        )
    if causes:
        return Invalid(
            f"{what} is not valid: {'; '.join(_cause(cause) for cause in causes)}.",
            "Correct the manifest.",
            fields=tuple(cause.field for cause in causes),
        )
    return Invalid(f"{what} is not valid: {message}", "Correct the manifest.")


def _cause(cause: Cause) -> str:
    return f"{cause.field}: {_one_line(cause.message)}" if cause.field else _one_line(cause.message)


def _kind_in(path: str) -> str:
    """Name what a path is about: `rollouts of argoproj.io/v1alpha1`."""
    parts = path.partition("?")[0].strip("/").split("/")
    version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else ("/".join(parts[1:2]), parts[2:])
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    name = f" {rest[1]}" if len(rest) > 1 else ""
    return f"{rest[0]}{name} of {version}" if rest else path


def _one_line(text: str) -> str:
    return shorten(clean_line(text.strip().replace("\n", " ")), LONGEST_MESSAGE)
