"""NetworkPolicies: their defaults, what they must be, and how they are shown.

Source: kubernetes, pkg/apis/networking/v1/defaults.go, pkg/apis/networking/validation/validation.go,
pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_network

from kubelab.cluster.apiserver import addresses, label_selectors
from kubelab.cluster.apiserver.columns import AGE, NAME, Cells, Column, age, selector_text
from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    indexed,
    invalid_value,
    port_name,
    port_number,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("Ingress", "Egress")
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))

COLUMNS = (
    NAME,
    Column("Pod-Selector", documents="k8s.io/api/networking/v1.NetworkPolicySpec.podSelector"),
    AGE,
)


def cells(policy: Object, now: datetime) -> Cells:
    selector = (policy.get("spec") or {}).get("podSelector") or {}
    return [policy["metadata"]["name"], selector_text(selector), age(policy, now)]


def set_defaults(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for direction, _ in _DIRECTIONS:
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                port.setdefault("protocol", "TCP")


def validate(policy: Object) -> Iterator[FieldError]:
    spec = policy.get("spec") or {}
    yield from label_selectors.validate(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in _DIRECTIONS:
        for place, rule in indexed(spec.get(direction), f"spec.{direction}"):
            for port_place, port in indexed(rule.get("ports"), f"{place}.ports"):
                yield from _port(port, port_place)
            for peer_place, peer in indexed(rule.get(peers), f"{place}.{peers}"):
                yield from _peer(peer, peer_place)
    types = spec.get("policyTypes") or []
    if len(types) > len(_TYPES):
        yield invalid_value("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for place, type_ in indexed(types, "spec.policyTypes"):
        if type_ not in _TYPES:
            yield unsupported_value(place, type_, _TYPES)


def _port(port: Object, field: str) -> Iterator[FieldError]:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        yield unsupported_value(f"{field}.protocol", protocol, _PROTOCOLS)
    if isinstance(number, int):
        yield from port_number(number, f"{field}.port")
        if end is not None:
            if end < number:
                yield invalid_value(f"{field}.endPort", number, "must be greater than or equal to `port`")
            yield from port_number(end, f"{field}.endPort")
        return
    if end is not None:
        why = "is not specified" if number is None else "is non-numeric"
        yield invalid_value(f"{field}.endPort", end, f"may not be specified when `port` {why}")
    if number is not None:
        yield from word(number, f"{field}.port", port_name)


def _peer(peer: Object, field: str) -> Iterator[FieldError]:
    for key in ("podSelector", "namespaceSelector"):
        yield from label_selectors.validate(peer.get(key), f"{field}.{key}")
    given = [key for key in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(key) is not None]
    if "ipBlock" in given:
        yield from _ip_block(peer["ipBlock"], f"{field}.ipBlock")
    if not given:
        yield required(field, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        yield forbidden_field(field, "may not specify both ipBlock and another peer")


def _ip_block(block: Object, field: str) -> Iterator[FieldError]:
    if not (cidr := block.get("cidr", "")):
        yield required(f"{field}.cidr")
        return
    yield from addresses.cidr(cidr, f"{field}.cidr")
    for place, exception in indexed(block.get("except"), f"{field}.except"):
        wrong = list(addresses.cidr(exception, place))
        yield from wrong
        if not wrong and not any(addresses.cidr(cidr, "")) and not _is_within(exception, cidr):
            yield invalid_value(place, exception, "must be a strict subset of `cidr`")


def _is_within(inner: str, outer: str) -> bool:
    inside, outside = ip_network(inner), ip_network(outer)
    if inside.version != outside.version or inside.prefixlen <= outside.prefixlen:
        return False
    return inside.network_address in outside
