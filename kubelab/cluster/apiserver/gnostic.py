"""An OpenAPI v2 document as protobuf, the form in which kubectl asks for it.

Source: https://github.com/google/gnostic-models, openapiv2/OpenAPIv2.proto (the field numbers);
https://protobuf.dev/programming-guides/encoding/. Values of any type are written as YAML, which JSON is.
Left out: what Kubernetes' documents do not have (security, tags' descriptions, headers, XML).
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubelab.cluster.apiserver.versions import encode as json_of
from kubelab.cluster.objects import Object

Writer = Callable[[Any], bytes]
_VERBS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int) -> Writer:
    return lambda value: _bytes(number, value.encode())


def _texts(number: int) -> Writer:
    return lambda values: b"".join(_bytes(number, value.encode()) for value in values)


def _truth(number: int) -> Writer:
    return lambda value: _varint(number << 3) + b"\x01" if value else b""


def _integer(number: int) -> Writer:
    return lambda value: _varint(number << 3) + _varint(int(value))


def _double(number: int) -> Writer:
    return lambda value: _varint(number << 3 | 1) + struct.pack("<d", value)


def _any(value: Any) -> bytes:
    return _bytes(2, json_of(value))


def _anything(number: int) -> Writer:
    return lambda value: _bytes(number, _any(value))


def _anythings(number: int) -> Writer:
    return lambda values: b"".join(_bytes(number, _any(value)) for value in values)


def _message(number: int, content: Writer) -> Writer:
    return lambda value: _bytes(number, content(value))


def _messages(number: int, content: Writer) -> Writer:
    return lambda values: b"".join(_bytes(number, content(value)) for value in values)


def _named(number: int, content: Writer) -> Writer:
    """Write a mapping as messages that have a name and a value."""

    def write(values: Mapping[str, Any]) -> bytes:
        pairs = (_text(1)(name) + _bytes(2, content(value)) for name, value in values.items())
        return b"".join(_bytes(number, pair) for pair in pairs)

    return write


def _struct(writers: Mapping[str, Writer], extensions: int) -> Writer:
    """Write the fields of an object; those that begin with x- are *extensions*."""

    def write(value: Object) -> bytes:
        known = b"".join(writers[key](value[key]) for key in writers if value.get(key) is not None)
        return known + _extensions(extensions, ((k, v) for k, v in value.items() if k.startswith("x-")))

    return write


def _extensions(number: int, items: Iterable[tuple[str, Any]]) -> bytes:
    return b"".join(_bytes(number, _text(1)(key) + _bytes(2, _any(value))) for key, value in items)


def _schema(value: Object) -> bytes:
    return _SCHEMA(value)


def _additional(value: Any) -> bytes:
    return _varint(2 << 3) + bytes([value]) if isinstance(value, bool) else _bytes(1, _schema(value))


def _types(value: str | list[str]) -> bytes:
    return _texts(1)([value] if isinstance(value, str) else value)


_SCHEMA = _struct(
    {
        "$ref": _text(1),
        "format": _text(2),
        "title": _text(3),
        "description": _text(4),
        "default": _anything(5),
        "multipleOf": _double(6),
        "maximum": _double(7),
        "exclusiveMaximum": _truth(8),
        "minimum": _double(9),
        "exclusiveMinimum": _truth(10),
        "maxLength": _integer(11),
        "minLength": _integer(12),
        "pattern": _text(13),
        "maxItems": _integer(14),
        "minItems": _integer(15),
        "uniqueItems": _truth(16),
        "maxProperties": _integer(17),
        "minProperties": _integer(18),
        "required": _texts(19),
        "enum": _anythings(20),
        "additionalProperties": _message(21, _additional),
        "type": _message(22, _types),
        "items": _message(23, _message(1, _schema)),
        "allOf": _messages(24, _schema),
        "properties": _message(25, _named(1, _schema)),
        "example": _anything(30),
    },
    extensions=31,
)
_IN_BODY = _struct(
    {
        "description": _text(1),
        "name": _text(2),
        "in": _text(3),
        "required": _truth(4),
        "schema": _message(5, _schema),
    },
    extensions=6,
)
_IN_QUERY = _struct(
    {
        "required": _truth(1),
        "in": _text(2),
        "description": _text(3),
        "name": _text(4),
        "type": _text(6),
        "format": _text(7),
        "uniqueItems": _truth(20),
    },
    extensions=23,
)
_IN_PATH = _struct(
    {
        "required": _truth(1),
        "in": _text(2),
        "description": _text(3),
        "name": _text(4),
        "type": _text(5),
        "format": _text(6),
        "uniqueItems": _truth(19),
    },
    extensions=22,
)


def _parameter(value: Object) -> bytes:
    """Write a ParametersItem: what kind of parameter it is, is told by the messages around it."""
    if value["in"] == "body":
        return _bytes(1, _bytes(1, _IN_BODY(value)))
    inner = _bytes(4, _IN_PATH(value)) if value["in"] == "path" else _bytes(3, _IN_QUERY(value))
    return _bytes(1, _bytes(2, inner))


_RESPONSE = _struct({"description": _text(1), "schema": _message(2, _message(1, _schema))}, extensions=5)
_OPERATION = _struct(
    {
        "tags": _texts(1),
        "summary": _text(2),
        "description": _text(3),
        "operationId": _text(5),
        "produces": _texts(6),
        "consumes": _texts(7),
        "parameters": _messages(8, _parameter),
        "responses": _message(9, _named(1, _message(1, _RESPONSE))),
        "deprecated": _truth(11),
    },
    extensions=13,
)
_ITEM = _struct(
    {verb: _message(number, _OPERATION) for verb, number in _VERBS.items()}
    | {"parameters": _messages(9, _parameter)},
    extensions=10,
)
_INFO = _struct({"title": _text(1), "version": _text(2), "description": _text(3)}, extensions=7)
_DOCUMENT = _struct(
    {
        "swagger": _text(1),
        "info": _message(2, _INFO),
        "paths": _message(8, _named(2, _ITEM)),
        "definitions": _message(9, _named(1, _schema)),
    },
    extensions=16,
)


def encoded(document: Object) -> bytes:
    """Return *document* as a gnostic `openapi.v2.Document`."""
    return _DOCUMENT(document)
