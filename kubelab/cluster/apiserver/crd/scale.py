"""The `Scale` of a custom resource, read from and written to the paths that its definition names.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource/{etcd,
validator}.go.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.fields import FieldError, invalid_value
from kubelab.cluster.apiserver.kind import ScalePaths
from kubelab.cluster.objects import Object

_SHOWN_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
_REPLICAS_MAX = 2**31 - 1


def paths(scale: Object | None) -> ScalePaths | None:
    """Return the paths of a definition's `scale`; they are simple ones, names with dots between."""
    if scale is None:
        return None
    selector = scale.get("labelSelectorPath")
    return ScalePaths(
        _names(scale["specReplicasPath"]),
        _names(scale["statusReplicasPath"]),
        _names(selector) if selector else (),
    )


def _names(path: str) -> tuple[str, ...]:
    return tuple(path.removeprefix(".").split("."))


def scale_of(obj: Object, paths: ScalePaths) -> Object:
    """Return the `Scale` of *obj*.

    Raises:
        ApiError: it does not say how many replicas it wants.
    """
    replicas = _at(obj, paths.replicas)
    if replicas is None:
        path = f".{'.'.join(paths.replicas)}"
        raise refusals.internal(f'the spec replicas field "{path}" does not exist')
    status: Object = {"replicas": _at(obj, paths.status_replicas) or 0}
    if selector := _at(obj, paths.selector) if paths.selector else None:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in _SHOWN_METADATA if key in obj["metadata"]},
        "spec": {"replicas": replicas},
        "status": status,
    }


def scaled(obj: Object, scale: Object, paths: ScalePaths) -> Object:
    """Return *obj* with the replicas, and of the version, that *scale* asks for."""
    metadata = dict(obj["metadata"])
    if wanted := (scale.get("metadata") or {}).get("resourceVersion"):
        metadata["resourceVersion"] = wanted
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    return _with(obj | {"metadata": metadata}, paths.replicas, replicas)


def _with(obj: Object, path: Sequence[str], value: Any) -> Object:
    if len(path) == 1:
        return obj | {path[0]: value}
    return obj | {path[0]: _with(obj.get(path[0]) or {}, path[1:], value)}


def _at(obj: Any, path: Sequence[str]) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def validate(obj: Object, paths: ScalePaths | None, *, only_status: bool = False) -> Iterator[FieldError]:
    """Yield what of *obj* cannot be shown as a `Scale`."""
    if paths is None:
        return
    if not only_status:
        yield from _count(obj, paths.replicas)
    yield from _count(obj, paths.status_replicas)
    selector = _at(obj, paths.selector) if paths.selector else None
    if selector is not None and not isinstance(selector, str):
        yield _mistyped(selector, paths.selector, "", "string")


def _count(obj: Object, path: Sequence[str]) -> Iterator[FieldError]:
    value, place = _at(obj, path), f".{'.'.join(path)}"
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        yield _mistyped(value, path, 0, "int64")
    elif value < 0:
        yield invalid_value(place, value, "should be a non-negative integer")
    elif value > _REPLICAS_MAX:
        yield invalid_value(place, value, f"should be less than or equal to {_REPLICAS_MAX}")


def _mistyped(value: Any, path: Sequence[str], zero: Any, wanted: str) -> FieldError:
    place = f".{'.'.join(path)}"
    why = f"{place} accessor error: {value} is of the type {_go_type(value)}, expected {wanted}"
    return invalid_value(place, zero, why)


def _go_type(value: Any) -> str:
    names = {bool: "bool", int: "int64", float: "float64", str: "string", list: "[]interface {}"}
    return names.get(type(value), "map[string]interface {}")
