"""Resource lists: quantities by the name of a resource, and the arithmetic that limits and quotas need. Pure.

Source: kubernetes, staging/src/k8s.io/component-helpers/resource/helpers.go (PodRequests, PodLimits) and
staging/src/k8s.io/apiserver/pkg/quota/v1/resources.go.
Left out: resources of a whole pod (spec.resources), resize in place.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from kubelab.cluster.objects import Object
from kubelab.cluster.quantity import Quantity, parse

ResourceList = dict[str, Quantity]


def parse_list(listed: Mapping[str, Any] | None) -> ResourceList:
    return {name: parse(value) for name, value in (listed or {}).items()}


def written(listed: ResourceList) -> dict[str, str]:
    """Return *listed* as objects have it."""
    return {name: str(value) for name, value in listed.items()}


def add(left: ResourceList, right: ResourceList) -> ResourceList:
    """Return the sums; what only one side has stays as it is."""
    total = dict(left)
    for name, value in right.items():
        total[name] = total[name] + value if name in total else value
    return total


def maximum(left: ResourceList, right: ResourceList) -> ResourceList:
    return left | {name: value for name, value in right.items() if name not in left or value > left[name]}


def grown(new: ResourceList, old: ResourceList) -> ResourceList:
    """Return by how much *new* is more than *old*: never less than nothing."""
    nothing = Quantity(0)
    return {name: max(value - old.get(name, nothing), nothing) for name, value in new.items()}


def mask(listed: ResourceList, names: Container[str]) -> ResourceList:
    return {name: value for name, value in listed.items() if name in names}


def pretty(listed: ResourceList) -> str:
    """Return *listed* as messages show it: `cpu=1,pods=2`."""
    return ",".join(f"{name}={listed[name]}" for name in sorted(listed))


def requests_of(container: Object) -> ResourceList:
    return parse_list((container.get("resources") or {}).get("requests"))


def limits_of(container: Object) -> ResourceList:
    return parse_list((container.get("resources") or {}).get("limits"))


def pod_requests(spec: Object) -> ResourceList:
    """Return what a pod needs at its worst moment, with the overhead of its runtime class."""
    return add(_over_time(spec, "requests"), parse_list(spec.get("overhead")))


def pod_limits(spec: Object) -> ResourceList:
    """As `pod_requests`, of the limits; overhead adds only to what is limited at all."""
    limits = _over_time(spec, "limits")
    return add(limits, mask(parse_list(spec.get("overhead")), limits))


def _over_time(spec: Object, part: str) -> ResourceList:
    """Init containers run one by one before the others, beside the sidecars that were started before them."""
    together = _sum(spec.get("containers") or (), part)
    sidecars: ResourceList = {}
    alone: ResourceList = {}
    for container in spec.get("initContainers") or ():
        own = _part(container, part)
        if container.get("restartPolicy") == "Always":
            together = add(together, own)
            sidecars = add(sidecars, own)
            own = {}
        alone = maximum(alone, add(own, sidecars))
    return maximum(together, alone)


def _sum(containers: Iterable[Object], part: str) -> ResourceList:
    total: ResourceList = {}
    for container in containers:
        total = add(total, _part(container, part))
    return total


def _part(container: Object, part: str) -> ResourceList:
    return parse_list((container.get("resources") or {}).get(part))
