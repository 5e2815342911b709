"""Endpoints and EndpointSlices: which pods stand behind a Service, and at which real ports."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.addresses import LOOPBACK, real_port
from mlconsole.localcluster.controllers.base import Controller
from mlconsole.localcluster.controllers.objects import (
    NODE_NAME,
    is_deleted,
    is_finished,
    is_ready,
    labels_of,
    owner_reference,
    safe_hash,
)
from mlconsole.localcluster.store import Event, Key, NotFound, Object, key_of

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice-controller.k8s.io"


class EndpointsController(Controller):
    """Keeps Endpoints and EndpointSlices of Services that have a selector."""

    watches = ("services", "pods")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The Service itself, or those that select the pod now or did before."""
        if resource == "services":
            return [key_of(event.object)]
        versions = [event.object, *([event.previous] if event.previous else [])]
        namespace = event.object["metadata"].get("namespace", "")
        return [
            key_of(service)
            for service in self.store.scan("services", namespace)
            if any(selects(service, labels_of(pod)) for pod in versions)
        ]

    def reconcile(self, key: Key) -> float | None:
        """Writes both kinds anew where something changed; removes them with their Service."""
        service = self.find("services", key)
        if service is None:
            self._remove(key)
            return None
        if not (service["spec"].get("selector") or {}):
            return None
        pods = [pod for pod in self.store.scan("pods", key[0]) if selects(service, labels_of(pod))]
        pods = [pod for pod in pods if not is_finished(pod) and pod.get("status", {}).get("podIP")]
        self._put("endpoints", _endpoints(service, pods))
        wanted = [_slice(service, pod) for pod in pods]
        for item in wanted:
            self._put("endpointslices", item)
        names = {item["metadata"]["name"] for item in wanted}
        for item in list(self.store.scan("endpointslices", key[0])):
            if labels_of(item).get(SERVICE_LABEL) == key[1] and item["metadata"]["name"] not in names:
                self.store.delete("endpointslices", *key_of(item))
        return None

    def _put(self, resource: str, wanted: Object) -> None:
        try:
            self.store.update(resource, wanted)
        except NotFound:
            self.store.create(resource, wanted)

    def _remove(self, key: Key) -> None:
        if self.find("endpoints", key) is not None:
            self.store.delete("endpoints", *key)
        for item in list(self.store.scan("endpointslices", key[0])):
            if labels_of(item).get(SERVICE_LABEL) == key[1]:
                self.store.delete("endpointslices", *key_of(item))


def selects(service: Object, labels: dict[str, str]) -> bool:
    """Whether the Service's selector takes these labels; none takes nothing."""
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _ports(service: Object, pod: Object) -> list[Object]:
    found = []
    for entry in service["spec"].get("ports") or []:
        real = real_port(pod, entry.get("targetPort", entry["port"]))
        if real is not None:
            port = {"port": real, "protocol": entry.get("protocol", "TCP")}
            found.append(port | ({"name": entry["name"]} if entry.get("name") else {}))
    return found


def _is_up(service: Object, pod: Object) -> bool:
    shown = is_ready(pod) or service["spec"].get("publishNotReadyAddresses")
    return bool(shown) and not is_deleted(pod)


def _target(pod: Object) -> Object:
    namespace, name = key_of(pod)
    return {"kind": "Pod", "namespace": namespace, "name": name, "uid": pod["metadata"]["uid"]}


def _endpoints(service: Object, pods: list[Object]) -> Object:
    subsets = []
    for pod in pods:
        ports = _ports(service, pod)
        if is_deleted(pod) or not ports:
            continue
        field = "addresses" if _is_up(service, pod) else "notReadyAddresses"
        address = {"ip": LOOPBACK, "nodeName": NODE_NAME, "targetRef": _target(pod)}
        subsets.append({field: [address], "ports": ports})
    namespace, name = key_of(service)
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels_of(service))}
    endpoints: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    return endpoints | ({"subsets": subsets} if subsets else {})


def _slice(service: Object, pod: Object) -> Object:
    namespace, name = key_of(service)
    up = _is_up(service, pod)
    conditions = {"ready": up, "serving": is_ready(pod), "terminating": is_deleted(pod)}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{safe_hash(pod['metadata']['uid'], 5)}",
            "namespace": namespace,
            "labels": {SERVICE_LABEL: name, "endpointslice.kubernetes.io/managed-by": MANAGED_BY},
            "ownerReferences": [owner_reference(service, "v1", "Service")],
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [LOOPBACK], "conditions": conditions, "nodeName": NODE_NAME, "targetRef": _target(pod)}
        ],
        "ports": _ports(service, pod),
    }
