"""What makes an OpenAPI v3 schema structural, so that every field of an object has exactly one known type.

A schema is the JSON that a CustomResourceDefinition carries; an absent key and Go's zero value are the same.
Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{structural,validation,
complete}.go; https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
#specifying-a-structural-schema.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from kubelab.cluster.apiserver.crd import patterns
from kubelab.cluster.apiserver.fields import FieldError, forbidden_field, invalid_value, required

Schema = Mapping[str, Any]
Level = Literal["root", "item", "field"]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
MAP_TYPE = "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"

_TYPE_NEEDED: Mapping[Level, str] = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_INTEGER_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_JUNCTORS = ("anyOf", "allOf", "oneOf")
_NOT_NESTED = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    PRESERVE: "must be false to be structural",
    EMBEDDED: "must be false to be structural",
    INT_OR_STRING: "must be false to be structural",
    LIST_MAP_KEYS: "must be empty to be structural",
    LIST_TYPE: "must be undefined to be structural",
    MAP_TYPE: "must be undefined to be structural",
    RULES: "must be empty to be structural",
}


def is_set(value: Any) -> bool:
    """Tell whether *value* is more than Go's zero value of its field; 0 is, since numbers are pointers."""
    return value not in ("", [], {}) if not isinstance(value, bool | None) else bool(value)


def properties(schema: Schema) -> Mapping[str, Schema]:
    found: Mapping[str, Schema] = schema.get("properties") or {}
    return found


def items(schema: Schema) -> Schema | None:
    found = schema.get("items")
    return found if isinstance(found, dict) else None


def additional(schema: Schema) -> Schema | None:
    """Return the schema of what `properties` does not name, None if there is none (true, false, absent)."""
    found = schema.get("additionalProperties")
    return found if isinstance(found, dict) else None


def walk(schema: Schema) -> Iterator[Schema]:
    """Yield *schema* and every schema below it, junctors included."""
    waiting: list[Any] = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += [each.get(key) for key in ("additionalProperties", "not", "items")]
            waiting += [below for key in _JUNCTORS for below in each.get(key) or ()]
            waiting += reversed((each.get("properties") or {}).values())


def violations(schema: Schema, path: str) -> list[FieldError]:
    """Return what keeps *schema* from being structural, in upstream's order."""
    errors = [*_invariants(schema, "root", path), *_completeness(schema, schema, path, path)]
    return sorted(errors, key=str)


# The invariants of one level


def _invariants(schema: Schema, level: Level, path: str) -> Iterator[FieldError]:
    if schema.get("type") == "array" and items(schema) is None:
        yield required(f"{path}.items", "must be specified")
    if (below := items(schema)) is not None:
        yield from _invariants(below, "item", f"{path}.items")
    for name, each in properties(schema).items():
        yield from _invariants(each, "field", f"{path}.properties[{name}]")
    yield from _additional_invariants(schema, level, path)
    yield from _extensions(schema, path)
    any_of, all_of = schema.get("anyOf") or [], schema.get("allOf") or []
    yield from _value_validation(
        schema,
        level,
        path,
        skip_any_of=any_of == _INTEGER_OR_STRING,
        skip_first=bool(all_of) and all_of[0].get("anyOf") == _INTEGER_OR_STRING,
    )
    yield from _type(schema, level, path)
    yield from _metadata_types(schema, level, path)


def _additional_invariants(schema: Schema, level: Level, path: str) -> Iterator[FieldError]:
    if "additionalProperties" not in schema:
        return
    if level == "root":
        yield forbidden_field(f"{path}.additionalProperties", "must not be used at the root")
    if (below := additional(schema)) is not None:
        yield from _invariants(below, "field", f"{path}.additionalProperties")


def _extensions(schema: Schema, path: str) -> Iterator[FieldError]:
    if not schema.get(INT_OR_STRING):
        return
    for other in (PRESERVE, EMBEDDED):
        if schema.get(other):
            yield invalid_value(f"{path}.{other}", True, f"must be false if {INT_OR_STRING} is true")


def _type(schema: Schema, level: Level, path: str) -> Iterator[FieldError]:
    type_, embedded = schema.get("type") or "", schema.get(EMBEDDED)
    if embedded and type_ != "object":
        why = f"must be object if {EMBEDDED} is true"
        yield invalid_value(f"{path}.type", type_, why) if type_ else required(f"{path}.type", why)
    elif not type_ and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        yield required(f"{path}.type", _TYPE_NEEDED[level])
    if embedded and "additionalProperties" in schema:
        yield forbidden_field(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set")
    if level == "root" and type_ and type_ != "object":
        yield invalid_value(f"{path}.type", type_, "must be object at the root")
    if embedded and not schema.get(PRESERVE) and not properties(schema):
        why = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
        yield required(f"{path}.properties", why)


def _metadata_types(schema: Schema, level: Level, path: str) -> Iterator[FieldError]:
    """Of an object's own metadata only the name may be restricted."""
    fields = properties(schema)
    is_resource = level == "root" or schema.get(EMBEDDED)
    for name in ("kind", "apiVersion"):
        if is_resource and name in fields and fields[name].get("type") != "string":
            place = f"{path}.properties[{name}].type"
            yield invalid_value(place, fields[name].get("type") or "", "must be string")
    if (metadata := fields.get("metadata")) is None:
        return
    place = f"{path}.properties[metadata]"
    if is_resource and metadata.get("type") != "object":
        yield invalid_value(f"{place}.type", metadata.get("type") or "", "must be object")
    if level == "root" and not _restricts_only_names(metadata):
        why = "must not specify anything other than name and generateName"
        yield forbidden_field(place, f"{why}, but metadata is implicitly specified")


def _restricts_only_names(metadata: Schema) -> bool:
    rest = {key for key, value in metadata.items() if is_set(value)} - {"type", "default"}
    if set(properties(metadata)) <= {"name", "generateName"}:
        rest -= {"properties"}
    return not rest


# Value validations: what may not be said inside of anyOf, allOf, oneOf, not


def _value_validation(
    schema: Schema, level: Level, path: str, *, skip_any_of: bool = False, skip_first: bool = False
) -> Iterator[FieldError]:
    if not skip_any_of:
        for index, each in enumerate(schema.get("anyOf") or ()):
            yield from _nested(each, level, f"{path}.anyOf[{index}]")
    for index, each in enumerate(schema.get("allOf") or ()):
        skip = skip_first and index == 0
        yield from _nested(each, level, f"{path}.allOf[{index}]", skip_any_of=skip)
    for index, each in enumerate(schema.get("oneOf") or ()):
        yield from _nested(each, level, f"{path}.oneOf[{index}]")
    if (negated := schema.get("not")) is not None:
        yield from _nested(negated, level, f"{path}.not")
    if pattern := schema.get("pattern"):
        yield from _pattern(pattern, f"{path}.pattern")


def _pattern(pattern: str, path: str) -> Iterator[FieldError]:
    try:
        patterns.compiled(pattern)
    except patterns.PatternError as error:
        yield invalid_value(path, pattern, f"must be a valid regular expression, but isn't: {error}")


def _nested(schema: Schema, level: Level, path: str, *, skip_any_of: bool = False) -> Iterator[FieldError]:
    yield from _value_validation(schema, level, path, skip_any_of=skip_any_of)
    if (below := items(schema)) is not None:
        yield from _nested(below, level, f"{path}.items")
    for name, each in properties(schema).items():
        yield from _nested(each, "field", f"{path}.properties[{name}]")
    for key, why in _NOT_NESTED.items():
        if is_set(schema.get(key)):
            yield forbidden_field(f"{path}.{key}", why)
    if "metadata" in properties(schema):
        yield forbidden_field(f"{path}.properties[metadata]", "must not be specified in a nested context")


# Completeness: a junctor names no field that the schema around it does not


def _completeness(nested: Schema, schema: Schema | None, path: str, nested_path: str) -> Iterator[FieldError]:
    if schema is None:
        yield required(path, f"because it is defined in {nested_path}")
        return
    if (negated := nested.get("not")) is not None:
        yield from _nested_completeness(negated, schema, path, f"{nested_path}.not")
    for key in ("allOf", "anyOf", "oneOf"):
        for index, each in enumerate(nested.get(key) or ()):
            yield from _nested_completeness(each, schema, path, f"{nested_path}.{key}[{index}]")


def _nested_completeness(
    nested: Schema, schema: Schema | None, path: str, nested_path: str
) -> Iterator[FieldError]:
    if schema is None:
        yield required(path, f"because it is defined in {nested_path}")
        return
    yield from _completeness(nested, schema, path, nested_path)
    if (below := items(nested)) is not None:
        yield from _nested_completeness(below, items(schema), f"{path}.items", f"{nested_path}.items")
    for name, each in properties(nested).items():
        place, defined = f"{path}.properties[{name}]", f"{nested_path}.properties[{name}]"
        yield from _nested_completeness(each, properties(schema).get(name), place, defined)
