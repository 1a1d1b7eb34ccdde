"""StatefulSets: their defaults, what they must be, what may change, and how they are shown.

Source: kubernetes, pkg/apis/apps/v1/{defaults,conversion}.go, pkg/apis/apps/validation/validation.go,
pkg/registry/apps/statefulset/strategy.go, pkg/printers/internalversion/printers.go. As there, the template is
not checked as a pod is: its volumes may come from the claims.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver import int_or_percent, metadata, pod_templates, pods, replica_counts
from kubelab.cluster.apiserver.columns import AGE, NAME, TEMPLATE, Cells, Column, age, template_cells
from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    invalid_value,
    labels,
    not_negative,
    required,
    unsupported_value,
)
from kubelab.cluster.objects import Object

REVISION_HISTORY_LIMIT = 10
_CLAIM = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
_RETENTION = ("Retain", "Delete")
_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_UPDATE_DETAIL = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "
    "are forbidden"
)
_COUNTS = (
    "replicas",
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
    "observedGeneration",
    "collisionCount",
)

COLUMNS = (NAME, Column("Ready", description="Number of the pod with ready state"), AGE, *TEMPLATE)


def cells(statefulset: Object, now: datetime) -> Cells:
    spec, status = statefulset["spec"], statefulset.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    names, images, _ = template_cells(spec)
    return [statefulset["metadata"]["name"], ready, age(statefulset, now), names, images]


def set_defaults(statefulset: Object) -> None:
    spec = statefulset.setdefault("spec", {})
    spec["podManagementPolicy"] = spec.get("podManagementPolicy") or "OrderedReady"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", REVISION_HISTORY_LIMIT)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    _set_strategy_defaults(spec.setdefault("updateStrategy", {}))
    pods.set_template_defaults(spec.setdefault("template", {}))
    if claims := spec.get("volumeClaimTemplates"):
        spec["volumeClaimTemplates"] = [_defaulted_claim(claim) for claim in claims]


def _set_strategy_defaults(strategy: Object) -> None:
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)


def _defaulted_claim(claim: Object) -> Object:
    spec = claim.get("spec") or {}
    status = claim.get("status") or {}
    return (
        _CLAIM
        | claim
        | {"spec": {"volumeMode": "Filesystem"} | spec, "status": {"phase": "Pending"} | status}
    )


def initial_status(statefulset: Object) -> Object:
    return {"replicas": 0, "availableReplicas": 0}


def validate(statefulset: Object) -> Iterator[FieldError]:
    spec = statefulset.get("spec") or {}
    if (policy := spec.get("podManagementPolicy")) not in {"OrderedReady", "Parallel"}:
        yield invalid_value("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _update_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    yield from _retention(spec.get("persistentVolumeClaimRetentionPolicy") or {})
    for key in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        yield from not_negative(spec.get(key), f"spec.{key}")
    yield from not_negative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")
    yield from pod_templates.validate_selector(spec, "empty selector is invalid for statefulset")
    yield from _template(spec)


def _template(spec: Object) -> Iterator[FieldError]:
    if pod_templates.parsed(spec.get("selector")) is None:
        yield invalid_value("spec.selector", spec["selector"], "")
    else:
        yield from pod_templates.mismatch(spec)
        meta = (spec.get("template") or {}).get("metadata") or {}
        yield from labels(meta.get("labels"), "spec.template.labels")
        yield from metadata.annotations(meta.get("annotations") or {}, "spec.template.annotations")
    yield from pod_templates.always_restarted(spec)
    yield from pod_templates.no_deadline(spec, "StatefulSet")


def _update_strategy(strategy: Object, field: str) -> Iterator[FieldError]:
    type_, rolling_update = strategy.get("type"), strategy.get("rollingUpdate")
    if not type_:
        yield required(field)
    elif type_ not in {"RollingUpdate", "OnDelete"}:
        yield invalid_value(field, strategy, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling_update is not None and type_ == "OnDelete":
        detail = "only allowed for updateStrategy 'RollingUpdate'"
        yield invalid_value(f"{field}.rollingUpdate", rolling_update, detail)
    elif rolling_update is not None:
        yield from not_negative(rolling_update.get("partition"), f"{field}.rollingUpdate.partition")
        yield from _max_unavailable(
            rolling_update.get("maxUnavailable"), f"{field}.rollingUpdate.maxUnavailable"
        )


def _max_unavailable(value: int | str | None, field: str) -> Iterator[FieldError]:
    if value is None:
        return
    yield from int_or_percent.validate(value, field)
    if not int_or_percent.number(value):
        yield invalid_value(field, value, "cannot be 0")
    yield from int_or_percent.at_most_all(value, field)


def _retention(policy: Object) -> Iterator[FieldError]:
    for key in ("whenDeleted", "whenScaled"):
        if (value := policy.get(key)) not in _RETENTION:
            field = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            yield unsupported_value(field, value, _RETENTION)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    if _fixed(new["spec"]) != _fixed(old["spec"]):
        yield forbidden_field("spec", _UPDATE_DETAIL)


def _fixed(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if key not in _MUTABLE}


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = new.get("status") or {}
    yield from replica_counts.not_negatives(status, _COUNTS)
    parts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    yield from replica_counts.at_most_replicas(status, parts)
    yield from replica_counts.available_at_most_ready(status, "cannot be greater than status.readyReplicas")
    yield from replica_counts.collisions_only_grow(new, old)
