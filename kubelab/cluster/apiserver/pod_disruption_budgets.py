"""PodDisruptionBudgets: what they must be, and how they are shown.

Source: kubernetes, pkg/apis/policy/validation/validation.go, pkg/registry/policy/poddisruptionbudget/
strategy.go, pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver import conditions, int_or_percent, label_selectors
from kubelab.cluster.apiserver.columns import AGE, NAME, Cells, Column, age
from kubelab.cluster.apiserver.fields import FieldError, invalid_value, not_negative, unsupported_value
from kubelab.cluster.objects import Object

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_NOT_SAID = "N/A"

COLUMNS = (
    NAME,
    Column("Min Available", description="The minimum number of pods that must be available."),
    Column("Max Unavailable", description="The maximum number of pods that may be unavailable."),
    Column(
        "Allowed Disruptions",
        "integer",
        description="Calculated number of pods that may be disrupted at this time.",
    ),
    AGE,
)


def cells(budget: Object, now: datetime) -> Cells:
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    limits = [str(spec.get(key, _NOT_SAID)) for key in ("minAvailable", "maxUnavailable")]
    return [budget["metadata"]["name"], *limits, status.get("disruptionsAllowed", 0), age(budget, now)]


def initial_status(budget: Object) -> Object:
    return dict.fromkeys(sorted(_COUNTS), 0)


def validate(budget: Object) -> Iterator[FieldError]:
    spec = budget.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield invalid_value("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for key in ("minAvailable", "maxUnavailable"):
        yield from int_or_percent.validate(spec.get(key), f"spec.{key}")
        yield from int_or_percent.at_most_all(spec.get(key), f"spec.{key}")
    yield from label_selectors.validate(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _EVICTION_POLICIES:
        yield unsupported_value("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = new.get("status") or {}
    yield from conditions.validate(status.get("conditions"), "status.conditions")
    for name in _COUNTS:
        yield from not_negative(status.get(name), f"status.{name}")
