"""Fields of Deployments, ReplicaSets, StatefulSets, DaemonSets and Jobs. The notation is explained in ``shapes``."""

from __future__ import annotations

_HEAD = "apiVersion kind metadata:ObjectMeta "

WORKLOADS = {
    "Deployment": _HEAD + "spec:DeploymentSpec status:DeploymentStatus",
    "DeploymentSpec": """
        replicas:int32 selector:!LabelSelector template:PodTemplateSpec strategy:DeploymentStrategy
        minReadySeconds:int32 revisionHistoryLimit:int32 paused:bool progressDeadlineSeconds:int32
    """,
    "DeploymentStrategy": "type rollingUpdate:RollingUpdateDeployment",
    "RollingUpdateDeployment": "maxUnavailable:IntOrString maxSurge:IntOrString",
    "DeploymentStatus": """
        observedGeneration:int64 replicas:int32 updatedReplicas:int32 readyReplicas:int32 availableReplicas:int32
        unavailableReplicas:int32 terminatingReplicas:int32 conditions:[Condition]@type collisionCount:int32
    """,
    "ReplicaSet": _HEAD + "spec:ReplicaSetSpec status:ReplicaSetStatus",
    "ReplicaSetSpec": "replicas:int32 minReadySeconds:int32 selector:!LabelSelector template:PodTemplateSpec",
    "ReplicaSetStatus": """
        replicas:int32 fullyLabeledReplicas:int32 readyReplicas:int32 availableReplicas:int32
        terminatingReplicas:int32 observedGeneration:int64 conditions:[Condition]@type
    """,
    "StatefulSet": _HEAD + "spec:StatefulSetSpec status:StatefulSetStatus",
    "StatefulSetSpec": """
        replicas:int32 selector:!LabelSelector template:PodTemplateSpec
        volumeClaimTemplates:[PersistentVolumeClaim] serviceName podManagementPolicy
        updateStrategy:StatefulSetUpdateStrategy revisionHistoryLimit:int32 minReadySeconds:int32
        persistentVolumeClaimRetentionPolicy:ClaimRetentionPolicy ordinals:StatefulSetOrdinals
    """,
    "StatefulSetUpdateStrategy": "type rollingUpdate:RollingUpdateStatefulSet",
    "RollingUpdateStatefulSet": "partition:int32 maxUnavailable:IntOrString",
    "ClaimRetentionPolicy": "whenDeleted whenScaled",
    "StatefulSetOrdinals": "start:int32",
    "StatefulSetStatus": """
        observedGeneration:int64 replicas:int32 readyReplicas:int32 currentReplicas:int32 updatedReplicas:int32
        currentRevision updateRevision collisionCount:int32 conditions:[Condition]@type availableReplicas:int32
    """,
    "DaemonSet": _HEAD + "spec:DaemonSetSpec status:DaemonSetStatus",
    "DaemonSetSpec": """
        selector:!LabelSelector template:PodTemplateSpec updateStrategy:DaemonSetUpdateStrategy minReadySeconds:int32
        revisionHistoryLimit:int32
    """,
    "DaemonSetUpdateStrategy": "type rollingUpdate:RollingUpdateDaemonSet",
    "RollingUpdateDaemonSet": "maxUnavailable:IntOrString maxSurge:IntOrString",
    "DaemonSetStatus": """
        currentNumberScheduled:int32 numberMisscheduled:int32 desiredNumberScheduled:int32 numberReady:int32
        observedGeneration:int64 updatedNumberScheduled:int32 numberAvailable:int32 numberUnavailable:int32
        collisionCount:int32 conditions:[Condition]@type
    """,
    "Job": _HEAD + "spec:JobSpec status:JobStatus",
    "JobSpec": """
        parallelism:int32 completions:int32 activeDeadlineSeconds:int64 podFailurePolicy:PodFailurePolicy
        successPolicy:SuccessPolicy backoffLimit:int32 backoffLimitPerIndex:int32 maxFailedIndexes:int32
        selector:!LabelSelector manualSelector:bool template:PodTemplateSpec ttlSecondsAfterFinished:int32
        completionMode suspend:bool podReplacementPolicy managedBy
    """,
    "PodFailurePolicy": "rules:[PodFailurePolicyRule]",
    "PodFailurePolicyRule": "action onExitCodes:OnExitCodes onPodConditions:[OnPodConditions]",
    "OnExitCodes": "containerName operator values:[int32]@",
    "OnPodConditions": "type status",
    "SuccessPolicy": "rules:[SuccessPolicyRule]",
    "SuccessPolicyRule": "succeededIndexes succeededCount:int32",
    "JobStatus": """
        conditions:[Condition] startTime:Time completionTime:Time active:int32 succeeded:int32 failed:int32
        terminating:int32 completedIndexes failedIndexes uncountedTerminatedPods:any ready:int32
    """,
}
