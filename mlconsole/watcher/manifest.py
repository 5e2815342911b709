"""What runs the watcher in a cluster: a Deployment, a disk for project and journal, and the least Role that works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.project import Project
from mlconsole.services import git
from mlconsole.services.kubernetes.documents import Manifest
from mlconsole.services.kubernetes.kubeconfig import IN_CLUSTER
from mlconsole.services.kubernetes.resources import KNOWN
from mlconsole.services.kubernetes.rollout import FOLLOWED_KINDS
from mlconsole.stages import train_on_cluster
from mlconsole.stages.target import given_manifests
from mlconsole.stages.turn import lease_name

MOUNT = "/project"
SIZE = "10Gi"

Body = dict[str, object]


class RoleRule(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One rule of a Role, as Kubernetes writes it."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


def manifest(project: Project, *, image: str, namespace: str = "") -> str:
    """The manifests as YAML, for `kubectl apply -f -`.

    Args:
        project: the project.
        image: holds mlconsole, git, and the Python that the project's code needs.
        namespace: where releases go; the settings' where empty, else `default`.

    Raises:
        WrongUse: no image is named, or the project deploys to its local cluster.
    """
    import yaml

    if not image:
        raise WrongUse(
            "Name the image to watch with: --image.", "It has to hold mlconsole, git and the project's Python."
        )
    if project.is_local:
        raise WrongUse("This project deploys to its local cluster.", "Name another context: [deploy] context = …")
    place = namespace or project.settings.deploy.namespace or "default"
    objects = [
        _account(project, place),
        *_roles(project, given_manifests(project), place),
        _claim(project, place),
        _deployment(project, image, place),
    ]
    return yaml.safe_dump_all(objects, sort_keys=False, width=1000)


def role_rules(project: Project, manifests: Iterable[Manifest]) -> tuple[RoleRule, ...]:
    """What a watcher and its releases may do in a namespace to which these manifests are deployed, and no more.

    Applying creates and patches; the dry run and what serves is read; rollouts, pods and events are followed. What is
    deployed is never deleted, since a release that a trigger set off does not prune; a training's own Job is.
    """
    verbs: dict[tuple[str, str], set[str]] = {}

    def allow(resource: str, *allowed: str, group: str = "") -> None:
        verbs.setdefault((group, resource), set()).update(allowed)

    for entry in manifests:
        resource = KNOWN.get((entry.api_version, entry.kind))
        if resource is None:
            raise WrongUse(
                f"How the cluster serves {entry.kind} of {entry.api_version} is not known here.",
                "Add a rule for it to the Role by hand.",
            )
        allow(resource.plural, "create", "get", "list", "patch", group=resource.group)
        if entry.kind in FOLLOWED_KINDS:
            allow(resource.plural, "watch", group=resource.group)
    allow("replicasets", "list", "watch", group="apps")
    allow("pods", "list", "watch")
    allow("pods/log", "get")
    allow("events", "list", "watch")
    allow("leases", "create", "get", "update", group="coordination.k8s.io")
    smoke = project.settings.deploy.smoke
    if smoke.path:
        posts = (smoke.method.upper() or ("POST" if smoke.body else "GET")) != "GET"
        allow("pods/proxy", "create" if posts else "get")
    monitors = any(entry.kind == "monitor" for entry in project.settings.watch)
    if monitors and not project.settings.monitor.prometheus:
        allow("pods/proxy", "get")
    for resource in train_on_cluster.resources_of(project):
        allow(resource.plural, "create", "delete", "get", "list", "watch", group=resource.group)
        allow("pods", "get")
        if resource.kind == "Job":
            allow("configmaps", "create", "delete", "get", "patch")
    return tuple(
        RoleRule(api_groups=(group,), resources=(plural,), verbs=tuple(sorted(allowed)))
        for (group, plural), allowed in verbs.items()
    )


def _roles(project: Project, manifests: Sequence[Manifest], place: str) -> list[Body]:
    """A Role and its binding for each namespace that the manifests go to; the watcher's own comes first."""
    places: dict[str, list[Manifest]] = {place: []}
    for entry in manifests:
        resource = KNOWN.get((entry.api_version, entry.kind))
        if resource is not None and not resource.namespaced:
            raise WrongUse(
                f"{entry.kind} {entry.name} belongs to the whole cluster.",
                "Let whoever runs the cluster make it, and take it out of the manifests that are released.",
            )
        places.setdefault(entry.namespace or place, []).append(entry)
    name = _name(project)
    made: list[Body] = []
    for namespace, entries in places.items():
        rules = [msgspec.to_builtins(rule) for rule in role_rules(project, entries)]
        kind: Body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
        made.append({**kind, "metadata": _metadata(project, namespace), "rules": rules})
        made.append(
            {
                **kind,
                "kind": "RoleBinding",
                "metadata": _metadata(project, namespace),
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": place}],
            }
        )
    return made


def _name(project: Project) -> str:
    return lease_name(project)[:52] + "-watcher"


def _labels(project: Project) -> Mapping[str, str]:
    return {"app.kubernetes.io/name": _name(project), "app.kubernetes.io/managed-by": "mlconsole"}


def _metadata(project: Project, namespace: str) -> Body:
    return {"name": _name(project), "namespace": namespace, "labels": dict(_labels(project))}


def _account(project: Project, namespace: str) -> Body:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(project, namespace)}


def _claim(project: Project, namespace: str) -> Body:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(project, namespace),
        "spec": spec,
    }


def _deployment(project: Project, image: str, namespace: str) -> Body:
    name = _name(project)
    mounts = [{"name": "project", "mountPath": MOUNT}]
    watch = {
        "name": "watch",
        "image": image,
        "command": ["mlconsole", "watch", "-C", MOUNT, "--context", IN_CLUSTER, "--namespace", namespace],
        "env": _environment(project),
        "volumeMounts": mounts,
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    pod: Body = {
        # the journal knows a runner by its host and process: the next pod has to be the same host
        "hostname": name[:63],
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 60,
        "containers": [watch],
        "volumes": [{"name": "project", "persistentVolumeClaim": {"claimName": name}}],
    }
    url = git.inspect(project.root, recent=1).url
    if url and "***" not in url:
        script = f'test -d {MOUNT}/.git || git clone -- "$0" {MOUNT}'
        pod["initContainers"] = [
            {"name": "clone", "image": image, "command": ["sh", "-c", script, url], "volumeMounts": mounts}
        ]
    labels = dict(_labels(project))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(project, namespace),
        "spec": {
            "replicas": 1,
            # two at once would share one disk
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app.kubernetes.io/name": labels["app.kubernetes.io/name"]}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _environment(project: Project) -> list[Body]:
    """What the watcher is told; a secret by the name of a Secret, never by its value."""
    variable = project.settings.notify.webhook
    if not variable:
        return []
    return [{"name": variable, "valueFrom": {"secretKeyRef": {"name": _name(project), "key": variable}}}]
