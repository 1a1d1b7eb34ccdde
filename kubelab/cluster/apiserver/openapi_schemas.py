"""OpenAPI v3 schemas of Go types: what `kubectl explain` shows, and clients check and merge by.

Types, merge keys and numbers come from kubectl's own Go types (`go_types`), the words that explain them from
lightkube-models, which carries upstream's descriptions of every field.
Source: k8s.io/kube-openapi/pkg/builder3; kubernetes, staging/src/k8s.io/api (the struct tags).
Left out: defaults.
"""

from functools import cache

from kubelab.cluster.apiserver import descriptions, merge_topology, schema
from kubelab.cluster.apiserver.go_types import GoField, GoKind, GoType, GoTypes
from kubelab.cluster.apiserver.metrics_descriptions import OF_TYPES
from kubelab.cluster.objects import Object

Schemas = dict[str, Object]

REFERENCE = "#/components/schemas/"
GVK = "x-kubernetes-group-version-kind"
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


@cache
def of_type(go_type: str) -> Schemas:
    """Return the schema of *go_type* and of all that it holds, by name."""
    types, schemas = schema.bundled().types, Schemas()
    wanted = [go_type] if types.has(go_type) else []
    while wanted:
        name = wanted.pop()
        if name_of(name) not in schemas:
            schemas[name_of(name)], held = _of_one(name)
            wanted += held
    return schemas


@cache
def _of_one(go_type: str) -> tuple[Object, tuple[str, ...]]:
    """Return the schema of one struct, and the Go types that it refers to."""
    types, about = schema.bundled().types, OF_TYPES.get(go_type) or descriptions.of_type(go_type)
    if go_type in _SPECIAL:
        return _SPECIAL[go_type] | _described(about.text), ()
    shown: Object = {"type": "object"} | _described(about.text)
    if merge_topology.of_type(go_type).atomic:
        shown["x-kubernetes-map-type"] = "atomic"
    held: list[str] = []
    properties = {
        name: _property(types, go_type, each, held) | _described(about.fields.get(name, ""))
        for name, each in types.json_fields(types.of_name(go_type)).items()
    }
    if properties:
        shown["properties"] = properties
    if needed := [each for each in properties if each in about.required]:
        shown["required"] = needed
    return shown, tuple(dict.fromkeys(held))


def _described(text: str) -> Object:
    return {"description": text} if text else {}


def _property(types: GoTypes, owner: str, field: GoField, held: list[str]) -> Object:
    shown = _type(types, field.type, held)
    if field.patch_strategy:
        shown = shown | {"x-kubernetes-patch-strategy": ",".join(field.patch_strategy)}
    if field.patch_merge_key:
        shown |= {"x-kubernetes-patch-merge-key": field.patch_merge_key}
    return shown | _merged(owner, field, shown)


def _merged(owner: str, field: GoField, shown: Object) -> Object:
    """Say how server-side apply merges a list, or a map that it does not merge as usual."""
    topology = merge_topology.of_type(owner).fields.get(field.name)
    if shown.get("type") == "array":
        how = topology.how if topology else "atomic"
        keys = {"x-kubernetes-list-map-keys": list(topology.keys)} if topology and topology.keys else {}
        return keys | {"x-kubernetes-list-type": how}
    return {"x-kubernetes-map-type": topology.how} if topology else {}


def _type(types: GoTypes, type_: GoType, held: list[str]) -> Object:
    type_ = types.pointed_to(type_)
    match type_.kind:
        case GoKind.STRUCT:
            held.append(type_.name)
            return {"allOf": [reference(type_.name)]}
        case GoKind.MAP:
            return {"type": "object", "additionalProperties": _type(types, types.element(type_), held)}
        case GoKind.SLICE:
            element = types.element(type_)
            if element.kind is GoKind.UINT8:
                return {"type": "string", "format": "byte"}
            return {"type": "array", "items": _type(types, element, held)}
        case kind:
            return dict(_FORMATS[kind])
