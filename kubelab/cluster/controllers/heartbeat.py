"""Is a node alive? By its own clock the controller notes when it last saw a sign, and judges the silence.

The times that a node writes are not compared with ours: clocks differ, and a change alone is the sign.

Source: kubernetes, pkg/controller/nodelifecycle/node_lifecycle_controller.go (tryUpdateNodeHealth,
processTaintBaseEviction, doNoScheduleTaintingPass).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object
from kubelab.cluster.pods import condition_of

GRACE_S = 40.0
MONITOR_S = 5.0
CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OURS = {NOT_READY, UNREACHABLE, UNSCHEDULABLE}


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life: what was seen (lease and heartbeat times), and when we saw it change."""

    renewed: str
    heartbeat: str
    seen_s: float


def noticed(last: Sign | None, node: Object, lease: Object | None, now_s: float) -> Sign:
    ready = condition_of(node, "Ready")
    heartbeat = ready.get("lastHeartbeatTime", "") if ready else ""
    renewed = lease["spec"].get("renewTime", "") if lease else ""
    if last is not None and (last.renewed, last.heartbeat) == (renewed, heartbeat):
        return last
    return Sign(renewed, heartbeat, now_s)


def silence_left_s(sign: Sign, now_s: float) -> float:
    """Return how much longer the node may stay silent; 0 or less when it counts as lost."""
    return sign.seen_s + GRACE_S - now_s


def lost_conditions(node: Object, now: datetime) -> list[Object] | None:
    """Return the node's conditions with all of the kubelet's Unknown; None if they are already."""
    conditions = list(node.get("status", {}).get("conditions") or ())
    known = {condition["type"]: condition for condition in conditions}
    if all(known.get(type_, {}).get("status") == "Unknown" for type_ in CONDITIONS):
        return None
    kept = [condition for condition in conditions if condition["type"] not in CONDITIONS]
    return kept + [_unknown(type_, known.get(type_), node, now) for type_ in CONDITIONS]


def _unknown(type_: str, known: Object | None, node: Object, now: datetime) -> Object:
    if known is not None and known["status"] == "Unknown":
        return known
    if known is None:
        reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
        heartbeat = node["metadata"]["creationTimestamp"]
    else:
        reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
        heartbeat = known.get("lastHeartbeatTime", "")
    times = {"lastHeartbeatTime": heartbeat, "lastTransitionTime": rfc3339(now)}
    return {"type": type_, "status": "Unknown", "reason": reason, "message": message} | times


def ready_status(node: Object) -> str:
    """Return True, False, Unknown; "" when the kubelet has not reported yet."""
    ready = condition_of(node, "Ready")
    return str(ready["status"]) if ready else ""


def wanted_taints(node: Object, now: datetime) -> list[Object]:
    """Return the node's taints as its readiness and `unschedulable` want them; those of others stay."""
    have = node["spec"].get("taints") or []
    wanted = tuple(_taints_for(ready_status(node), unschedulable=bool(node["spec"].get("unschedulable"))))
    kept = [t for t in have if t["key"] not in _OURS or (t["key"], t["effect"]) in wanted]
    known = {(taint["key"], taint["effect"]) for taint in kept}
    return kept + [_taint(key, effect, now) for key, effect in wanted if (key, effect) not in known]


def _taints_for(ready: str, *, unschedulable: bool) -> Iterable[tuple[str, str]]:
    if not ready:  # Nobody has said anything yet: upstream's TaintNodesByCondition at the Node's creation.
        yield NOT_READY, "NoSchedule"
    if ready == "False":
        yield from ((NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute"))
    if ready == "Unknown":
        yield from ((UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute"))
    if unschedulable:
        yield UNSCHEDULABLE, "NoSchedule"


def _taint(key: str, effect: str, now: datetime) -> Object:
    return {"key": key, "effect": effect, "timeAdded": rfc3339(now)}
