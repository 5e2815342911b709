"""What else releases bring along: applied, shown and diffed without complaint, by us and by kubectl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlconsole.localcluster import control
from mlconsole.services.kubernetes.apply import apply
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.manifests import from_yaml, in_order
from mlconsole.services.kubernetes.planning import plan
from mlconsole.services.kubernetes.problems import Problem
from tests.localcluster.kubectls import newest

pytestmark = pytest.mark.end_to_end

OTHERS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: ml-model}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ml-model}
data: {LOG: debug}
---
apiVersion: v1
kind: Secret
metadata: {name: ml-model}
stringData: {KEY: hunter2}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: cache}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ml-model}
spec:
  ingressClassName: nginx
  rules:
  - host: ml.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: ml-model, port: {number: 80}}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: ml-model}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: ml-model}
  maxReplicas: 5
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: ml-model}
spec: {minAvailable: 1, selector: {matchLabels: {app: ml-model}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ml-model}
spec: {podSelector: {matchLabels: {app: ml-model}}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: retrain}
spec:
  schedule: "0 3 * * 1"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: t, image: ml-model}]}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: ml-model}]
"""
PRINTED = {
    "ingress": ["nginx", "ml.example.com", "80"],
    "hpa": ["Deployment/ml-model", "cpu:", "<unknown>/70%", "1", "5", "0"],
    "pdb": ["1", "N/A", "0"],
    "netpol": ["app=ml-model"],
    "cronjob": ["0", "3", "*", "*", "1", "<none>", "True", "0", "<none>"],
    "rolebinding": ["Role/reader"],
}


def kubectl(cluster: control.ClusterInfo, connection: Connection, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not newest().name:
        pytest.skip("kubectl is not installed")
    command = [str(newest()), "--kubeconfig", str(cluster.kubeconfig), "-n", connection.namespace, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_all_are_released_once_and_nothing_of_them_changes_by_itself(
    connection: Connection, local_cluster: control.ClusterInfo, tmp_path: Path
) -> None:
    manifests = in_order(from_yaml(OTHERS))
    first = plan(connection, manifests, selector="", version="")
    assert {change.action for change in first.changes} == {"create"}
    assert "hunter2" not in "".join(change.diff for change in first.changes)
    apply(connection, first, report=lambda line: None)
    again = plan(connection, manifests, selector="", version="")
    assert {change.action for change in again.changes} == {"none"}
    for kind, cells in PRINTED.items():
        line = kubectl(local_cluster, connection, "get", kind, "--no-headers").stdout.split()
        assert line[1:-1] == cells, kind
    assert kubectl(local_cluster, connection, "get", "pvc", "--no-headers").stdout.split()[1] == "Bound"
    described = kubectl(local_cluster, connection, "describe", "ingress,hpa,pdb,netpol,cronjob,pvc,role")
    assert (described.returncode, described.stderr) == (0, "")


def test_kubectl_sees_no_difference_after_its_own_apply(
    connection: Connection, local_cluster: control.ClusterInfo, tmp_path: Path
) -> None:
    path = tmp_path / "others.yaml"
    # A Secret's stringData is never in what is stored, so that kubectl tells it as a difference each time.
    path.write_text("---".join(part for part in OTHERS.split("---") if "kind: Secret" not in part))
    for more in ([], ["--server-side", "--force-conflicts"]):
        applied = kubectl(local_cluster, connection, "apply", *more, "-f", str(path))
        assert (applied.returncode, applied.stderr) == (0, "")
        compared = kubectl(local_cluster, connection, "diff", *more, "-f", str(path))
        assert (compared.returncode, compared.stdout) == (0, "")
    assert kubectl(local_cluster, connection, "get", "pvc", "--no-headers").stdout.split()[1] == "Bound"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("pathType: Prefix, ", ""), "pathType must be specified"),
        (("maxReplicas: 5", "maxReplicas: 0"), "maxReplicas: .*greater than 0"),
        (("minAvailable: 1", "minAvailable: 1, maxUnavailable: 1"), "cannot be both set"),
        (("0 3 * * 1", "every monday"), "expected exactly 5 fields"),
        (("verbs: [get, list]", "verbs: []"), "verbs must contain at least one value"),
        (("ingressClassName", "ingresClassName"), "ingresClassName does not exist|unknown field"),
        (("policy/v1", "policy/v2"), "does not know"),
        (("kind: CronJob", "kind: CronJobs"), "does not know"),
    ],
)
def test_what_is_wrong_in_them_is_told_before_anything_is_applied(
    connection: Connection, change: tuple[str, str], told: str
) -> None:
    manifests = in_order(from_yaml(OTHERS.replace(*change)))
    with pytest.raises(Problem, match=told):
        plan(connection, manifests, selector="", version="")
