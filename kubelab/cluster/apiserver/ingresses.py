"""Ingresses: what they must be, and how they are shown.

Source: kubernetes, pkg/apis/networking/validation/validation.go, pkg/printers/internalversion/printers.go.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import addresses
from kubelab.cluster.apiserver.columns import AGE, NAME, NONE, Cells, Column, age
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_1035_label,
    dns_subdomain,
    indexed,
    invalid_value,
    port_name,
    port_number,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.ingress_classes import typed_reference
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.objects import Object

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_HOSTS_SHOWN = 3
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_LABEL}(\.{_LABEL})*"
_WILDCARD_MISMATCH = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
    "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character "
    f"(e.g. '*.example.com', regex used for validation is '{_WILDCARD}')"
)

COLUMNS = (
    NAME,
    Column(
        "Class",
        description="The name of the IngressClass resource that should be used for additional configuration",
    ),
    Column("Hosts", description="Hosts that incoming requests are matched against before the ingress rule"),
    Column("Address", description="Address is a list containing ingress points for the load-balancer"),
    Column("Ports", description="Ports of TLS configurations that open"),
    AGE,
)


def cells(ingress: Object, now: datetime) -> Cells:
    spec, metadata = ingress.get("spec") or {}, ingress["metadata"]
    class_ = spec.get("ingressClassName") or (metadata.get("annotations") or {}).get(CLASS_ANNOTATION, NONE)
    ports = "80, 443" if spec.get("tls") else "80"
    return [metadata["name"], class_, _hosts_text(spec), _addresses_text(ingress), ports, age(ingress, now)]


def _hosts_text(spec: Object) -> str:
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    if len(hosts) > _HOSTS_SHOWN:
        return f"{','.join(hosts[:_HOSTS_SHOWN])} + {len(hosts) - _HOSTS_SHOWN} more..."
    return ",".join(hosts) or "*"


def _addresses_text(ingress: Object) -> str:
    points = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(dict.fromkeys(each.get("ip") or each.get("hostname", "") for each in points))


def initial_status(ingress: Object) -> Object:
    return {"loadBalancer": {}}


def validate_create(ingress: Object) -> Iterator[FieldError]:
    annotation = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    class_ = (ingress.get("spec") or {}).get("ingressClassName")
    if annotation is not None and class_ is not None and annotation != class_:
        detail = "must match `ingressClassName` when both are specified"
        yield invalid_value(f"annotations.{CLASS_ANNOTATION}", annotation, detail)


def warnings(ingress: Object) -> Iterator[str]:
    if CLASS_ANNOTATION in (ingress["metadata"].get("annotations") or {}):
        instead = "please use 'spec.ingressClassName' instead"
        yield f"annotation {quoted(CLASS_ANNOTATION)} is deprecated, {instead}"


def validate(ingress: Object) -> Iterator[FieldError]:
    spec = ingress.get("spec") or {}
    backend, rules = spec.get("defaultBackend"), spec.get("rules")
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        yield invalid_value("spec", rules, detail)
    if backend is not None:
        yield from _backend(backend, "spec.defaultBackend")
    for place, rule in indexed(rules, "spec.rules"):
        yield from _rule(rule, place)
    for place, tls in indexed(spec.get("tls"), "spec.tls"):
        for host_place, host in indexed(tls.get("hosts"), f"{place}.hosts"):
            yield from _host(host, host_place)
        if tls.get("secretName"):
            yield from word(tls["secretName"], f"{place}.secretName", dns_subdomain)
    if (class_ := spec.get("ingressClassName")) is not None:
        yield from word(class_, "spec.ingressClassName", dns_subdomain)


def _host(host: str, field: str) -> Iterator[FieldError]:
    return word(host, field, _wildcard if "*" in host else dns_subdomain)


def _wildcard(host: str) -> Iterator[str]:
    if not re.fullmatch(_WILDCARD, host):
        yield _WILDCARD_MISMATCH


def _rule(rule: Object, field: str) -> Iterator[FieldError]:
    if host := rule.get("host"):
        if addresses.parse(host):
            yield invalid_value(f"{field}.host", host, "must be a DNS name, not an IP address")
        yield from _host(host, f"{field}.host")
    if (http := rule.get("http")) is not None:
        if not http.get("paths"):
            yield required(f"{field}.http.paths")
        for place, path in indexed(http.get("paths"), f"{field}.http.paths"):
            yield from _path(path, place)


def _path(path: Object, field: str) -> Iterator[FieldError]:
    type_, value = path.get("pathType"), path.get("path", "")
    if type_ is None:
        yield required(f"{field}.pathType", "pathType must be specified")
        return
    if type_ not in _PATH_TYPES:
        yield unsupported_value(f"{field}.pathType", type_, _PATH_TYPES)
    elif (value or type_ != "ImplementationSpecific") and not value.startswith("/"):
        yield invalid_value(f"{field}.path", value, "must be an absolute path")
    if type_ in {"Exact", "Prefix"}:
        yield from _plain_path(value, f"{field}.path")
    yield from _backend(path.get("backend") or {}, f"{field}.backend")


def _plain_path(path: str, field: str) -> Iterator[FieldError]:
    for sequence in _BAD_SEQUENCES:
        if sequence in path:
            yield invalid_value(field, path, f"must not contain '{sequence}'")
    for end in _BAD_ENDS:
        if path.endswith(end):
            yield invalid_value(field, path, f"cannot end with '{end}'")


def _backend(backend: Object, field: str) -> Iterator[FieldError]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        yield invalid_value(field, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from typed_reference(resource, f"{field}.resource")
    elif service is not None:
        yield from _service(service, field)
    else:
        yield invalid_value(field, "", "resource or service backend is required")


def _service(service: Object, field: str) -> Iterator[FieldError]:
    if name := service.get("name"):
        yield from word(name, f"{field}.service.name", dns_1035_label)
    else:
        yield required(f"{field}.service.name")
    port: dict[str, Any] = service.get("port") or {}
    if port.get("name") and port.get("number"):
        yield invalid_value(field, "", "cannot set both port name & port number")
    elif port.get("name"):
        yield from word(port["name"], f"{field}.service.port.name", port_name)
    elif port.get("number"):
        yield from port_number(port["number"], f"{field}.service.port.number")
    else:
        yield required(field, "port name or number is required")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    points = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress")
    for place, point in indexed(points, "status.loadBalancer.ingress"):
        if address := point.get("ip"):
            yield from addresses.ip(address, f"{place}.ip")
        if host := point.get("hostname"):
            yield from word(host, f"{place}.hostname", dns_subdomain)
            if addresses.parse(host):
                detail = "must be a DNS name, not an IP address"
                yield invalid_value(f"{place}.hostname", host, detail)
