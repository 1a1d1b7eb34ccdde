"""Services: their defaults, what they must be, what may change, and their printed columns.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_Service), pkg/apis/core/validation/validation.go
(ValidateService, ValidateServiceUpdate), pkg/registry/core/service/strategy.go and storage/{storage,alloc}.go
(what a client leaves out, and what goes with a type), pkg/printers/internalversion/printers.go.
Which addresses and ports they get is decided in `service_allocation`.
Left out: a second IP family; the cluster's services have IPv4 addresses.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import addresses
from kubelab.cluster.apiserver.columns import AGE, NAME, NONE, Column, age, labels_text
from kubelab.cluster.apiserver.fields import (
    FieldError,
    choice,
    dns_label,
    dns_subdomain,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    label_key,
    labels,
    port_number,
    port_number_or_name,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.objects import Object

HEADLESS = "None"
_WITH_ADDRESS = frozenset({"ClusterIP", "NodePort", "LoadBalancer"})
_WITH_NODE_PORTS = frozenset({"NodePort", "LoadBalancer"})
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_FAMILIES = ("IPv4", "IPv6")
_SERVED_FAMILY = "IPv4"
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_TRAFFIC_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_AFFINITY_S = 10800
_AFFINITY_MAX_S = 86400
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"


def type_of(service: Object) -> str:
    return str((service.get("spec") or {}).get("type") or "ClusterIP")


def is_headless(service: Object) -> bool:
    return (service.get("spec") or {}).get("clusterIPs") == [HEADLESS]


def needs_cluster_ip(service: Object) -> bool:
    return type_of(service) in _WITH_ADDRESS


def needs_node_ports(service: Object) -> bool:
    return type_of(service) in _WITH_NODE_PORTS


def needs_health_check(service: Object) -> bool:
    """Tell whether load balancers ask each node whether it has endpoints."""
    local = service["spec"].get("externalTrafficPolicy") == "Local"
    return type_of(service) == "LoadBalancer" and local


def _is_reached_from_outside(service: Object) -> bool:
    with_addresses = type_of(service) == "ClusterIP" and bool(service["spec"].get("externalIPs"))
    return needs_node_ports(service) or with_addresses


def _is_balanced(service: Object) -> bool:
    return type_of(service) == "LoadBalancer"


# Defaults


def set_defaults(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec["type"] = spec.get("type") or "ClusterIP"
    _set_affinity_defaults(spec)
    for port in spec.get("ports") or ():
        port["protocol"] = port.get("protocol") or "TCP"
        port["targetPort"] = port.get("targetPort") or port.get("port", 0)
    if _is_reached_from_outside(service):
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if needs_cluster_ip(service):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if _is_balanced(service):
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _set_affinity_defaults(spec: Object) -> None:
    affinity = spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_S}}


def initial_status(service: Object) -> Object:
    return {"loadBalancer": {}}


def prepare_create(service: Object, write: Write) -> None:
    spec = service["spec"]
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    _set_family_defaults(service)


def prepare_update(new: Object, old: Object, write: Write) -> None:
    """Take over what the client left out, and drop what went with an earlier type."""
    if write.subresource == "status":
        _set_ingress_defaults(new)
        return
    _keep_allocated(new, old)
    _follow_cluster_ip(new["spec"], old["spec"])
    _drop_what_went_with_the_type(new, old)
    if "ipFamilyPolicy" in old["spec"] and needs_cluster_ip(new):
        new["spec"].setdefault("ipFamilyPolicy", old["spec"]["ipFamilyPolicy"])
    _set_family_defaults(new)
    if not _is_balanced(new) and "status" in new:
        new["status"] = new["status"] | {"loadBalancer": {}}


def _set_ingress_defaults(service: Object) -> None:
    if _is_balanced(service):
        for ingress in (service["status"].get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _keep_allocated(new: Object, old: Object) -> None:
    spec, before = new["spec"], old["spec"]
    if needs_cluster_ip(old) and needs_cluster_ip(new):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP"):
            spec["clusterIPs"] = list(before.get("clusterIPs") or ())
    if needs_node_ports(old) and needs_node_ports(new):
        _keep_node_ports(spec.get("ports") or [], before.get("ports") or [])
    if needs_health_check(old) and needs_health_check(new) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort", 0)


def _keep_node_ports(ports: list[Object], before: list[Object]) -> None:
    """A port without a node port keeps what the port of its name had, unless another one asks for it."""
    known = {port.get("name", ""): port["nodePort"] for port in before if port.get("nodePort")}
    asked = {port["nodePort"] for port in ports if port.get("nodePort")}
    used = asked & set(known.values())
    for port in ports:
        earlier = known.get(port.get("name", ""))
        if earlier and not port.get("nodePort") and earlier not in used:
            port["nodePort"] = earlier
            used.add(earlier)


def _follow_cluster_ip(spec: Object, before: Object) -> None:
    """`clusterIPs` follows `clusterIP` for clients that know the singular alone."""
    ip, ips = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    earlier, earlier_ips = before.get("clusterIP", ""), before.get("clusterIPs") or []
    if ip != earlier and ips == earlier_ips:
        ips = [ip] if ip else []
    spec.pop("clusterIPs", None)
    if ips:
        spec["clusterIPs"] = ips


def _drop_what_went_with_the_type(new: Object, old: Object) -> None:
    """A client that changes the type alone does not mean to keep what only the earlier type had."""
    spec, before = new["spec"], old["spec"]
    for applies, keys in _OF_TYPE:
        if applies(old) and not applies(new):
            for key in keys:
                if spec.get(key) == before.get(key):
                    spec.pop(key, None)
    if needs_node_ports(old) and not needs_node_ports(new) and _node_ports(spec) == _node_ports(before):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)


_OF_TYPE: tuple[tuple[Callable[[Object], bool], tuple[str, ...]], ...] = (
    (needs_cluster_ip, ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")),
    (needs_health_check, ("healthCheckNodePort",)),
    (_is_balanced, ("allocateLoadBalancerNodePorts", "loadBalancerClass")),
    (_is_reached_from_outside, ("externalTrafficPolicy",)),
)


def _node_ports(spec: Object) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def _set_family_defaults(service: Object) -> None:
    """Say which IP families a service has: one, but for headless ones that choose no pods."""
    if not needs_cluster_ip(service):
        return
    spec = service["spec"]
    unselective = spec.get("clusterIP") == HEADLESS and not spec.get("selector")
    policy = spec.setdefault("ipFamilyPolicy", "RequireDualStack" if unselective else "SingleStack")
    families = spec["ipFamilies"] = spec.get("ipFamilies") or [_SERVED_FAMILY]
    if unselective and len(families) == 1 and policy != "SingleStack":
        families.append("IPv6" if families[0] == "IPv4" else "IPv4")


# Validation


def validate(service: Object) -> Iterator[FieldError]:
    spec = service["spec"]
    yield from _by_type(service)
    names: set[str] = set()
    ports = spec.get("ports") or []
    for place, port in indexed(ports, "spec.ports"):
        yield from _port(port, names, place, name_required=len(ports) > 1)
    yield from labels(spec.get("selector"), "spec.selector")
    yield from _affinity(spec)
    yield from _cluster_ips(service)
    for place, ip in indexed(spec.get("externalIPs"), "spec.externalIPs"):
        wrong = list(addresses.ip(ip, place))
        yield from wrong or addresses.non_special(ip, place)
    yield from choice(spec.get("type"), "spec.type", _TYPES)
    yield from _duplicate_ports(ports, type_of(service))
    yield from _balancing(service)
    yield from _traffic(service)


def _by_type(service: Object) -> Iterator[FieldError]:
    spec, type_ = service["spec"], type_of(service)
    if not spec.get("ports") and not is_headless(service) and type_ != "ExternalName":
        yield required("spec.ports")
    if type_ in _WITH_NODE_PORTS and is_headless(service):
        yield invalid_value("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {type_} services")
    if type_ == "ExternalName":
        for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(key):
                yield forbidden_field(f"spec.{key}", "may not be set for ExternalName services")
        if name := spec.get("externalName", "").removesuffix("."):
            yield from word(name, "spec.externalName", dns_subdomain)
        else:
            yield required("spec.externalName")


def _port(port: Object, names: set[str], field: str, *, name_required: bool) -> Iterator[FieldError]:
    name = port.get("name", "")
    if name:
        yield from word(name, f"{field}.name", dns_label)
        if name in names:
            yield duplicate(f"{field}.name", name)
        names.add(name)
    elif name_required:
        yield required(f"{field}.name")
    yield from port_number(port.get("port", 0), f"{field}.port")
    if (protocol := port.get("protocol", "TCP")) not in _PROTOCOLS:
        yield unsupported_value(f"{field}.protocol", protocol, _PROTOCOLS)
    yield from port_number_or_name(port.get("targetPort", 0), f"{field}.targetPort")
    if (app_protocol := port.get("appProtocol")) is not None:
        yield from word(app_protocol, f"{field}.appProtocol", label_key)


def _affinity(spec: Object) -> Iterator[FieldError]:
    affinity = spec.get("sessionAffinity", "None")
    yield from choice(affinity, "spec.sessionAffinity", ("ClientIP", "None"))
    if affinity == "ClientIP":
        timeout_s = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
        if not 0 < timeout_s <= _AFFINITY_MAX_S:
            detail = f"must be greater than 0 and less than {_AFFINITY_MAX_S}"
            field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield invalid_value(field, timeout_s, detail)


def _cluster_ips(service: Object) -> Iterator[FieldError]:
    if not needs_cluster_ip(service):
        return
    spec = service["spec"]
    ip, ips, field = spec.get("clusterIP", ""), spec.get("clusterIPs") or [], "spec.clusterIPs"
    if ip and ips[:1] != [ip]:
        yield invalid_value(field, ips, "first value must match `clusterIP`")
    elif ips and not ip:
        yield invalid_value(field, ips, "must be empty when `clusterIP` is not specified")
    yield from _families(service)
    if ips[:1] == [HEADLESS]:
        if len(ips) > 1:
            yield invalid_value(field, ips, "'None' must be the first and only value")
        return
    wrong = [error for place, each in indexed(ips, field) for error in addresses.ip(each, place)]
    yield from wrong
    if len(ips) > 2:
        yield invalid_value(field, ips, "may only hold up to 2 values")
    for place, each in indexed(() if wrong else ips, field):
        if ":" in each:
            yield invalid_value(place, ips, "IPv6 is not configured on this cluster")
    if len(ips) == 2 and not wrong and (":" in ips[0]) == (":" in ips[1]):
        yield invalid_value(field, ips, "may specify no more than one IP for each IP family")


def _families(service: Object) -> Iterator[FieldError]:
    spec, field = service["spec"], "spec.ipFamilies"
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    seen: set[str] = set()
    for place, family in indexed(families, field):
        if family not in _FAMILIES:
            yield unsupported_value(place, family, _FAMILIES)
        if family in seen:
            yield duplicate(place, family)
        seen.add(family)
    yield from choice(policy, "spec.ipFamilyPolicy", _FAMILY_POLICIES)
    if policy == "SingleStack":
        for key, what in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
            if len(spec.get(key) or ()) == 2:
                detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                yield invalid_value("spec.ipFamilyPolicy", policy, detail)
    if is_headless(service) and not spec.get("selector"):
        return
    if policy == "RequireDualStack":
        detail = "this cluster is not configured for dual-stack services"
        yield invalid_value("spec.ipFamilyPolicy", policy, detail)
    for place, family in indexed(families, field):
        if family in _FAMILIES and family != _SERVED_FAMILY:
            yield invalid_value(place, family, "not configured on this cluster")


def _duplicate_ports(ports: list[Object], type_: str) -> Iterator[FieldError]:
    node_ports: set[tuple[str, int]] = set()
    numbers: set[tuple[str, int]] = set()
    for place, port in indexed(ports, "spec.ports"):
        protocol, number, node_port = port.get("protocol", ""), port.get("port", 0), port.get("nodePort", 0)
        if node_port and type_ == "ClusterIP":
            detail = "may not be used when `type` is 'ClusterIP'"
            yield forbidden_field(f"{place}.nodePort", detail)
        if node_port and (protocol, node_port) in node_ports:
            yield duplicate(f"{place}.nodePort", node_port)
        if (protocol, number) in numbers:
            shown = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": number}
            yield duplicate(place, shown | {"TargetPort": 0, "NodePort": 0})
        node_ports.add((protocol, node_port))
        numbers.add((protocol, number))


def _balancing(service: Object) -> Iterator[FieldError]:
    spec, balanced = service["spec"], _is_balanced(service)
    if ranges := spec.get("loadBalancerSourceRanges"):
        field = "spec.LoadBalancerSourceRanges"
        if not balanced:
            yield forbidden_field(field, _ONLY_BALANCED)
        for place, value in indexed(ranges, field):
            yield from addresses.cidr(value.strip(), place)
    if not balanced and spec.get("allocateLoadBalancerNodePorts") is not None:
        yield forbidden_field("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCED)
    if (class_ := spec.get("loadBalancerClass")) is not None:
        if balanced:
            yield from word(class_, "spec.loadBalancerClass", label_key)
        else:
            yield forbidden_field("spec.loadBalancerClass", _ONLY_BALANCED)


def _traffic(service: Object) -> Iterator[FieldError]:
    spec = service["spec"]
    external = spec.get("externalTrafficPolicy", "")
    if _is_reached_from_outside(service):
        yield from choice(external, "spec.externalTrafficPolicy", _TRAFFIC_POLICIES)
    elif external:
        detail = "may only be set for externally-accessible services"
        yield invalid_value("spec.externalTrafficPolicy", external, detail)
    if check_port := spec.get("healthCheckNodePort"):
        if needs_health_check(service):
            yield from port_number(check_port, "spec.healthCheckNodePort")
        else:
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            yield invalid_value("spec.healthCheckNodePort", check_port, detail)
    internal = spec.get("internalTrafficPolicy")
    yield from choice(internal, "spec.internalTrafficPolicy", _TRAFFIC_POLICIES)
    yield from choice(spec.get("trafficDistribution"), "spec.trafficDistribution", _DISTRIBUTIONS)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield what may not change: the addresses that clients know, unless the type has none."""
    if needs_cluster_ip(new) and needs_cluster_ip(old):
        yield from _fixed_addresses(
            new["spec"], old["spec"], both_headless=is_headless(new) and is_headless(old)
        )
    if _is_balanced(new) and _is_balanced(old):
        class_ = new["spec"].get("loadBalancerClass")
        if class_ != old["spec"].get("loadBalancerClass"):
            yield invalid_value("spec.loadBalancerClass", class_, "may not change once set")
    both_checked = needs_health_check(new) and needs_health_check(old)
    check_ports = [each["spec"].get("healthCheckNodePort") for each in (new, old)]
    if both_checked and check_ports[0] != check_ports[1]:
        yield forbidden_field("spec.healthCheckNodePort", "field is immutable")


def _fixed_addresses(spec: Object, before: Object, *, both_headless: bool) -> Iterator[FieldError]:
    if both_headless:
        return
    ips, earlier = spec.get("clusterIPs") or [], before.get("clusterIPs") or []
    if earlier and not ips:
        yield invalid_value("spec.clusterIPs[0]", ips, "primary clusterIP can not be unset")
    elif earlier[:1] and ips[:1] != earlier[:1]:
        yield invalid_value("spec.clusterIPs[0]", ips, "may not change once set")
    families, earlier = spec.get("ipFamilies") or [], before.get("ipFamilies") or []
    headless = [HEADLESS] in (spec.get("clusterIPs"), before.get("clusterIPs"))
    if earlier[:1] and families[:1] != earlier[:1] and not headless:
        yield invalid_value("spec.ipFamilies[0]", families, "may not change once set")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    listed = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    field = "status.loadBalancer.ingress"
    if listed and not _is_balanced(new):
        yield forbidden_field(field, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for place, ingress in indexed(listed, field):
        ip, mode, hostname = ingress.get("ip"), ingress.get("ipMode"), ingress.get("hostname")
        if ip:
            yield from addresses.ip(ip, f"{place}.ip")
            yield from choice(mode, f"{place}.ipMode", ("Proxy", "VIP"))
        elif mode is not None:
            yield forbidden_field(f"{place}.ipMode", "may not be specified when `ip` is not set")
        if hostname:
            yield from word(hostname, f"{place}.hostname", dns_subdomain)
            if addresses.parse(hostname):
                yield invalid_value(f"{place}.hostname", hostname, "must be a DNS name, not an IP address")


# Columns

_SPEC = "k8s.io/api/core/v1.ServiceSpec"
COLUMNS = (
    NAME,
    Column("Type", documents=f"{_SPEC}.type"),
    Column("Cluster-IP", documents=f"{_SPEC}.clusterIP"),
    Column("External-IP", documents=f"{_SPEC}.externalIPs"),
    Column("Port(s)", documents=f"{_SPEC}.ports"),
    AGE,
    Column("Selector", priority=1, documents=f"{_SPEC}.selector"),
)


def cells(service: Object, now: datetime) -> list[Any]:
    spec = service["spec"]
    ips = spec.get("clusterIPs") or [spec.get("clusterIP") or NONE]
    ports = ",".join(_port_text(port) for port in spec.get("ports") or ())
    return [
        service["metadata"]["name"],
        type_of(service),
        ips[0],
        _external_text(service),
        ports or NONE,
        age(service, now),
        labels_text(spec.get("selector") or {}),
    ]


def _port_text(port: Object) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port', 0)}{node_port}/{port.get('protocol', '')}"


def _external_text(service: Object) -> str:
    spec, outside = service["spec"], list(service["spec"].get("externalIPs") or ())
    if type_of(service) == "ExternalName":
        return str(spec.get("externalName", ""))
    if not _is_balanced(service):
        return ",".join(outside) or NONE
    ingresses = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    balancers = sorted({ingress.get("ip") or ingress.get("hostname", "") for ingress in ingresses} - {""})
    return ",".join(balancers + outside) or "<pending>"
