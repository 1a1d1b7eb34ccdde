"""The schema of a custom resource as OpenAPI tells of it: with the parts that every object has.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder/builder.go
(buildKubeNative, buildListSchema, addEmbeddedProperties), pkg/apiserver/schema/unfold.go.
"""

from typing import Any

from kubelab.cluster.apiserver import openapi_schemas
from kubelab.cluster.apiserver.crd.structural import EMBEDDED, INT_OR_STRING, Schema
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import Object

_META = "k8s.io/apimachinery/pkg/apis/meta/v1"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_TYPE_META: Object = {
    "apiVersion": {
        "type": "string",
        "description": (
            "APIVersion defines the versioned schema of this representation of an object. Servers should "
            "convert recognized schemas to the latest internal value, and may reject unrecognized values. "
            f"More info: {_CONVENTIONS}#resources"
        ),
    },
    "kind": {
        "type": "string",
        "description": (
            "Kind is a string value representing the REST resource this object represents. Servers may infer "
            "this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More "
            f"info: {_CONVENTIONS}#types-kinds"
        ),
    },
}
_INTEGER_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def _metadata(type_: str, kind: str) -> Object:
    described = {"description": f"Standard {kind} metadata. More info: {_CONVENTIONS}#metadata"}
    return {"allOf": [openapi_schemas.reference(f"{_META}.{type_}")]} | described


def of_kind(kind: Kind) -> Object:
    """Return the schema of one object."""
    assert kind.custom is not None
    shown: Object = _unfolded(kind.custom.schema) if kind.custom.schema else {"type": "object"}
    if kind.custom.schema:
        shown["properties"] = _with_type_and_metadata(shown)
    resource = kind.resource
    told = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return shown | {openapi_schemas.GVK: [told]}


def _with_type_and_metadata(schema: Object) -> Object:
    properties: Object = schema.get("properties") or {}
    return properties | _TYPE_META | {"metadata": _metadata("ObjectMeta", "object's")}


def list_of_kind(kind: Kind, name: str) -> Object:
    """Return the schema of a list of the objects whose own schema is at *name*."""
    resource = kind.resource
    about = f"List of {resource.plural}. More info: {_CONVENTIONS}"
    items = {"type": "array", "items": {"allOf": [{"$ref": openapi_schemas.REFERENCE + name}]}}
    told = {"group": resource.group, "version": resource.version, "kind": kind.list_kind}
    return {
        "type": "object",
        "description": f"{kind.list_kind} is a list of {resource.kind}",
        "required": ["items"],
        "properties": _TYPE_META
        | {"items": items | {"description": about}, "metadata": _metadata("ListMeta", "list")},
        openapi_schemas.GVK: [told],
    }


def _unfolded(schema: Schema) -> Object:
    """Return *schema* with what its extensions imply said in OpenAPI's own words."""
    shown: Object = {key: _below(key, value) for key, value in schema.items()}
    if shown.get(INT_OR_STRING):
        _say_int_or_string(shown)
    if shown.get(EMBEDDED):
        shown["properties"] = _with_type_and_metadata(shown)
        shown["required"] = [*dict.fromkeys([*(shown.get("required") or ()), "kind", "apiVersion"])]
    return shown


def _below(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _unfolded(each) for name, each in value.items()}
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _unfolded(value)
    return value


def _say_int_or_string(shown: Object) -> None:
    all_of, any_of = shown.get("allOf") or [], shown.get("anyOf")
    if any_of == _INTEGER_OR_STRING or (all_of and all_of[0].get("anyOf") == _INTEGER_OR_STRING):
        return
    if any_of is None:
        shown["anyOf"] = _INTEGER_OR_STRING
    else:
        shown["allOf"] = [{"anyOf": _INTEGER_OR_STRING}, *all_of]
