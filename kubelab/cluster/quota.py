"""What a ResourceQuota counts: which objects it is about, what each of them uses, and their sum. Pure.

Admission charges with these functions what is created, and the controller counts again what is there: so
both come to the same numbers.
Source: kubernetes, pkg/quota/v1/evaluator/core/{pods,services,registry}.go,
staging/src/k8s.io/apiserver/pkg/quota/v1/generic/evaluator.go and
staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go (CheckRequest).
Left out: claims for volumes and for devices, which this cluster has not; resources that are limited by the
server's configuration without a quota.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubelab.cluster.objects import PODS, Object, Resource
from kubelab.cluster.pods import is_finished, parse_time, qos_class
from kubelab.cluster.quantity import Quantity
from kubelab.cluster.resource_list import (
    ResourceList,
    add,
    grown,
    limits_of,
    mask,
    parse_list,
    pod_limits,
    pod_requests,
    pretty,
    requests_of,
)
from kubelab.cluster.selectors import Operator, Requirement

# Resources that are counted under a second, older name beside count/RESOURCE.
_ALIASES = {
    "configmaps": "configmaps",
    "resourcequotas": "resourcequotas",
    "replicationcontrollers": "replicationcontrollers",
    "secrets": "secrets",
}
_IGNORED = frozenset({"events", "events.events.k8s.io", "bindings", "componentstatuses"})
_IGNORED_GROUPS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
_SERVICES = frozenset({"count/services", "services", "services.nodeports", "services.loadbalancers"})
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_PODS = frozenset({"count/pods", "pods", *_COMPUTE})
_PODS |= {f"{part}.{name}" for part in ("requests", "limits") for name in _COMPUTE}
_HUGE_PAGES = ("hugepages-", "requests.hugepages-")
# As upstream, which calls it a mistake: a quota on one of these wants every container to name it.
_MUST_BE_NAMED = frozenset({each for each in _PODS if each.rpartition(".")[2] in ("cpu", "memory")})
_ONE = Quantity(10**9)


class QuotaError(Exception):
    """Why an object may not be: what comes after "is forbidden: "."""


def is_counted(resource: Resource) -> bool:
    """Tell whether quotas count *resource* at all: events and reviews they never do."""
    return resource.namespaced and not (
        resource.group_resource in _IGNORED or resource.group in _IGNORED_GROUPS
    )


def charges_updates(resource: Resource) -> bool:
    """A service may change its type; all others use what they used when they were created."""
    return resource.group_resource == "services"


def tracked(resource: Resource, names: Iterable[str]) -> list[str]:
    """Return those of a quota's resource *names* that objects of *resource* use."""
    if resource == PODS:
        return [name for name in names if _is_of_pods(name)]
    return [name for name in names if name in _names_of(resource)]


def _names_of(resource: Resource) -> frozenset[str]:
    if resource.group_resource == "services":
        return _SERVICES
    counted = {f"count/{resource.group_resource}"}
    return frozenset(counted | {_ALIASES.get(resource.group_resource, "")} - {""})


def _is_of_pods(name: str) -> bool:
    if name in _PODS or name.startswith(_HUGE_PAGES):
        return True
    return name.startswith("requests.") and not _is_native(name)


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


# Scopes


def selectors_of(quota: Object) -> list[Object]:
    """Return the scopes of *quota* as requirements, whichever of the two ways they are written in."""
    spec = quota.get("spec") or {}
    named = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return [*named, *((spec.get("scopeSelector") or {}).get("matchExpressions") or ())]


def in_scope(quota: Object, resource: Resource, obj: Object) -> bool:
    """Tell whether *obj* is in all scopes of *quota*. Only pods are in any."""
    selectors = selectors_of(quota)
    if resource != PODS:
        return not selectors
    return all(_pod_is_in(selector, obj) for selector in selectors)


def _pod_is_in(selector: Object, pod: Object) -> bool:
    spec = pod["spec"]
    match selector["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return qos_class(pod) == "BestEffort"
        case "NotBestEffort":
            return qos_class(pod) != "BestEffort"
        case "PriorityClass":
            return _has_priority_class(selector, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return any(_leaves_namespace(term) for term in _affinity_terms(spec.get("affinity") or {}))
        case _:
            return False


_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
}


def _has_priority_class(selector: Object, name: str) -> bool:
    values = tuple(selector.get("values") or ())
    requirement = Requirement("PriorityClass", _OPERATORS[selector.get("operator", "Exists")], values)
    return requirement.matches({"PriorityClass": name} if name else {})


def _affinity_terms(affinity: Object) -> Iterable[Object]:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        yield from terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted.get("podAffinityTerm") or {}


def _leaves_namespace(term: Object) -> bool:
    return bool(term.get("namespaces")) or term.get("namespaceSelector") is not None


# Usage


def usage(resource: Resource, obj: Object, now: datetime) -> ResourceList:
    """Return what *obj* uses of everything that a quota can count."""
    if resource == PODS:
        return _pod_usage(obj, now)
    if resource.group_resource == "services":
        return _service_usage(obj)
    return dict.fromkeys(_names_of(resource), _ONE)


def _pod_usage(pod: Object, now: datetime) -> ResourceList:
    """A pod that has ended, or should have, uses nothing; yet it is still one object."""
    if is_finished(pod) or _is_overdue(pod, now):
        return {"count/pods": _ONE}
    return {"count/pods": _ONE} | _compute(pod_requests(pod["spec"]), pod_limits(pod["spec"]))


def _is_overdue(pod: Object, now: datetime) -> bool:
    """Pods that hang on a lost node must not keep others from being made in their stead."""
    metadata = pod["metadata"]
    if "deletionTimestamp" not in metadata or "deletionGracePeriodSeconds" not in metadata:
        return False
    grace = timedelta(seconds=metadata["deletionGracePeriodSeconds"])
    return now > parse_time(metadata["deletionTimestamp"]) + grace


def _compute(requests: ResourceList, limits: ResourceList) -> ResourceList:
    used = {"pods": _ONE}
    for name, value in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            used |= {name: value, f"requests.{name}": value}
        elif not _is_native(name):
            used[f"requests.{name}"] = value
    return used | {f"limits.{name}": value for name, value in limits.items() if name in _COMPUTE}


def _service_usage(service: Object) -> ResourceList:
    spec = service.get("spec") or {}
    used = {"count/services": _ONE, "services": _ONE}
    used |= {"services.loadbalancers": Quantity(0), "services.nodeports": Quantity(0)}
    ports = spec.get("ports") or []
    if spec.get("type") == "LoadBalancer":
        used["services.loadbalancers"] = _ONE
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = [port for port in ports if port.get("nodePort")]
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        used["services.nodeports"] = Quantity(len(ports) * _ONE.nanos)
    return used


def counted(
    quota: Object, objects: Mapping[Resource, Iterable[Object]], now: datetime
) -> tuple[ResourceList, ResourceList]:
    """Return the hard limits of *quota* and what *objects*, all of its namespace, use of them."""
    hard = parse_list((quota.get("spec") or {}).get("hard"))
    used = parse_list((quota.get("status") or {}).get("used"))  # Of what nobody counts, the old stays.
    for resource, listed in objects.items():
        names = tracked(resource, hard)
        if not names:
            continue
        total: ResourceList = dict.fromkeys(names, Quantity(0))
        for obj in listed:
            if in_scope(quota, resource, obj):
                total = add(total, mask(usage(resource, obj, now), names))
        used |= total
    return hard, mask(used, hard)


# Charging


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request would use. `old` is the object before an update, None for a creation."""

    resource: Resource
    new: Object
    old: Object | None
    now: datetime

    def applies_to(self, quota: Object) -> bool:
        hard = (quota.get("status") or {}).get("hard") or {}
        return bool(tracked(self.resource, hard)) and in_scope(quota, self.resource, self.new)

    def delta(self, quota: Object) -> ResourceList:
        """Return what *quota* would be used more; nothing of what stays the same."""
        used = usage(self.resource, self.new, self.now)
        if self.old is not None and in_scope(quota, self.resource, self.old):
            used = grown(used, usage(self.resource, self.old, self.now))
        return {name: value for name, value in used.items() if value}


def used_after(quota: Object, charge: Charge) -> ResourceList | None:
    """Return the usage of *quota* when it is charged; None if the request does not matter to it.

    Raises:
        QuotaError: it would be too much, or the object does not say how much it will use.
    """
    if not charge.applies_to(quota):
        return None
    name, status = quota["metadata"]["name"], quota.get("status") or {}
    hard, used = parse_list(status.get("hard")), parse_list(status.get("used"))
    restricted = tracked(charge.resource, hard)
    if charge.resource == PODS and (missing := unnamed(restricted, charge.new)):
        raise QuotaError(f"failed quota: {name}: must specify {missing}")
    if any(each not in used for each in restricted):
        raise QuotaError(f"status unknown for quota: {name}, resources: {','.join(sorted(restricted))}")
    requested = mask(charge.delta(quota), hard)
    total = add(used, requested)
    if exceeded := [each for each in requested if total[each] > hard[each]]:
        sums = [pretty(mask(listed, exceeded)) for listed in (requested, used, hard)]
        raise QuotaError(f"exceeded quota: {name}, requested: {sums[0]}, used: {sums[1]}, limited: {sums[2]}")
    return total if requested else None


def unnamed(restricted: Sequence[str], pod: Object) -> str:
    """Return which of the *restricted* resources which containers of *pod* do not name, "" if none."""
    wanted = _MUST_BE_NAMED.intersection(restricted)
    spec = pod["spec"]
    missing: dict[str, set[str]] = {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for resource in wanted - _compute(requests_of(container), limits_of(container)).keys():
            missing.setdefault(resource, set()).add(container["name"])
    return "; ".join(f"{each} for: {','.join(sorted(missing[each]))}" for each in sorted(missing))
