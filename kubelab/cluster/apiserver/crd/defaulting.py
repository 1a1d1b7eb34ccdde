"""Fill in the defaults of a structural schema.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/{algorithm,
prunenulls}.go; https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
#defaulting-and-nullable. Objects are changed in place: hand over a copy that is yours.
"""

import copy
from typing import Any

from kubelab.cluster.apiserver.crd.structural import Schema, additional, items, properties


def set_defaults(value: Any, schema: Schema | None) -> None:
    """Put defaults where a field is absent, or null though it may not be null."""
    if schema is None:
        return
    if isinstance(value, dict):
        _default_object(value, schema)
    elif isinstance(value, list):
        below = items(schema)
        for index, item in enumerate(value):
            if below is not None and item is None and not below.get("nullable"):
                value[index] = copy.deepcopy(below.get("default"))
            set_defaults(value[index], below)


def _default_object(value: dict[str, Any], schema: Schema) -> None:
    fields, rest = properties(schema), additional(schema)
    for name, each in fields.items():
        default = each.get("default")
        if default is not None and (name not in value or _is_wrong_null(value[name], each)):
            value[name] = copy.deepcopy(default)
    for name in value:
        if name in fields:
            set_defaults(value[name], fields[name])
        elif rest is not None:
            if _is_wrong_null(value[name], rest):
                value[name] = copy.deepcopy(rest.get("default"))
            set_defaults(value[name], rest)


def drop_nulls(value: Any, schema: Schema | None) -> None:
    """Drop the nulls of fields that may not be null and have no default."""
    if isinstance(value, dict):
        for name in list(value):
            below = properties(schema).get(name, additional(schema)) if schema is not None else None
            if below is not None and _is_wrong_null(value[name], below) and below.get("default") is None:
                del value[name]
            else:
                drop_nulls(value[name], below)
    elif isinstance(value, list):
        for item in value:
            drop_nulls(item, items(schema) if schema is not None else None)


def _is_wrong_null(value: Any, schema: Schema) -> bool:
    return value is None and not schema.get("nullable")
