"""What a CustomResourceDefinition's schema may say, beside being structural.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
(ValidateCustomResourceDefinitionOpenAPISchema, validateMapListKeysMapSet, specStandardValidatorV3),
pkg/apiserver/schema/defaulting/validation.go.
Left out: what the CEL rules of x-kubernetes-validations say; they are kept, and not carried out.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubelab.cluster.apiserver.crd import embedded, values
from kubelab.cluster.apiserver.crd.pruning import prune
from kubelab.cluster.apiserver.crd.structural import (
    EMBEDDED,
    LIST_MAP_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    PRESERVE,
    RULES,
    Schema,
    additional,
    is_set,
    items,
    properties,
    violations,
)
from kubelab.cluster.apiserver.fields import FieldError, forbidden_field, invalid_value, required
from kubelab.cluster.apiserver.fields import unsupported_value as unsupported

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_METADATA = frozenset({"metadata", "kind", "apiVersion"})
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_WITH_STATUS = "the root of the schema if the status subresource is enabled"
_LIST_TYPES = ("atomic", "set", "map")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_ROOT_FIELDS: Mapping[str, str] = {
    "description": "Description",
    "type": "Type",
    "format": "Format",
    "title": "Title",
    "maximum": "Maximum",
    "exclusiveMaximum": "ExclusiveMaximum",
    "minimum": "Minimum",
    "exclusiveMinimum": "ExclusiveMinimum",
    "maxLength": "MaxLength",
    "minLength": "MinLength",
    "pattern": "Pattern",
    "maxItems": "MaxItems",
    "minItems": "MinItems",
    "uniqueItems": "UniqueItems",
    "multipleOf": "MultipleOf",
    "required": "Required",
    "items": "Items",
    "properties": "Properties",
    "externalDocs": "ExternalDocs",
    "example": "Example",
    PRESERVE: "XPreserveUnknownFields",
    RULES: "XValidations",
}


def validate(schema: Schema, path: str, *, has_status: bool) -> Iterator[FieldError]:
    """Yield what is wrong with the schema of a version, at *path*."""
    if has_status:
        yield from _root_for_status(schema, path)
    if schema.get("nullable"):
        yield forbidden_field(f"{path}.nullable", "nullable cannot be true at the root")
    if unstructural := violations(schema, path):
        yield from unstructural
    else:
        yield from _defaults(schema, {**schema, EMBEDDED: True}, path, inside_metadata=False)
    yield from _rules(schema, path, _Place(root=True))


def _root_for_status(schema: Schema, path: str) -> Iterator[FieldError]:
    """The schema of the status is read off the root's properties, so the root may not say more of it."""
    if schema.get("type") and schema["type"] != "object":
        why = f'only "object" is allowed as the type at {_WITH_STATUS}'
        yield invalid_value(f"{path}.type", schema["type"], why)
    elif any(is_set(value) and key not in _ROOT_FIELDS for key, value in schema.items()):
        allowed = f"[{' '.join(_ROOT_FIELDS.values())}]"
        why = f"only {allowed} fields are allowed at {_WITH_STATUS}"
        yield invalid_value(path, dict(schema), why)


# Defaults fit their own schema


def _defaults(schema: Schema, root: Schema, path: str, *, inside_metadata: bool) -> Iterator[FieldError]:
    if schema.get("default") is not None and not inside_metadata:
        yield from _default(schema, f"{path}.default")
    if (below := items(schema)) is not None:
        yield from _defaults(below, root, f"{path}.items", inside_metadata=inside_metadata)
    is_resource = schema is root or schema.get(EMBEDDED)
    for name, each in properties(schema).items():
        inside = inside_metadata or bool(is_resource and name in _METADATA)
        yield from _defaults(each, root, f"{path}.properties[{name}]", inside_metadata=inside)


def _default(schema: Schema, path: str) -> Iterator[FieldError]:
    default = copy.deepcopy(schema["default"])
    if prune(default, schema, root=bool(schema.get(EMBEDDED))):
        yield invalid_value(path, schema["default"], "must not have unknown fields")
    if wrong := [*embedded.mistyped(default, schema, path), *embedded.invalid(default, schema, path)]:
        yield from wrong
    else:
        yield from values.errors(schema["default"], schema, path=path)


# The rules of one schema


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema is: `no_defaults` says why defaults are not allowed there, "" if they are."""

    root: bool = False
    inside_metadata: bool = False
    no_defaults: str = ""


def _rules(schema: Schema, path: str, place: _Place) -> Iterator[FieldError]:
    yield from _standard(schema, path, place)
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden_field(f"{path}.uniqueItems", why)
    below = replace(place, root=False)
    yield from _object_rules(schema, path, place)
    for key in ("not", "items"):
        if isinstance(each := schema.get(key), dict):
            yield from _rules(each, f"{path}.{key}", below)
    for key in ("allOf", "oneOf", "anyOf"):
        for index, each in enumerate(schema.get(key) or ()):
            yield from _rules(each, f"{path}.{key}[{index}]", below)
    if schema.get(PRESERVE) is False:
        yield invalid_value(f"{path}.{PRESERVE}", False, "must be true or undefined")
    yield from _map_type(schema, path)
    yield from _list_type(schema, path)
    yield from _list_map(schema, path)
    yield from _set_or_map_items(schema, path)
    for index, rule in enumerate(schema.get(RULES) or ()):
        yield from _cel_rule(rule, f"{path}.{RULES}[{index}]")


def _standard(schema: Schema, path: str, place: _Place) -> Iterator[FieldError]:
    type_ = schema.get("type")
    if type_ and type_ not in _TYPES:
        yield unsupported(f"{path}.type", type_, _TYPES)
    if schema.get("default") is not None and place.no_defaults:
        yield forbidden_field(f"{path}.default", f"must not be set {place.no_defaults}")
    for key in _UNSUPPORTED:
        if is_set(schema.get(key)) or (key == "additionalItems" and key in schema):
            yield forbidden_field(f"{path}.{key}", f"{key} is not supported")
    if type_ == "null":
        why = "type cannot be set to null, use nullable as an alternative"
        yield forbidden_field(f"{path}.type", why)
    if isinstance(schema.get("items"), list):
        yield forbidden_field(f"{path}.items", "items must be a schema object and not an array")
    if place.inside_metadata and schema.get(EMBEDDED):
        yield forbidden_field(f"{path}.{EMBEDDED}", "must not be used inside of resource meta")


def _object_rules(schema: Schema, path: str, place: _Place) -> Iterator[FieldError]:
    below = replace(place, root=False)
    open_ended = schema.get("additionalProperties")
    if properties(schema) and open_ended is not None and open_ended is not True:
        why = "additionalProperties and properties are mutual exclusive"
        yield forbidden_field(f"{path}.additionalProperties", why)
    if (rest := additional(schema)) is not None:
        why = "inside additionalProperties applying to object metadata"
        inner = replace(below, no_defaults=why) if place.inside_metadata else below
        yield from _rules(rest, f"{path}.additionalProperties", inner)
    for name, each in properties(schema).items():
        inner = below
        if (place.root or schema.get(EMBEDDED)) and name in _METADATA:
            inner = replace(below, inside_metadata=True)
            inner = replace(inner, no_defaults=f"in top-level {name}") if place.root else inner
        yield from _rules(each, f"{path}.properties[{name}]", inner)


def _typed(schema: Schema, path: str, wanted: str, key: str) -> Iterator[FieldError]:
    type_ = schema.get("type") or ""
    if type_ != wanted:
        why = f"must be {wanted} if {key} is specified"
        yield invalid_value(f"{path}.type", type_, why) if type_ else required(f"{path}.type", why)


def _map_type(schema: Schema, path: str) -> Iterator[FieldError]:
    if (map_type := schema.get(MAP_TYPE)) is None:
        return
    yield from _typed(schema, path, "object", MAP_TYPE)
    if map_type not in {"atomic", "granular"}:
        yield unsupported(f"{path}.{MAP_TYPE}", map_type, ("atomic", "granular"))


def _list_type(schema: Schema, path: str) -> Iterator[FieldError]:
    if (list_type := schema.get(LIST_TYPE)) is None:
        return
    if wrong := list(_typed(schema, path, "array", LIST_TYPE)):
        yield from wrong
    elif list_type == "set" and (below := items(schema)) is not None:
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        if below.get("type") == "array" and below.get(LIST_TYPE, "atomic") != "atomic":
            yield invalid_value(f"{path}.items.{LIST_TYPE}", below.get(LIST_TYPE), why)
        if below.get("type") == "object" and below.get(MAP_TYPE) != "atomic":
            yield invalid_value(f"{path}.items.{MAP_TYPE}", below.get(LIST_TYPE), why)
    if list_type not in _LIST_TYPES:
        yield unsupported(f"{path}.{LIST_TYPE}", list_type, _LIST_TYPES)


def _list_map(schema: Schema, path: str) -> Iterator[FieldError]:
    keys, list_type = schema.get(LIST_MAP_KEYS) or [], schema.get(LIST_TYPE)
    if keys and list_type != "map":
        why, place = f"must be map if {LIST_MAP_KEYS} is non-empty", f"{path}.{LIST_TYPE}"
        yield required(place, why) if list_type is None else invalid_value(place, list_type, why)
    if list_type != "map":
        return
    if not keys:
        yield required(f"{path}.{LIST_MAP_KEYS}", f"must not be empty if {LIST_TYPE} is map")
    if (below := items(schema)) is None:
        yield required(f"{path}.items", f"must have a schema if {LIST_TYPE} is map")
    elif below.get("type") != "object":
        why = f"must be object if parent array's {LIST_TYPE} is map"
        yield invalid_value(f"{path}.items.type", below.get("type") or "", why)
    else:
        yield from _map_keys(below, keys, path)


def _map_keys(below: Schema, keys: list[str], path: str) -> Iterator[FieldError]:
    fields = properties(below)
    for index, key in enumerate(keys):
        if key not in fields:
            why = "entries must all be names of item properties"
            yield invalid_value(f"{path}.{LIST_MAP_KEYS}", keys, why)
        elif fields[key].get("type") in {"array", "object"}:
            why = f"must be a scalar type if parent array's {LIST_TYPE} is map"
            yield invalid_value(f"{path}.items.properties[{key}].type", below.get("type"), why)
        if key in keys[:index]:
            yield invalid_value(f"{path}.{LIST_MAP_KEYS}", keys, "must not contain duplicate entries")


def _set_or_map_items(schema: Schema, path: str) -> Iterator[FieldError]:
    below, list_type = items(schema), schema.get(LIST_TYPE)
    if below is None or list_type not in {"set", "map"}:
        return
    if below.get("nullable"):
        why = f"cannot be nullable when {LIST_TYPE} is {list_type}"
        yield forbidden_field(f"{path}.items.nullable", why)
    for key in schema.get(LIST_MAP_KEYS) or () if list_type == "map" else ():
        if (each := properties(below).get(key)) is None:
            continue
        place, about = f"{path}.items.properties[{key}]", f"this property is in {LIST_MAP_KEYS}, so it"
        if key not in (below.get("required") or ()) and each.get("default") is None:
            yield required(f"{place}.default", f"{about} must have a default or be a required property")
        if each.get("nullable"):
            yield forbidden_field(f"{place}.nullable", f"{about} cannot be nullable")


def _cel_rule(rule: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    text, message = rule.get("rule") or "", rule.get("message") or ""
    if not text.strip():
        yield required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid_value(f"{path}.message", message, "must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid_value(f"{path}.message", message, "must not contain line breaks")
    elif "\n" in text.strip() and not message.strip():
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    expression, reason = rule.get("messageExpression") or "", rule.get("reason")
    if expression and not expression.strip():
        yield required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    if reason is not None and reason not in _REASONS:
        yield unsupported(f"{path}.reason", reason, _REASONS)
