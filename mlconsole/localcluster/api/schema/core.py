"""Fields of the metadata and of the kinds of the core, discovery, coordination and authorization groups.

A field without a type is a string. The notation is explained in ``shapes``.
"""

from __future__ import annotations

_HEAD = "apiVersion kind metadata:ObjectMeta "

CORE = {
    "ObjectMeta": """
        name generateName namespace selfLink uid resourceVersion generation:int64 creationTimestamp:Time
        deletionTimestamp:Time deletionGracePeriodSeconds:int64 labels:<string> annotations:<string>
        ownerReferences:[!OwnerReference]@uid finalizers:[string]@ managedFields:[any]
    """,
    "OwnerReference": "apiVersion kind name uid controller:bool blockOwnerDeletion:bool",
    "LabelSelector": "matchLabels:<string> matchExpressions:[LabelSelectorRequirement]",
    "LabelSelectorRequirement": "key operator values:[string]",
    "ObjectReference": "kind namespace name uid apiVersion resourceVersion fieldPath",
    "LocalObjectReference": "name",
    "TypedLocalObjectReference": "apiGroup kind name",
    "Condition": """
        type status reason message observedGeneration:int64 lastProbeTime:Time lastTransitionTime:Time
        lastUpdateTime:Time lastHeartbeatTime:Time
    """,
    "ConfigMap": _HEAD + "data:<string> binaryData:<bytes> immutable:bool",
    "Secret": _HEAD + "data:<bytes> stringData:<string> type immutable:bool",
    "Namespace": _HEAD + "spec:NamespaceSpec status:NamespaceStatus",
    "NamespaceSpec": "finalizers:[string]",
    "NamespaceStatus": "phase conditions:[Condition]@type",
    "ServiceAccount": _HEAD
    + "secrets:[ObjectReference]@name imagePullSecrets:[LocalObjectReference] automountServiceAccountToken:bool",
    "Service": _HEAD + "spec:ServiceSpec status:ServiceStatus",
    "ServiceSpec": """
        ports:[ServicePort]@port,protocol selector:!<string> clusterIP clusterIPs:[string] type externalIPs:[string]
        sessionAffinity loadBalancerIP loadBalancerSourceRanges:[string] externalName externalTrafficPolicy
        healthCheckNodePort:int32 publishNotReadyAddresses:bool sessionAffinityConfig:any ipFamilies:[string]
        ipFamilyPolicy allocateLoadBalancerNodePorts:bool loadBalancerClass internalTrafficPolicy
        trafficDistribution
    """,
    "ServicePort": "name protocol appProtocol port:int32 targetPort:IntOrString nodePort:int32",
    "ServiceStatus": "loadBalancer:LoadBalancerStatus conditions:[Condition]@type",
    "LoadBalancerStatus": "ingress:[LoadBalancerIngress]",
    "LoadBalancerIngress": "ip hostname ipMode ports:[any]",
    "Endpoints": _HEAD + "subsets:[EndpointSubset]",
    "EndpointSubset": "addresses:[EndpointAddress] notReadyAddresses:[EndpointAddress] ports:[EndpointPort]",
    "EndpointAddress": "ip hostname nodeName targetRef:!ObjectReference",
    "EndpointPort": "name port:int32 protocol appProtocol",
    "EndpointSlice": _HEAD + "addressType endpoints:[Endpoint] ports:[EndpointPort]",
    "Endpoint": """
        addresses:[string] conditions:EndpointConditions hostname targetRef:!ObjectReference
        deprecatedTopology:<string> nodeName zone hints:any
    """,
    "EndpointConditions": "ready:bool serving:bool terminating:bool",
    "Event": _HEAD
    + """
        involvedObject:!ObjectReference reason message source:EventSource firstTimestamp:Time lastTimestamp:Time
        count:int32 type eventTime:Time series:any action related:!ObjectReference reportingComponent
        reportingInstance
    """,
    "EventSource": "component host",
    "Node": _HEAD + "spec:NodeSpec status:NodeStatus",
    "NodeSpec": """
        podCIDR podCIDRs:[string]@ providerID unschedulable:bool taints:[Taint] configSource:any externalID
    """,
    "Taint": "key value effect timeAdded:Time",
    "NodeStatus": """
        capacity:<Quantity> allocatable:<Quantity> phase conditions:[Condition]@type addresses:[NodeAddress]@type
        daemonEndpoints:any nodeInfo:any images:[any] volumesInUse:[string] volumesAttached:[any] config:any
        runtimeHandlers:[any] features:any
    """,
    "NodeAddress": "type address",
    "PersistentVolumeClaim": _HEAD + "spec:PersistentVolumeClaimSpec status:any",
    "PersistentVolumeClaimSpec": """
        accessModes:[string] selector:!LabelSelector resources:VolumeResources volumeName storageClassName volumeMode
        dataSource:!TypedLocalObjectReference dataSourceRef:any volumeAttributesClassName
    """,
    "VolumeResources": "limits:<Quantity> requests:<Quantity>",
    "ResourceQuota": _HEAD + "spec:ResourceQuotaSpec status:ResourceQuotaStatus",
    "ResourceQuotaSpec": "hard:<Quantity> scopes:[string] scopeSelector:any",
    "ResourceQuotaStatus": "hard:<Quantity> used:<Quantity>",
    "Lease": _HEAD + "spec:LeaseSpec",
    "LeaseSpec": """
        holderIdentity leaseDurationSeconds:int32 acquireTime:Time renewTime:Time leaseTransitions:int32 strategy
        preferredHolder
    """,
    "SelfSubjectAccessReview": _HEAD + "spec:SelfSubjectAccessReviewSpec status:any",
    "SelfSubjectAccessReviewSpec": "resourceAttributes:ResourceAttributes nonResourceAttributes:NonResourceAttributes",
    "ResourceAttributes": "namespace verb group version resource subresource name fieldSelector:any labelSelector:any",
    "NonResourceAttributes": "path verb",
    "DeleteOptions": """
        apiVersion kind gracePeriodSeconds:int64 preconditions:Preconditions orphanDependents:bool propagationPolicy
        dryRun:[string]
    """,
    "Preconditions": "uid resourceVersion",
    "Scale": _HEAD + "spec:ScaleSpec status:ScaleStatus",
    "ScaleSpec": "replicas:int32",
    "ScaleStatus": "replicas:int32 selector",
}
