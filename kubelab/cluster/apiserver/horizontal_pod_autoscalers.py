"""HorizontalPodAutoscalers: their defaults, what they must be, and how they are shown.

Source: kubernetes, pkg/apis/autoscaling/v2/defaults.go, pkg/apis/autoscaling/validation/validation.go,
pkg/printers/internalversion/printers.go. `autoscaler_conversion` has the older version.
Left out: scaling to zero, which upstream has in alpha.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster import quantity
from kubelab.cluster.apiserver import resource_names
from kubelab.cluster.apiserver.columns import AGE, NAME, NONE, Cells, Column, age
from kubelab.cluster.apiserver.durations import UNKNOWN
from kubelab.cluster.apiserver.fields import (
    Check,
    FieldError,
    at_least,
    dns_label,
    forbidden_field,
    indexed,
    invalid_value,
    not_negative,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.path_segments import path_segment
from kubelab.cluster.objects import Object

CPU_UTILIZATION_PERCENT = 80
PERIOD_S_MAX = 1800
STABILIZATION_WINDOW_S_MAX = 3600
SOURCES = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_SCALE_UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: Object = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}

_SPEC = "k8s.io/api/autoscaling/v2.HorizontalPodAutoscalerSpec"
COLUMNS = (
    NAME,
    Column("Reference", documents=f"{_SPEC}.scaleTargetRef"),
    Column("Targets", documents=f"{_SPEC}.metrics"),
    Column("MinPods", documents=f"{_SPEC}.minReplicas"),
    Column("MaxPods", documents=f"{_SPEC}.maxReplicas"),
    Column("Replicas", documents="k8s.io/api/autoscaling/v2.HorizontalPodAutoscalerStatus.currentReplicas"),
    AGE,
)
_METRICS_SHOWN = 2


def cells(autoscaler: Object, now: datetime) -> Cells:
    spec, status = autoscaler["spec"], autoscaler.get("status") or {}
    target = spec.get("scaleTargetRef") or {}
    return [
        autoscaler["metadata"]["name"],
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _metrics_text(spec.get("metrics") or [], status.get("currentMetrics") or []),
        str(spec.get("minReplicas", "<unset>")),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(autoscaler, now),
    ]


def _metrics_text(metrics: list[Object], statuses: list[Object]) -> str:
    if not metrics:
        return NONE
    current = [*statuses, *({} for _ in metrics)]
    texts = [_metric_text(metric, status) for metric, status in zip(metrics, current, strict=False)]
    shown = ", ".join(texts[:_METRICS_SHOWN])
    more = len(texts) - _METRICS_SHOWN
    return f"{shown} + {more} more..." if more > 0 else shown


def _metric_text(metric: Object, status: Object) -> str:
    part = SOURCES.get(metric.get("type", ""))
    if part is None:
        return "<unknown type>"
    source, current = metric.get(part) or {}, (status.get(part) or {}).get("current") or {}
    target = source.get("target") or {}
    if part in {"resource", "containerResource"}:
        return f"{source.get('name', '')}: {_resource_text(target, current)}"
    if part == "pods" or target.get("averageValue") is None:
        key = "averageValue" if part == "pods" else "value"
        return f"{current.get(key, UNKNOWN)}/{target.get(key, '0')}"
    return f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']} (avg)"


def _resource_text(target: Object, current: Object) -> str:
    if target.get("averageValue") is not None:
        return f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']}"
    return f"{_percent(current, UNKNOWN)}/{_percent(target, '<auto>')}"


def _percent(part: Object, otherwise: str) -> str:
    value = part.get("averageUtilization")
    return otherwise if value is None else f"{value}%"


# Defaults


def set_defaults(autoscaler: Object) -> None:
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [cpu_metric(CPU_UTILIZATION_PERCENT)]
    if (behavior := spec.get("behavior")) is not None:
        behavior["scaleUp"] = _SCALE_UP | (behavior.get("scaleUp") or {})
        behavior["scaleDown"] = _SCALE_DOWN | (behavior.get("scaleDown") or {})


def cpu_metric(utilization_percent: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": utilization_percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def initial_status(autoscaler: Object) -> Object:
    return {"currentMetrics": None, "desiredReplicas": 0}


# Validation


def validate(autoscaler: Object) -> Iterator[FieldError]:
    spec = autoscaler.get("spec") or {}
    minimum, maximum = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    yield from at_least(1, minimum, "spec.minReplicas")
    if maximum < 1:
        yield invalid_value("spec.maxReplicas", maximum, "must be greater than 0")
    if minimum is not None and maximum < minimum:
        detail = "must be greater than or equal to `minReplicas`"
        yield invalid_value("spec.maxReplicas", maximum, detail)
    yield from _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    for place, metric in indexed(spec.get("metrics"), "spec.metrics"):
        yield from _metric(metric, place)
    for direction in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(direction)
        if rules is not None:
            yield from _scaling_rules(rules, f"spec.behavior.{direction}")


def _reference(reference: Object, field: str) -> Iterator[FieldError]:
    for key in ("kind", "name"):
        yield from _named(reference.get(key, ""), f"{field}.{key}", "", path_segment)


def _named(value: str, field: str, detail: str, check: Check) -> Iterator[FieldError]:
    if value:
        yield from word(value, field, check)
    else:
        yield required(field, detail)


def _scaling_rules(rules: Object, field: str) -> Iterator[FieldError]:
    window_s, policy = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window_s is not None and window_s < 0:
        detail = "must be greater than or equal to zero"
        yield invalid_value(f"{field}.stabilizationWindowSeconds", window_s, detail)
    if window_s is not None and window_s > STABILIZATION_WINDOW_S_MAX:
        detail = f"must be less than or equal to {STABILIZATION_WINDOW_S_MAX}"
        yield invalid_value(f"{field}.stabilizationWindowSeconds", window_s, detail)
    if policy is not None and policy not in {"Disabled", "Max", "Min"}:
        yield unsupported_value(f"{field}.selectPolicy", policy, ("Disabled", "Max", "Min"))
    if not rules.get("policies"):
        yield required(f"{field}.policies", "must specify at least one Policy")
    for place, each in indexed(rules.get("policies"), f"{field}.policies"):
        yield from _scaling_policy(each, place)
    yield from _tolerance(rules.get("tolerance"), f"{field}.tolerance")


def _scaling_policy(policy: Object, field: str) -> Iterator[FieldError]:
    if policy.get("type") not in {"Percent", "Pods"}:
        yield unsupported_value(f"{field}.type", policy.get("type", ""), ("Percent", "Pods"))
    for key in ("value", "periodSeconds"):
        if policy.get(key, 0) <= 0:
            yield invalid_value(f"{field}.{key}", policy.get(key, 0), "must be greater than zero")
    if policy.get("periodSeconds", 0) > PERIOD_S_MAX:
        detail = f"must be less than or equal to {PERIOD_S_MAX}"
        yield invalid_value(f"{field}.periodSeconds", policy["periodSeconds"], detail)


def _tolerance(value: Any, field: str) -> Iterator[FieldError]:
    if value is not None and quantity.parse(value).nanos < 0:
        yield invalid_value(field, str(value), "must be greater than or equal to 0")


def _metric(metric: Object, field: str) -> Iterator[FieldError]:
    type_, expected = metric.get("type", ""), SOURCES.get(metric.get("type", ""))
    if not type_:
        yield required(f"{field}.type", "must specify a metric source type")
    if expected is None:
        yield unsupported_value(f"{field}.type", type_, sorted(SOURCES))
    present = [part for part in SOURCES.values() if metric.get(part) is not None]
    for part in present[:1]:
        yield from _SOURCE_CHECKS[part](metric[part], f"{field}.{part}")
    if expected is not None and expected not in present:
        yield required(f"{field}.{expected}", "must populate information for the given metric source")
    for part in present if len(present) != 1 else ():
        if part != expected:
            yield forbidden_field(f"{field}.{part}", "must populate the given metric source only")


def _object(source: Object, field: str) -> Iterator[FieldError]:
    yield from _reference(source.get("describedObject") or {}, f"{field}.describedObject")
    yield from _metric_name(source, field)
    target = source.get("target") or {}
    yield from _target(target, f"{field}.target")
    if target.get("value") is None and target.get("averageValue") is None:
        yield required(f"{field}.target.averageValue", "must set either a target value or averageValue")


def _external(source: Object, field: str) -> Iterator[FieldError]:
    yield from _metric_name(source, field)
    target = source.get("target") or {}
    yield from _target(target, f"{field}.target")
    has = [target.get(key) is not None for key in ("value", "averageValue")]
    if not any(has):
        detail = "must set either a target value for metric or a per-pod target"
        yield required(f"{field}.target.averageValue", detail)
    if all(has):
        detail = "may not set both a target value for metric and a per-pod target"
        yield forbidden_field(f"{field}.target.value", detail)


def _pods(source: Object, field: str) -> Iterator[FieldError]:
    yield from _metric_name(source, field)
    target = source.get("target") or {}
    yield from _target(target, f"{field}.target")
    if target.get("averageValue") is None:
        yield required(f"{field}.target.averageValue", "must specify a positive target averageValue")


def _resource(source: Object, field: str) -> Iterator[FieldError]:
    if not source.get("name"):
        yield required(f"{field}.name", "must specify a resource name")
    yield from _resource_target(source.get("target") or {}, f"{field}.target")


def _container_resource(source: Object, field: str) -> Iterator[FieldError]:
    if name := source.get("name"):
        yield from resource_names.container_name(name, f"{field}.name")
    else:
        yield required(f"{field}.name", "must specify a resource name")
    container = source.get("container", "")
    yield from _named(container, f"{field}.container", "must specify a container", dns_label)
    yield from _resource_target(source.get("target") or {}, f"{field}.target")


_SOURCE_CHECKS = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _resource_target(target: Object, field: str) -> Iterator[FieldError]:
    yield from _target(target, field)
    has = [target.get(key) is not None for key in ("averageUtilization", "averageValue")]
    if not any(has):
        detail = "must set either a target raw value or a target utilization"
        yield required(f"{field}.averageUtilization", detail)
    if all(has):
        detail = "may not set both a target raw value and a target utilization"
        yield forbidden_field(f"{field}.averageValue", detail)


def _metric_name(source: Object, field: str) -> Iterator[FieldError]:
    name = (source.get("metric") or {}).get("name", "")
    yield from _named(name, f"{field}.metric.name", "must specify a metric name", path_segment)


def _target(target: Object, field: str) -> Iterator[FieldError]:
    type_, utilization = target.get("type", ""), target.get("averageUtilization")
    if not type_:
        yield required(f"{field}.type", "must specify a metric target type")
    if type_ not in {"Utilization", "Value", "AverageValue"}:
        yield invalid_value(f"{field}.type", type_, "must be either Utilization, Value, or AverageValue")
    for key in ("value", "averageValue"):
        if target.get(key) is not None and quantity.parse(target[key]).nanos <= 0:
            yield invalid_value(f"{field}.{key}", str(target[key]), "must be positive")
    if utilization is not None and utilization < 1:
        yield invalid_value(f"{field}.averageUtilization", utilization, "must be greater than 0")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = new.get("status") or {}
    for key in ("currentReplicas", "desiredReplicas"):
        yield from not_negative(status.get(key), f"status.{key}")
