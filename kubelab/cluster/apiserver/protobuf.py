"""Kubernetes' protobuf bodies as JSON: kubectl from 1.32 on creates objects in no other form.

Source: https://protobuf.dev/programming-guides/encoding/; kubernetes, staging/src/k8s.io/apimachinery/pkg/
runtime/serializer/protobuf (the envelope), generated.proto of each group; field numbers from `go_types`. What
writes them is `protobuf_encoding`.
Left out: groups, packed enums.
"""

import base64
import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from kubelab.cluster.apiserver import schema
from kubelab.cluster.apiserver.go_types import GoKind, GoType, GoTypes
from kubelab.cluster.objects import Object

MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGNED = frozenset({GoKind.INT, GoKind.INT8, GoKind.INT16, GoKind.INT32, GoKind.INT64})
_DEPTH_MAX = 100


class ProtobufError(ValueError):
    """The bytes are no message of that type."""


def envelope(body: bytes) -> tuple[str, str, bytes]:
    """Return apiVersion, kind and the message itself out of a `runtime.Unknown`."""
    if not body.startswith(MAGIC):
        raise ProtobufError(
            "provided data does not appear to be a protobuf message, expected prefix 6b 38 73 00"
        )
    fields = dict(_fields(body[len(MAGIC) :]))
    type_meta = dict(_fields(_bytes(fields.get(1, b""))))
    return _text(type_meta.get(1, b"")), _text(type_meta.get(2, b"")), _bytes(fields.get(2, b""))


def decode(types: GoTypes, go_type: str, message: bytes) -> Object:
    """Return *message* as the JSON that a client would have sent."""
    decoded: Object = _message(types, types.of_name(go_type), message, _DEPTH_MAX)
    return decoded


def _message(types: GoTypes, type_: GoType, data: bytes, depth: int) -> Any:
    if depth == 0:
        raise ProtobufError("the message is nested too deeply")
    if type_.name in _SPECIAL:
        return _SPECIAL[type_.name](data)
    if type_.name in schema.EITHER:
        return _schema_or(types, type_.name, data, depth)
    by_number = {field.number: field for field in types.fields(type_)}
    decoded: Object = {}
    for number, raw in _fields(data):
        field = by_number.get(number)
        if field is None or not number:
            continue
        value_type = types.pointed_to(field.type)
        value = _value(types, value_type, raw, depth)
        if not field.name:  # An embedded struct: JSON has its fields here.
            decoded |= value
        elif value_type.kind is GoKind.SLICE and not _is_bytes(types, value_type):
            decoded.setdefault(field.name, []).extend(value)
        elif value_type.kind is GoKind.MAP:
            decoded.setdefault(field.name, {}).update(value)
        elif field.type.kind is GoKind.POINTER or value or not field.omit_empty:
            decoded[field.name] = value
    return decoded


def _schema_or(types: GoTypes, name: str, data: bytes, depth: int) -> Any:
    """Return a schema, or what stands for it: a boolean, more schemas, names."""
    fields = list(_fields(data))

    def schemas(number: int) -> list[Any]:
        type_ = types.of_name(schema.SCHEMA)
        return [_message(types, type_, _bytes(raw), depth - 1) for each, raw in fields if each == number]

    if name == schema.SCHEMA_OR_BOOL:
        return next(iter(schemas(2)), bool(dict(fields).get(1)))
    if alone := schemas(1):
        return alone[0]
    return schemas(2) if name == schema.SCHEMA_OR_LIST else [_text(raw) for each, raw in fields if each == 2]


def _is_bytes(types: GoTypes, type_: GoType) -> bool:
    return types.element(type_).kind is GoKind.UINT8


def _value(types: GoTypes, type_: GoType, raw: int | bytes, depth: int) -> Any:
    match type_.kind:
        case GoKind.STRUCT:
            return _message(types, type_, _bytes(raw), depth - 1)
        case GoKind.STRING:
            return _text(raw)
        case GoKind.BOOL:
            return bool(raw)
        case GoKind.MAP:
            return _entry(types, type_, _bytes(raw), depth)
        case GoKind.SLICE if _is_bytes(types, type_):
            return base64.b64encode(_bytes(raw)).decode()
        case GoKind.SLICE:
            return _elements(types, types.pointed_to(types.element(type_)), raw, depth)
        case GoKind.FLOAT64:
            return _finite(struct.unpack("<d", struct.pack("<Q", _integer(raw, signed=False)))[0])
        case GoKind.FLOAT32:
            low = _integer(raw, signed=False) & 0xFFFFFFFF
            return _finite(struct.unpack("<f", struct.pack("<I", low))[0])
        case kind:
            return _integer(raw, signed=kind in _SIGNED)


def _elements(types: GoTypes, element: GoType, raw: int | bytes, depth: int) -> list[Any]:
    """Return one element of a repeated field, or all of a packed one."""
    if isinstance(raw, bytes) and element.kind in {*_SIGNED, GoKind.BOOL, GoKind.UINT32, GoKind.UINT64}:
        values, position = [], 0
        while position < len(raw):
            number, position = _varint(raw, position)
            values.append(_value(types, element, number, depth))
        return values
    return [_value(types, element, raw, depth)]


def _entry(types: GoTypes, type_: GoType, data: bytes, depth: int) -> dict[str, Any]:
    fields = dict(_fields(data))
    element = types.pointed_to(types.element(type_))
    empty: int | bytes = b"" if element.kind in {GoKind.STRUCT, GoKind.STRING, GoKind.SLICE} else 0
    value = _value(types, element, fields.get(2, empty), depth)
    if element.kind is GoKind.SLICE and not _is_bytes(types, element):  # A list is a message with items.
        value = [_text(item) for number, item in _fields(_bytes(fields.get(2, b""))) if number == 1]
    return {_text(fields.get(1, b"")): value}


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ProtobufError("a number is not finite")
    return number


def _integer(raw: int | bytes, *, signed: bool) -> int:
    if isinstance(raw, bytes):
        raise ProtobufError("a number has the wrong wire type")
    return raw - (1 << 64) if signed and raw >= 1 << 63 else raw


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise ProtobufError("a message has the wrong wire type")
    return raw


def _text(raw: int | bytes) -> str:
    try:
        return _bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("a string is not UTF-8") from error


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and raw value of each field of a message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire_type = tag & 7
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type, 0)
        if wire_type == _BYTES:
            size, position = _varint(data, position)
        elif not size:
            raise ProtobufError(f"proto: illegal wireType {wire_type}")
        if position + size > len(data):
            raise ProtobufError("unexpected EOF")
        raw = data[position : position + size]
        yield tag >> 3, raw if wire_type == _BYTES else int.from_bytes(raw, "little")
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        if position >= len(data) or shift > 63:
            raise ProtobufError("unexpected EOF")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & ((1 << 64) - 1), position


def _time(data: bytes) -> str | None:
    return _moment(data, micro=False)


def _micro_time(data: bytes) -> str | None:
    return _moment(data, micro=True)


def _moment(data: bytes, *, micro: bool) -> str | None:
    fields = dict(_fields(data))
    seconds = _integer(fields.get(1, 0), signed=True)
    nanos = _integer(fields.get(2, 0), signed=True)
    if not seconds and not nanos:
        return None  # Go's zero time: null in JSON.
    try:
        moment = datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
    except (ValueError, OverflowError, OSError) as error:
        raise ProtobufError("a time is out of range") from error
    return f"{moment}.{nanos // 1000:06d}Z" if micro else f"{moment}Z"


def _quantity(data: bytes) -> str:
    return _text(dict(_fields(data)).get(1, b"")) or "0"


def _int_or_string(data: bytes) -> int | str:
    fields = dict(_fields(data))
    if fields.get(1):
        return _text(fields.get(3, b""))
    return _integer(fields.get(2, 0), signed=True)


def _raw_json(data: bytes) -> Any:
    raw = _bytes(dict(_fields(data)).get(1, b""))
    try:
        return schema.parse_json(raw) if raw else None
    except ValueError as error:
        raise ProtobufError(f"the JSON in a message is malformed: {error}") from error


_SPECIAL = {
    schema.TIME: _time,
    schema.MICRO_TIME: _micro_time,
    schema.QUANTITY: _quantity,
    schema.INT_OR_STRING: _int_or_string,
    schema.RAW_EXTENSION: _raw_json,
    schema.FIELDS_V1: _raw_json,
    schema.ANY_JSON: _raw_json,
}
