"""ResourceQuotas: how much a namespace may have, of pods, what they ask for, and objects of other kinds."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from mlconsole.localcluster.controllers.base import Controller
from mlconsole.localcluster.controllers.limits import apply_limits
from mlconsole.localcluster.controllers.objects import is_finished, quantity, quantity_text
from mlconsole.localcluster.store import Event, Key, Object, Store, key_of

POD_COUNTS = ("pods", "count/pods")
MUST_BE_NAMED = ("cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory")
"""Where a quota has one of these, each container has to say how much of it it takes."""

COUNTED = {
    "configmaps": "configmaps",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "secrets": "secrets",
    "services": "services",
}
"""Kinds that a quota counts by their plain name, too."""

Amounts = dict[str, Decimal]


class QuotaExceeded(Exception):
    """An object is more than its namespace may have, or asks for too much; the text is the API server's."""


def admit_pod(store: Store, pod: Object) -> None:
    """Lets a pod come to be where limits and quotas of its namespace have room; fills what limits say by default.

    Raises:
        QuotaExceeded: they have none.
    """
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    refused = apply_limits(store, pod)
    if refused:
        why = refused[0] if len(refused) == 1 else f"[{', '.join(refused)}]"
        raise QuotaExceeded(f'pods "{name}" is forbidden: {why}')
    for quota in store.scan("resourcequotas", namespace):
        hard: Object = quota["spec"].get("hard") or {}
        missing = _unnamed(pod, hard)
        if missing:
            named = quota["metadata"]["name"]
            raise QuotaExceeded(f'pods "{name}" is forbidden: failed quota: {named}: must specify {missing}')
        _admit(quota, f'pods "{name}"', _of_pod(pod, hard), _in_use(store, namespace, hard))


def admit_object(store: Store, plural: str, group: str, namespace: str, name: str) -> None:
    """Lets an object of any other kind come to be. Raises QuotaExceeded where it is one too many."""
    kinds = {f"count/{plural}.{group}" if group else f"count/{plural}", COUNTED.get(plural, "")}
    for quota in store.scan("resourcequotas", namespace):
        hard: Object = quota["spec"].get("hard") or {}
        wanted = {kind: Decimal(1) for kind in hard if kind in kinds}
        qualified = f"{plural}.{group}" if group else plural
        _admit(quota, f'{qualified} "{name}"', wanted, _in_use(store, namespace, wanted))


def _admit(quota: Object, what: str, wanted: Amounts, used: Amounts) -> None:
    hard = quota["spec"].get("hard") or {}
    full = sorted(kind for kind, amount in wanted.items() if amount and used[kind] + amount > quantity(hard[kind]))
    if full:
        requested = ",".join(f"{kind}={quantity_text(wanted[kind], kind)}" for kind in full)
        taken = ",".join(f"{kind}={quantity_text(used[kind], kind)}" for kind in full)
        limited = ",".join(f"{kind}={hard[kind]}" for kind in full)
        raise QuotaExceeded(
            f"{what} is forbidden: exceeded quota: {quota['metadata']['name']}, "
            f"requested: {requested}, used: {taken}, limited: {limited}"
        )


def _unnamed(pod: Object, hard: Object) -> str:
    """What the quota is about and containers say nothing of, as the API server lists it."""
    containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    told = []
    for kind in MUST_BE_NAMED:
        if kind not in hard:
            continue
        part, resource = _place(kind)
        names = sorted(
            item["name"] for item in containers if resource not in ((item.get("resources") or {}).get(part) or {})
        )
        if names:
            told.append(f"{kind} for: {','.join(names)}")
    return "; ".join(told)


def _place(kind: str) -> tuple[str, str]:
    """Where a container has the amount that a quota's key means: `limits.cpu` → limits, cpu."""
    part, _, resource = kind.partition(".")
    return (part, resource) if part in ("requests", "limits") and resource else ("requests", kind)


def _of_pod(pod: Object, hard: Object) -> Amounts:
    """What a pod takes of each key of a quota: the most that its containers, or one init container, need."""
    found: Amounts = {}
    for kind in hard:
        if kind in POD_COUNTS:
            found[kind] = Decimal(1)
        elif not kind.startswith("count/") and kind not in COUNTED:
            part, resource = _place(kind)
            needs = [
                [quantity(((item.get("resources") or {}).get(part) or {}).get(resource)) for item in group]
                for group in (pod["spec"]["containers"], pod["spec"].get("initContainers") or [])
            ]
            found[kind] = max(sum(needs[0], Decimal(0)), max(needs[1], default=Decimal(0)))
    return found


def _in_use(store: Store, namespace: str, kinds: Iterable[str]) -> Amounts:
    """How much of each key the namespace has now."""
    wanted = dict.fromkeys(kinds, Decimal(0))
    for pod in store.scan("pods", namespace):
        if not is_finished(pod):
            for kind, amount in _of_pod(pod, wanted).items():
                wanted[kind] += amount
    for kind in wanted:
        plural = COUNTED.get(kind) or (kind.removeprefix("count/").partition(".")[0] if "count/" in kind else "")
        if plural and plural != "pods":
            wanted[kind] = Decimal(sum(1 for _ in store.scan(plural, namespace)))
    return wanted


class QuotaController(Controller):
    """Writes into each quota how much of it is used."""

    watches = ("resourcequotas", "pods", *COUNTED)

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The quota itself, or all of the object's namespace."""
        if resource == "resourcequotas":
            return [key_of(event.object)]
        return [key_of(quota) for quota in self.store.scan("resourcequotas", event.object["metadata"]["namespace"])]

    def reconcile(self, key: Key) -> float | None:
        """Counts."""
        quota = self.find("resourcequotas", key)
        if quota is not None:
            hard: Object = quota["spec"].get("hard") or {}
            used = {kind: quantity_text(amount, kind) for kind, amount in _in_use(self.store, key[0], hard).items()}
            self.write_status("resourcequotas", quota | {"status": {"hard": hard, "used": used}})
        return None
