"""DaemonSets: their defaults, what they must be, and how they are shown.

Source: kubernetes, pkg/apis/apps/v1/{defaults,conversion}.go, pkg/apis/apps/validation/validation.go,
pkg/registry/apps/daemonset/strategy.go, pkg/printers/internalversion/printers.go. The template's generation,
a field of older versions of the API, is an annotation in this one.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver import int_or_percent, label_selectors, pod_templates, pods, replica_counts
from kubelab.cluster.apiserver.columns import (
    AGE,
    NAME,
    NONE,
    TEMPLATE,
    Cells,
    Column,
    age,
    template_cells,
)
from kubelab.cluster.apiserver.fields import (
    FieldError,
    invalid_value,
    not_negative,
    required,
    unsupported_value,
)
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.objects import Object

REVISION_HISTORY_LIMIT = 10
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)

_SPEC, _STATUS = "k8s.io/api/apps/v1.DaemonSetSpec", "k8s.io/api/apps/v1.DaemonSetStatus"
COLUMNS = (
    NAME,
    Column("Desired", "integer", documents=f"{_STATUS}.desiredNumberScheduled"),
    Column("Current", "integer", documents=f"{_STATUS}.currentNumberScheduled"),
    Column("Ready", "integer", documents=f"{_STATUS}.numberReady"),
    Column("Up-to-date", "integer", documents=f"{_STATUS}.updatedNumberScheduled"),
    Column("Available", "integer", documents=f"{_STATUS}.numberAvailable"),
    Column("Node Selector", documents="k8s.io/api/core/v1.PodSpec.nodeSelector"),
    AGE,
    *TEMPLATE,
    Column("Selector", priority=1, documents=f"{_SPEC}.selector"),
)
_SHOWN = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
)


def cells(daemonset: Object, now: datetime) -> Cells:
    spec, status = daemonset["spec"], daemonset.get("status") or {}
    nodes = pod_templates.pod_spec(spec).get("nodeSelector") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(nodes.items())) or NONE
    counts = [status.get(name, 0) for name in _SHOWN]
    return [daemonset["metadata"]["name"], *counts, selector, age(daemonset, now), *template_cells(spec)]


def set_defaults(daemonset: Object) -> None:
    spec = daemonset.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", REVISION_HISTORY_LIMIT)
    strategy = spec.setdefault("updateStrategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling_update = strategy.setdefault("rollingUpdate", {})
        rolling_update.setdefault("maxUnavailable", 1)
        rolling_update.setdefault("maxSurge", 0)
    pods.set_template_defaults(spec.setdefault("template", {}))


def initial_status(daemonset: Object) -> Object:
    required_counts = (
        "currentNumberScheduled",
        "desiredNumberScheduled",
        "numberMisscheduled",
        "numberReady",
    )
    return dict.fromkeys(required_counts, 0)


def prepare_create(daemonset: Object, write: Write) -> None:
    _set_template_generation(daemonset, 1)


def prepare_update(new: Object, old: Object, write: Write) -> None:
    if write.subresource:
        return
    annotations = old["metadata"].get("annotations") or {}
    generation = int_or_percent.number(annotations.get(TEMPLATE_GENERATION, 1))
    changed = new["spec"].get("template") != old["spec"].get("template")
    _set_template_generation(new, generation + changed)


def _set_template_generation(daemonset: Object, generation: int) -> None:
    metadata = daemonset["metadata"]
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = annotations | {TEMPLATE_GENERATION: str(generation)}


def validate(daemonset: Object) -> Iterator[FieldError]:
    spec = daemonset.get("spec") or {}
    selector = spec.get("selector")
    yield from label_selectors.validate(selector, "spec.selector")
    yield from pod_templates.mismatch(spec)
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for daemonset")
    yield from pod_templates.validate(spec, "DaemonSet")
    yield from not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    yield from _update_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    yield from not_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")


def _update_strategy(strategy: Object, field: str) -> Iterator[FieldError]:
    if strategy.get("type") not in {"RollingUpdate", "OnDelete"}:
        yield unsupported_value(field, strategy, ("RollingUpdate", "OnDelete"))
    elif strategy["type"] == "RollingUpdate":
        yield from _rolling_update(strategy.get("rollingUpdate") or {}, f"{field}.rollingUpdate")


def _rolling_update(rolling_update: Object, field: str) -> Iterator[FieldError]:
    for check in (int_or_percent.validate, int_or_percent.at_most_all):
        for key in ("maxUnavailable", "maxSurge"):
            yield from check(rolling_update.get(key), f"{field}.{key}")
    surge = rolling_update.get("maxSurge")
    both = [bool(int_or_percent.number(rolling_update.get(key))) for key in ("maxUnavailable", "maxSurge")]
    if all(both):
        yield invalid_value(f"{field}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif not any(both):
        yield required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    yield from replica_counts.not_negatives(new.get("status") or {}, _COUNTS)
    yield from replica_counts.collisions_only_grow(new, old)
