"""Compute resources: which names they may have where, and how much of each may be asked for.

Source: kubernetes, pkg/apis/core/helper/helpers.go and pkg/apis/core/validation/validation.go
(ValidateContainerResourceRequirements, ValidateResourceQuotaResourceName, ValidateResourceQuantityValue).
"""

from collections.abc import Callable, Iterator
from typing import Any

from kubelab.cluster import quantity
from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    indexed,
    invalid_value,
    label_key,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object
from kubelab.cluster.quantity import NANOS, Quantity

NameCheck = Callable[[str, str], Iterator[FieldError]]

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
_QUOTA = frozenset(
    {
        *_COMPUTE,
        *(f"requests.{name}" for name in (*_COMPUTE, "storage")),
        *(f"limits.{name}" for name in _COMPUTE),
        *_COUNTED,
    }
)
_STANDARD = _QUOTA | {"storage"}
_POD_LEVEL = ("cpu", "memory")


def is_huge_page(name: str) -> bool:
    return name.startswith("hugepages-")


def _is_quota_huge_page(name: str) -> bool:
    return name.startswith(("hugepages-", "requests.hugepages-"))


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_overcommit_allowed(name: str) -> bool:
    return is_native(name) and not is_huge_page(name)


def is_extended(name: str) -> bool:
    """Tell whether *name* is a device's, say: `vendor.com/gpu`."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not any(label_key(f"requests.{name}"))


def is_standard_for_quota(name: str) -> bool:
    return name in _QUOTA or _is_quota_huge_page(name)


def any_name(name: str, field: str) -> Iterator[FieldError]:
    yield from word(name, field, label_key)
    if "/" not in name and not any(label_key(name)) and not _is_standard(name):
        yield invalid_value(field, name, "must be a standard resource type or fully qualified")


def _is_standard(name: str) -> bool:
    return name in _STANDARD or _is_quota_huge_page(name)


def container_name(name: str, field: str) -> Iterator[FieldError]:
    yield from any_name(name, field)
    if "/" not in name:
        if name not in _COMPUTE and not is_huge_page(name):
            yield invalid_value(field, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        yield invalid_value(field, name, "doesn't follow extended resource name standard")


def pod_name(name: str, field: str) -> Iterator[FieldError]:
    wrong = list(any_name(name, field))
    yield from wrong
    if not wrong and name not in _POD_LEVEL and not is_huge_page(name):
        yield unsupported_value(field, name, _POD_LEVEL)


def quota_name(name: str, field: str) -> Iterator[FieldError]:
    yield from any_name(name, field)
    if "/" not in name and not is_standard_for_quota(name):
        yield invalid_value(field, name, "must be a standard resource for quota")


def amount(name: str, value: Any, field: str) -> Iterator[FieldError]:
    """Yield what keeps *value* from being an amount of the resource *name*."""
    parsed = quantity.parse(value)
    if parsed.nanos < 0:
        yield invalid_value(field, str(parsed), "must be greater than or equal to 0")
    if (name in _COUNTED or is_extended(name)) and parsed.nanos % NANOS:
        yield invalid_value(field, str(parsed), "must be an integer")


def amounts(values: Object | None, check_name: NameCheck, field: str) -> Iterator[FieldError]:
    for name, value in (values or {}).items():
        place = f"{field}[{name}]"
        yield from check_name(name, place)
        yield from amount(name, value, place)
        yield from _huge_pages(name, quantity.parse(value), place)


def _huge_pages(name: str, value: Quantity, field: str) -> Iterator[FieldError]:
    if not is_huge_page(name):
        return
    try:
        size = quantity.parse(name.removeprefix("hugepages-"))
    except ValueError:
        size = quantity.parse(0)
    if not size or value.nanos % size.nanos:
        yield invalid_value(field, str(value), f"{value} is not positive integer multiple of {name}")


def requirements(
    resources: Object, check_name: NameCheck, claims: set[str], field: str
) -> Iterator[FieldError]:
    """Yield what is wrong with what a container or pod asks for (`limits`, `requests`, `claims`)."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    yield from amounts(limits, check_name, f"{field}.limits")
    yield from amounts(requests, check_name, f"{field}.requests")
    for name, value in requests.items():
        yield from _within_limit(name, quantity.parse(value), limits, field)
    asked = {*limits, *requests}
    if any(map(is_huge_page, asked)) and not asked & set(_POD_LEVEL):
        yield forbidden_field(field, "HugePages require cpu or memory")
    yield from _claims(resources.get("claims") or [], claims, f"{field}.claims")


def _within_limit(name: str, request: Quantity, limits: Object, field: str) -> Iterator[FieldError]:
    if name not in limits:
        if not is_overcommit_allowed(name):
            yield required(f"{field}.limits", "Limit must be set for non overcommitable resources")
        return
    limit = quantity.parse(limits[name])
    if request != limit and not is_overcommit_allowed(name):
        yield invalid_value(f"{field}.requests", str(request), f"must be equal to {name} limit of {limit}")
    elif request > limit:
        detail = f"must be less than or equal to {name} limit of {limit}"
        yield invalid_value(f"{field}.requests", str(request), detail)


def _claims(claims: list[Object], known: set[str], field: str) -> Iterator[FieldError]:
    for place, claim in indexed(claims, field):
        name = claim.get("name", "")
        if not name:
            yield required(place)
        elif name not in known:
            which = f": {', '.join(sorted(known))}" if known else " which is empty"
            detail = f"must be one of the names in pod.spec.resourceClaims{which}"
            yield FieldError("FieldValueNotFound", place, f'Not found: "{name}": {detail}')
