"""How many pods a ReplicaSet lacks, which of a surplus go first, and what its status says.

Source: kubernetes, pkg/controller/replicaset/{replica_set,replica_set_utils}.go and
pkg/controller/controller_utils.go (ActivePodsWithRanks).
Left out: slow start (a burst of at most 500 is enough here), the logarithmic rounding of ages.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object, labels_of
from kubelab.cluster.pods import available_in_s, is_active, is_ready, phase_of, ready_since
from kubelab.cluster.selectors import LabelSelector, label_selector

BURST_PODS_MAX = 500  # Per pass, as upstream; the pods' own events bring the next pass.
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class Plan:
    create: int = 0
    delete: tuple[Object, ...] = ()


def plan(replicas: int, pods: Sequence[Object], now: datetime) -> Plan:
    """Return the changes that bring the active ones among *pods* to *replicas*."""
    active = [pod for pod in pods if is_active(pod)]
    surplus = len(active) - replicas
    if surplus <= 0:
        return Plan(create=min(-surplus, BURST_PODS_MAX))
    on_node = Counter(pod["spec"].get("nodeName", "") for pod in active)
    ranked = sorted(active, key=lambda pod: _loss(pod, on_node[pod["spec"].get("nodeName", "")], now))
    return Plan(delete=tuple(ranked[: min(surplus, BURST_PODS_MAX)]))


def _loss(pod: Object, siblings_on_node: int, now: datetime) -> tuple[object, ...]:
    """Order pods by how little their end costs: not placed, not started, not ready, cheap by annotation,
    crowded on their node, ready for a short time, often restarted, young; the name breaks ties."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    created = datetime.fromisoformat(pod["metadata"].get("creationTimestamp", rfc3339(now)))
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.get(phase_of(pod), 1),
        is_ready(pod),
        deletion_cost(pod),
        -siblings_on_node,
        -(ready_since(pod) or datetime.fromtimestamp(0, UTC)).timestamp(),
        -max((status.get("restartCount", 0) for status in statuses), default=0),
        -created.timestamp(),
        pod["metadata"]["name"],
    )


def deletion_cost(pod: Object) -> int:
    """Return the annotated cost; 0 for none, or for one that is not a number."""
    try:
        return int((pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def status_of(replica_set: Object, pods: Sequence[Object], failure: Object | None, now: datetime) -> Object:
    """Return the status; *failure* is the ReplicaFailure condition that this pass ended with, if it did."""
    spec = replica_set["spec"]
    active = [pod for pod in pods if is_active(pod)]
    waits = [available_in_s(pod, spec.get("minReadySeconds", 0), now) for pod in active]
    status: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(_labelled(pod, spec["template"]) for pod in active),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait == 0 for wait in waits),
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    conditions = _conditions(replica_set, failure, now)
    return status | ({"conditions": conditions} if conditions else {})


def next_available_s(replica_set: Object, pods: Sequence[Object], now: datetime) -> float | None:
    """Return when the next pod becomes available by the clock alone; None if none does."""
    min_ready_s = replica_set["spec"].get("minReadySeconds", 0)
    waits = [available_in_s(pod, min_ready_s, now) for pod in pods if is_active(pod)]
    return min((wait for wait in waits if wait), default=None)


def _labelled(pod: Object, template: Object) -> bool:
    wanted: dict[str, str] = (template.get("metadata") or {}).get("labels") or {}
    return wanted.items() <= labels_of(pod).items()


def _conditions(replica_set: Object, failure: Object | None, now: datetime) -> list[Object]:
    written = replica_set.get("status", {}).get("conditions") or ()
    others = [condition for condition in written if condition["type"] != "ReplicaFailure"]
    if failure is None:
        return others
    old = next((condition for condition in written if condition["type"] == "ReplicaFailure"), None)
    if old is not None and old.get("reason") == failure["reason"]:
        return [*others, old]
    return [*others, {"lastTransitionTime": rfc3339(now)} | failure]


def creation_failure(message: str) -> Object:
    return {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}


def deletion_failure(message: str) -> Object:
    return {"type": "ReplicaFailure", "status": "True", "reason": "FailedDelete", "message": message}


def new_pod(replica_set: Object, reference: Object) -> Object:
    """Return the pod to create from the template.

    Source: kubernetes, pkg/controller/controller_utils.go (GetPodFromTemplate).
    """
    template = replica_set["spec"]["template"]
    of_template = template.get("metadata") or {}
    metadata: Object = {
        "generateName": f"{replica_set['metadata']['name']}-",
        "namespace": replica_set["metadata"]["namespace"],
        "ownerReferences": [reference],
    }
    metadata |= {
        name: of_template[name] for name in ("labels", "annotations", "finalizers") if of_template.get(name)
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def selector_of(replica_set: Object) -> LabelSelector:
    """Return what chooses the pods: a label selector, or a ReplicationController's map of labels."""
    selector = replica_set["spec"]["selector"]
    is_map = all(isinstance(value, str) for value in selector.values())
    return label_selector({"matchLabels": selector} if is_map else selector)


def wanted_replicas(replica_set: Object) -> int:
    replicas = replica_set["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)
