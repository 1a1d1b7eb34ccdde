"""ReplicaSets: their defaults, what they must be, and how they are shown.

Source: kubernetes, pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go,
pkg/registry/apps/replicaset/strategy.go, pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver import pod_templates, pods, replica_counts
from kubelab.cluster.apiserver.columns import AGE, NAME, TEMPLATE, Cells, Column, age, template_cells
from kubelab.cluster.apiserver.fields import FieldError, invalid_value, not_negative
from kubelab.cluster.objects import Object

_COUNTS = (
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
    "observedGeneration",
    "terminatingReplicas",
)

_SPEC, _STATUS = "k8s.io/api/apps/v1.ReplicaSetSpec", "k8s.io/api/apps/v1.ReplicaSetStatus"
COLUMNS = (
    NAME,
    Column("Desired", "integer", documents=f"{_SPEC}.replicas"),
    Column("Current", "integer", documents=f"{_STATUS}.replicas"),
    Column("Ready", "integer", documents=f"{_STATUS}.readyReplicas"),
    AGE,
    *TEMPLATE,
    Column("Selector", priority=1, documents=f"{_SPEC}.selector"),
)


def cells(replicaset: Object, now: datetime) -> Cells:
    spec, status = replicaset["spec"], replicaset.get("status") or {}
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [replicaset["metadata"]["name"], *counts, age(replicaset, now), *template_cells(spec)]


def set_defaults(replicaset: Object) -> None:
    spec = replicaset.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    pods.set_template_defaults(spec.setdefault("template", {}))


def initial_status(replicaset: Object) -> Object:
    return {"replicas": 0}


def validate(replicaset: Object) -> Iterator[FieldError]:
    spec = replicaset.get("spec") or {}
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    yield from not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    # Upstream's own words: a ReplicaSet, too, is told of a deployment.
    yield from pod_templates.validate_selector(spec, "empty selector is invalid for deployment")
    if pod_templates.parsed(spec.get("selector")) is None:
        yield invalid_value("spec.selector", spec["selector"], "invalid label selector")
    else:
        yield from pod_templates.mismatch(spec)
        yield from pod_templates.validate(spec, "ReplicaSet")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = new.get("status") or {}
    yield from replica_counts.not_negatives(status, _COUNTS)
    parts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    yield from replica_counts.at_most_replicas(status, parts)
    yield from replica_counts.available_at_most_ready(status, "cannot be greater than readyReplicas")
