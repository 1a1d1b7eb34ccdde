"""Pods and pod templates: their defaults, what they must be, and what may change.

Source: kubernetes, pkg/apis/core/v1/defaults.go, pkg/apis/core/validation/validation.go (ValidatePodSpec,
ValidatePodUpdate, ValidatePodStatusUpdate) and pkg/registry/core/pod/strategy.go. The parts of a pod have
modules of their own: `containers`, `probes`, `environment`, `volumes`, `placement`, `security_contexts`.
Left out: the `resize` subresource (containers keep the resources that they began with); Windows' rules; the
profiles in annotations that came before fields; the difference that upstream appends when a pod's spec
changes; features that upstream has not on by default.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kubelab.cluster import quantity
from kubelab.cluster.apiserver import (
    addresses,
    containers,
    faultless_specs,
    placement,
    resource_names,
    security_contexts,
    volumes,
)
from kubelab.cluster.apiserver.containers import SIDECAR, Surroundings
from kubelab.cluster.apiserver.fields import (
    FieldError,
    between,
    choice,
    dns_label,
    dns_subdomain,
    duplicate,
    forbidden_field,
    immutable,
    indexed,
    invalid_value,
    label_key,
    labels,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.apiserver.metadata import annotations
from kubelab.cluster.apiserver.versions import copied
from kubelab.cluster.objects import Object
from kubelab.cluster.quantity import Quantity

EPHEMERAL_CONTAINERS = "ephemeralcontainers"  # The subresource.
GRACE_PERIOD_S = 30
RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_INT32_MAX = 2**31 - 1
_NAMESERVERS_MAX = 3
_SEARCHES_MAX = 32
_SEARCHES_BYTES_MAX = 2048
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_MIRROR = "kubernetes.io/config.mirror"
_SYSTEM_CONDITIONS = frozenset({"PodScheduled", "Ready", "Initialized"})
_GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"


# Defaults


def set_defaults(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    set_spec_defaults(spec)
    for container in _lasting_containers(spec):
        containers.set_request_defaults(container)
        if spec.get("hostNetwork"):
            containers.set_host_port_defaults(container)
    _set_pod_request_defaults(spec)
    spec.setdefault("enableServiceLinks", True)


def set_template_defaults(template: Object) -> None:
    set_spec_defaults(template.setdefault("spec", {}))


def set_spec_defaults(spec: Object) -> None:
    for key, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        spec[key] = spec.get(key) or value
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", GRACE_PERIOD_S)
    _set_service_account_defaults(spec)
    for volume in spec.get("volumes") or ():
        volumes.set_defaults(volume)
    for container in (*_lasting_containers(spec), *(spec.get("ephemeralContainers") or ())):
        containers.set_defaults(container)


def _set_service_account_defaults(spec: Object) -> None:
    """The field has an older name, which old clients read and send."""
    if name := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _lasting_containers(spec: Object) -> list[Object]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _set_pod_request_defaults(spec: Object) -> None:
    """A pod with limits of its own asks for what its containers do, or else for its limits (KEP-2837)."""
    if limits := (spec.get("resources") or {}).get("limits"):
        asked = {name: str(value) for name, value in _aggregate_requests(spec).items() if value}
        asked = {name: value for name, value in asked.items() if name in {"cpu", "memory"}}
        spec["resources"]["requests"] = limits | asked | (spec["resources"].get("requests") or {})


def _aggregate_requests(spec: Object) -> dict[str, Quantity]:
    """Return what the containers need at most at one time: init containers run alone, but for sidecars."""
    beside: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.get("initContainers") or ():
        requests = _requests(container)
        if container.get("restartPolicy") == SIDECAR:
            beside = _sum(beside, requests)
            peak = _largest(peak, beside)
        else:
            peak = _largest(peak, _sum(beside, requests))
    for container in spec.get("containers") or ():
        beside = _sum(beside, _requests(container))
    return _largest(peak, beside)


def _requests(container: Object) -> dict[str, Quantity]:
    asked = (container.get("resources") or {}).get("requests") or {}
    return {name: quantity.parse(value) for name, value in asked.items()}


def _sum(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> dict[str, Quantity]:
    nothing = quantity.parse(0)
    return {name: left.get(name, nothing) + right.get(name, nothing) for name in {*left, *right}}


def _largest(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> dict[str, Quantity]:
    nothing = quantity.parse(0)
    return {name: max(left.get(name, nothing), right.get(name, nothing)) for name in {*left, *right}}


def prepare_create(pod: Object, write: Write) -> None:
    placement.set_label_keys(pod["spec"], pod["metadata"].get("labels") or {})


def prepare_update(new: Object, old: Object, write: Write) -> None:
    """Keep what the subresource does not change."""
    if write.subresource == "status":
        _keep_status(new, old)
    elif write.subresource == EPHEMERAL_CONTAINERS:
        spec = copied(old["spec"])
        spec["ephemeralContainers"] = new["spec"].get("ephemeralContainers") or []
        new["spec"] = spec


def _keep_status(new: Object, old: Object) -> None:
    before = old.get("status") or {}
    if "qosClass" in before:
        new["status"] = new["status"] | {"qosClass": new["status"].get("qosClass") or before["qosClass"]}
    new["metadata"].pop("ownerReferences", None)
    if "ownerReferences" in old["metadata"]:
        new["metadata"]["ownerReferences"] = old["metadata"]["ownerReferences"]


def initial_status(pod: Object) -> Object:
    status: Object = {"phase": "Pending", "qosClass": qos_class(pod["spec"])}
    if pod["spec"].get("schedulingGates"):
        gated = {"type": "PodScheduled", "status": "False", "lastProbeTime": None, "lastTransitionTime": None}
        status["conditions"] = [gated | {"reason": "SchedulingGated", "message": _GATED_MESSAGE}]
    return status


def qos_class(spec: Object) -> str:
    """Guaranteed: cpu and memory limited everywhere and requests equal; BestEffort: nothing asked for.

    Source: kubernetes, pkg/apis/core/v1/helper/qos/qos.go.
    """
    own = spec.get("resources") or {}
    resources = [own] if own.get("limits") or own.get("requests") else None
    if resources is None:
        resources = [container.get("resources") or {} for container in _lasting_containers(spec)]
    wanted = [_compute(each.get("requests")) for each in resources]
    limited = [_compute(each.get("limits")) for each in resources]
    if not any(wanted) and not any(limited):
        return "BestEffort"
    complete = all(limits.keys() == {"cpu", "memory"} for limits in limited)
    return "Guaranteed" if complete and wanted == limited else "Burstable"


def _compute(quantities: dict[str, Any] | None) -> dict[str, Any]:
    parsed = {name: quantity.parse(value).nanos for name, value in (quantities or {}).items()}
    return {name: value for name, value in parsed.items() if name in {"cpu", "memory"} and value}


def grace_period_s(pod: Object, asked_s: int | None) -> int:
    """Return how long *pod* may take to end: nothing at all if no process of it can run (any more).

    Source: kubernetes, pkg/registry/core/pod/strategy.go (CheckGracefulDelete).
    """
    if not pod["spec"].get("nodeName") or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    period_s = (
        asked_s if asked_s is not None else pod["spec"].get("terminationGracePeriodSeconds", GRACE_PERIOD_S)
    )
    return 1 if period_s < 0 else int(period_s)


def _pod_ip(pod: Object) -> str:
    status = pod.get("status") or {}
    listed = status.get("podIPs") or ()
    return str(listed[0].get("ip", "") if listed else status.get("podIP", ""))


def _host_network(pod: Object) -> str:
    return "true" if (pod.get("spec") or {}).get("hostNetwork") else "false"


COMPUTED_FIELDS = {"spec.hostNetwork": _host_network, "status.podIP": _pod_ip}


# Validation


def validate_create(pod: Object) -> Iterator[FieldError]:
    """Yield what only a pod that is there already may have."""
    spec = pod.get("spec") or {}
    if spec.get("ephemeralContainers"):
        yield forbidden_field("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        yield forbidden_field("spec.nodeName", detail)


def validate(pod: Object) -> Iterator[FieldError]:
    spec = pod.get("spec") or {}
    yield from _annotations(pod["metadata"].get("annotations") or {}, spec, "metadata.annotations")
    yield from validate_spec(spec, "spec", in_pod=True)
    if not spec.get("serviceAccountName"):
        yield from _tokens_of_nobody(spec)
    for kind in ("containers", "initContainers"):
        for place, container in indexed(spec.get(kind), f"spec.{kind}"):
            yield from containers.image_without_spaces(container, place)


def _tokens_of_nobody(spec: Object) -> Iterator[FieldError]:
    for place, volume in indexed(spec.get("volumes"), "spec.volumes"):
        sources = (volume.get("projected") or {}).get("sources")
        for where, source in indexed(sources, f"{place}.projected.sources"):
            if "serviceAccountToken" in source:
                detail = "must not be specified when serviceAccountName is not set"
                yield forbidden_field(f"{where}.serviceAccountToken", detail)


def _annotations(values: Mapping[str, str], spec: Object, field: str) -> Iterator[FieldError]:
    if _MIRROR in values and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        yield invalid_value(f"{field}[{_MIRROR}]", values[_MIRROR], detail)
    if (cost := values.get(_DELETION_COST)) is not None and not _is_int32(cost):
        yield invalid_value(f"{field}[{_DELETION_COST}]", cost, "must be a 32bit integer")


def _is_int32(text: str) -> bool:
    digits = text[1:] if text[:1] == "-" else text
    canonical = digits.isascii() and digits.isdigit() and (digits == "0" or digits[0] != "0")
    return canonical and -_INT32_MAX - 1 <= int(text) <= _INT32_MAX


def validate_template(template: Object, field: str) -> Iterator[FieldError]:
    metadata = template.get("metadata") or {}
    yield from labels(metadata.get("labels"), f"{field}.labels")
    given = metadata.get("annotations") or {}
    yield from annotations(given, f"{field}.annotations")
    spec = template.get("spec") or {}
    yield from _annotations(given, spec, f"{field}.annotations")
    yield from validate_spec(spec, f"{field}.spec")
    if spec.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        yield forbidden_field(f"{field}.spec.ephemeralContainers", detail)


def validate_spec(spec: Object, field: str, *, in_pod: bool = False) -> Iterator[FieldError]:
    """Yield what is wrong with a pod's *spec*; `in_pod` tells that it is no template's."""
    if faultless_specs.is_faultless(spec):
        return iter(())
    return validate_spec_in_detail(spec, field, in_pod=in_pod)


def validate_spec_in_detail(spec: Object, field: str, *, in_pod: bool = False) -> Iterator[FieldError]:
    """As `validate_spec`, which most specs need not go through."""
    listed = spec.get("volumes") or []
    yield from volumes.validate(listed, f"{field}.volumes")
    claims = [claim.get("name", "") for claim in spec.get("resourceClaims") or ()]
    around = Surroundings(
        volumes={volume.get("name", ""): volume for volume in listed},
        claims=frozenset(claims),
        grace_period_s=spec.get("terminationGracePeriodSeconds"),
        host_users=spec.get("hostUsers", True),
    )
    yield from _resource_claims(spec.get("resourceClaims") or [], f"{field}.resourceClaims")
    yield from containers.validate(spec, around, field)
    if (resources := spec.get("resources")) is not None:
        yield from _pod_resources(resources, spec, f"{field}.resources")
    if spec.get("hostNetwork"):
        yield from _host_ports(spec, field, in_pod=in_pod)
    yield from choice(spec.get("restartPolicy"), f"{field}.restartPolicy", RESTART_POLICIES)
    yield from choice(spec.get("dnsPolicy"), f"{field}.dnsPolicy", _DNS_POLICIES)
    yield from labels(spec.get("nodeSelector"), f"{field}.nodeSelector")
    yield from security_contexts.of_pod(spec, field)
    yield from placement.affinity(spec.get("affinity") or {}, f"{field}.affinity")
    yield from _dns_config(spec, f"{field}.dnsConfig")
    for place, gate in indexed(spec.get("readinessGates"), f"{field}.readinessGates"):
        yield from word(gate.get("conditionType", ""), f"{place}.conditionType", label_key)
    yield from placement.scheduling_gates(spec.get("schedulingGates") or [], f"{field}.schedulingGates")
    spread = spec.get("topologySpreadConstraints") or []
    yield from placement.topology_spread(spread, f"{field}.topologySpreadConstraints")
    yield from security_contexts.host_users(spec, field)
    yield from _names(spec, field)
    yield from between(1, _INT32_MAX, spec.get("activeDeadlineSeconds"), f"{field}.activeDeadlineSeconds")
    yield from placement.tolerations(spec.get("tolerations") or [], f"{field}.tolerations")
    yield from _host_aliases(spec.get("hostAliases") or [], f"{field}.hostAliases")
    policy = spec.get("preemptionPolicy")
    yield from choice(policy, f"{field}.preemptionPolicy", _PREEMPTION_POLICIES)
    overhead = {"limits": spec.get("overhead") or {}}
    check = resource_names.container_name
    yield from resource_names.requirements(overhead, check, set(), f"{field}.overhead")
    yield from _operating_system(spec, field)


def _names(spec: Object, field: str) -> Iterator[FieldError]:
    for name, check in (
        ("serviceAccountName", dns_subdomain),
        ("nodeName", dns_subdomain),
        ("hostname", dns_label),
        ("subdomain", dns_label),
        ("priorityClassName", dns_subdomain),
    ):
        if value := spec.get(name):
            yield from word(value, f"{field}.{name}", check)
    if (runtime_class := spec.get("runtimeClassName")) is not None:
        yield from word(runtime_class, f"{field}.runtimeClassName", dns_subdomain)


def _resource_claims(claims: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for place, claim in indexed(claims, field):
        name = claim.get("name", "")
        if not name:
            yield required(f"{place}.name")
        elif name in seen:
            yield duplicate(f"{place}.name", name)
        else:
            yield from word(name, f"{place}.name", dns_label)
        seen.add(name)
        sources = [key for key in ("resourceClaimName", "resourceClaimTemplateName") if key in claim]
        if len(sources) > 1:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            yield invalid_value(place, claim, detail)
        elif not sources:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            yield invalid_value(place, claim, detail)
        for key in sources:
            yield from word(claim[key], f"{place}.{key}", dns_subdomain)


def _pod_resources(resources: Object, spec: Object, field: str) -> Iterator[FieldError]:
    if resources.get("claims") is not None:
        yield forbidden_field(f"{field}.claims", "claims cannot be set for Resources at pod-level")
    yield from resource_names.requirements(resources, resource_names.pod_name, set(), field)
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name, needed in _aggregate_requests(spec).items():
        own = quantity.parse(requests.get(name, 0))
        if needed > own:
            detail = f"must be greater than or equal to aggregate container requests of {needed}"
            yield invalid_value(f"{field}.requests[{name}]", str(own), detail)
    for place, container in indexed(spec.get("containers"), f"{field}.containers"):
        for name, value in ((container.get("resources") or {}).get("limits") or {}).items():
            limit = quantity.parse(value)
            if name in limits and limit > quantity.parse(limits[name]):
                detail = f"must be less than or equal to pod limits of {limits[name]}"
                yield invalid_value(f"{place}[{name}].limits", str(limit), detail)


def _host_ports(spec: Object, field: str, *, in_pod: bool) -> Iterator[FieldError]:
    for place, container in indexed(spec.get("containers"), f"{field}.containers"):
        for where, port in indexed(container.get("ports"), f"{place}.ports"):
            host_port = port.get("hostPort", 0)
            if (in_pod or host_port) and host_port != port.get("containerPort", 0):
                detail = "must match `containerPort` when `hostNetwork` is true"
                yield invalid_value(f"{where}.hostPort", host_port, detail)


def _dns_config(spec: Object, field: str) -> Iterator[FieldError]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(field, "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not config.get("nameservers"):
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{field}.nameservers", detail)
            return
    if config is None:
        return
    nameservers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(nameservers) > _NAMESERVERS_MAX:
        detail = f"must not have more than {_NAMESERVERS_MAX} nameservers"
        yield invalid_value(f"{field}.nameservers", nameservers, detail)
    for place, nameserver in indexed(nameservers, f"{field}.nameservers"):
        yield from addresses.ip(nameserver, place)
    yield from _searches(searches, f"{field}.searches")
    for place, option in indexed(config.get("options"), f"{field}.options"):
        if not option.get("name"):
            yield required(place, "must not be empty")


def _searches(searches: list[str], field: str) -> Iterator[FieldError]:
    if len(searches) > _SEARCHES_MAX:
        yield invalid_value(field, searches, f"must not have more than {_SEARCHES_MAX} search paths")
    if len(" ".join(searches)) > _SEARCHES_BYTES_MAX:
        detail = (
            f"must not have more than {_SEARCHES_BYTES_MAX} characters (including spaces) in the search list"
        )
        yield invalid_value(field, searches, detail)
    for place, search in indexed(searches, field):
        if search != ".":
            yield from word(search.removesuffix(".").replace("_", "-"), place, dns_subdomain)


def _host_aliases(aliases: list[Object], field: str) -> Iterator[FieldError]:
    for place, alias in indexed(aliases, field):
        yield from addresses.ip(alias.get("ip", ""), f"{place}.ip")
        for where, hostname in indexed(alias.get("hostnames"), f"{place}.hostnames"):
            yield from word(hostname, where, dns_subdomain)


def _operating_system(spec: Object, field: str) -> Iterator[FieldError]:
    if (system := spec.get("os")) is None:
        return
    if not (name := system.get("name")):
        yield required(f"{field}.os.name", "cannot be empty")
    elif name not in {"linux", "windows"}:
        yield unsupported_value(f"{field}.os", name, ("linux", "windows"))


# Updates

_UPDATABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_REFUSED = f"pod updates may not change fields other than {','.join(_UPDATABLE)}"


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield what may not change of a pod: nearly all of its spec."""
    spec, before = new["spec"], old["spec"]
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(before.get(kind) or ()):
            yield forbidden_field(f"spec.{kind}", "pod updates may not add or remove containers")
            return
    yield from _deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    for key, check in (
        ("tolerations", placement.tolerations_only_added),
        ("schedulingGates", placement.gates_only_removed),
    ):
        yield from check(spec.get(key) or [], before.get(key) or [], f"spec.{key}")
    fixed = _fixed_part(spec, before)
    if before.get("schedulingGates"):
        yield from _gated(spec, before)
        fixed = _without_node_choice(fixed, before)
    if _meaning(fixed) != _meaning(before):
        yield forbidden_field("spec", _REFUSED)


def _deadline(new: int | None, old: int | None) -> Iterator[FieldError]:
    field = "spec.activeDeadlineSeconds"
    if new is not None and old is not None and old < new:
        yield invalid_value(field, new, "must be less than or equal to previous value")
    elif new is None and old is not None:
        yield invalid_value(field, None, "must not update from a positive integer to nil value")


def _fixed_part(spec: Object, before: Object) -> Object:
    """Return *spec* with all that may change as it was *before*."""
    fixed = dict(spec)
    for key in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        fixed.pop(key, None)
        fixed |= {key: before[key]} if key in before else {}
    for kind in ("containers", "initContainers"):
        pairs = zip(spec.get(kind) or (), before.get(kind) or (), strict=True)
        fixed[kind] = [container | {"image": old.get("image")} for container, old in pairs]
    grace_s, key = before.get("terminationGracePeriodSeconds", 0), "terminationGracePeriodSeconds"
    if grace_s < 0 and spec.get(key) == 1:
        fixed[key] = grace_s
    return fixed


def _gated(spec: Object, before: Object) -> Iterator[FieldError]:
    """Yield what may not change of a gated pod's choice of nodes: it may only become narrower (KEP-3838)."""
    selector, earlier = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    yield from placement.selector_only_added(selector, earlier, "spec.nodeSelector")
    affinity, earlier = _node_affinity(spec), _node_affinity(before)
    yield from placement.affinity_only_added(affinity, earlier, "spec.affinity.nodeAffinity")


def _node_affinity(spec: Object) -> Object:
    return (spec.get("affinity") or {}).get("nodeAffinity") or {}


def _without_node_choice(fixed: Object, before: Object) -> Object:
    affinity = {key: value for key, value in (fixed.get("affinity") or {}).items() if key != "nodeAffinity"}
    if of_node := _node_affinity(before):
        affinity["nodeAffinity"] = of_node
    return fixed | {"nodeSelector": before.get("nodeSelector"), "affinity": affinity}


def _meaning(value: Any) -> Any:
    """Return *value* without what is as good as absent, so that equal things look equal."""
    if isinstance(value, dict):
        meant = {key: _meaning(item) for key, item in value.items()}
        return {key: item for key, item in meant.items() if item not in (None, "", [], {})}
    return [_meaning(item) for item in value] if isinstance(value, list) else value


def validate_ephemeral_containers(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield what may not change of a pod's ephemeral containers: those that are there.

    Source: kubernetes, pkg/apis/core/validation/validation.go (ValidatePodEphemeralContainersUpdate).
    """
    if _MIRROR in (old["metadata"].get("annotations") or {}):
        yield forbidden_field("", "static pods do not support ephemeral containers")
    field = "spec.ephemeralContainers"
    listed = {each.get("name", ""): each for each in new["spec"].get("ephemeralContainers") or ()}
    for before in old["spec"].get("ephemeralContainers") or ():
        name = before["name"]
        if name not in listed:
            yield forbidden_field(field, f'existing ephemeral containers "{name}" may not be removed\n')
        elif _meaning(listed[name]) != _meaning(before):
            yield forbidden_field(field, f'existing ephemeral containers "{name}" may not be changed\n')


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield what may not become of a pod's status."""
    status, before = new.get("status") or {}, old.get("status") or {}
    for place, condition in indexed(status.get("conditions"), "metadata.conditions"):  # Upstream's path.
        if condition.get("type") not in _SYSTEM_CONDITIONS:
            yield from word(condition.get("type", ""), f"{place}.Type", label_key)
    if nominated := status.get("nominatedNodeName"):
        yield from word(nominated, "status.nominatedNodeName", dns_subdomain)
    if status.get("qosClass") != before.get("qosClass"):
        yield immutable("status.qosClass", status.get("qosClass"))
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        policy = "Never" if kind == "ephemeralContainerStatuses" else old["spec"].get("restartPolicy")
        sidecars = _sidecars(old["spec"]) if kind == "initContainerStatuses" else frozenset()
        yield from _terminated_stay(status.get(kind) or [], before.get(kind) or [], policy, sidecars, kind)
    yield from _status_ips(status, "podIP", "podIPs")
    yield from _status_ips(status, "hostIP", "hostIPs")


def _sidecars(spec: Object) -> frozenset[str]:
    listed = spec.get("initContainers") or ()
    return frozenset(each["name"] for each in listed if each.get("restartPolicy") == SIDECAR)


def _terminated_stay(
    new: list[Object], old: list[Object], policy: str | None, sidecars: frozenset[str], kind: str
) -> Iterator[FieldError]:
    """A container that ended for good does not run again."""
    if policy == "Always":
        return
    states = {each.get("name"): each.get("state") or {} for each in new}
    for place, before in indexed(old, f"status.{kind}"):
        terminated = (before.get("state") or {}).get("terminated")
        if terminated is None or before.get("name") in sidecars:
            continue
        if terminated.get("exitCode") and policy == "OnFailure":
            continue
        if "terminated" not in states.get(before.get("name"), {"terminated": {}}):
            yield forbidden_field(f"{place}.state", "may not be transitioned to non-terminated state")


def _status_ips(status: Object, one: str, many: str) -> Iterator[FieldError]:
    field, listed = f"status.{many}", status.get(many) or []
    if one == "hostIP" and listed and status.get(one, "") != listed[0].get("ip"):
        yield invalid_value(f"{field}[0].ip", listed[0].get("ip", ""), f"must be equal to `{one}`")
    for place, each in indexed(listed, field):
        yield from addresses.ip(each.get("ip", ""), place)
    families = [":" in each.get("ip", "") for each in listed]
    if len(families) > len(set(families)):
        yield invalid_value(field, listed, "may specify no more than one IP for each IP family")
