"""Objects as the API has them, made from the few words that a test is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object

START = datetime(2026, 1, 1, tzinfo=UTC)


def make_pod(
    name: str,
    *,
    node: str = "",
    phase: str = "Pending",
    ready_since_s: float | None = None,
    restarts: int = 0,
    created_s: float = 0,
    cost: str | None = None,
    deleting: bool = False,
) -> Object:
    conditions = []
    if ready_since_s is not None:
        since = rfc3339(START + timedelta(seconds=ready_since_s))
        conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": since})
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "uid": name,
        "creationTimestamp": rfc3339(START + timedelta(seconds=created_s)),
    }
    if cost is not None:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    if deleting:
        metadata["deletionTimestamp"] = rfc3339(START)
    spec = {"containers": [{"name": "web", "image": "i"}]} | ({"nodeName": node} if node else {})
    statuses = [{"name": "web", "restartCount": restarts}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
    return {"metadata": metadata, "spec": spec, "status": status}


def make_set(name: str, replicas: int, available: int | None = None, **metadata: Any) -> Object:
    available = replicas if available is None else available
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "generation": 1} | metadata,
        "spec": {"replicas": replicas, "template": {"spec": {}}},
        "status": {"replicas": replicas, "availableReplicas": available, "observedGeneration": 1},
    }


def make_deployment(name: str = "web", replicas: int = 3, **spec: Any) -> Object:
    labels = {"app": name}
    container = {"name": "web", "image": "kubelab/shell:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template} | spec,
    }


def make_replication_controller(name: str = "web", replicas: int = 3) -> Object:
    deployment = make_deployment(name, replicas)
    spec = deployment["spec"] | {"selector": deployment["spec"]["selector"]["matchLabels"]}
    return deployment | {"apiVersion": "v1", "kind": "ReplicationController", "spec": spec}
