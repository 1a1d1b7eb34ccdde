"""LimitRanger: a namespace's LimitRanges give containers their defaults and hold them to their bounds.

Source: kubernetes, plugin/pkg/admission/limitranger/admission.go;
https://kubernetes.io/docs/concepts/policy/limit-range/.
"""

from collections.abc import Iterable, Iterator

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.listers import Reader
from kubelab.cluster.objects import PODS, Object
from kubelab.cluster.quantity import Quantity
from kubelab.cluster.resource_list import (
    ResourceList,
    limits_of,
    parse_list,
    pod_limits,
    pod_requests,
    requests_of,
)

ANNOTATION = "kubernetes.io/limit-ranger"
_CLAIMS = "persistentvolumeclaims"


class LimitRanger:
    def __init__(self, limit_ranges: Reader) -> None:
        self._limit_ranges = limit_ranges

    async def admit(self, attributes: Attributes) -> None:
        if not attributes.is_of(PODS, "CREATE"):
            return
        for limit_range in await self._limit_ranges.list(attributes.namespace):
            assert attributes.new is not None
            set_defaults(attributes.new, limit_range)

    async def validate(self, attributes: Attributes) -> None:
        is_claim = attributes.kind.resource.group_resource == _CLAIMS and not attributes.subresource
        if not is_claim and not attributes.is_of(PODS, "CREATE"):
            return
        if attributes.new is None:
            return
        for limit_range in await self._limit_ranges.list(attributes.namespace):
            violated = list((_claim_violations if is_claim else pod_violations)(attributes.new, limit_range))
            if violated:
                raise attributes.forbidden(_together(violated))


def _together(violated: list[str]) -> str:
    different = list(dict.fromkeys(violated))
    return different[0] if len(different) == 1 else f"[{', '.join(different)}]"


# Defaults


def set_defaults(pod: Object, limit_range: Object) -> None:
    """Give the containers of *pod* the resources that they do not name, and note which those are."""
    limits, requests = _defaults(limit_range)
    noted: list[str] = []
    for part, called in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(part) or ():
            resources = container.setdefault("resources", {})
            whose = f"for {called} {container.get('name', '')}"
            if missing := _add_missing(resources, "requests", requests):
                noted.append(f"{', '.join(sorted(missing))} request {whose}")
            if missing := _add_missing(resources, "limits", limits):
                noted.append(f"{', '.join(sorted(missing))} limit {whose}")
    if noted:
        metadata = pod["metadata"]
        note = f"LimitRanger plugin set: {'; '.join(noted)}"
        metadata["annotations"] = (metadata.get("annotations") or {}) | {ANNOTATION: note}


def _defaults(limit_range: Object) -> tuple[dict[str, str], dict[str, str]]:
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    for limit in _limits(limit_range, "Container"):
        limits |= limit.get("default") or {}
        requests |= limit.get("defaultRequest") or {}
    return limits, requests


def _limits(limit_range: Object, type_: str) -> Iterator[Object]:
    return (each for each in limit_range["spec"].get("limits") or () if each.get("type") == type_)


def _add_missing(resources: Object, part: str, defaults: dict[str, str]) -> set[str]:
    given = resources.get(part) or {}
    missing = defaults.keys() - given.keys()
    if missing:
        resources[part] = given | {name: defaults[name] for name in defaults if name in missing}
    return missing


# Bounds


def pod_violations(pod: Object, limit_range: Object) -> Iterator[str]:
    """Yield which bounds of *limit_range* the pod and its containers are not within."""
    spec = pod["spec"]
    for limit in limit_range["spec"].get("limits") or ():
        if limit.get("type") == "Container":
            for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
                yield from _violations(limit, requests_of(container), limits_of(container))
        elif limit.get("type") == "Pod":
            yield from _violations(limit, pod_requests(spec), pod_limits(spec))


def _violations(limit: Object, requests: ResourceList, limits: ResourceList) -> Iterator[str]:
    type_ = limit["type"]
    for name, bound in _bounds(limit, "min"):
        yield from _below(f"minimum {name} usage per {type_}", bound, requests.get(name), limits.get(name))
    for name, bound in _bounds(limit, "max"):
        yield from _above(f"maximum {name} usage per {type_}", bound, requests.get(name), limits.get(name))
    for name, bound in _bounds(limit, "maxLimitRequestRatio"):
        ratio = f"{name} max limit to request ratio per {type_}"
        yield from _stretched(ratio, bound, requests.get(name), limits.get(name))


def _bounds(limit: Object, part: str) -> Iterable[tuple[str, Quantity]]:
    return sorted(parse_list(limit.get(part)).items())


def _below(what: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    if request is None:
        yield f"{what} is {bound}.  No request is specified"
    elif request < bound:
        yield f"{what} is {bound}, but request is {request}"
    elif limit is not None and limit < bound:
        yield f"{what} is {bound}, but limit is {limit}"


def _above(what: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    if limit is None:
        yield f"{what} is {bound}.  No limit is specified"
    elif limit > bound:
        yield f"{what} is {bound}, but limit is {limit}"
    elif request is not None and request > bound:
        yield f"{what} is {bound}, but request is {request}"


def _stretched(what: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    if not request:
        yield f"{what} is {bound}, but no request is specified or request is 0"
    elif not limit:
        yield f"{what} is {bound}, but no limit is specified or limit is 0"
    elif limit.nanos * 10**9 > bound.nanos * request.nanos:
        yield f"{what} is {bound}, but provided ratio is {limit.nanos / request.nanos:f}"


def _claim_violations(claim: Object, limit_range: Object) -> Iterator[str]:
    """A claim asks for storage; a limit of its own it does not have."""
    requests = requests_of(claim["spec"])
    for limit in _limits(limit_range, "PersistentVolumeClaim"):
        for name, bound in _bounds(limit, "min"):
            what = f"minimum {name} usage per PersistentVolumeClaim"
            yield from _below(what, bound, requests.get(name), None)
        for name, bound in _bounds(limit, "max"):
            what, request = f"maximum {name} usage per PersistentVolumeClaim is {bound}", requests.get(name)
            if request is None:
                yield f"{what}.  No request is specified"
            elif request > bound:
                yield f"{what}, but request is {request}"
