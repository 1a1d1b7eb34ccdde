"""HorizontalPodAutoscalers of autoscaling/v1, which are kept as those of v2.

The older version knows one metric, the use of CPU. All else of a v2 object travels through it in annotations,
so that who reads, changes and writes v1 loses nothing.
Source: kubernetes, pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/{annotations,helpers}.go. As
there, the metrics in annotations are in v1's own form, and the behavior has the names of Go's fields.
"""

import json
from collections.abc import Mapping
from typing import Any

from kubelab.cluster.apiserver.horizontal_pod_autoscalers import (
    CPU_UTILIZATION_PERCENT,
    SOURCES,
    cpu_metric,
)
from kubelab.cluster.objects import HORIZONTALPODAUTOSCALERS, HORIZONTALPODAUTOSCALERS_V1, Object

_PREFIX = "autoscaling.alpha.kubernetes.io"
METRICS, CURRENT_METRICS = f"{_PREFIX}/metrics", f"{_PREFIX}/current-metrics"
BEHAVIOR, CONDITIONS = f"{_PREFIX}/behavior", f"{_PREFIX}/conditions"
_CARRIED = (METRICS, CURRENT_METRICS, BEHAVIOR, CONDITIONS)
_COUNTS = {"currentReplicas": 0, "desiredReplicas": 0}  # Numbers that v1 cannot leave out.


def from_storage(autoscaler: Object) -> Object:
    """Return a v2 *autoscaler* as v1 shows it."""
    spec, status = dict(autoscaler.get("spec") or {}), dict(autoscaler.get("status") or {})
    metrics, behavior = spec.pop("metrics", None) or [], spec.pop("behavior", None)
    current, conditions = status.pop("currentMetrics", None) or [], status.pop("conditions", None)
    status = _COUNTS | status
    cpu: Object = next((each["resource"]["target"] for each in metrics if _is_cpu(each)), {})
    if (percent := cpu.get("averageUtilization")) is not None:
        spec["targetCPUUtilizationPercentage"] = percent
    used = [each["resource"].get("current", {}) for each in current if _is_cpu(each)]
    for percent in [each["averageUtilization"] for each in used if "averageUtilization" in each][-1:]:
        status["currentCPUUtilizationPercentage"] = percent
    others = [metric for metric in metrics if not _is_cpu_utilization(metric)]
    carried = {
        METRICS: [_metric_to_v1(metric, "target") for metric in others],
        CURRENT_METRICS: [_metric_to_v1(metric, "current") for metric in current],
        BEHAVIOR: _renamed(behavior, _to_go) if behavior else None,
        CONDITIONS: conditions,
    }
    return _typed(HORIZONTALPODAUTOSCALERS_V1.api_version, autoscaler, carried, spec, status)


def to_storage(autoscaler: Object) -> Object:
    """Return a v1 *autoscaler* as v2, with all that its annotations carry."""
    spec, status = dict(autoscaler.get("spec") or {}), dict(autoscaler.get("status") or {})
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    used_percent = status.pop("currentCPUUtilizationPercentage", None)
    annotations = (autoscaler.get("metadata") or {}).get("annotations") or {}
    others = [_metric_from_v1(metric, "target") for metric in _listed(annotations, METRICS)]
    spec["metrics"] = [*others, *([] if percent is None else [cpu_metric(percent)])] or [
        cpu_metric(CPU_UTILIZATION_PERCENT)
    ]
    if behavior := _read(annotations, BEHAVIOR, dict):
        spec["behavior"] = _renamed(behavior, _from_go)
    if current := _listed(annotations, CURRENT_METRICS):
        status["currentMetrics"] = [_metric_from_v1(metric, "current") for metric in current]
    elif used_percent is not None:
        used = {"name": "cpu", "current": {"averageUtilization": used_percent}}
        status["currentMetrics"] = [{"type": "Resource", "resource": used}]
    if conditions := _listed(annotations, CONDITIONS):
        status["conditions"] = conditions
    return _typed(HORIZONTALPODAUTOSCALERS.api_version, autoscaler, {}, spec, status)


def _typed(
    api_version: str, autoscaler: Object, carried: Mapping[str, Any], spec: Object, status: Object
) -> Object:
    """Return *autoscaler* in another version, carrying only what is given."""
    metadata = dict(autoscaler.get("metadata") or {})
    kept = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k not in _CARRIED}
    kept |= {key: json.dumps(value, separators=(",", ":")) for key, value in carried.items() if value}
    metadata |= {"annotations": kept} if kept else {}
    head = {"kind": HORIZONTALPODAUTOSCALERS.kind, "apiVersion": api_version, "metadata": metadata}
    head |= {"spec": spec} | ({"status": status} if "status" in autoscaler else {})
    return head | {key: value for key, value in autoscaler.items() if key not in head}


def _is_cpu(metric: Object) -> bool:
    return metric.get("type") == "Resource" and (metric.get("resource") or {}).get("name") == "cpu"


def _is_cpu_utilization(metric: Object) -> bool:
    return _is_cpu(metric) and (metric["resource"].get("target") or {}).get("averageUtilization") is not None


def _read(annotations: Mapping[str, str], key: str, type_: type) -> Any:
    """Return what the annotation *key* holds; None if it is absent or not well formed."""
    try:
        value = json.loads(annotations.get(key, "null"))
    except ValueError:
        return None
    return value if isinstance(value, type_) else None


def _listed(annotations: Mapping[str, str], key: str) -> list[Object]:
    return [each for each in _read(annotations, key, list) or () if isinstance(each, dict)]


def _metric_to_v1(metric: Object, role: str) -> Object:
    """Return a metric, or its state, in v1's form; *role* is `target` or `current`."""
    if (part := SOURCES.get(metric.get("type", ""))) is None:  # A status may say anything.
        return {"type": metric.get("type", "")}
    source = metric.get(part) or {}
    values, identifier = source.get(role) or {}, source.get("metric") or {}
    flat = {_flat(part, role, key): value for key, value in values.items() if key != "type"}
    flat |= {"metricName": identifier["name"]} if "name" in identifier else {}
    selector = "metricSelector" if part == "external" else "selector"
    flat |= {selector: identifier["selector"]} if "selector" in identifier else {}
    flat |= {"target": source["describedObject"]} if "describedObject" in source else {}
    if part == "object":
        flat.setdefault(_flat(part, role, "value"), "0")  # A number that v1 cannot leave out.
    return {"type": metric["type"], part: _plain(source) | flat}


def _plain(source: Object) -> Object:
    return {key: source[key] for key in ("name", "container") if key in source}


def _flat(part: str, role: str, key: str) -> str:
    """Return v1's name of a value: `targetAverageValue`, but an object's `averageValue`."""
    if part == "object" and key == "averageValue":
        return key
    return role + key[0].upper() + key[1:]


_VALUES = ("value", "averageValue", "averageUtilization")


def _metric_from_v1(metric: Object, role: str) -> Object:
    if (part := SOURCES.get(metric.get("type", ""))) is None:
        return {"type": metric.get("type", "")}
    flat = metric.get(part) or {}
    values = {key: flat[_flat(part, role, key)] for key in _VALUES if _flat(part, role, key) in flat}
    if part == "object" and str(values.get("value")) == "0":
        del values["value"]
    if role == "target":
        values = {"type": _target_type(values)} | values
    source = _plain(flat)
    selector = flat.get("metricSelector" if part == "external" else "selector")
    if part in {"object", "pods", "external"}:
        identifier = {"name": flat.get("metricName", "")}
        source["metric"] = identifier | ({} if selector is None else {"selector": selector})
    if part == "object":
        source["describedObject"] = flat.get("target") or {}
    return {"type": metric.get("type", ""), part: source | {role: values}}


def _target_type(values: Object) -> str:
    if "averageUtilization" in values:
        return "Utilization"
    return "AverageValue" if "averageValue" in values else "Value"


def _to_go(name: str) -> str:
    return name[0].upper() + name[1:]


def _from_go(name: str) -> str:
    return name[0].lower() + name[1:]


def _renamed(value: Any, rename: Any) -> Any:
    """Return JSON with the keys of all its objects renamed."""
    if isinstance(value, dict):
        return {rename(key): _renamed(item, rename) for key, item in value.items() if item is not None}
    return [_renamed(item, rename) for item in value] if isinstance(value, list) else value
