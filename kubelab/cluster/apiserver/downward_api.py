"""References to a pod's own fields, from variables and from volumes.

Source: kubernetes, pkg/apis/core/validation/validation.go (validateObjectFieldSelector,
validateContainerResourceFieldSelector) and pkg/apis/core/pods/helpers.go (ConvertDownwardAPIFieldLabel).
"""

import re
from collections.abc import Iterator

from kubelab.cluster import quantity
from kubelab.cluster.apiserver.fields import (
    FieldError,
    invalid_value,
    label_key,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

_IN_ENV = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_IN_VOLUMES = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_ALIASES = {"spec.host": "spec.nodeName"}
_CONVERTIBLE = {*_IN_ENV, *_IN_VOLUMES, "spec.restartPolicy", "spec.schedulerName", "status.phase", *_ALIASES}
_SUBSCRIPTED = re.compile(r"(.*)\['(.*)'\]", re.DOTALL)
_COMPUTE = ("cpu", "ephemeral-storage", "memory")
_RESOURCES = tuple(f"{part}.{name}" for part in ("limits", "requests") for name in _COMPUTE)
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
_SIZES = tuple(f"1{unit}" for unit in ("", *"kMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))


def env_field(reference: Object, field: str) -> Iterator[FieldError]:
    return _field(reference, _IN_ENV, field)


def volume_field(reference: Object, field: str) -> Iterator[FieldError]:
    return _field(reference, _IN_VOLUMES, field)


def _field(reference: Object, supported: tuple[str, ...], field: str) -> Iterator[FieldError]:
    for key in ("apiVersion", "fieldPath"):
        if not reference.get(key):
            yield required(f"{field}.{key}")
            return
    version: str = reference["apiVersion"]
    path: str = reference["fieldPath"]
    subscripted = _SUBSCRIPTED.fullmatch(path)
    base = subscripted[1] if subscripted else _ALIASES.get(path, path)
    if version != "v1":
        detail = f"error converting fieldPath: unsupported pod version: {version}"
        yield invalid_value(f"{field}.fieldPath", path, detail)
    elif subscripted:
        yield from _subscript(base, subscripted[2], path, field)
    elif base not in _CONVERTIBLE:
        detail = f"error converting fieldPath: field label not supported: {path}"
        yield invalid_value(f"{field}.fieldPath", path, detail)
    elif base not in supported:
        yield unsupported_value(f"{field}.fieldPath", base, supported)


def _subscript(base: str, key: str, path: str, field: str) -> Iterator[FieldError]:
    if base == "metadata.annotations":
        yield from word(key.lower(), field, label_key)
    elif base == "metadata.labels":
        yield from word(key, field, label_key)
    else:
        detail = f'error converting fieldPath: field label does not support subscript: "{path}"'
        yield invalid_value(f"{field}.fieldPath", path, detail)


def resource_reference(reference: Object, field: str, *, in_volume: bool = False) -> Iterator[FieldError]:
    resource = reference.get("resource", "")
    if in_volume and not reference.get("containerName"):
        yield required(f"{field}.containerName")
    elif not resource:
        yield required(f"{field}.resource")
    elif resource not in _RESOURCES and not resource.startswith(_HUGE_PAGES):
        yield unsupported_value(f"{field}.resource", resource, _RESOURCES)
    divisor = quantity.parse(reference.get("divisor") or 0)
    if divisor:
        yield from _divisor(resource, str(divisor), f"{field}.divisor")


def _divisor(resource: str, divisor: str, field: str) -> Iterator[FieldError]:
    if resource.endswith(".cpu"):
        if divisor not in {"1m", "1"}:
            detail = "only divisor's values 1m and 1 are supported with the cpu resource"
            yield invalid_value(field, resource, detail)
        return
    names = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}
    name = "hugepages" if resource.startswith(_HUGE_PAGES) else names.get(resource.partition(".")[2])
    if name and divisor not in _SIZES:
        shown = ", ".join(_SIZES)
        detail = f"only divisor's values {shown} are supported with the {name} resource"
        yield invalid_value(field, resource, detail)
