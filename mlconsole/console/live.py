"""What is live whether or not a release runs: the repository, the data files, the cluster and its pods."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.console.background import Background, Post, Ticker
from mlconsole.console.faults import as_record
from mlconsole.console.messages import Faulted, PodsSeen
from mlconsole.console.view import ClusterPlace, DataReading, RepoReading
from mlconsole.errors import Problem, WrongUse

if TYPE_CHECKING:
    from mlconsole.project import Project
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.watch import PodWatcher

POD_SECONDS = 1.0
POD_LEAST_SECONDS = 0.15
PodsProblem = Callable[[BaseException], None]


def read_repo(root: Path) -> RepoReading:
    """Look at the repository; why that can't be done is part of the answer."""
    from mlconsole.services.git import inspect

    try:
        return RepoReading(repo=inspect(root))
    except Problem as problem:
        return RepoReading(problem=as_record(problem))


def read_data(project: Project) -> DataReading:
    """Find the data files; why there are none is part of the answer."""
    from mlconsole.services.datasets.files import find

    pattern = project.settings.data.path
    try:
        if not pattern:
            raise WrongUse(
                "No training data was found in this folder.",
                "Put it at data/training.csv, or name it in mlconsole.toml: [data] path.",
            )
        files = find(project.root, pattern)
        return DataReading(files=tuple((_relative(path, project.root), path.stat().st_size) for path in files))
    except Problem as problem:
        return DataReading(problem=as_record(problem))
    except OSError as error:
        return DataReading(problem=as_record(WrongUse(f"The data can't be read: {error.strerror}.")))


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def read_place(project: Project) -> ClusterPlace:
    """Tell where releases go, and whether the local cluster is there."""
    deploy = project.settings.deploy
    running: bool | None = None
    if project.is_local:
        from mlconsole.services.local_cluster import status

        found = status(project.cluster_state)
        running = found is not None and found.running
    context = deploy.context
    if not context:
        from mlconsole.services.kubernetes.connection import contexts

        context = contexts(project.kubeconfig).current
    return ClusterPlace(
        context=context,
        namespace=deploy.namespace,
        protected=deploy.protects(context),
        local_running=running,
    )


def start_local_cluster(project: Project) -> None:
    """Start the project's local cluster and wait until it answers."""
    from mlconsole.services import local_cluster
    from mlconsole.stages.training_inputs import project_python

    local_cluster.start(project.root, project.cluster_state, project_python(project).executable)


def _discard(result: object) -> None:
    """Whether a message was still taken says nothing here: the app may be ending."""


class PodsFeed:
    """Keeps a watcher on the project's pods and posts what it sees, a few times a second at most.

    Args:
        project: whose pods, by `deploy.selector`.
        background: for the start, which imports and connects.
        post: how messages reach the app from threads.
    """

    def __init__(self, project: Project, background: Background, post: Post) -> None:
        self._project = project
        self._background = background
        self._post = post
        self._watcher: PodWatcher | None = None
        self._ticker: Ticker | None = None
        self.selector = ""
        """Labels that a person asks for in place of the project's."""

    def aim(self, project: Project) -> None:
        """Watch another context's or namespace's pods from the next start on."""
        self._project = project

    def start(self, failed: PodsProblem) -> None:
        """Begin to watch; anew where it watches already."""
        self.stop()
        self._background.run("pods", self._make, self._follow, failed)

    def connect(self) -> Connection:
        """Open a connection of its own to the project's cluster."""
        from mlconsole.services.kubernetes.connection import Connection

        deploy = self._project.settings.deploy
        return Connection.open(context=deploy.context, namespace=deploy.namespace, kubeconfig=self._project.kubeconfig)

    def _make(self, stop: threading.Event) -> PodWatcher:
        from mlconsole.services.kubernetes.watch import PodWatcher

        selector = self.selector or self._project.settings.deploy.selector
        if not selector:
            raise WrongUse(
                "It is not known which pods serve the model: there is no deployment.yaml and no selector.",
                'Name them in mlconsole.toml: [deploy] selector = "app=ml-model".',
            )
        return PodWatcher(self.connect, selector, self._changed, with_events=True)

    def _follow(self, watcher: PodWatcher) -> None:
        self._watcher = watcher
        self._ticker = Ticker(
            "pods",
            lambda: _discard(self._post(PodsSeen(watcher.snapshot()))),
            POD_SECONDS,
            lambda error: _discard(self._post(Faulted("pods", error))),
            least=POD_LEAST_SECONDS,
        )
        watcher.start()
        self._ticker.start()

    def _changed(self) -> None:
        if self._ticker is not None:
            self._ticker.wake()

    def stop(self) -> None:
        """End watching."""
        if self._ticker is not None:
            self._ticker.stop()
        if self._watcher is not None:
            self._watcher.stop()
        self._watcher = self._ticker = None
