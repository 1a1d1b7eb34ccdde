"""The type of a custom resource, from its structural schema.

Lists are atomic unless `x-kubernetes-list-type` says set or map (with `x-kubernetes-list-map-keys`), maps
granular unless `x-kubernetes-map-type` says atomic. What the schema knows nothing of is deduced.

Source: kubernetes/kube-openapi, pkg/schemaconv/openapi.go; kubernetes, apiextensions-apiserver,
pkg/controller/openapi/builder (apiVersion, kind and metadata, which no such schema tells).
"""

from collections.abc import Mapping
from typing import Any

from kubelab.cluster.apply.types import ATOMIC, DEDUCED, ListType, MapType, Scalar, Type

Schema = Mapping[str, Any]

_PRIMITIVES = {
    "integer": Scalar.NUMERIC,
    "number": Scalar.NUMERIC,
    "boolean": Scalar.BOOLEAN,
}
_PLAIN_STRINGS = ("", "byte")


def from_structural_schema(schema: Schema | None, metadata: Type) -> Type:
    """Return the type of objects of *schema* (None: unknown), whose metadata is of type *metadata*."""
    type_ = _type(schema, metadata, preserve=False) if schema else Type(map=MapType(element=DEDUCED))
    assert type_.map is not None
    return _as_object(type_.map, metadata)


def _as_object(map_: MapType, metadata: Type) -> Type:
    named = {"apiVersion": Type(Scalar.STRING), "kind": Type(Scalar.STRING), "metadata": metadata}
    return Type(map=MapType({**map_.fields, **named}, map_.element, map_.atomic))


def _type(schema: Schema, metadata: Type, *, preserve: bool) -> Type:
    preserve = preserve or bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    kind = schema.get("type") or ""
    if schema.get("x-kubernetes-int-or-string"):
        return Type(Scalar.UNTYPED)
    if kind == "object":
        type_ = Type(map=_map(schema, metadata, preserve))
        embedded = schema.get("x-kubernetes-embedded-resource") and type_.map
        return _as_object(type_.map, metadata) if embedded and type_.map else type_
    if kind == "array":
        return Type(list=_list(schema, metadata, preserve))
    if kind == "string":
        return Type(Scalar.STRING if schema.get("format", "") in _PLAIN_STRINGS else Scalar.UNTYPED)
    if kind in _PRIMITIVES:
        return Type(_PRIMITIVES[kind])
    return Type(Scalar.UNTYPED, _list(schema, metadata, preserve), _map(schema, metadata, preserve))


def _map(schema: Schema, metadata: Type, preserve: bool) -> MapType:
    properties = schema.get("properties") or {}
    named = {name: _type(each, metadata, preserve=preserve) for name, each in properties.items()}
    return MapType(
        named,
        _free_fields(schema, metadata, preserve),
        atomic=schema.get("x-kubernetes-map-type") == "atomic",
    )


def _free_fields(schema: Schema, metadata: Type, preserve: bool) -> Type | None:
    """Return what fields are that have no property: None if there may be none."""
    additional = schema.get("additionalProperties")
    if additional is None:
        return DEDUCED if preserve or not schema.get("properties") else None
    if isinstance(additional, dict) and additional:
        return _type(additional, metadata, preserve=preserve)
    return None if additional is False else DEDUCED


def _list(schema: Schema, metadata: Type, preserve: bool) -> ListType:
    items = schema.get("items")
    element = _type(items, metadata, preserve=preserve) if items else ATOMIC
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return ListType(element, atomic=False)
        case "map":
            return ListType(element, atomic=False, keys=_keys(schema, items or {}))
    return ListType(element)


def _keys(schema: Schema, items: Schema) -> dict[str, Any]:
    properties = items.get("properties") or {}
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    return {key: (properties.get(key) or {}).get("default") for key in keys}
