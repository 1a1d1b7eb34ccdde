"""OpenAPI v3 schemas of Go types: what `kubectl explain` shows, and clients check and merge by.

Types, merge keys and numbers come from kubectl's own Go types (`go_types`), the words that explain them from
lightkube-models, which carries upstream's descriptions of every field.
Source: k8s.io/kube-openapi/pkg/builder3; kubernetes, staging/src/k8s.io/api (the struct tags).
Left out: defaults.
"""

from functools import lru_cache

from kubelab.cluster.apiserver import descriptions, schema
from kubelab.cluster.apiserver.go_types import GoField, GoKind, GoType, GoTypes
from kubelab.cluster.objects import Object

Schemas = dict[str, Object]

REFERENCE = "#/components/schemas/"
_FORMATS: dict[GoKind, Object] = {
    GoKind.STRING: {"type": "string"},
    GoKind.BOOL: {"type": "boolean"},
    GoKind.INT: {"type": "integer", "format": "int32"},
    GoKind.INT8: {"type": "integer", "format": "int32"},
    GoKind.INT16: {"type": "integer", "format": "int32"},
    GoKind.INT32: {"type": "integer", "format": "int32"},
    GoKind.INT64: {"type": "integer", "format": "int64"},
    GoKind.UINT8: {"type": "integer", "format": "byte"},
    GoKind.UINT32: {"type": "integer", "format": "int64"},
    GoKind.UINT64: {"type": "integer", "format": "int64"},
    GoKind.FLOAT32: {"type": "number", "format": "float"},
    GoKind.FLOAT64: {"type": "number", "format": "double"},
    GoKind.INTERFACE: {},
}
_SPECIAL: dict[str, Object] = {
    schema.TIME: {"type": "string", "format": "date-time"},
    schema.MICRO_TIME: {"type": "string", "format": "date-time"},
    schema.DURATION: {"type": "string"},
    schema.QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    schema.INT_OR_STRING: {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    schema.FIELDS_V1: {"type": "object"},
    schema.RAW_EXTENSION: {"type": "object"},
    schema.ANY_JSON: {},
    schema.SCHEMA_OR_BOOL: {},
    schema.SCHEMA_OR_LIST: {},
    schema.SCHEMA_OR_STRINGS: {},
}


def name_of(go_type: str) -> str:
    """Return `io.k8s.api.core.v1.Pod` for `k8s.io/api/core/v1.Pod`."""
    host, _, rest = go_type.partition("/")
    return ".".join([*reversed(host.split(".")), *rest.split("/")])


def reference(go_type: str) -> Object:
    return {"$ref": REFERENCE + name_of(go_type)}


@lru_cache(1024)
def of_type(go_type: str) -> Schemas:
    """Return the schema of *go_type* and of all that it holds, by name."""
    types = schema.bundled().types
    schemas: Schemas = {}
    if types.has(go_type):
        _collect(types, types.of_name(go_type), schemas)
    return schemas


def _collect(types: GoTypes, type_: GoType, schemas: Schemas) -> None:
    """Put the schema of *type_* and of all that it holds into *schemas*."""
    name = name_of(type_.name)
    if name in schemas:
        return
    about = descriptions.of_type(type_.name)
    if type_.name in _SPECIAL:
        schemas[name] = _SPECIAL[type_.name] | _described(about.text)
        return
    shown: Object = {"type": "object"} | _described(about.text)
    schemas[name] = shown
    properties: dict[str, Object] = {}
    for field_name, each in types.json_fields(type_).items():
        properties[field_name] = _property(types, each, schemas) | _described(
            about.fields.get(field_name, "")
        )
    if properties:
        shown["properties"] = properties
    if needed := [each for each in properties if each in about.required]:
        shown["required"] = needed


def _described(text: str) -> Object:
    return {"description": text} if text else {}


def _property(types: GoTypes, field: GoField, schemas: Schemas) -> Object:
    shown = _type(types, field.type, schemas)
    if field.patch_strategy:
        shown = shown | {"x-kubernetes-patch-strategy": ",".join(field.patch_strategy)}
    if field.patch_merge_key:
        shown |= {"x-kubernetes-patch-merge-key": field.patch_merge_key}
    return shown


def _type(types: GoTypes, type_: GoType, schemas: Schemas) -> Object:
    type_ = types.pointed_to(type_)
    match type_.kind:
        case GoKind.STRUCT:
            _collect(types, type_, schemas)
            return {"allOf": [{"$ref": REFERENCE + name_of(type_.name)}]}
        case GoKind.MAP:
            return {"type": "object", "additionalProperties": _type(types, types.element(type_), schemas)}
        case GoKind.SLICE:
            element = types.element(type_)
            if element.kind is GoKind.UINT8:
                return {"type": "string", "format": "byte"}
            return {"type": "array", "items": _type(types, element, schemas)}
        case kind:
            return dict(_FORMATS[kind])
