"""Which nodes can take a pod, and the words for why one cannot.

Each filter returns its reasons, empty when the node passes; the first filter that objects ends a node's
examination, as upstream.

Source: kubernetes, pkg/scheduler/framework/plugins/{nodeunschedulable,nodename,tainttoleration,nodeaffinity,
nodeports,noderesources}; their order is that of pkg/scheduler/apis/config/v1/default_plugins.go.
Left out: pod (anti-)affinity, topology spread, volumes, preemption.
"""

from collections.abc import Callable

from kubelab.cluster.objects import Object
from kubelab.cluster.pods import pod_requests
from kubelab.cluster.scheduler.affinity import matches_node
from kubelab.cluster.scheduler.nodeinfo import HostPort, NodeInfo, host_ports
from kubelab.cluster.scheduler.taints import UNSCHEDULABLE, tolerates, untolerated

Reasons = tuple[str, ...]
Filter = Callable[[Object, NodeInfo], Reasons]

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104


def node_unschedulable(pod: Object, info: NodeInfo) -> Reasons:
    if info.node["spec"].get("unschedulable") and not tolerates(pod, UNSCHEDULABLE):
        return ("node(s) were unschedulable",)
    return ()


def node_name(pod: Object, info: NodeInfo) -> Reasons:
    wanted = pod["spec"].get("nodeName")
    return ("node(s) didn't match the requested node name",) if wanted and wanted != info.name else ()


def taint_toleration(pod: Object, info: NodeInfo) -> Reasons:
    return ("node(s) had untolerated taint(s)",) if untolerated(pod, info.node, HARD_EFFECTS) else ()


HARD_EFFECTS = ("NoSchedule", "NoExecute")


def node_affinity(pod: Object, info: NodeInfo) -> Reasons:
    return () if matches_node(pod, info.node) else ("node(s) didn't match Pod's node affinity/selector",)


def node_ports(pod: Object, info: NodeInfo) -> Reasons:
    taken = any(_clash(wanted, used) for wanted in host_ports(pod) for used in info.ports)
    return ("node(s) didn't have free ports for the requested pod ports",) if taken else ()


def _clash(left: HostPort, right: HostPort) -> bool:
    same_address = left[0] == right[0] or ALL_ADDRESSES in (left[0], right[0])
    return same_address and left[1:] == right[1:]


def node_resources_fit(pod: Object, info: NodeInfo) -> Reasons:
    allocatable = info.allocatable
    reasons = ["Too many pods"] if info.pods + 1 > allocatable.get("pods", 0) else []
    requests = {name: wanted for name, wanted in pod_requests(pod).items() if wanted > 0}
    free = {name: allocatable.get(name, 0) - info.requested.get(name, 0) for name in requests}
    short = (name for name in sorted(requests, key=_order) if requests[name] > free[name])
    return (*reasons, *(f"Insufficient {name}" for name in short))


def _order(resource: str) -> tuple[bool, bool, str]:
    return resource != "cpu", resource != "memory", resource


FILTERS: dict[str, Filter] = {
    "NodeUnschedulable": node_unschedulable,
    "NodeName": node_name,
    "TaintToleration": taint_toleration,
    "NodeAffinity": node_affinity,
    "NodePorts": node_ports,
    "NodeResourcesFit": node_resources_fit,
}


def reasons_against(pod: Object, info: NodeInfo) -> Reasons:
    return next((reasons for filter_ in FILTERS.values() if (reasons := filter_(pod, info))), ())
