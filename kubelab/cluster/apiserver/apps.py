"""Deployments and ReplicaSets: their defaults, what they must be, and what may change.

Source: kubernetes, pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go.
"""

import re
from collections.abc import Iterator
from typing import Any

from kubelab.cluster.apiserver import pods
from kubelab.cluster.apiserver.fields import (
    FieldError,
    choice,
    immutable,
    invalid_value,
    label_key,
    labels,
    not_negative,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

REVISION_HISTORY_LIMIT = 10
PROGRESS_DEADLINE_S = 600
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def set_replicaset_defaults(replicaset: Object) -> None:
    spec = replicaset.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    pods.set_template_defaults(spec.setdefault("template", {}))


def set_deployment_defaults(deployment: Object) -> None:
    spec = deployment.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", REVISION_HISTORY_LIMIT)
    spec.setdefault("progressDeadlineSeconds", PROGRESS_DEADLINE_S)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling_update = strategy.setdefault("rollingUpdate", {})
        rolling_update.setdefault("maxUnavailable", "25%")
        rolling_update.setdefault("maxSurge", "25%")
    pods.set_template_defaults(spec.setdefault("template", {}))


def initial_replicaset_status(replicaset: Object) -> Object:
    return {"replicas": 0}


def initial_deployment_status(deployment: Object) -> Object:
    return {}


def validate_replicaset(replicaset: Object) -> Iterator[FieldError]:
    spec = replicaset.get("spec") or {}
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    yield from not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    yield from _selector_and_template(spec, "replica set")


def validate_deployment(deployment: Object) -> Iterator[FieldError]:
    spec = deployment.get("spec") or {}
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    yield from _selector_and_template(spec, "deployment")
    yield from _strategy(spec.get("strategy") or {})
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from not_negative(spec.get(key), f"spec.{key}")
    if spec.get("progressDeadlineSeconds", PROGRESS_DEADLINE_S) <= spec.get("minReadySeconds", 0):
        detail = "must be greater than minReadySeconds"
        yield invalid_value("spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], detail)


def validate_selector_unchanged(new: Object, old: Object) -> Iterator[FieldError]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        yield immutable("spec.selector", new["spec"].get("selector"))


def _selector_and_template(spec: Object, kind: str) -> Iterator[FieldError]:
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is None:
        yield required("spec.selector")
    else:
        yield from _selector(selector, "spec.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            yield invalid_value("spec.selector", selector, f"empty selector is invalid for {kind}")
        elif not _matches(selector, template_labels := (template.get("metadata") or {}).get("labels") or {}):
            detail = "`selector` does not match template `labels`"
            yield invalid_value("spec.template.metadata.labels", template_labels, detail)
    yield from pods.validate_template(template, "spec.template")
    if (policy := (template.get("spec") or {}).get("restartPolicy", "Always")) != "Always":
        yield unsupported_value("spec.template.spec.restartPolicy", policy, ("Always",))


def _selector(selector: Object, field: str) -> Iterator[FieldError]:
    yield from labels(selector.get("matchLabels"), f"{field}.matchLabels")
    for index, requirement in enumerate(selector.get("matchExpressions") or ()):
        place = f"{field}.matchExpressions[{index}]"
        operator, values = requirement.get("operator", ""), requirement.get("values") or []
        yield from word(requirement.get("key", ""), f"{place}.key", label_key)
        if operator not in _OPERATORS:
            yield invalid_value(f"{place}.operator", operator, "not a valid selector operator")
        elif operator in {"In", "NotIn"} and not values:
            yield required(f"{place}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"} and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield FieldError("FieldValueForbidden", f"{place}.values", f"Forbidden: {detail}")


def _matches(selector: Object, values: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    if any(values.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(requirement, values) for requirement in selector.get("matchExpressions") or ())


def _meets(requirement: Object, values: dict[str, str]) -> bool:
    present = requirement.get("key") in values
    listed = present and values[requirement["key"]] in (requirement.get("values") or ())
    return {"In": listed, "NotIn": not listed, "Exists": present, "DoesNotExist": not present}.get(
        requirement.get("operator", ""), False
    )


def _strategy(strategy: Object) -> Iterator[FieldError]:
    yield from choice(strategy.get("type"), "spec.strategy.type", ("Recreate", "RollingUpdate"))
    rolling_update = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling_update is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        yield FieldError("FieldValueForbidden", "spec.strategy.rollingUpdate", f"Forbidden: {detail}")
    elif rolling_update is not None:
        field = "spec.strategy.rollingUpdate"
        for key in ("maxUnavailable", "maxSurge"):
            yield from _int_or_percent(rolling_update.get(key), f"{field}.{key}")
        if all(_is_zero(rolling_update.get(key)) for key in ("maxUnavailable", "maxSurge")):
            shown = rolling_update.get("maxUnavailable")
            yield invalid_value(f"{field}.maxUnavailable", shown, "may not be 0 when `maxSurge` is 0")


def _int_or_percent(value: Any, field: str) -> Iterator[FieldError]:
    if isinstance(value, int):
        yield from not_negative(value, field)
    elif isinstance(value, str) and not re.fullmatch("[0-9]+%", value):
        detail = (
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', "
            "regex used for validation is '[0-9]+%')"
        )
        yield invalid_value(field, value, detail)


def _is_zero(value: Any) -> bool:
    return value in {0, "0%"}
