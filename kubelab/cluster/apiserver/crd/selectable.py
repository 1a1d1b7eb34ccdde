"""The fields of a custom resource by which its objects can be selected.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
(ValidateCustomResourceSelectableFields), pkg/registry/customresource/strategy.go (selectableFields).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from kubelab.cluster.apiserver.crd.structural import Schema, additional, properties
from kubelab.cluster.apiserver.fields import FieldError, duplicate, invalid_value, required, too_many
from kubelab.cluster.objects import Object

FIELDS_MAX = 8
_STEP = re.compile(r"\.(\w+)|\['([^']*)'\]")


def validate(fields: Sequence[Object], schema: Schema, path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, each in enumerate(fields):
        text, place = each.get("jsonPath") or "", f"{path}[{index}].jsonPath"
        if not text:
            yield required(place)
            continue
        try:
            steps = _steps(text)
            found = _schema_at(schema, steps)
        except ValueError as error:
            yield invalid_value(place, text, f"is an invalid path: {error}")
            continue
        if steps[0] == "metadata":
            yield invalid_value(place, text, "must not point to fields in metadata")
        if found.get("type") not in {"string", "boolean", "integer"}:
            why = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings "
                "with formats are allowed."
            )
            yield invalid_value(place, text, why)
        if (plain := ".".join(steps)) in seen:
            yield duplicate(place, text)
        seen.add(plain)
    if len(seen) > FIELDS_MAX:
        yield too_many(path, len(seen), FIELDS_MAX)


def _steps(text: str) -> list[str]:
    steps, position = [], 0
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise ValueError(f"unexpected character at {text[position:]}")
        steps.append(step[1] if step[1] is not None else step[2])
        position = step.end()
    return steps


def _schema_at(schema: Schema, steps: Sequence[str]) -> Schema:
    for step in steps:
        below = properties(schema).get(step, additional(schema))
        if below is None:
            raise ValueError(f"does not refer to a valid field: {step}")
        schema = below
    return schema


def name(field: Object) -> str:
    """Return how a selector names the field: without the dot at its beginning."""
    return str(field["jsonPath"]).removeprefix(".")


def value(obj: Object, field: Object) -> str:
    """Return the field of *obj* as a selector compares it: as text, "" if it is not there."""
    found: Any = obj
    for step in _steps(field["jsonPath"]):
        found = found.get(step) if isinstance(found, dict) else None
    if found is None:
        return ""
    return str(found).lower() if isinstance(found, bool) else str(found)
