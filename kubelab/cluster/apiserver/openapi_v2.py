"""OpenAPI v2 of all that is served, as JSON and as protobuf: kubectl up to 1.26 explains and validates by it.

It is made of the v3 documents, said in v2's words.
Source: https://swagger.io/specification/v2/; kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/
controller/openapi/v2/conversion.go (what kubectl cannot cope with in a custom resource's schema).
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from kubelab.cluster.apiserver import gnostic, openapi, openapi_schemas
from kubelab.cluster.apiserver.crd.structural import INT_OR_STRING, PRESERVE
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.objects import Object

PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_DROPPED = frozenset({"anyOf", "oneOf", "not", "nullable", "allOf"})
_VERBS = ("get", "put", "post", "delete", "patch")


def document(kinds: tuple[Kind, ...], *, protobuf: bool) -> bytes:
    """Return the document in either form; may take 1 s."""
    return _as_protobuf(kinds) if protobuf else _as_json(kinds)


def wants_protobuf(accept: str) -> bool:
    return "proto-openapi.spec.v2" in accept


@lru_cache(2)
def _as_protobuf(kinds: tuple[Kind, ...]) -> bytes:
    return gnostic.encoded(made(kinds))


@lru_cache(2)
def _as_json(kinds: tuple[Kind, ...]) -> bytes:
    return encode(made(kinds))


def made(kinds: tuple[Kind, ...]) -> Object:
    """Return the document for *kinds*."""
    v3 = openapi.made(kinds)
    schemas = v3["components"]["schemas"]
    return {
        "swagger": "2.0",
        "info": openapi.INFO,
        "paths": {path: _item(item) for path, item in v3["paths"].items()},
        "definitions": {name: _definition(name, each) for name, each in schemas.items()},
    }


# Schemas


def _definition(name: str, schema: Object) -> Object:
    if schema.get(PRESERVE):  # kubectl would call every field unknown that is told of nowhere.
        return {"type": "object"} | {key: schema[key] for key in (openapi_schemas.GVK,) if key in schema}
    if name.endswith((".Quantity", ".IntOrString")):
        return _schema(schema) | {"type": "string"}
    return _schema(schema)


def _schema(schema: Object) -> Object:
    if referring := _reference(schema):
        return referring | {
            key: _below(key, schema[key]) for key in schema if key not in {"$ref", "allOf", "default"}
        }
    made = {key: _below(key, value) for key, value in schema.items() if key not in _DROPPED}
    if schema.get("nullable"):
        _forget(made, "type", "items", "properties")
    if schema.get(PRESERVE):
        _forget(made, "items", "properties", *(["type"] if made.get("type") == "object" else []))
    if made.get("type") == "array" and "items" not in made:
        _forget(made, "type")
    if schema.get(INT_OR_STRING):
        _forget(made, "type")
    nullable = {name for name, each in (schema.get("properties") or {}).items() if each.get("nullable")}
    if nullable and made.get("required"):
        made["required"] = [each for each in made["required"] if each not in nullable]
    return made


def _reference(schema: Object) -> Object | None:
    """Return the reference that is all of *schema*; v2 has no place for more beside it but words."""
    alone = schema if "$ref" in schema else next(iter(schema.get("allOf") or ()), {})
    if "$ref" not in alone:
        return None
    return {"$ref": alone["$ref"].replace(openapi_schemas.REFERENCE, "#/definitions/")}


def _forget(schema: Object, *keys: str) -> None:
    for key in keys:
        schema.pop(key, None)


def _below(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _schema(each) for name, each in value.items()}
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _schema(value)
    return value


# Paths


def _item(item: Object) -> Object:
    made: Object = {verb: _operation(item[verb]) for verb in _VERBS if verb in item}
    return made | {"parameters": [_parameter(each) for each in item["parameters"]]}


def _operation(operation: Object) -> Object:
    made = {key: value for key, value in operation.items() if key not in {"requestBody", "parameters"}}
    parameters = [_parameter(each) for each in operation.get("parameters") or ()]
    if body := operation.get("requestBody"):
        schema = _schema(next(iter(body["content"].values()))["schema"])
        shown: Object = {"name": "body", "in": "body", "schema": schema}
        parameters.insert(0, shown | ({"required": True} if body["required"] else {}))
        made["consumes"] = list(body["content"])
    answers = operation["responses"]
    made["produces"] = list(dict.fromkeys(_forms(answers)))
    made["responses"] = {code: _response(each) for code, each in answers.items() if code != "default"}
    return made | ({"parameters": parameters} if parameters else {})


def _forms(answers: Object) -> Iterator[str]:
    return (form for each in answers.values() for form in each.get("content") or ())


def _parameter(parameter: Object) -> Object:
    schema: Object = parameter["schema"]
    return {key: value for key, value in parameter.items() if key != "schema"} | schema


def _response(response: Object) -> Object:
    told = {"description": response["description"]}
    content = next(iter((response.get("content") or {}).values()), None)
    return told | ({"schema": _schema(content["schema"])} if content else {})
