"""From a container in a manifest to a command that can be started on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlconsole.localcluster.controllers.addresses import LOOPBACK
from mlconsole.localcluster.node.environment import (
    NOT_FROM_IMAGE,
    base_environment,
    container_environment,
    expand,
    resolve_python,
)
from mlconsole.localcluster.node.images import Image, command_of, find_image
from mlconsole.localcluster.node.ports import main_port, with_real_ports
from mlconsole.localcluster.node.runtime import Command
from mlconsole.localcluster.node.volumes import PathMap, path_map, write_volumes
from mlconsole.localcluster.store import Object, Store


@dataclass(frozen=True)
class Site:
    """Where a pod runs: the project's folder, the pod's own folder, and the folder of claims."""

    root: Path
    folder: Path
    claims: Path

    def make_folder(self) -> None:
        """Makes the pod's own folder. Raises FileNotFoundError where the cluster's was removed: that stays away."""
        self.folder.parent.parent.stat()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def plan(store: Store, pod: Object, container: Object, ports: dict[str, int], site: Site) -> tuple[Command, str]:
    """The command of a container, and the id of its image.

    Raises:
        ImageUnknown: nothing says what to run.
        VolumeMissing: a ConfigMap or Secret that a volume shows is not there.
        ConfigMissing: one that the environment needs is not there.
    """
    image = find_image(site.root)
    words = command_of(container, image)
    known = image or Image()
    volumes = write_volumes(store, pod, site.folder / "volumes", site.claims)
    paths = path_map(site.root, known.workdir, container, volumes)
    own = container_environment(store, pod, container)
    image_env = {name: text for name, text in known.env.items() if name not in NOT_FROM_IMAGE}
    env = base_environment() | {name: paths(text) for name, text in (image_env | own).items()}
    env |= {"HOST": LOOPBACK, "HOSTNAME": pod["metadata"]["name"]}
    port = main_port(container, ports)
    if port is not None:
        env["PORT"] = str(port)
    words = tuple(paths(expand(word, env)) for word in words)
    words = resolve_python(with_real_ports(words, ports), env["PATH"])
    grace = pod["spec"].get("terminationGracePeriodSeconds")
    cwd = _folder(site.root, known.workdir, container.get("workingDir"), paths)
    return Command(words, env, cwd, 30.0 if grace is None else float(grace)), f"local://{known.digest or 'none'}"


def _folder(root: Path, workdir: str, wanted: str | None, paths: PathMap) -> Path:
    """The container's workingDir below the project's folder (or in a volume) where that exists, else the folder."""
    if not wanted:
        return root
    mapped = Path(paths(wanted))
    inside = PurePosixPath(wanted)
    below = inside.relative_to(workdir) if inside.is_relative_to(workdir) else PurePosixPath(wanted.lstrip("/"))
    choices = [*([mapped] if str(mapped) != wanted else []), root / below, root / wanted.lstrip("/")]
    return next((choice for choice in choices if choice.is_dir()), root)
