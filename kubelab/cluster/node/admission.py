"""Whether a node has room for a pod that was bound to it. Pure.

The scheduler has looked already, but who binds by spec.nodeName asks no scheduler. A refused pod fails, and
is not tried again.
Source: kubernetes, pkg/kubelet/lifecycle/predicate.go, pkg/kubelet/kubelet.go (HandlePodAdditions,
rejectPod), pkg/scheduler/framework/plugins/noderesources/fit.go.
Left out: node affinity, host ports and taints, which upstream's kubelet looks at too; eviction for critical
pods; resources other than cpu, memory and the number of pods.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kubelab.cluster.objects import Object
from kubelab.cluster.pods import Resources, observed_generation, pod_requests, qos_class

_REJECTED = "Pod was rejected: "
COUNTED = ("cpu", "memory")  # In upstream's order.


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    message: str


def refusal(pod: Object, others: Sequence[Object], capacity: Resources, pods_max: int) -> Refusal | None:
    """Return why *pod* has no room beside the *others*, None if it has."""
    if len(others) + 1 > pods_max:
        return _out_of("pods", 1, len(others), pods_max)
    requested = pod_requests(pod)
    for name in COUNTED:
        wanted = requested.get(name, 0)
        used = sum(pod_requests(other).get(name, 0) for other in others)
        if wanted > 0 and wanted > capacity[name] - used:
            return _out_of(name, wanted, used, capacity[name])
    return None


def _out_of(name: str, requested: int, used: int, capacity: int) -> Refusal:
    amounts = f"requested: {requested}, used: {used}, capacity: {capacity}"
    return Refusal(f"OutOf{name}", f"Node didn't have enough resource: {name}, {amounts}")


def refused_before(pod: Object) -> Refusal | None:
    """Return the refusal that the pod's status tells of."""
    status = pod.get("status", {})
    message = str(status.get("message", ""))
    if status.get("phase") != "Failed" or not message.startswith(_REJECTED):
        return None
    return Refusal(str(status.get("reason", "")), message.removeprefix(_REJECTED))


def refused_status(pod: Object, refused: Refusal, started_at: str) -> Object:
    return observed_generation(pod) | {
        "phase": "Failed",
        "reason": refused.reason,
        "message": f"{_REJECTED}{refused.message}",
        "qosClass": qos_class(pod),
        "startTime": started_at,
    }
