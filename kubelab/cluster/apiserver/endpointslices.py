"""EndpointSlices: their defaults, what they must be, and their printed columns.

Source: kubernetes, pkg/apis/discovery/v1/defaults.go, pkg/apis/discovery/validation/validation.go,
pkg/registry/discovery/endpointslice/strategy.go, pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import addresses
from kubelab.cluster.apiserver.columns import AGE, NAME, Column, age
from kubelab.cluster.apiserver.endpoints import PROTOCOLS, first_of
from kubelab.cluster.apiserver.fields import (
    FieldError,
    choice,
    dns_label,
    dns_subdomain,
    duplicate,
    immutable,
    indexed,
    invalid_value,
    label_key,
    labels,
    required,
    too_many,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.objects import Object

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_ADDRESSES_MAX = 100
_ENDPOINTS_MAX = 1000
_PORTS_MAX = 20000
_HINTS_MAX = 8
_TOPOLOGY_MAX = 16
_SLICE = "k8s.io/api/discovery/v1.EndpointSlice"
COLUMNS = (
    NAME,
    Column("AddressType", documents=f"{_SLICE}.addressType"),
    Column("Ports", documents=f"{_SLICE}.ports"),
    Column("Endpoints", documents=f"{_SLICE}.endpoints"),
    AGE,
)


def set_defaults(slice_: Object) -> None:
    slice_.setdefault("endpoints", [])
    slice_.setdefault("ports", [])
    for port in slice_["ports"]:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def prepare_create(slice_: Object, write: Write) -> None:
    slice_["metadata"]["generation"] = 1


def prepare_update(new: Object, old: Object, write: Write) -> None:
    """A slice has no spec: all that it says counts for its generation."""
    if any(new.get(key) != old.get(key) for key in ("endpoints", "ports", "addressType")):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def validate(slice_: Object) -> Iterator[FieldError]:
    type_ = slice_.get("addressType", "")
    if not type_:
        yield required("addressType")
    else:
        yield from choice(type_, "addressType", _ADDRESS_TYPES)
    yield from _endpoints(slice_["endpoints"], type_)
    yield from _ports(slice_["ports"])


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("addressType") != old.get("addressType"):
        yield immutable("addressType", new.get("addressType"))


def _endpoints(endpoints: list[Object], type_: str) -> Iterator[FieldError]:
    if len(endpoints) > _ENDPOINTS_MAX:
        yield too_many("endpoints", len(endpoints), _ENDPOINTS_MAX)
        return
    for place, endpoint in indexed(endpoints, "endpoints"):
        listed = endpoint.get("addresses") or []
        if not listed:
            yield required(f"{place}.addresses", "must contain at least 1 address")
        elif len(listed) > _ADDRESSES_MAX:
            yield too_many(f"{place}.addresses", len(listed), _ADDRESSES_MAX)
        for where, address in indexed(listed, f"{place}.addresses"):
            yield from _address(address, type_, where)
        yield from _about(endpoint, place)


def _address(address: str, type_: str, field: str) -> Iterator[FieldError]:
    if type_ == "FQDN":
        yield from word(address.removesuffix("."), field, dns_subdomain)
        if "." not in address.removesuffix("."):
            yield invalid_value(
                field, address, "should be a domain with at least two segments separated by dots"
            )
    elif type_ in _ADDRESS_TYPES:
        yield from addresses.ip_of_family(address, type_, field)
        yield from addresses.non_special(address, field)


def _about(endpoint: Object, field: str) -> Iterator[FieldError]:
    if (node := endpoint.get("nodeName")) is not None:
        yield from word(node, f"{field}.nodeName", dns_subdomain)
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > _TOPOLOGY_MAX:
        yield too_many(f"{field}.deprecatedTopology", len(topology), _TOPOLOGY_MAX)
    yield from labels(topology, f"{field}.deprecatedTopology")
    if (hostname := endpoint.get("hostname")) is not None:
        yield from word(hostname, f"{field}.hostname", dns_label)
    yield from _hints(endpoint.get("hints") or {}, f"{field}.hints")


def _hints(hints: Object, field: str) -> Iterator[FieldError]:
    for key, check in (("forZones", label_key), ("forNodes", dns_subdomain)):
        listed, seen = hints.get(key) or [], set()
        if len(listed) > _HINTS_MAX:
            yield too_many(f"{field}.{key}", len(listed), _HINTS_MAX)
            continue
        for place, hint in indexed(listed, f"{field}.{key}"):
            name = hint.get("name", "")
            if name in seen:
                yield duplicate(f"{place}.name", name)
            seen.add(name)
            yield from word(name, f"{place}.name", check)


def _ports(ports: list[Object]) -> Iterator[FieldError]:
    if len(ports) > _PORTS_MAX:
        yield too_many("ports", len(ports), _PORTS_MAX)
        return
    names: set[str] = set()
    for place, port in indexed(ports, "ports"):
        name = port.get("name", "")
        if name:
            yield from word(name, f"{place}.name", dns_label)
        if name in names:
            yield duplicate(f"{place}.name", name)
        names.add(name)
        if (protocol := port.get("protocol", "TCP")) not in PROTOCOLS:
            yield unsupported_value(f"{place}.protocol", protocol, PROTOCOLS)
        if (app_protocol := port.get("appProtocol")) is not None:
            yield from word(app_protocol, f"{place}.appProtocol", label_key)


def cells(slice_: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port") or port.get("name") or "*") for port in slice_.get("ports") or ()]
    endpoints = slice_.get("endpoints") or ()
    listed = [address for endpoint in endpoints for address in endpoint.get("addresses") or ()]
    return [
        slice_["metadata"]["name"],
        slice_.get("addressType", ""),
        first_of(ports, "<unset>"),
        first_of(listed, "<unset>"),
        age(slice_, now),
    ]
