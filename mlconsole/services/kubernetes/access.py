"""What the credentials may do, asked before it is needed: one SelfSubjectAccessReview a verb and resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.documents import Manifest
from mlconsole.services.kubernetes.problems import VERBS, NotFound, decode
from mlconsole.services.kubernetes.resources import EVENTS, KNOWN, PODS, REPLICA_SETS, Resource, resource_of
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
APPLY_VERBS = ("get", "create", "patch")
WATCH_VERBS = ("list", "watch")


class AccessAnswer(Record, frozen=True, kw_only=True):
    """Whether a verb is allowed on a resource such as `deployments.apps` or `pods/log`."""

    verb: str
    resource: str
    namespace: str
    allowed: bool
    reason: str = ""

    @property
    def sentence(self) -> str:
        """`may patch deployments.apps in namespace default`, or what is missing."""
        where = f" in namespace {self.namespace}" if self.namespace else " in the whole cluster"
        why = f" ({self.reason})" if self.reason and not self.allowed else ""
        return f"{'may' if self.allowed else 'may not'} {self.verb} {self.resource}{where}{why}"


class _ReviewStatus(msgspec.Struct):
    allowed: bool = False
    reason: str = ""


class _Review(msgspec.Struct):
    status: _ReviewStatus = msgspec.field(default_factory=_ReviewStatus)


def review(
    connection: Connection, manifests: Sequence[Manifest], *, smoke_method: str = ""
) -> tuple[AccessAnswer, ...]:
    """Ask whether everything is allowed that a deploy of these manifests, and looking at its pods, needs.

    Args:
        connection: to the cluster.
        manifests: what would be deployed.
        smoke_method: the HTTP method of the smoke test, where there is one.

    Raises:
        Problem: the cluster can't be asked.
    """
    answers: list[AccessAnswer] = []
    seen: set[tuple[str, str]] = set()
    for manifest in manifests:
        try:
            resource = resource_of(connection, manifest.api_version, manifest.kind)
        except NotFound:
            # Its definition may be among the manifests; the plan tells.
            continue
        namespace = (manifest.namespace or connection.namespace) if resource.namespaced else ""
        if (resource.plural, namespace) in seen:
            continue
        seen.add((resource.plural, namespace))
        answers.extend(_ask(connection, verb, resource, namespace) for verb in APPLY_VERBS)
    for resource in (PODS, EVENTS, REPLICA_SETS):
        answers.extend(_ask(connection, verb, resource, connection.namespace) for verb in WATCH_VERBS)
    answers.append(_ask(connection, "get", PODS, connection.namespace, "log"))
    if smoke_method:
        verb = VERBS.get(smoke_method, "get")
        answers.append(_ask(connection, verb, PODS, connection.namespace, "proxy"))
    return tuple(answers)


def review_training(connection: Connection, resource: Resource) -> tuple[AccessAnswer, ...]:
    """Ask whether everything is allowed that a training on the cluster needs: to make a Job, follow and delete it.

    Args:
        connection: to the cluster.
        resource: the Job, JobSet or TrainJob.

    Raises:
        Problem: the cluster can't be asked.
    """
    where = connection.namespace
    answers = [_ask(connection, verb, resource, where) for verb in ("create", "delete", *WATCH_VERBS)]
    if resource.kind == "Job":
        answers += [_ask(connection, verb, KNOWN["v1", "ConfigMap"], where) for verb in ("create", "patch")]
    answers += [_ask(connection, verb, PODS, where) for verb in WATCH_VERBS]
    return (*answers, _ask(connection, "get", PODS, where, "log"))


def _ask(connection: Connection, verb: str, resource: Resource, namespace: str, subresource: str = "") -> AccessAnswer:
    attributes = {"verb": verb, "group": resource.group, "resource": resource.plural}
    if namespace:
        attributes["namespace"] = namespace
    if subresource:
        attributes["subresource"] = subresource
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status = decode(connection.request("POST", REVIEWS, body=msgspec.json.encode(body)), _Review).status
    name = resource.plural + (f".{resource.group}" if resource.group else "")
    return AccessAnswer(
        verb=verb,
        resource=f"{name}/{subresource}" if subresource else name,
        namespace=namespace,
        allowed=status.allowed,
        reason=clean_line(status.reason),
    )
