"""RuntimeClass: a pod that names one takes over its overhead and where it can be scheduled.

Source: kubernetes, plugin/pkg/admission/runtimeclass/admission.go, pkg/util/tolerations/tolerations.go.
"""

from typing import Any

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.listers import Reader
from kubelab.cluster.objects import PODS, Object
from kubelab.cluster.resource_list import parse_list

_MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
_UNDEFINED = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


class RuntimeClassAdmission:
    def __init__(self, classes: Reader) -> None:
        self._classes = classes

    async def admit(self, attributes: Attributes) -> None:
        if not attributes.is_of(PODS, "CREATE") or attributes.new is None:
            return
        spec = attributes.new["spec"]
        if runtime_class := await self._class(attributes, spec):
            set_overhead(attributes, spec, runtime_class)
            set_scheduling(attributes, spec, runtime_class)

    async def validate(self, attributes: Attributes) -> None:
        if not attributes.is_of(PODS, "CREATE") or attributes.new is None:
            return
        spec = attributes.new["spec"]
        defined = _overhead(await self._class(attributes, spec) or {})
        if spec.get("overhead") and not defined:
            raise attributes.forbidden(_UNDEFINED)
        if defined and parse_list(spec.get("overhead")) != parse_list(defined):
            raise attributes.forbidden(_MISMATCH)

    async def _class(self, attributes: Attributes, spec: Object) -> Object | None:
        name = spec.get("runtimeClassName")
        if not name:
            return None
        found = await self._classes.get("", name)
        if found is None:
            raise attributes.forbidden(f'pod rejected: RuntimeClass "{name}" not found', unnamed=True)
        return found


def _overhead(runtime_class: Object) -> dict[str, Any]:
    return (runtime_class.get("overhead") or {}).get("podFixed") or {}


def set_overhead(attributes: Attributes, spec: Object, runtime_class: Object) -> None:
    if not (defined := _overhead(runtime_class)):
        return
    if spec.get("overhead") and parse_list(spec["overhead"]) != parse_list(defined):
        raise attributes.forbidden(_MISMATCH, unnamed=True)
    spec["overhead"] = dict(defined)


def set_scheduling(attributes: Attributes, spec: Object, runtime_class: Object) -> None:
    scheduling = runtime_class.get("scheduling") or {}
    selector = dict(spec.get("nodeSelector") or {})
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.setdefault(key, value) != value:
            why = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
            why += f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            raise attributes.forbidden(why, unnamed=True)
    if selector:
        spec["nodeSelector"] = selector
    if added := scheduling.get("tolerations"):
        tolerations = spec.get("tolerations") or []
        spec["tolerations"] = [*tolerations, *(each for each in added if each not in tolerations)]
