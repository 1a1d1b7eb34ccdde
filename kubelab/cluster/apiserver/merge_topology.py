"""How the lists and maps of Kubernetes' types merge, where that is not the usual: the API's merge markers.

Usually a list is atomic, a map or a struct granular. The table has a line for each type that says otherwise
(`atomic`), or one of whose fields does: `field=atomic`, `field=granular`, `field=set`, or the keys by which
the list's items are known, each with its default in JSON (`ports=containerPort:0,protocol:"TCP"`).

Source: the markers listType, listMapKey, mapType and structType in the Go types of k8s.io/api 1.37,
k8s.io/apiextensions-apiserver and k8s.io/apimachinery
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy); the table is printed by
docs/merge_topology.py. The kubectl that knows the types' fields does not carry them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

How = Literal["atomic", "granular", "set", "map"]

_TABLE = """
apps/v1.DaemonSetStatus conditions=type:""
apps/v1.DeploymentStatus conditions=type:""
apps/v1.ReplicaSetStatus conditions=type:""
apps/v1.StatefulSetStatus conditions=type:""
autoscaling/v1.CrossVersionObjectReference atomic
autoscaling/v2.HorizontalPodAutoscalerStatus conditions=type:""
batch/v1.JobSchedulingConfiguration resourceClaims=name:""
batch/v1.PodFailurePolicyOnExitCodesRequirement values=set
batch/v1.UncountedTerminatedPods failed=set succeeded=set
certificates/v1.CertificateSigningRequestStatus conditions=type:""
certificates/v1.PodCertificateRequestStatus conditions=type:""
core/v1.ComponentStatus conditions=type:""
core/v1.ConfigMapKeySelector atomic
core/v1.Container env=name:"" ports=containerPort:0,protocol:"TCP" volumeDevices=devicePath:""
  volumeMounts=mountPath:""
core/v1.ContainerRestartRuleOnExitCodes values=set
core/v1.ContainerStatus allocatedResourcesStatus=name:"" volumeMounts=mountPath:""
core/v1.EndpointAddress atomic
core/v1.EndpointPort atomic
core/v1.EphemeralContainer env=name:"" ports=containerPort:0,protocol:"TCP" volumeDevices=devicePath:""
  volumeMounts=mountPath:""
core/v1.EvictionResponder atomic
core/v1.FileKeySelector atomic
core/v1.LocalObjectReference atomic
core/v1.NamespaceStatus conditions=type:""
core/v1.NodeAllocatableResourceClaimStatus containers=set mapping=name:"" overhead=name:""
core/v1.NodePodPreemptionPolicy disableResizePreemption=set
core/v1.NodeSelector atomic
core/v1.NodeSelectorTerm atomic
core/v1.NodeSpec podCIDRs=set
core/v1.NodeStatus addresses=type:"" conditions=type:""
core/v1.ObjectFieldSelector atomic
core/v1.ObjectReference atomic
core/v1.PersistentVolumeClaimStatus allocatedResourceStatuses=granular conditions=type:""
core/v1.PersistentVolumeSpec claimRef=granular
core/v1.PodSpec containers=name:"" ephemeralContainers=name:"" evictionResponders=name:"" hostAliases=ip:""
  imagePullSecrets=name:"" initContainers=name:"" nodeSelector=atomic resourceClaims=name:""
  schedulingGates=name:"" topologySpreadConstraints=topologyKey:"",whenUnsatisfiable:"" volumes=name:""
core/v1.PodStatus conditions=type:"" nodeAllocatableResourceClaimStatuses=resourceClaimName:"" podIPs=ip:""
  resourceClaimStatuses=name:"" volumeHealth=name:""
core/v1.PodVolumeHealth healthConditions=status:"",reason:""
core/v1.ReplicationControllerSpec selector=atomic
core/v1.ReplicationControllerStatus conditions=type:""
core/v1.ResourceFieldSelector atomic
core/v1.ResourceRequirements claims=name:""
core/v1.ResourceStatus resources=resourceID:""
core/v1.ScopeSelector atomic
core/v1.SecretKeySelector atomic
core/v1.SecretReference atomic
core/v1.ServiceAccount secrets=name
core/v1.ServiceSpec ports=port:0,protocol:"TCP" selector=atomic
core/v1.ServiceStatus conditions=type:""
core/v1.TopologySelectorTerm atomic
core/v1.TypedLocalObjectReference atomic
core/v1.VolumeHealthStatus healthConditions=status:"",reason:""
core/v1.VolumeMount bindMountOptions=set
discovery/v1.Endpoint addresses=set
discovery/v1.EndpointPort atomic
networking/v1.ServiceBackendPort atomic
networking/v1.ServiceCIDRStatus conditions=type:""
node/v1.Scheduling nodeSelector=atomic
policy/v1.PodDisruptionBudgetStatus conditions=type:""
rbac/v1.RoleRef atomic
rbac/v1.Subject atomic
apiextensions-apiserver/pkg/apis/apiextensions/v1.CustomResourceDefinitionStatus conditions=type:""
apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaProps x-kubernetes-validations=rule:""
apimachinery/pkg/apis/meta/v1.LabelSelector atomic
apimachinery/pkg/apis/meta/v1.ObjectMeta finalizers=set ownerReferences=uid:""
apimachinery/pkg/apis/meta/v1.OwnerReference atomic
"""


@dataclass(frozen=True, slots=True)
class FieldTopology:
    """`keys` are those of a "map" list's items, with their defaults (None: there is none)."""

    how: How
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TypeTopology:
    atomic: bool = False
    fields: Mapping[str, FieldTopology] = field(default_factory=dict)


USUAL = TypeTopology()


def of_type(go_type: str) -> TypeTopology:
    """Return how the Go type of that name (`k8s.io/api/core/v1.Pod`) merges."""
    return all_types().get(go_type, USUAL)


@cache
def all_types() -> Mapping[str, TypeTopology]:
    lines = _TABLE.strip().replace("\n  ", " ").splitlines()
    return dict(map(_parsed, lines))


def _parsed(line: str) -> tuple[str, TypeTopology]:
    name, *words = line.split()
    path = name if name.startswith(("apimachinery/", "apiextensions-apiserver/")) else f"api/{name}"
    fields = dict(word.split("=", 1) for word in words if word != "atomic")
    topologies = {key: _field_topology(how) for key, how in fields.items()}
    return f"k8s.io/{path}", TypeTopology("atomic" in words, topologies)


def _field_topology(text: str) -> FieldTopology:
    match text:
        case "atomic" | "granular" | "set":
            return FieldTopology(text)
    keys = (key.partition(":") for key in text.split(","))
    return FieldTopology("map", {name: json.loads(default or "null") for name, _, default in keys})
