"""Fields of kinds that releases bring along and that are kept, shown and applied, but not acted on.

The notation is explained in ``shapes``.
"""

from __future__ import annotations

_HEAD = "apiVersion kind metadata:ObjectMeta "

POLICIES = {
    "ControllerRevision": _HEAD + "data:any revision:int64",
    "LimitRange": _HEAD + "spec:LimitRangeSpec",
    "LimitRangeSpec": "limits:[LimitRangeItem]",
    "LimitRangeItem": """
        type max:<Quantity> min:<Quantity> default:<Quantity> defaultRequest:<Quantity>
        maxLimitRequestRatio:<Quantity>
    """,
    "PersistentVolume": _HEAD + "spec:PersistentVolumeSpec status:any",
    "PersistentVolumeSpec": """
        capacity:<Quantity> accessModes:[string] claimRef:!ObjectReference persistentVolumeReclaimPolicy
        storageClassName mountOptions:[string] volumeMode nodeAffinity:any volumeAttributesClassName hostPath:any
        local:any nfs:any csi:any awsElasticBlockStore:any gcePersistentDisk:any azureDisk:any azureFile:any iscsi:any
        cephfs:any rbd:any fc:any flexVolume:any
    """,
    "StorageClass": _HEAD
    + """
        provisioner parameters:<string> reclaimPolicy mountOptions:[string] allowVolumeExpansion:bool volumeBindingMode
        allowedTopologies:[any]
    """,
    "PriorityClass": _HEAD + "value:int32 globalDefault:bool description preemptionPolicy",
    "Ingress": _HEAD + "spec:IngressSpec status:any",
    "IngressSpec": "ingressClassName defaultBackend:IngressBackend tls:[IngressTLS] rules:[IngressRule]",
    "IngressBackend": "service:IngressServiceBackend resource:!TypedLocalObjectReference",
    "IngressServiceBackend": "name port:ServiceBackendPort",
    "ServiceBackendPort": "name number:int32",
    "IngressTLS": "hosts:[string] secretName",
    "IngressRule": "host http:IngressHTTP",
    "IngressHTTP": "paths:[IngressPath]",
    "IngressPath": "path pathType backend:IngressBackend",
    "IngressClass": _HEAD + "spec:IngressClassSpec",
    "IngressClassSpec": "controller parameters:any",
    "NetworkPolicy": _HEAD + "spec:NetworkPolicySpec",
    "NetworkPolicySpec": """
        podSelector:!LabelSelector ingress:[NetworkPolicyIngress] egress:[NetworkPolicyEgress] policyTypes:[string]
    """,
    "NetworkPolicyIngress": "ports:[NetworkPolicyPort] from:[NetworkPolicyPeer]",
    "NetworkPolicyEgress": "ports:[NetworkPolicyPort] to:[NetworkPolicyPeer]",
    "NetworkPolicyPort": "protocol port:IntOrString endPort:int32",
    "NetworkPolicyPeer": "podSelector:!LabelSelector namespaceSelector:!LabelSelector ipBlock:IPBlock",
    "IPBlock": "cidr except:[string]",
    "PodDisruptionBudget": _HEAD + "spec:DisruptionSpec status:DisruptionStatus",
    "DisruptionSpec": """
        minAvailable:IntOrString selector:!LabelSelector maxUnavailable:IntOrString unhealthyPodEvictionPolicy
    """,
    "DisruptionStatus": """
        observedGeneration:int64 disruptedPods:any disruptionsAllowed:int32 currentHealthy:int32 desiredHealthy:int32
        expectedPods:int32 conditions:[Condition]@type
    """,
    "HorizontalPodAutoscaler": _HEAD + "spec:AutoscalerSpec status:AutoscalerStatus",
    "AutoscalerSpec": """
        scaleTargetRef:ScaleTarget minReplicas:int32 maxReplicas:int32 metrics:[MetricSpec] behavior:AutoscalerBehavior
    """,
    "ScaleTarget": "kind name apiVersion",
    "MetricSpec": """
        type object:ObjectMetric pods:PodsMetric resource:ResourceMetric containerResource:ContainerResourceMetric
        external:ExternalMetric
    """,
    "ResourceMetric": "name target:MetricTarget",
    "ContainerResourceMetric": "name container target:MetricTarget",
    "PodsMetric": "metric:MetricIdentifier target:MetricTarget",
    "ObjectMetric": "describedObject:ScaleTarget metric:MetricIdentifier target:MetricTarget",
    "ExternalMetric": "metric:MetricIdentifier target:MetricTarget",
    "MetricIdentifier": "name selector:!LabelSelector",
    "MetricTarget": "type value:Quantity averageValue:Quantity averageUtilization:int32",
    "AutoscalerBehavior": "scaleUp:ScalingRules scaleDown:ScalingRules",
    "ScalingRules": "stabilizationWindowSeconds:int32 selectPolicy policies:[ScalingPolicy] tolerance:Quantity",
    "ScalingPolicy": "type value:int32 periodSeconds:int32",
    "AutoscalerStatus": """
        observedGeneration:int64 lastScaleTime:Time currentReplicas:int32 desiredReplicas:int32 currentMetrics:any
        conditions:[Condition]@type
    """,
    "Role": _HEAD + "rules:[PolicyRule]",
    "ClusterRole": _HEAD + "rules:[PolicyRule] aggregationRule:any",
    "PolicyRule": """
        verbs:[string] apiGroups:[string] resources:[string] resourceNames:[string] nonResourceURLs:[string]
    """,
    "RoleBinding": _HEAD + "subjects:[Subject] roleRef:!RoleRef",
    "ClusterRoleBinding": _HEAD + "subjects:[Subject] roleRef:!RoleRef",
    "Subject": "kind apiGroup name namespace",
    "RoleRef": "apiGroup kind name",
    "CronJob": _HEAD + "spec:CronJobSpec status:CronJobStatus",
    "CronJobSpec": """
        schedule timeZone startingDeadlineSeconds:int64 concurrencyPolicy suspend:bool jobTemplate:JobTemplateSpec
        successfulJobsHistoryLimit:int32 failedJobsHistoryLimit:int32
    """,
    "JobTemplateSpec": "metadata:ObjectMeta spec:JobSpec",
    "CronJobStatus": "active:[ObjectReference] lastScheduleTime:Time lastSuccessfulTime:Time",
}

POLICIES_WIRE = {
    "CronJob": "1:metadata 2:spec",
    "CronJobSpec": """
        1:schedule 2:startingDeadlineSeconds 3:concurrencyPolicy 4:suspend 5:jobTemplate 6:successfulJobsHistoryLimit
        7:failedJobsHistoryLimit 8:timeZone
    """,
    "JobTemplateSpec": "1:metadata 2:spec",
    "PodDisruptionBudget": "1:metadata 2:spec",
    "DisruptionSpec": "1:minAvailable 2:selector 3:maxUnavailable 4:unhealthyPodEvictionPolicy",
    "HorizontalPodAutoscaler": "1:metadata 2:spec",
    "AutoscalerSpec": "1:scaleTargetRef 2:minReplicas 3:maxReplicas 4:metrics",
    "ScaleTarget": "1:kind 2:name 3:apiVersion",
    "MetricSpec": "1:type 4:resource",
    "ResourceMetric": "1:name 2:target",
    "MetricTarget": "1:type 2:value 3:averageValue 4:averageUtilization",
    "Ingress": "1:metadata 2:spec",
    "IngressSpec": "1:defaultBackend 2:tls 3:rules 4:ingressClassName",
    "IngressBackend": "3:resource 4:service",
    "IngressServiceBackend": "1:name 2:port",
    "ServiceBackendPort": "1:name 2:number",
    "IngressTLS": "1:hosts 2:secretName",
    "IngressRule": "1:host 2:+IngressRuleValue",
    "IngressRuleValue": "1:http",
    "IngressHTTP": "1:paths",
    "IngressPath": "1:path 2:backend 3:pathType",
    "Role": "1:metadata 2:rules",
    "ClusterRole": "1:metadata 2:rules",
    "PolicyRule": "1:verbs 2:apiGroups 3:resources 4:resourceNames 5:nonResourceURLs",
    "RoleBinding": "1:metadata 2:subjects 3:roleRef",
    "ClusterRoleBinding": "1:metadata 2:subjects 3:roleRef",
    "Subject": "1:kind 2:apiGroup 3:name 4:namespace",
    "RoleRef": "1:apiGroup 2:kind 3:name",
    "PriorityClass": "1:metadata 2:value 3:globalDefault 4:description 5:preemptionPolicy",
}
"""Numbers of the fields of those that kubectl creates by a command of its own."""
