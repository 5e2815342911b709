"""Volumes without mount namespaces: each is a folder, and paths below its mountPath are rewritten to it."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

from mlconsole.localcluster.store import NotFound, Object, Store

SYSTEM_FOLDERS = frozenset({"/", "/bin", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/sbin", "/srv",
                            "/sys", "/tmp", "/usr", "/var"})  # fmt: skip
"""Working directories of images that are not read as "the project's folder", because the host has them too."""


class VolumeMissing(Exception):
    """What a volume shall hold does not exist; the text is the kubelet's."""


def write_volumes(store: Store, pod: Object, folder: Path, shared: Path) -> dict[str, Path]:
    """Makes the pod's volumes; returns their folders by name. Raises VolumeMissing.

    Args:
        folder: where those of this pod alone go.
        shared: where those that outlive pods (claims) go.
    """
    found = {}
    for volume in pod["spec"].get("volumes") or []:
        name, place = volume["name"], folder / volume["name"]
        if "hostPath" in volume:
            place = Path(volume["hostPath"]["path"])
        elif "persistentVolumeClaim" in volume:
            place = shared / pod["metadata"]["namespace"] / volume["persistentVolumeClaim"]["claimName"]
        else:
            _fill(place, _content(store, pod["metadata"]["namespace"], volume))
        if "hostPath" not in volume or not place.exists():
            place.mkdir(parents=True, exist_ok=True)
        found[name] = place
    return found


def _content(store: Store, namespace: str, volume: dict[str, Any]) -> dict[str, bytes]:
    for field, resource, key in (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName")):
        source = volume.get(field)
        if source is None:
            continue
        try:
            data = data_of(store.peek(resource, namespace, source[key]))
        except NotFound:
            if source.get("optional"):
                return {}
            missing = f'{field.lower()} "{source[key]}" not found'
            raise VolumeMissing(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {missing}') from None
        items = source.get("items")
        return data if items is None else {item["path"]: data[item["key"]] for item in items if item["key"] in data}
    return {}


def data_of(obj: Object) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret with their content."""
    plain = {key: text.encode() for key, text in (obj.get("data") or {}).items()} if obj.get("kind") != "Secret" else {}
    encoded = (obj.get("data") or {}) if obj.get("kind") == "Secret" else (obj.get("binaryData") or {})
    given = {key: text.encode() for key, text in (obj.get("stringData") or {}).items()}
    return plain | {key: base64.b64decode(text) for key, text in encoded.items()} | given


def _fill(place: Path, content: dict[str, bytes]) -> None:
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, data in content.items():
        target = (place / name).resolve()
        if not target.is_relative_to(place.resolve()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        part.replace(target)


class PathMap:
    """Rewrites paths as they are inside a container to where they are here.

    Args:
        places: folders by the absolute path that they have inside the container.
    """

    def __init__(self, places: dict[str, Path]) -> None:
        self._places = {inside.rstrip("/"): str(place) for inside, place in places.items() if inside.strip("/")}
        names = "|".join(re.escape(inside) for inside in sorted(self._places, key=len, reverse=True))
        self._pattern = re.compile(rf"(?<![\w./\-])({names})(?=$|[/\s\"':;,&|)])") if names else None

    def __call__(self, text: str) -> str:
        """The text with every such path replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._places[match.group(1)], text)


def path_map(root: Path, workdir: str, container: Object, volumes: dict[str, Path]) -> PathMap:
    """What the container sees: its volumes, and the image's working directory, which is the project's folder."""
    places = {} if workdir in SYSTEM_FOLDERS else {workdir: root}
    for mount in container.get("volumeMounts") or []:
        if mount["name"] in volumes:
            place = volumes[mount["name"]]
            places[mount["mountPath"]] = place / mount["subPath"] if mount.get("subPath") else place
    return PathMap(places)
