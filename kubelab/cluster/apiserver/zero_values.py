"""What Go writes of a struct though nobody has set it: the zero of each field that is not to be left out.

Whoever writes a status may leave such fields out; upstream reads it into a struct, and shows
`desiredReplicas: 0` and `currentMetrics: null` ever after. Here they are put in when a status is written.
Source: Go, encoding/json (omitempty, omitzero); the Go types of the API (`go_types`).
Left out: other parts of an object than its status get theirs with their defaults, kind by kind.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from kubelab.cluster.apiserver import field_types, schema
from kubelab.cluster.apiserver.go_types import GoKind, GoType
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import Object

Complete = Callable[[Any], Any]


def completed(kind: Kind, part: str, value: Object) -> Object:
    """Return *value*, that *part* of an object of *kind*, with all that Go writes of it."""
    complete = _of_part(kind.go_type, part)
    whole: Object = complete(value) if complete else value
    return whole


@cache
def _of_part(go_type: str, part: str) -> Complete | None:
    types = schema.bundled().types
    if not types.has(go_type):
        return None
    field = types.json_fields(types.of_name(go_type)).get(part)
    return _of_type(types.pointed_to(field.type)) if field else None


@cache
def _of_type(type_: GoType) -> Complete | None:
    """Return what completes values of *type_*, which must not contain itself; None if nothing has to be."""
    types = schema.bundled().types
    if type_.kind is GoKind.POINTER:
        return _of_type(types.element(type_))
    if type_.kind in {GoKind.SLICE, GoKind.MAP}:
        element = _of_type(types.element(type_))
        return element and (_list_of(element) if type_.kind is GoKind.SLICE else _map_of(element))
    return _of_struct(type_) if field_types.bundled().is_struct(type_) else None


def _of_struct(type_: GoType) -> Complete | None:
    zeros = field_types.bundled().empty_struct(type_)
    fields = schema.bundled().types.json_fields(type_)
    parts = {name: part for name, each in fields.items() if (part := _of_type(each.type))}

    def complete(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        there = {name: parts[name](value[name]) for name in parts.keys() & value.keys()}
        return {**{name: _new(zero) for name, zero in zeros.items() if name not in value}, **value, **there}

    return complete if zeros or parts else None


def _new(zero: Any) -> Any:
    return {name: _new(each) for name, each in zero.items()} if isinstance(zero, dict) else zero


def _list_of(element: Complete) -> Complete:
    return lambda value: [element(each) for each in value] if isinstance(value, list) else value


def _map_of(element: Complete) -> Complete:
    return lambda value: (
        {key: element(each) for key, each in value.items()} if isinstance(value, dict) else value
    )
