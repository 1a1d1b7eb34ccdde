"""The Node object and its lease, as a kubelet writes them. Pure.

Source: kubernetes, pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodestatus/setters.go,
staging/src/k8s.io/component-helpers/apimachinery/lease/controller.go.
Left out: images on the node, volumes, reserved resources (allocatable is the capacity).
"""

from datetime import datetime

from kubelab import __version__
from kubelab.cluster.clock import rfc3339, rfc3339_micro
from kubelab.cluster.node.config import HostFacts, KubeletConfig
from kubelab.cluster.objects import Object
from kubelab.cluster.pods import with_condition

LEASE_NAMESPACE = "kube-node-lease"
LEASE_S = 40

_HEALTHY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def new_node(config: KubeletConfig, facts: HostFacts, now: datetime) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": config.node_name, "labels": labels(config, facts)},
        "spec": pod_cidr(config),
        "status": node_status(config, facts, [], now),
    }


def labels(config: KubeletConfig, facts: HostFacts) -> dict[str, str]:
    own = {
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
    }
    return (
        {f"beta.{name}": own[name] for name in ("kubernetes.io/os", "kubernetes.io/arch")}
        | own
        | {**config.labels}
    )


def pod_cidr(config: KubeletConfig) -> Object:
    return {"podCIDR": str(config.pod_cidr), "podCIDRs": [str(config.pod_cidr)]}


def node_status(config: KubeletConfig, facts: HostFacts, conditions: list[Object], now: datetime) -> Object:
    """Return the whole status; *conditions* are those that the node has, of which others keep theirs."""
    amounts = {
        "cpu": str(config.cpus),
        "memory": f"{config.memory_bytes // 1024}Ki",
        "pods": str(config.pods_max),
    }
    for type_, status, reason, message in _HEALTHY:
        condition = {"type": type_, "status": status, "reason": reason, "message": message}
        conditions = with_condition(conditions, condition | {"lastHeartbeatTime": rfc3339(now)}, now)
    return {
        "capacity": amounts,
        "allocatable": amounts,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": str(config.address)},
            {"type": "Hostname", "address": config.node_name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.port}},
        "nodeInfo": node_info(config, facts),
    }


def node_info(config: KubeletConfig, facts: HostFacts) -> Object:
    return {
        "machineID": facts.machine_id,
        "systemUUID": facts.machine_id,
        "bootID": facts.boot_id,
        "kernelVersion": facts.kernel,
        "osImage": facts.os_image,
        "containerRuntimeVersion": f"kubelab://{__version__}",
        "kubeletVersion": config.version,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": facts.architecture,
    }


def lease(config: KubeletConfig, node: Object, now: datetime) -> Object:
    owner = {"apiVersion": "v1", "kind": "Node", "name": config.node_name, "uid": node["metadata"]["uid"]}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": config.node_name,
            "namespace": LEASE_NAMESPACE,
            "ownerReferences": [owner],
        },
        "spec": {
            "holderIdentity": config.node_name,
            "leaseDurationSeconds": LEASE_S,
            "renewTime": rfc3339_micro(now),
        },
    }
