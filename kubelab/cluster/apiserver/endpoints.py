"""Endpoints: their defaults, what they must be, and their printed columns.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_Endpoints),
pkg/apis/core/validation/validation.go (ValidateEndpoints),
pkg/printers/internalversion/printers.go (formatEndpoints).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import addresses
from kubelab.cluster.apiserver.columns import AGE, NAME, NONE, Column, age
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_label,
    dns_subdomain,
    indexed,
    label_key,
    port_number,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

PROTOCOLS = ("SCTP", "TCP", "UDP")
SHOWN_MAX = 3
COLUMNS = (NAME, Column("Endpoints", documents="k8s.io/api/core/v1.Endpoints.subsets"), AGE)


def set_defaults(endpoints: Object) -> None:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            port["protocol"] = port.get("protocol") or "TCP"


def validate(endpoints: Object) -> Iterator[FieldError]:
    for place, subset in indexed(endpoints.get("subsets"), "subsets"):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(place, "must specify `addresses` or `notReadyAddresses`")
        for key in ("addresses", "notReadyAddresses"):
            for where, address in indexed(subset.get(key), f"{place}.{key}"):
                yield from _address(address, where)
        ports = subset.get("ports") or []
        for where, port in indexed(ports, f"{place}.ports"):
            yield from _port(port, where, name_required=len(ports) > 1)


def _address(address: Object, field: str) -> Iterator[FieldError]:
    ip = address.get("ip", "")
    yield from addresses.ip(ip, f"{field}.ip")
    if hostname := address.get("hostname"):
        yield from word(hostname, f"{field}.hostname", dns_label)
    if (node := address.get("nodeName")) is not None:
        yield from word(node, f"{field}.nodeName", dns_subdomain)
    yield from addresses.non_special(ip, f"{field}.ip")


def _port(port: Object, field: str, *, name_required: bool) -> Iterator[FieldError]:
    if name := port.get("name"):
        yield from word(name, f"{field}.name", dns_label)
    elif name_required:
        yield required(f"{field}.name")
    yield from port_number(port.get("port", 0), f"{field}.port")
    if (protocol := port.get("protocol", "TCP")) not in PROTOCOLS:
        yield unsupported_value(f"{field}.protocol", protocol, PROTOCOLS)
    if (app_protocol := port.get("appProtocol")) is not None:
        yield from word(app_protocol, f"{field}.appProtocol", label_key)


def cells(endpoints: Object, now: datetime) -> list[Any]:
    listed = [each for subset in endpoints.get("subsets") or () for each in _shown(subset)]
    return [endpoints["metadata"]["name"], first_of(listed, NONE), age(endpoints, now)]


def _shown(subset: Object) -> Iterator[str]:
    ips = [address.get("ip", "") for address in subset.get("addresses") or ()]
    if not subset.get("ports"):
        yield from ips
    for port in subset.get("ports") or ():
        for ip in ips:
            yield f"[{ip}]:{port.get('port', 0)}" if ":" in ip else f"{ip}:{port.get('port', 0)}"


def first_of(listed: list[str], nothing: str) -> str:
    """Return the first of *listed*, and how many more there are, as kubectl's columns show them."""
    shown = ",".join(listed[:SHOWN_MAX])
    if len(listed) > SHOWN_MAX:
        return f"{shown} + {len(listed) - SHOWN_MAX} more..."
    return shown or nothing
