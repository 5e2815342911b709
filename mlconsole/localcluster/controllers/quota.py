"""ResourceQuotas: how many pods a namespace may have. Other amounts are kept, but not enforced."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import Controller
from mlconsole.localcluster.controllers.objects import is_finished, quantity
from mlconsole.localcluster.store import Event, Key, Object, Store, key_of

COUNTS = ("pods", "count/pods")


class QuotaExceeded(Exception):
    """A pod is one too many; the text is the API server's."""


def admit_pod(store: Store, namespace: str, name: str) -> None:
    """Lets a pod come to be where the quotas of its namespace have room. Raises QuotaExceeded."""
    for quota in store.scan("resourcequotas", namespace):
        hard = quota["spec"].get("hard") or {}
        used = _pods(store, namespace)
        full = [kind for kind in COUNTS if kind in hard and used + 1 > quantity(hard[kind])]
        if full:
            requested = ",".join(f"{kind}=1" for kind in full)
            taken = ",".join(f"{kind}={used}" for kind in full)
            limited = ",".join(f"{kind}={hard[kind]}" for kind in full)
            raise QuotaExceeded(
                f'pods "{name}" is forbidden: exceeded quota: {quota["metadata"]["name"]}, '
                f"requested: {requested}, used: {taken}, limited: {limited}"
            )


class QuotaController(Controller):
    """Writes into each quota how much of it is used."""

    watches = ("resourcequotas", "pods")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The quota itself, or all of a pod's namespace."""
        if resource == "resourcequotas":
            return [key_of(event.object)]
        return [key_of(quota) for quota in self.store.scan("resourcequotas", event.object["metadata"]["namespace"])]

    def reconcile(self, key: Key) -> float | None:
        """Counts."""
        quota = self.find("resourcequotas", key)
        if quota is not None:
            hard: Object = quota["spec"].get("hard") or {}
            used = {kind: str(_pods(self.store, key[0])) if kind in COUNTS else "0" for kind in hard}
            self.store.update("resourcequotas", quota | {"status": {"hard": hard, "used": used}}, status=True)
        return None


def _pods(store: Store, namespace: str) -> int:
    return sum(not is_finished(pod) for pod in store.scan("pods", namespace))
