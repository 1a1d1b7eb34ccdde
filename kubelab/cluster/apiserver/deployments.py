"""Deployments: their defaults, what they must be, what may change, and how they are shown.

Source: kubernetes, pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go,
pkg/registry/apps/deployment/strategy.go, pkg/printers/internalversion/printers.go. The annotations that
count revisions are the controller's; `kubectl rollout undo` is a patch of the template.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver import int_or_percent, pod_templates, pods, replica_counts
from kubelab.cluster.apiserver.columns import AGE, NAME, TEMPLATE, Cells, Column, age, template_cells
from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    invalid_value,
    not_negative,
    unsupported_value,
)
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.objects import Object

REVISION_HISTORY_LIMIT = 10
PROGRESS_DEADLINE_S = 600
_STRATEGIES = ("Recreate", "RollingUpdate")
_COUNTS = (
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "terminatingReplicas",
    "collisionCount",
)

_SPEC, _STATUS = "k8s.io/api/apps/v1.DeploymentSpec", "k8s.io/api/apps/v1.DeploymentStatus"
COLUMNS = (
    NAME,
    Column("Ready", description="Number of the pod with ready state"),
    Column("Up-to-date", documents=f"{_STATUS}.updatedReplicas"),
    Column("Available", documents=f"{_STATUS}.availableReplicas"),
    AGE,
    *TEMPLATE,
    Column("Selector", priority=1, documents=f"{_SPEC}.selector"),
)


def cells(deployment: Object, now: datetime) -> Cells:
    spec, status = deployment["spec"], deployment.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [deployment["metadata"]["name"], ready, *counts, age(deployment, now), *template_cells(spec)]


def set_defaults(deployment: Object) -> None:
    spec = deployment.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", REVISION_HISTORY_LIMIT)
    spec.setdefault("progressDeadlineSeconds", PROGRESS_DEADLINE_S)
    strategy = spec.setdefault("strategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling_update = strategy.setdefault("rollingUpdate", {})
        rolling_update.setdefault("maxUnavailable", "25%")
        rolling_update.setdefault("maxSurge", "25%")
    pods.set_template_defaults(spec.setdefault("template", {}))


def initial_status(deployment: Object) -> Object:
    return {}


def prepare_update(new: Object, old: Object, write: Write) -> None:
    """Annotations count as a change of what is wanted, too: the controller copies them to ReplicaSets."""
    changed = new["metadata"].get("annotations") != old["metadata"].get("annotations")
    if changed and not write.subresource:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def validate(deployment: Object) -> Iterator[FieldError]:
    spec = deployment.get("spec") or {}
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    yield from pod_templates.validate_selector(spec, "empty selector is invalid for deployment")
    if pod_templates.parsed(spec.get("selector")) is None:
        yield invalid_value("spec.selector", spec["selector"], "invalid label selector")
    else:
        yield from pod_templates.mismatch(spec)
        yield from pod_templates.validate(spec, "ReplicaSet")
    yield from _strategy(spec.get("strategy") or {})
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from not_negative(spec.get(key), f"spec.{key}")
    deadline_s = spec.get("progressDeadlineSeconds", PROGRESS_DEADLINE_S)
    if deadline_s <= spec.get("minReadySeconds", 0):
        yield invalid_value(
            "spec.progressDeadlineSeconds", deadline_s, "must be greater than minReadySeconds"
        )


def _strategy(strategy: Object) -> Iterator[FieldError]:
    type_, rolling_update = strategy.get("type"), strategy.get("rollingUpdate")
    if type_ not in _STRATEGIES:
        yield unsupported_value("spec.strategy", strategy, _STRATEGIES)
    elif type_ == "Recreate" and rolling_update is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_field("spec.strategy.rollingUpdate", detail)
    elif rolling_update is not None:
        yield from _rolling_update(rolling_update, "spec.strategy.rollingUpdate")


def _rolling_update(rolling_update: Object, field: str) -> Iterator[FieldError]:
    unavailable, surge = rolling_update.get("maxUnavailable"), rolling_update.get("maxSurge")
    yield from int_or_percent.validate(unavailable, f"{field}.maxUnavailable")
    yield from int_or_percent.validate(surge, f"{field}.maxSurge")
    if not int_or_percent.number(unavailable) and not int_or_percent.number(surge):
        yield invalid_value(f"{field}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from int_or_percent.at_most_all(unavailable, f"{field}.maxUnavailable")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = new.get("status") or {}
    yield from replica_counts.not_negatives(status, _COUNTS)
    parts = ("updatedReplicas", "readyReplicas", "availableReplicas")
    yield from replica_counts.at_most_replicas(status, parts)
    yield from replica_counts.available_at_most_ready(status, "cannot be greater than readyReplicas")
    yield from replica_counts.collisions_only_grow(new, old)
