"""Priority: a pod's priority class becomes the number by which the scheduler orders and preempts.

Source: kubernetes, plugin/pkg/admission/priority/admission.go. The system's own classes are in
`priority_classes`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.listers import Reader
from kubelab.cluster.objects import PODS, PRIORITYCLASSES, Object

_PREEMPTS = "PreemptLowerPriority"


class Resolved(NamedTuple):
    name: str
    value: int
    policy: str | None


class Priority:
    def __init__(self, classes: Reader) -> None:
        self._classes = classes

    async def admit(self, attributes: Attributes) -> None:
        if attributes.new is None:
            return
        if attributes.is_of(PODS, "UPDATE") and attributes.old is not None:
            keep(attributes.new["spec"], attributes.old["spec"])
        elif attributes.is_of(PODS, "CREATE"):
            spec = attributes.new["spec"]
            set_priority(attributes, spec, await self._resolve(attributes, spec.get("priorityClassName")))

    async def _resolve(self, attributes: Attributes, name: str | None) -> Resolved:
        if not name:
            return default(await self._classes.list())
        found = await self._classes.get("", name)
        if found is None:
            raise attributes.forbidden(f"no PriorityClass with name {name} was found", unnamed=True)
        return Resolved(name, found["value"], found.get("preemptionPolicy"))

    async def validate(self, attributes: Attributes) -> None:
        new = attributes.new
        if new is None or not attributes.is_of(PRIORITYCLASSES, "CREATE", "UPDATE"):
            return
        if not new.get("globalDefault"):
            return
        known = global_default(await self._classes.list())
        if known and (attributes.operation == "CREATE" or known["metadata"]["name"] != attributes.name):
            name = known["metadata"]["name"]
            why = f"PriorityClass {name} is already marked as default. Only one default can exist"
            raise attributes.forbidden(why)


def keep(new: Object, old: Object) -> None:
    """A client that never saw the number does not mean to take it away."""
    for field in ("priority", "preemptionPolicy"):
        if new.get(field) is None and old.get(field) is not None:
            new[field] = old[field]


def global_default(classes: Sequence[Object]) -> Object | None:
    """Return the class for pods that name none; of several, made at once, the lowest."""
    return min((each for each in classes if each.get("globalDefault")), key=_value, default=None)


def _value(priority_class: Object) -> int:
    return int(priority_class["value"])


def default(classes: Sequence[Object]) -> Resolved:
    found = global_default(classes)
    if found is None:
        return Resolved("", 0, _PREEMPTS)
    return Resolved(found["metadata"]["name"], found["value"], found.get("preemptionPolicy"))


_ONLY_COMPUTED = (
    "the {what} of {field} ({given}) must not be provided in pod spec; "
    "priority admission controller computed {computed} from the given PriorityClass name"
)


def set_priority(attributes: Attributes, spec: Object, resolved: Resolved) -> None:
    """Write what the class says; a pod that says otherwise is refused."""
    if resolved.name:
        spec["priorityClassName"] = resolved.name
    for field, called, computed in (
        ("priority", ("integer value", "priority"), resolved.value),
        ("preemptionPolicy", ("string value", "PreemptionPolicy"), resolved.policy),
    ):
        given = spec.get(field)
        if computed is None:
            continue
        if given is not None and given != computed:
            what, name = called
            why = _ONLY_COMPUTED.format(what=what, field=name, given=given, computed=computed)
            raise attributes.forbidden(why, unnamed=True)
        spec[field] = computed
