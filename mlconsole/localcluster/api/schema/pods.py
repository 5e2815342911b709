"""Fields of Pods and Pod templates. The notation is explained in ``shapes``."""

from __future__ import annotations

_CONTAINER = """
    name image command:[string] args:[string] workingDir ports:[ContainerPort]@containerPort,protocol
    envFrom:[EnvFromSource] env:[EnvVar]@name resources:ResourceRequirements resizePolicy:[ContainerResizePolicy]
    restartPolicy restartPolicyRules:[any] volumeMounts:[VolumeMount]@mountPath
    volumeDevices:[VolumeDevice]@devicePath livenessProbe:Probe readinessProbe:Probe startupProbe:Probe
    lifecycle:Lifecycle terminationMessagePath terminationMessagePolicy imagePullPolicy
    securityContext:SecurityContext stdin:bool stdinOnce:bool tty:bool
"""

PODS = {
    "Pod": "apiVersion kind metadata:ObjectMeta spec:PodSpec status:PodStatus",
    "PodTemplateSpec": "metadata:ObjectMeta spec:PodSpec",
    "PodSpec": """
        volumes:[Volume]@name initContainers:[Container]@name containers:[Container]@name
        ephemeralContainers:[EphemeralContainer]@name restartPolicy terminationGracePeriodSeconds:int64
        activeDeadlineSeconds:int64 dnsPolicy nodeSelector:!<string> serviceAccountName serviceAccount
        automountServiceAccountToken:bool nodeName hostNetwork:bool hostPID:bool hostIPC:bool
        shareProcessNamespace:bool securityContext:PodSecurityContext
        imagePullSecrets:[LocalObjectReference]@name hostname subdomain affinity:Affinity schedulerName
        tolerations:[Toleration] hostAliases:[HostAlias]@ip priorityClassName priority:int32 dnsConfig:PodDNSConfig
        readinessGates:[PodReadinessGate] runtimeClassName enableServiceLinks:bool preemptionPolicy
        overhead:<Quantity> topologySpreadConstraints:[TopologySpreadConstraint]@topologyKey,whenUnsatisfiable
        setHostnameAsFQDN:bool os:PodOS hostUsers:bool schedulingGates:[PodSchedulingGate]@name
        resourceClaims:[PodResourceClaim]@name resources:ResourceRequirements hostnameOverride
    """,
    "Container": _CONTAINER,
    "EphemeralContainer": _CONTAINER + " targetContainerName",
    "ContainerPort": "name hostPort:int32 containerPort:int32 protocol hostIP",
    "ContainerResizePolicy": "resourceName restartPolicy",
    "EnvFromSource": "prefix configMapRef:OptionalName secretRef:OptionalName",
    "OptionalName": "name optional:bool",
    "EnvVar": "name value valueFrom:EnvVarSource",
    "EnvVarSource": """
        fieldRef:!ObjectFieldSelector resourceFieldRef:!ResourceFieldSelector configMapKeyRef:!KeySelector
        secretKeyRef:!KeySelector fileKeyRef:any
    """,
    "ObjectFieldSelector": "apiVersion fieldPath",
    "ResourceFieldSelector": "containerName resource divisor:Quantity",
    "KeySelector": "name key optional:bool",
    "ResourceRequirements": "limits:<Quantity> requests:<Quantity> claims:[ResourceClaim]@name",
    "ResourceClaim": "name request",
    "VolumeMount": "name readOnly:bool recursiveReadOnly mountPath subPath mountPropagation subPathExpr",
    "VolumeDevice": "name devicePath",
    "Probe": """
        exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction grpc:GRPCAction initialDelaySeconds:int32
        timeoutSeconds:int32 periodSeconds:int32 successThreshold:int32 failureThreshold:int32
        terminationGracePeriodSeconds:int64
    """,
    "ExecAction": "command:[string]",
    "HTTPGetAction": "path port:IntOrString host scheme httpHeaders:[HTTPHeader]",
    "HTTPHeader": "name value",
    "TCPSocketAction": "port:IntOrString host",
    "GRPCAction": "port:int32 service",
    "SleepAction": "seconds:int64",
    "Lifecycle": "postStart:LifecycleHandler preStop:LifecycleHandler stopSignal",
    "LifecycleHandler": "exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction sleep:SleepAction",
    "SecurityContext": """
        capabilities:Capabilities privileged:bool seLinuxOptions:SELinuxOptions windowsOptions:any runAsUser:int64
        runAsGroup:int64 runAsNonRoot:bool readOnlyRootFilesystem:bool allowPrivilegeEscalation:bool procMount
        seccompProfile:LocalProfile appArmorProfile:LocalProfile
    """,
    "Capabilities": "add:[string] drop:[string]",
    "SELinuxOptions": "user role type level",
    "LocalProfile": "type localhostProfile",
    "PodSecurityContext": """
        seLinuxOptions:SELinuxOptions windowsOptions:any runAsUser:int64 runAsGroup:int64 runAsNonRoot:bool
        supplementalGroups:[int64] supplementalGroupsPolicy fsGroup:int64 sysctls:[Sysctl] fsGroupChangePolicy
        seccompProfile:LocalProfile appArmorProfile:LocalProfile seLinuxChangePolicy
    """,
    "Sysctl": "name value",
    "Affinity": "nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAffinity",
    "NodeAffinity": """
        requiredDuringSchedulingIgnoredDuringExecution:!NodeSelector
        preferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm]
    """,
    "NodeSelector": "nodeSelectorTerms:[NodeSelectorTerm]",
    "NodeSelectorTerm": "matchExpressions:[LabelSelectorRequirement] matchFields:[LabelSelectorRequirement]",
    "PreferredSchedulingTerm": "weight:int32 preference:NodeSelectorTerm",
    "PodAffinity": """
        requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
        preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
    """,
    "WeightedPodAffinityTerm": "weight:int32 podAffinityTerm:PodAffinityTerm",
    "PodAffinityTerm": """
        labelSelector:LabelSelector namespaces:[string] topologyKey namespaceSelector:LabelSelector
        matchLabelKeys:[string] mismatchLabelKeys:[string]
    """,
    "Toleration": "key operator value effect tolerationSeconds:int64",
    "HostAlias": "ip hostnames:[string]",
    "PodDNSConfig": "nameservers:[string] searches:[string] options:[any]",
    "PodReadinessGate": "conditionType",
    "TopologySpreadConstraint": """
        maxSkew:int32 topologyKey whenUnsatisfiable labelSelector:!LabelSelector minDomains:int32 nodeAffinityPolicy
        nodeTaintsPolicy matchLabelKeys:[string]
    """,
    "PodOS": "name",
    "PodSchedulingGate": "name",
    "PodResourceClaim": "name resourceClaimName resourceClaimTemplateName",
    "Volume": """
        name hostPath:HostPathVolume emptyDir:EmptyDirVolume secret:SecretVolume configMap:ConfigMapVolume
        persistentVolumeClaim:ClaimVolume projected:any downwardAPI:any csi:any ephemeral:any nfs:any iscsi:any
        gcePersistentDisk:any awsElasticBlockStore:any azureDisk:any azureFile:any cephfs:any cinder:any fc:any
        flexVolume:any flocker:any gitRepo:any glusterfs:any image:any photonPersistentDisk:any portworxVolume:any
        quobyte:any rbd:any scaleIO:any storageos:any vsphereVolume:any
    """,
    "HostPathVolume": "path type",
    "EmptyDirVolume": "medium sizeLimit:Quantity",
    "SecretVolume": "secretName items:[KeyToPath] defaultMode:int32 optional:bool",
    "ConfigMapVolume": "name items:[KeyToPath] defaultMode:int32 optional:bool",
    "KeyToPath": "key path mode:int32",
    "ClaimVolume": "claimName readOnly:bool",
    "PodStatus": """
        observedGeneration:int64 phase conditions:[Condition]@type message reason nominatedNodeName hostIP
        hostIPs:[HostIP] podIP podIPs:[HostIP]@ip startTime:Time initContainerStatuses:[ContainerStatus]
        containerStatuses:[ContainerStatus] qosClass ephemeralContainerStatuses:[ContainerStatus] resize
        resourceClaimStatuses:[any] allocatedResources:<Quantity> resources:any extendedResourceClaimStatus:any
    """,
    "HostIP": "ip",
    "ContainerStatus": """
        name state:ContainerState lastState:ContainerState ready:bool restartCount:int32 image imageID containerID
        started:bool allocatedResources:<Quantity> resources:ResourceRequirements volumeMounts:[any] user:any
        allocatedResourcesStatus:[any] stopSignal
    """,
    "ContainerState": """
        waiting:ContainerStateWaiting running:ContainerStateRunning terminated:ContainerStateTerminated
    """,
    "ContainerStateWaiting": "reason message",
    "ContainerStateRunning": "startedAt:Time",
    "ContainerStateTerminated": "exitCode:int32 signal:int32 reason message startedAt:Time finishedAt:Time containerID",
}
