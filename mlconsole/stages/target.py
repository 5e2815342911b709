"""Where a release goes: the cluster that the settings name, the project's manifests, and the pods that serve."""

from __future__ import annotations

from mlconsole.errors import WrongUse
from mlconsole.project import Project
from mlconsole.services import local_cluster
from mlconsole.services.kubernetes import kubeconfig, manifests
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.documents import Manifest
from mlconsole.services.kubernetes.problems import NoCluster


class ManifestsNotNamed(WrongUse):
    """The project names no manifests, or no selector of its pods, and none was found."""


class ClusterNotRunning(NoCluster):
    """The project deploys to its local cluster, and that was stopped, or never started."""

    def __init__(self) -> None:
        super().__init__("The local cluster is not running.", "Start it: mlconsole cluster start")


def connect(project: Project) -> Connection:
    """Connect to the cluster that the settings name.

    Raises:
        ClusterNotRunning: it is the local one, and it does not run.
        Problem: what `Connection.open` says.
    """
    if project.is_local:
        found = local_cluster.status(project.cluster_state)
        if found is None or not found.running:
            raise ClusterNotRunning
    deploy = project.settings.deploy
    return Connection.open(context=deploy.context, namespace=deploy.namespace, kubeconfig=project.kubeconfig)


def given_manifests(project: Project) -> tuple[Manifest, ...]:
    """The project's own manifests.

    Raises:
        ManifestsNotNamed: it names none.
        ManifestInvalid: they can't be read.
    """
    deploy = project.settings.deploy
    if deploy.render and deploy.manifests:
        hint = "Take one of them out of mlconsole.toml."
        raise ManifestsNotNamed("Both deploy.manifests and deploy.render say what to deploy.", hint)
    if deploy.render:
        return manifests.render(project.root, deploy.render)
    if asked := project.question("deploy.manifests", "deploy.image"):
        raise ManifestsNotNamed(asked.sentence, asked.next_step)
    return manifests.load(project.root, deploy.manifests)


def selector_of(project: Project) -> str:
    """The label selector of the pods that serve.

    Raises:
        ManifestsNotNamed: it is neither given nor found.
    """
    if not project.settings.deploy.selector and project.settings.deploy.render:
        hint = 'Name it in mlconsole.toml: [deploy] selector = "app=ml-model"'
        raise ManifestsNotNamed("The manifests are rendered, so that the selector of the pods has to be named.", hint)
    if not project.settings.deploy.selector:
        hint = 'Name it in mlconsole.toml: [deploy] selector = "app=ml-model"'
        raise ManifestsNotNamed("No workload with a selector was found in the manifests.", hint)
    return project.settings.deploy.selector


def context_name(project: Project) -> str:
    """The kubeconfig context that releases go to: the settings' or the user's current one."""
    return project.settings.deploy.context or kubeconfig.contexts(project.kubeconfig).current
