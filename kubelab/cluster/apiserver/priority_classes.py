"""PriorityClasses: what they must be, what may not change, and the two that every cluster has.

Source: kubernetes, pkg/apis/scheduling/v1/{defaults,helpers}.go, pkg/apis/scheduling/validation/
validation.go, pkg/registry/scheduling/rest/storage_scheduling.go, pkg/printers/internalversion/printers.go.
That only one class may be the global default is admission's to see to.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver.columns import AGE, NAME, Cells, Column, age
from kubelab.cluster.apiserver.fields import FieldError, choice, forbidden_field, immutable
from kubelab.cluster.objects import Object

USER_VALUE_MAX = 1_000_000_000
SYSTEM_CRITICAL = 2 * USER_VALUE_MAX
SYSTEM_PREFIX = "system-"
SYSTEM_VALUES = {"system-node-critical": SYSTEM_CRITICAL + 1000, "system-cluster-critical": SYSTEM_CRITICAL}
_DESCRIPTIONS = {
    "system-node-critical": ("Used for system critical pods that must not be moved from their current node."),
    "system-cluster-critical": (
        "Used for system critical pods that must run in the cluster, but can be moved to another node if "
        "necessary."
    ),
}

_TYPE = "k8s.io/api/scheduling/v1.PriorityClass"
COLUMNS = (
    NAME,
    Column("Value", "integer", documents=f"{_TYPE}.value"),
    Column("Global-Default", "boolean", documents=f"{_TYPE}.globalDefault"),
    AGE,
    Column("PreemptionPolicy", documents=f"{_TYPE}.preemptionPolicy"),
)


def cells(class_: Object, now: datetime) -> Cells:
    shown = [class_.get("value", 0), class_.get("globalDefault", False), age(class_, now)]
    return [class_["metadata"]["name"], *shown, class_.get("preemptionPolicy", "")]


def bootstrap() -> list[Object]:
    """Return the classes of the system's own pods."""
    return [
        {"metadata": {"name": name}, "value": value, "description": _DESCRIPTIONS[name]}
        for name, value in SYSTEM_VALUES.items()
    ]


def set_defaults(class_: Object) -> None:
    class_.setdefault("value", 0)
    class_.setdefault("preemptionPolicy", "PreemptLowerPriority")


def validate(class_: Object) -> Iterator[FieldError]:
    name, value = class_["metadata"].get("name", ""), class_.get("value", 0)
    if name.startswith(SYSTEM_PREFIX):
        if problem := _system_problem(class_, name, value):
            detail = "priority class names with 'system-' prefix are reserved for system use only. error: "
            yield forbidden_field("metadata.name", detail + problem)
    elif value > USER_VALUE_MAX:
        detail = f"maximum allowed value of a user defined priority is {USER_VALUE_MAX}"
        yield forbidden_field("value", detail)
    policies = ("PreemptLowerPriority", "Never")
    yield from choice(class_.get("preemptionPolicy"), "preemptionPolicy", policies)


def _system_problem(class_: Object, name: str, value: int) -> str:
    if name not in SYSTEM_VALUES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_VALUES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_VALUES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if class_.get("globalDefault") else ""


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("value") != old.get("value"):
        yield forbidden_field("value", "may not be changed in an update.")
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        yield immutable("preemptionPolicy", new.get("preemptionPolicy"))
