"""OpenAPI v3 documents of what is served: kubectl validates, explains and applies by them.

Types, merge keys and numbers come from kubectl's own Go types (`go_types`), the words that explain them from
lightkube-models, which carries upstream's descriptions of every field.
Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3; kubernetes,
staging/src/k8s.io/apiserver/pkg/endpoints/installer.go (the x-kubernetes extensions).
Left out: v2; the parameters and answers of paths beyond those that clients look for.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

from kubelab.cluster.apiserver import descriptions, schema
from kubelab.cluster.apiserver.go_types import GoField, GoKind, GoType, GoTypes
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.objects import Object

_REFERENCE = "#/components/schemas/"
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
}


@lru_cache(4)
def index(kinds: tuple[Kind, ...]) -> Object:
    """Return where the document of each group and version is, with the hash that clients cache it by."""
    paths = {}
    for group_version in _group_versions(kinds):
        body = document(kinds, group_version)
        assert body is not None
        digest = hashlib.sha256(body).hexdigest().upper()
        paths[group_version] = {"serverRelativeURL": f"/openapi/v3/{group_version}?hash={digest}"}
    return {"paths": paths}


@lru_cache(64)
def document(kinds: tuple[Kind, ...], group_version: str) -> bytes | None:
    """Return the document of *group_version* (`api/v1`, `apis/apps/v1`); None if that is not served."""
    found = [kind for kind in kinds if _path_of(kind) == group_version]
    if not found:
        return None
    types = schema.bundled().types
    schemas: dict[str, Object] = {}
    for kind in found:
        _collect(types, types.of_name(kind.go_type), schemas)
        schemas[_name(kind.go_type)]["x-kubernetes-group-version-kind"] = [_gvk(kind)]
    info = {"title": "Kubernetes", "version": "unversioned"}
    paths = {path: item for kind in found for path, item in _paths(kind)}
    return encode({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}})


def _group_versions(kinds: tuple[Kind, ...]) -> list[str]:
    return list(dict.fromkeys(map(_path_of, kinds)))


def _path_of(kind: Kind) -> str:
    return f"{'apis' if kind.resource.group else 'api'}/{kind.resource.api_version}"


def _gvk(kind: Kind) -> Object:
    return {"group": kind.resource.group, "version": kind.resource.version, "kind": kind.resource.kind}


def _name(go_type: str) -> str:
    """Return `io.k8s.api.core.v1.Pod` for `k8s.io/api/core/v1.Pod`."""
    host, _, rest = go_type.partition("/")
    return ".".join([*reversed(host.split(".")), *rest.split("/")])


# Schemas


def _collect(types: GoTypes, type_: GoType, schemas: dict[str, Object]) -> None:
    """Put the schema of *type_* and of all that it holds into *schemas*."""
    name = _name(type_.name)
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


def _property(types: GoTypes, field: GoField, schemas: dict[str, Object]) -> Object:
    shown = _type(types, field.type, schemas)
    if field.patch_strategy:
        shown = shown | {"x-kubernetes-patch-strategy": ",".join(field.patch_strategy)}
    if field.patch_merge_key:
        shown |= {"x-kubernetes-patch-merge-key": field.patch_merge_key}
    return shown


def _type(types: GoTypes, type_: GoType, schemas: dict[str, Object]) -> Object:
    type_ = types.pointed_to(type_)
    match type_.kind:
        case GoKind.STRUCT:
            _collect(types, type_, schemas)
            return {"allOf": [{"$ref": _REFERENCE + _name(type_.name)}]}
        case GoKind.MAP:
            return {"type": "object", "additionalProperties": _type(types, types.element(type_), schemas)}
        case GoKind.SLICE:
            element = types.element(type_)
            if element.kind is GoKind.UINT8:
                return {"type": "string", "format": "byte"}
            return {"type": "array", "items": _type(types, element, schemas)}
        case kind:
            return dict(_FORMATS[kind])


# Paths: what clients look for in them is which operations take `fieldValidation` and `dryRun`


def _paths(kind: Kind) -> Iterator[tuple[str, Object]]:
    base = f"/{_path_of(kind)}/"
    if kind.resource.namespaced:
        base += "namespaces/{namespace}/"
    base += kind.resource.plural
    yield base, {"get": _operation(kind, "list"), "post": _operation(kind, "post", _PARAMETERS)}
    yield (
        f"{base}/{{name}}",
        {
            "get": _operation(kind, "get"),
            "put": _operation(kind, "put", _PARAMETERS),
            "patch": _operation(kind, "patch", _PARAMETERS),
            "delete": _operation(kind, "delete", _PARAMETERS[:1]),
        },
    )


def _parameter(name: str) -> Object:
    return {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}


_PARAMETERS = (_parameter("dryRun"), _parameter("fieldManager"), _parameter("fieldValidation"))


def _operation(kind: Kind, action: str, parameters: Sequence[Object] = ()) -> Object:
    reference = {"$ref": _REFERENCE + _name(kind.go_type)}
    operation: Object = {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(kind),
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
    }
    return operation | ({"parameters": list(parameters)} if parameters else {})
