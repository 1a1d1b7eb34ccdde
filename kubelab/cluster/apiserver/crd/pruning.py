"""Take from an object what its structural schema does not name.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go.
Objects are changed in place: hand over a copy that is yours.
"""

from typing import Any

from kubelab.cluster.apiserver.crd.structural import EMBEDDED, PRESERVE, Schema, additional, items, properties

_TYPE_AND_METADATA = frozenset({"apiVersion", "kind", "metadata"})


def prune(value: Any, schema: Schema | None, *, root: bool = False) -> list[str]:
    """Drop unknown fields and return their paths, sorted; the *root* of a resource keeps its metadata."""
    unknown: list[str] = []
    _prune(value, {**(schema or {}), EMBEDDED: True} if root else schema, "", unknown)
    return sorted(unknown)


def _prune(value: Any, schema: Schema | None, path: str, unknown: list[str]) -> None:
    if schema is not None and schema.get(PRESERVE):
        _prune_known(value, schema, path, unknown)
    elif isinstance(value, dict):
        _prune_object(value, schema, path, unknown)
    elif isinstance(value, list):
        below = items(schema) if schema is not None else None
        for index, item in enumerate(value):
            _prune(item, below, f"{path}[{index}]", unknown)


def _prune_object(value: dict[str, Any], schema: Schema | None, path: str, unknown: list[str]) -> None:
    schema = schema if schema is not None else {}
    fields, open_ended = properties(schema), "additionalProperties" in schema
    for name in list(value):
        if schema.get(EMBEDDED) and name in _TYPE_AND_METADATA:
            continue
        place = f"{path}.{name}" if path else name
        if name in fields:
            _prune(value[name], fields[name], place, unknown)
        elif open_ended:
            _prune(value[name], additional(schema), place, unknown)
        else:
            del value[name]
            unknown.append(place)


def _prune_known(value: Any, schema: Schema, path: str, unknown: list[str]) -> None:
    """Keep what is unknown here, but prune below what is known."""
    if isinstance(value, list):
        below = items(schema)
        for index, item in enumerate(value):
            if below is not None:
                _prune_known(item, below, f"{path}[{index}]", unknown)
    if not isinstance(value, dict):
        return
    fields = properties(schema)
    for name, item in value.items():
        if schema.get(EMBEDDED) and name in _TYPE_AND_METADATA:
            continue
        place = f"{path}.{name}" if path else name
        if name in fields:
            _prune(item, fields[name], place, unknown)
        elif "additionalProperties" in schema:
            _prune(item, additional(schema), place, unknown)
