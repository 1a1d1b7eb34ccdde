"""Nodes: their defaults, what they must be, and what may change.

Source: kubernetes, pkg/apis/core/v1/{defaults,conversion}.go and pkg/apis/core/validation/validation.go
(ValidateNode, ValidateNodeUpdate).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver import addresses
from kubelab.cluster.apiserver.fields import (
    FieldError,
    choice,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    label_key,
    label_value,
    required,
    word,
)
from kubelab.cluster.apiserver.placement import EFFECTS
from kubelab.cluster.apiserver.resource_names import amount
from kubelab.cluster.objects import Object

_TAINTS = "metadata.taints"  # Upstream's path; the field is spec.taints.


def set_defaults(node: Object) -> None:
    """A node that does not say what pods may use offers all that it has."""
    spec = node.setdefault("spec", {})
    status = node.setdefault("status", {})
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))
    cidr, cidrs = spec.get("podCIDR"), spec.get("podCIDRs") or []
    if cidr and cidrs[:1] != [cidr]:
        spec["podCIDRs"] = [cidr]
    elif cidrs:
        spec["podCIDR"] = cidrs[0]


def validate(node: Object) -> Iterator[FieldError]:
    spec = node.get("spec") or {}
    yield from _taints(spec.get("taints") or [])
    for key in ("capacity", "allocatable"):
        for name, value in ((node.get("status") or {}).get(key) or {}).items():
            yield from amount(name, value, f"status.{key}.{name}")
    cidrs = spec.get("podCIDRs") or []
    for place, cidr in indexed(cidrs, "spec.podCIDRs"):
        yield from addresses.cidr(cidr, place)
    if len(cidrs) > len({":" in cidr for cidr in cidrs}):
        detail = "may specify no more than one CIDR for each IP family"
        yield invalid_value("spec.podCIDRs", cidrs, detail)


def _taints(taints: list[Object]) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for place, taint in indexed(taints, _TAINTS):
        key, effect = taint.get("key", ""), taint.get("effect", "")
        yield from word(key, f"{place}.key", label_key)
        if wrong := ";".join(label_value(taint.get("value", ""))):
            yield invalid_value(f"{place}.value", taint["value"], wrong)
        if not effect:
            yield required(f"{place}.effect")
        yield from choice(effect or None, f"{place}.effect", EFFECTS)
        if (key, effect) in seen:
            error = duplicate(place, taint)
            detail = f"{error.message}: taints must be unique by key and effect pair"
            yield FieldError(error.reason, error.field, detail)
        seen.add((key, effect))


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if before.get("podCIDRs") and spec.get("podCIDRs") != before["podCIDRs"]:
        yield forbidden_field("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        detail = 'node updates may not change providerID except from "" to valid'
        yield forbidden_field("spec.providerID", detail)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    seen: list[Object] = []
    for place, address in indexed((new.get("status") or {}).get("addresses"), "status.addresses"):
        if address in seen:
            yield duplicate(place, address)
        seen.append(address)
