"""What the scheduler knows of a node: the object, and the sums over the pods that are or will be on it.

Source: kubernetes, pkg/scheduler/framework/types.go (NodeInfo) and
pkg/scheduler/util/pod_resources.go (the requests assumed for pods that name none).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from kubelab.cluster.objects import Object
from kubelab.cluster.pods import Resources, add, container_resources, pod_requests, resources_of

ASSUMED_CPU_MILLICORES = 100
ASSUMED_MEMORY_BYTES = 200 * 1024 * 1024

HostPort = tuple[str, str, int]
"""Address ("0.0.0.0": all), protocol, port."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """`requested` is what filters count; `scored` assumes a little for containers that request nothing."""

    node: Object
    pods: int = 0
    requested: Resources = field(default_factory=dict)
    scored: Resources = field(default_factory=dict)
    ports: frozenset[HostPort] = frozenset()

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def allocatable(self) -> Resources:
        status = self.node.get("status", {})
        return resources_of(status.get("allocatable", status.get("capacity")))

    def with_pod(self, pod: Object) -> "NodeInfo":
        return NodeInfo(
            node=self.node,
            pods=self.pods + 1,
            requested=add(self.requested, pod_requests(pod)),
            scored=add(self.scored, scored_requests(pod)),
            ports=self.ports | host_ports(pod),
        )


def node_info(node: Object, pods: Iterable[Object]) -> NodeInfo:
    info = NodeInfo(node)
    for pod in pods:
        info = info.with_pod(pod)
    return info


def scored_requests(pod: Object) -> Resources:
    """Return cpu and memory as LeastAllocated counts them, so that many small pods do not weigh nothing."""
    total = {"cpu": 0, "memory": 0}
    for container in pod["spec"]["containers"]:
        assumed = {"cpu": ASSUMED_CPU_MILLICORES, "memory": ASSUMED_MEMORY_BYTES}
        total = add(total, assumed | container_resources(container, "requests"))
    inits = [container_resources(c, "requests") for c in pod["spec"].get("initContainers") or ()]
    return {name: max([total.get(name, 0), *(init.get(name, 0) for init in inits)]) for name in total}


def host_ports(pod: Object) -> frozenset[HostPort]:
    return frozenset(
        (port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), int(port["hostPort"]))  # noqa: S104
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )
