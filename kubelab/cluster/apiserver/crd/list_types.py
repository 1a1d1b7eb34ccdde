"""Lists that are sets or maps hold nothing twice.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kubelab.cluster.apiserver.crd.structural import (
    LIST_MAP_KEYS,
    LIST_TYPE,
    Schema,
    additional,
    items,
    properties,
)
from kubelab.cluster.apiserver.fields import FieldError, duplicate, invalid_value

_identity = msgspec.json.Encoder(order="sorted").encode  # Tells 1 from true, which Python takes for equal.


def duplicates(value: Any, schema: Schema | None, path: str = "") -> Iterator[FieldError]:
    """Yield an error for what comes a second time."""
    if schema is None:
        return
    if isinstance(value, list):
        yield from _in_list(value, schema, path)
    elif isinstance(value, dict):
        fields, rest = properties(schema), additional(schema)
        for name, item in value.items():
            if name in fields:
                yield from duplicates(item, fields[name], f"{path}.{name}" if path else name)
            elif rest is not None:
                yield from duplicates(item, rest, f"{path}[{name}]")


def _in_list(value: list[Any], schema: Schema, path: str) -> Iterator[FieldError]:
    if schema.get(LIST_TYPE) == "set":
        yield from (duplicate(f"{path}[{index}]", value[index]) for index in _repeated(value))
    elif schema.get(LIST_TYPE) == "map":
        yield from _in_map(value, schema.get(LIST_MAP_KEYS) or (), path)
    below = items(schema)
    for index, item in enumerate(value):
        yield from duplicates(item, below, f"{path}[{index}]")


def _in_map(value: list[Any], keys: Sequence[str], path: str) -> Iterator[FieldError]:
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            yield invalid_value(f"{path}[{index}]", item, "must be an object for an array of list-type map")
            return
    identities = [{key: item[key] for key in keys if key in item} if item else {} for item in value]
    yield from (duplicate(f"{path}[{index}]", identities[index]) for index in _repeated(identities))


def _repeated(values: Sequence[Any]) -> Iterator[int]:
    """Yield where a value comes for the second time, once for each value."""
    seen: dict[bytes, int] = {}
    for index, value in enumerate(values):
        identity = _identity(value)
        seen[identity] = seen.get(identity, 0) + 1
        if seen[identity] == 2:
            yield index
