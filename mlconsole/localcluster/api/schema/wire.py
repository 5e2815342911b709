"""Numbers of the fields in the protobuf encoding of the kinds, as the API publishes them.

``NUMBER:+Name`` is a struct whose fields stand in JSON beside those of the struct that holds it.
"""

from __future__ import annotations

from mlconsole.localcluster.api.schema.policies import POLICIES_WIRE

WIRE = {
    **POLICIES_WIRE,
    "DeleteOptions": "1:gracePeriodSeconds 2:preconditions 3:orphanDependents 4:propagationPolicy 5:dryRun",
    "Preconditions": "1:uid 2:resourceVersion",
    "ObjectMeta": """
        1:name 2:generateName 3:namespace 4:selfLink 5:uid 6:resourceVersion 7:generation 8:creationTimestamp
        9:deletionTimestamp 10:deletionGracePeriodSeconds 11:labels 12:annotations 13:ownerReferences
        14:finalizers
    """,
    "OwnerReference": "5:apiVersion 1:kind 3:name 4:uid 6:controller 7:blockOwnerDeletion",
    "LabelSelector": "1:matchLabels 2:matchExpressions",
    "LabelSelectorRequirement": "1:key 2:operator 3:values",
    "ConfigMap": "1:metadata 2:data 3:binaryData 4:immutable",
    "ResourceQuota": "1:metadata 2:spec",
    "ResourceQuotaSpec": "1:hard 2:scopes 3:scopeSelector",
    "Secret": "1:metadata 2:data 3:type 4:stringData 5:immutable",
    "Namespace": "1:metadata 2:spec",
    "NamespaceSpec": "1:finalizers",
    "ServiceAccount": "1:metadata 2:secrets 3:imagePullSecrets 4:automountServiceAccountToken",
    "ObjectReference": "1:kind 2:namespace 3:name 4:uid 5:apiVersion 6:resourceVersion 7:fieldPath",
    "LocalObjectReference": "1:name",
    "Service": "1:metadata 2:spec",
    "ServiceSpec": """
        1:ports 2:selector 3:clusterIP 4:type 5:externalIPs 7:sessionAffinity 8:loadBalancerIP
        9:loadBalancerSourceRanges 10:externalName 11:externalTrafficPolicy 12:healthCheckNodePort
        13:publishNotReadyAddresses 14:sessionAffinityConfig 17:ipFamilyPolicy 18:clusterIPs 19:ipFamilies
        20:allocateLoadBalancerNodePorts 21:loadBalancerClass 22:internalTrafficPolicy 23:trafficDistribution
    """,
    "ServicePort": "1:name 2:protocol 3:port 4:targetPort 5:nodePort 6:appProtocol",
    "Event": """
        1:metadata 2:involvedObject 3:reason 4:message 5:source 6:firstTimestamp 7:lastTimestamp 8:count
        9:type 10:eventTime 11:series 12:action 13:related 14:reportingComponent 15:reportingInstance
    """,
    "EventSource": "1:component 2:host",
    "PersistentVolumeClaim": "1:metadata 2:spec",
    "PersistentVolumeClaimSpec": """
        1:accessModes 2:resources 3:volumeName 4:selector 5:storageClassName 6:volumeMode 7:dataSource
        8:dataSourceRef 9:volumeAttributesClassName
    """,
    "VolumeResources": "1:limits 2:requests",
    "TypedLocalObjectReference": "1:apiGroup 2:kind 3:name",
    "Pod": "1:metadata 2:spec",
    "PodSpec": """
        1:volumes 2:containers 3:restartPolicy 4:terminationGracePeriodSeconds 5:activeDeadlineSeconds
        6:dnsPolicy 7:nodeSelector 8:serviceAccountName 9:serviceAccount 10:nodeName 11:hostNetwork 12:hostPID
        13:hostIPC 14:securityContext 15:imagePullSecrets 16:hostname 17:subdomain 18:affinity
        19:schedulerName 20:initContainers 21:automountServiceAccountToken 22:tolerations 23:hostAliases
        24:priorityClassName 25:priority 26:dnsConfig 27:shareProcessNamespace 28:readinessGates
        29:runtimeClassName 30:enableServiceLinks 31:preemptionPolicy 32:overhead 33:topologySpreadConstraints
        34:ephemeralContainers 35:setHostnameAsFQDN 36:os 37:hostUsers 38:schedulingGates 39:resourceClaims
        40:resources 41:hostnameOverride
    """,
    "Volume": "1:name 2:+VolumeSource",
    "VolumeSource": """
        1:hostPath 2:emptyDir 3:gcePersistentDisk 4:awsElasticBlockStore 5:gitRepo 6:secret 7:nfs 8:iscsi
        9:glusterfs 10:persistentVolumeClaim 11:rbd 12:flexVolume 13:cinder 14:cephfs 15:flocker
        16:downwardAPI 17:fc 18:azureFile 19:configMap 20:vsphereVolume 21:quobyte 22:azureDisk
        23:photonPersistentDisk 24:portworxVolume 25:scaleIO 26:projected 27:storageos 28:csi 29:ephemeral
        30:image
    """,
    "HostPathVolume": "1:path 2:type",
    "EmptyDirVolume": "1:medium 2:sizeLimit",
    "SecretVolume": "1:secretName 2:items 3:defaultMode 4:optional",
    "KeyToPath": "1:key 2:path 3:mode",
    "ConfigMapVolume": "1:+LocalObjectReference 2:items 3:defaultMode 4:optional",
    "ClaimVolume": "1:claimName 2:readOnly",
    "Container": """
        1:name 2:image 3:command 4:args 5:workingDir 6:ports 7:env 8:resources 9:volumeMounts 10:livenessProbe
        11:readinessProbe 12:lifecycle 13:terminationMessagePath 14:imagePullPolicy 15:securityContext
        16:stdin 17:stdinOnce 18:tty 19:envFrom 20:terminationMessagePolicy 21:volumeDevices 22:startupProbe
        23:resizePolicy 24:restartPolicy 25:restartPolicyRules
    """,
    "ContainerPort": "1:name 2:hostPort 3:containerPort 4:protocol 5:hostIP",
    "EnvFromSource": "1:prefix 2:configMapRef 3:secretRef",
    "OptionalName": "1:+LocalObjectReference 2:optional",
    "EnvVar": "1:name 2:value 3:valueFrom",
    "EnvVarSource": "1:fieldRef 2:resourceFieldRef 3:configMapKeyRef 4:secretKeyRef 5:fileKeyRef",
    "ObjectFieldSelector": "1:apiVersion 2:fieldPath",
    "ResourceFieldSelector": "1:containerName 2:resource 3:divisor",
    "KeySelector": "1:+LocalObjectReference 2:key 3:optional",
    "ResourceRequirements": "1:limits 2:requests 3:claims",
    "ResourceClaim": "1:name 2:request",
    "ContainerResizePolicy": "1:resourceName 2:restartPolicy",
    "VolumeMount": """
        1:name 2:readOnly 3:mountPath 4:subPath 5:mountPropagation 6:subPathExpr 7:recursiveReadOnly
    """,
    "VolumeDevice": "1:name 2:devicePath",
    "Probe": """
        1:+ProbeHandler 2:initialDelaySeconds 3:timeoutSeconds 4:periodSeconds 5:successThreshold
        6:failureThreshold 7:terminationGracePeriodSeconds
    """,
    "ProbeHandler": "1:exec 2:httpGet 3:tcpSocket 4:grpc",
    "ExecAction": "1:command",
    "HTTPGetAction": "1:path 2:port 3:host 4:scheme 5:httpHeaders",
    "HTTPHeader": "1:name 2:value",
    "TCPSocketAction": "1:port 2:host",
    "GRPCAction": "1:port 2:service",
    "Lifecycle": "1:postStart 2:preStop 3:stopSignal",
    "LifecycleHandler": "1:exec 2:httpGet 3:tcpSocket 4:sleep",
    "SleepAction": "1:seconds",
    "SecurityContext": """
        1:capabilities 2:privileged 3:seLinuxOptions 4:runAsUser 5:runAsNonRoot 6:readOnlyRootFilesystem
        7:allowPrivilegeEscalation 8:runAsGroup 9:procMount 10:windowsOptions 11:seccompProfile
        12:appArmorProfile
    """,
    "Capabilities": "1:add 2:drop",
    "SELinuxOptions": "1:user 2:role 3:type 4:level",
    "LocalProfile": "1:type 2:localhostProfile",
    "EphemeralContainer": "1:+EphemeralContainerCommon 2:targetContainerName",
    "EphemeralContainerCommon": """
        1:name 2:image 3:command 4:args 5:workingDir 6:ports 7:env 8:resources 9:volumeMounts 10:livenessProbe
        11:readinessProbe 12:lifecycle 13:terminationMessagePath 14:imagePullPolicy 15:securityContext
        16:stdin 17:stdinOnce 18:tty 19:envFrom 20:terminationMessagePolicy 21:volumeDevices 22:startupProbe
        23:resizePolicy 24:restartPolicy 25:restartPolicyRules
    """,
    "PodSecurityContext": """
        1:seLinuxOptions 2:runAsUser 3:runAsNonRoot 4:supplementalGroups 5:fsGroup 6:runAsGroup 7:sysctls
        8:windowsOptions 9:fsGroupChangePolicy 10:seccompProfile 11:appArmorProfile
        12:supplementalGroupsPolicy 13:seLinuxChangePolicy
    """,
    "Sysctl": "1:name 2:value",
    "Affinity": "1:nodeAffinity 2:podAffinity 3:podAntiAffinity",
    "NodeAffinity": """
        1:requiredDuringSchedulingIgnoredDuringExecution 2:preferredDuringSchedulingIgnoredDuringExecution
    """,
    "NodeSelector": "1:nodeSelectorTerms",
    "NodeSelectorTerm": "1:matchExpressions 2:matchFields",
    "PreferredSchedulingTerm": "1:weight 2:preference",
    "PodAffinity": """
        1:requiredDuringSchedulingIgnoredDuringExecution 2:preferredDuringSchedulingIgnoredDuringExecution
    """,
    "PodAffinityTerm": """
        1:labelSelector 2:namespaces 3:topologyKey 4:namespaceSelector 5:matchLabelKeys 6:mismatchLabelKeys
    """,
    "WeightedPodAffinityTerm": "1:weight 2:podAffinityTerm",
    "Toleration": "1:key 2:operator 3:value 4:effect 5:tolerationSeconds",
    "HostAlias": "1:ip 2:hostnames",
    "PodDNSConfig": "1:nameservers 2:searches 3:options",
    "PodReadinessGate": "1:conditionType",
    "TopologySpreadConstraint": """
        1:maxSkew 2:topologyKey 3:whenUnsatisfiable 4:labelSelector 5:minDomains 6:nodeAffinityPolicy
        7:nodeTaintsPolicy 8:matchLabelKeys
    """,
    "PodOS": "1:name",
    "PodSchedulingGate": "1:name",
    "PodResourceClaim": "1:name 3:resourceClaimName 4:resourceClaimTemplateName",
    "Deployment": "1:metadata 2:spec",
    "DeploymentSpec": """
        1:replicas 2:selector 3:template 4:strategy 5:minReadySeconds 6:revisionHistoryLimit 7:paused
        9:progressDeadlineSeconds
    """,
    "PodTemplateSpec": "1:metadata 2:spec",
    "DeploymentStrategy": "1:type 2:rollingUpdate",
    "RollingUpdateDeployment": "1:maxUnavailable 2:maxSurge",
    "ReplicaSet": "1:metadata 2:spec",
    "ReplicaSetSpec": "1:replicas 2:selector 3:template 4:minReadySeconds",
    "Job": "1:metadata 2:spec",
    "JobSpec": """
        1:parallelism 2:completions 3:activeDeadlineSeconds 4:selector 5:manualSelector 6:template
        7:backoffLimit 8:ttlSecondsAfterFinished 9:completionMode 10:suspend 11:podFailurePolicy
        12:backoffLimitPerIndex 13:maxFailedIndexes 14:podReplacementPolicy 15:managedBy 16:successPolicy
    """,
    "PodFailurePolicy": "1:rules",
    "PodFailurePolicyRule": "1:action 2:onExitCodes 3:onPodConditions",
    "OnExitCodes": "1:containerName 2:operator 3:values",
    "OnPodConditions": "1:type",
    "SuccessPolicy": "1:rules",
    "SuccessPolicyRule": "1:succeededIndexes 2:succeededCount",
    "SelfSubjectAccessReview": "1:metadata 2:spec",
    "SelfSubjectAccessReviewSpec": "1:resourceAttributes 2:nonResourceAttributes",
    "ResourceAttributes": """
        1:namespace 2:verb 3:group 4:version 5:resource 6:subresource 7:name 8:fieldSelector 9:labelSelector
    """,
    "NonResourceAttributes": "1:path 2:verb",
    "Lease": "1:metadata 2:spec",
    "LeaseSpec": """
        1:holderIdentity 2:leaseDurationSeconds 3:acquireTime 4:renewTime 5:leaseTransitions 6:strategy
        7:preferredHolder
    """,
    "Endpoints": "1:metadata 2:subsets",
    "EndpointSubset": "1:addresses 2:notReadyAddresses 3:ports",
    "EndpointAddress": "1:ip 2:targetRef 3:hostname 4:nodeName",
    "EndpointPort": "1:name 2:protocol 3:port 4:appProtocol",
    "EndpointSlice": "1:metadata 2:endpoints 3:ports 4:addressType",
    "Endpoint": """
        1:addresses 2:conditions 3:hostname 4:targetRef 5:deprecatedTopology 6:nodeName 7:zone 8:hints
    """,
    "EndpointConditions": "1:ready 2:serving 3:terminating",
    "Scale": "1:metadata 2:spec",
    "ScaleSpec": "1:replicas",
}
