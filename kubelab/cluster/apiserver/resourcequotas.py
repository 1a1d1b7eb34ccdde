"""ResourceQuotas: what they must be, what may change, and their printed columns.

Source: kubernetes, pkg/apis/core/validation/validation.go (ValidateResourceQuota),
pkg/apis/core/helper/helpers.go (scopes), pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster import quantity
from kubelab.cluster.apiserver.columns import AGE, NAME, Column, age
from kubelab.cluster.apiserver.fields import FieldError, immutable, invalid_value, required
from kubelab.cluster.apiserver.resource_names import amounts, is_standard_for_quota, quota_name
from kubelab.cluster.objects import Object

_EXISTENCE = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity")
_SCOPES = (*_EXISTENCE, "PriorityClass", "VolumeAttributesClass")
_POD_COUNT = frozenset({"pods"})
_POD_COMPUTE = frozenset({"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_CONFLICTS = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
COLUMNS = (
    NAME,
    Column(
        "Request",
        description="Request represents a minimum amount of cpu/memory that a container may consume.",
    ),
    Column(
        "Limit",
        description="Limits control the maximum amount of cpu/memory that a container may use independent of "
        "contention on the node.",
    ),
    AGE,
)


def set_defaults(quota: Object) -> None:
    quota.setdefault("spec", {})


def initial_status(quota: Object) -> Object:
    return {}


def validate(quota: Object) -> Iterator[FieldError]:
    spec = quota["spec"]
    hard = spec.get("hard") or {}
    yield from amounts(hard, quota_name, "spec.hard")
    scopes = spec.get("scopes") or []
    yield from _scopes(scopes, hard)
    if (selector := spec.get("scopeSelector")) is not None:
        yield from _selector(selector, hard)


def _scopes(scopes: list[str], hard: Object) -> Iterator[FieldError]:
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid_value("spec.scopes", scopes, "unsupported scope")
        for name in sorted(hard):
            if is_standard_for_quota(name) and not _applies(scope, name):
                yield invalid_value("spec.scopes", scopes, "unsupported scope applied to resource")
    if any(pair <= set(scopes) for pair in _CONFLICTS):
        yield invalid_value("spec.scopes", scopes, "conflicting scopes")


def _applies(scope: str, name: str) -> bool:
    """Tell whether *scope* can narrow down what counts for the resource *name*."""
    if scope == "BestEffort":
        return name in _POD_COUNT
    if scope in {*_EXISTENCE, "PriorityClass"}:
        return name in _POD_COUNT | _POD_COMPUTE
    return True


def _selector(selector: Object, hard: Object) -> Iterator[FieldError]:
    field = "spec.scopeSelector.matchExpressions"
    expressions = selector.get("matchExpressions") or []
    for expression in expressions:
        scope = expression.get("scopeName", "")
        if scope not in _SCOPES:
            yield invalid_value(f"{field}.scopeName", scope, "unsupported scope")
        for name in sorted(hard):
            if is_standard_for_quota(name) and not _applies(scope, name):
                yield invalid_value(field, selector, "unsupported scope applied to resource")
        yield from _operator(expression, scope, field)
    if any(pair <= {each.get("scopeName", "") for each in expressions} for pair in _CONFLICTS):
        yield invalid_value("spec.scopeSelector.matchExpressions", [], "conflicting scopes")


def _operator(expression: Object, scope: str, field: str) -> Iterator[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if scope in _EXISTENCE and operator != "Exists":
        detail = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
            "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort "
            "or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        yield invalid_value(f"{field}.operator", operator, detail)
    if operator in {"In", "NotIn"}:
        if not values:
            detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            yield required(f"{field}.values", detail)
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            yield invalid_value(f"{field}.values", values, detail)
    else:
        yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    scopes = new["spec"].get("scopes") or []
    if set(scopes) != set(old["spec"].get("scopes") or ()):
        yield immutable("spec.scopes", scopes)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = new.get("status") or {}
    for key in ("hard", "used"):
        yield from amounts(status.get(key), quota_name, f"status.{key}")


def cells(quota: Object, now: datetime) -> list[Any]:
    status = quota.get("status") or {}
    used = status.get("used") or {}
    shown: dict[bool, list[str]] = {False: [], True: []}
    for name, value in sorted((status.get("hard") or {}).items()):
        text = f"{name}: {quantity.parse(used.get(name, 0))}/{quantity.parse(value)}"
        shown[name.startswith("limits.")].append(text)
    return [quota["metadata"]["name"], ", ".join(shown[False]), ", ".join(shown[True]), age(quota, now)]
