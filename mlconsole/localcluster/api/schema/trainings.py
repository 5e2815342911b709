"""Fields of the custom resources of trainings: JobSet, TrainJob, Kueue's Workload. See ``shapes`` for the notation."""

from __future__ import annotations

_HEAD = "apiVersion kind metadata:ObjectMeta "

TRAININGS = {
    "JobSet": _HEAD + "spec:JobSetSpec status:any",
    "JobSetSpec": """
        replicatedJobs:[ReplicatedJob]@name network:any successPolicy:any failurePolicy:any startupPolicy:any
        suspend:bool coordinator:any managedBy ttlSecondsAfterFinished:int32
    """,
    "ReplicatedJob": "name groupName template:JobTemplateSpec replicas:int32 dependsOn:any",
    "TrainJob": _HEAD + "spec:TrainJobSpec status:any",
    "TrainJobSpec": """
        runtimeRef:any initializer:any trainer:any labels:<string> annotations:<string> podSpecOverrides:any
        podTemplateOverrides:any suspend:bool managedBy
    """,
    "Workload": _HEAD + "spec:any status:any",
}
