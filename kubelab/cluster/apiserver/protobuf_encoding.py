"""Objects as Kubernetes' protobuf messages, byte for byte as upstream writes them (`protobuf` reads them).

What a Go struct holds by value is written even if it is empty; pointers, lists and maps only where there is
something. Field numbers and types are kubectl's own (`go_types`), those of CustomResourceDefinition
`model_types`'.
Source: https://protobuf.dev/programming-guides/encoding/; kubernetes, staging/src/k8s.io/apimachinery/pkg/
runtime/{types_proto.go,generated.proto} (runtime.Unknown), apis/meta/v1/{time_proto,micro_time_proto}.go,
api/resource/quantity_proto.go, util/intstr/intstr.go, util/framer/framer.go; meta/v1/generated.proto
(WatchEvent); staging/src/k8s.io/api/testdata (objects of all kinds in JSON and in protobuf).
"""

import base64
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from kubelab.cluster.apiserver import schema
from kubelab.cluster.apiserver.durations import parse_duration
from kubelab.cluster.apiserver.go_types import GoField, GoKind, GoType, GoTypes
from kubelab.cluster.apiserver.protobuf import MAGIC
from kubelab.cluster.objects import Object

Write = Callable[[Any], bytes]
"""From a value as JSON has it (None: there is none) to its bytes."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {
    GoKind.BOOL: _VARINT,
    GoKind.FLOAT64: _FIXED64,
    GoKind.FLOAT32: _FIXED32,
    GoKind.STRING: _BYTES,
    GoKind.STRUCT: _BYTES,
}
_NANOS_OF_MICRO = 1000
_NANOS_OF_SECOND = 1_000_000_000
_VERBS = (f"{schema.META}.APIResource", "verbs")  # The one list that is a message of its own.


class _Struct:
    """What writes the objects of one struct. Many are empty, and those are written once."""

    __slots__ = ("_empty", "fields")

    def __init__(self) -> None:
        self.fields: list[tuple[str, Write]] = []
        self._empty: bytes | None = None

    def __call__(self, obj: Any) -> bytes:
        if obj:
            return b"".join([write(obj.get(name) if name else obj) for name, write in self.fields])
        if self._empty is None:
            self._empty = b"".join([write(None) for _, write in self.fields])
        return self._empty


class Encoder:
    """The messages of one kubectl's types; each type is read when it is first asked for."""

    def __init__(self, types: GoTypes) -> None:
        self._types = types
        self._structs: dict[str, Write] = {}

    def message(self, go_type: str, obj: Object) -> bytes:
        """Return *obj* as a message of *go_type*; its apiVersion and kind are no part of that."""
        return self._struct(self._types.of_name(go_type))(obj)

    def _struct(self, type_: GoType) -> Write:
        if type_.name in _SPECIAL:
            return _SPECIAL[type_.name]
        if type_.name in schema.EITHER:
            return self._schema_or(type_.name)
        if type_.name not in self._structs:
            struct_ = self._structs[type_.name] = _Struct()  # First: a type may contain itself.
            struct_.fields += self._fields(type_)
        return self._structs[type_.name]

    def _fields(self, type_: GoType) -> Iterator[tuple[str, Write]]:
        numbered = (each for each in self._types.fields(type_) if each.number)
        for each in sorted(numbered, key=lambda field: field.number):
            if (type_.name, each.name) == _VERBS:
                yield each.name, _if_there(self._one(each.number, each.type))
            else:
                yield each.name, self._field(each)

    def _field(self, field: GoField) -> Write:
        """Return what writes a field with its number, or nothing."""
        number, value_type = field.number, self._types.pointed_to(field.type)
        if value_type.kind is GoKind.MAP:
            return self._map(number, value_type)
        if value_type.kind is GoKind.SLICE and not self._is_bytes(value_type):
            return self._list(number, value_type)
        optional = field.type.kind is GoKind.POINTER or value_type.kind is GoKind.SLICE
        one = self._one(number, value_type)
        return _if_there(one) if optional else one

    def _is_bytes(self, type_: GoType) -> bool:
        return self._types.element(type_).kind is GoKind.UINT8

    def _one(self, number: int, type_: GoType) -> Write:
        """Return what writes one value with its *number*."""
        if type_.kind is GoKind.STRUCT:
            return _delimited(number, self._struct(type_))
        if type_.kind is GoKind.STRING:
            return _delimited(number, _string)
        if type_.kind is GoKind.SLICE:
            return _delimited(number, _bytes if self._is_bytes(type_) else self._list(1, type_))
        tag, write = _tag(number, _WIRE_TYPES.get(type_.kind, _VARINT)), _NUMBERS.get(type_.kind, _integer)
        return lambda value: tag + write(value)

    def _list(self, number: int, type_: GoType) -> Write:
        one = self._one(number, self._types.pointed_to(self._types.element(type_)))
        return lambda values: b"".join(map(one, values or ()))

    def _map(self, number: int, type_: GoType) -> Write:
        key = _delimited(1, _string)
        value = self._one(2, self._types.pointed_to(self._types.element(type_)))
        entry = _delimited(number, lambda item: key(item[0]) + value(item[1]))
        return lambda mapping: b"".join(entry(item) for item in sorted((mapping or {}).items()))

    def _schema_or(self, name: str) -> Write:
        """Return what writes a schema, or what may stand for it: a boolean, more schemas, names."""
        as_schema = self._struct(self._types.of_name(schema.SCHEMA))
        first, second, word = _delimited(1, as_schema), _delimited(2, as_schema), _delimited(2, _string)

        def write(value: Any) -> bytes:
            if name == schema.SCHEMA_OR_BOOL:
                return _flag(1, True) + second(value) if isinstance(value, dict) else _flag(1, value)
            if isinstance(value, dict):
                return first(value)
            return b"".join(map(second if name == schema.SCHEMA_OR_LIST else word, value or ()))

        return write


def enveloped(api_version: str, kind: str, message: bytes) -> bytes:
    """Return *message* in a `runtime.Unknown`, which says of which type it is."""
    type_meta = _delimited(1, _string)(api_version) + _delimited(2, _string)(kind)
    parts = (_delimited(1, bytes)(type_meta), _delimited(2, bytes)(message), b'\x1a\x00"\x00')
    return MAGIC + b"".join(parts)


def watch_frame(type_: str, document: bytes) -> bytes:
    """Return one event of a watch of an enveloped *document*: a WatchEvent behind its length."""
    event = _delimited(1, _string)(type_) + _delimited(2, bytes)(_delimited(1, bytes)(document))
    return struct.pack(">I", len(event)) + event


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # A negative number is that of 64 bits, whatever its type.
    if value < 0x80:
        return _SHORT[value]
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


_SHORT = [bytes([value]) for value in range(0x80)]


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _delimited(number: int, write: Write) -> Write:
    tag = _tag(number, _BYTES)

    def delimited(value: Any) -> bytes:
        written = write(value)
        return b"%b%b%b" % (tag, _varint(len(written)), written)

    return delimited


def _if_there(write: Write) -> Write:
    return lambda value: b"" if value is None else write(value)


def _string(value: str | None) -> bytes:
    return (value or "").encode()


def _bytes(value: str | None) -> bytes:
    return base64.b64decode(value or "")


def _integer(value: int | None) -> bytes:
    return _varint(value or 0)


def _boolean(value: bool | None) -> bytes:
    return b"\x01" if value else b"\0"


def _flag(number: int, value: Any) -> bytes:
    return _tag(number, _VARINT) + _boolean(value)


_NUMBERS: dict[GoKind, Write] = {
    GoKind.BOOL: _boolean,
    GoKind.FLOAT64: lambda value: struct.pack("<d", value or 0),
    GoKind.FLOAT32: lambda value: struct.pack("<f", value or 0),
}


def _pair(first: int, second: int) -> bytes:
    return _tag(1, _VARINT) + _varint(first) + _tag(2, _VARINT) + _varint(second)


def _moment(text: str | None, *, micro: bool) -> bytes:
    if not text:
        return b""  # Go's zero time.
    moment = datetime.fromisoformat(text)
    seconds = (moment.replace(microsecond=0) - _EPOCH).total_seconds()
    return _pair(int(seconds), moment.microsecond * _NANOS_OF_MICRO if micro else 0)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _quantity(value: Any) -> bytes:
    return _delimited(1, _string)("0" if value is None else str(value))


def _int_or_string(value: int | str | None) -> bytes:
    is_text = isinstance(value, str)
    number, text = (0, value) if is_text else (value or 0, "")
    return _pair(int(is_text), int(number or 0)) + _delimited(3, _string)(text)


def _duration(value: str | None) -> bytes:
    return _tag(1, _VARINT) + _varint(round(parse_duration(value or "0") * _NANOS_OF_SECOND))


def _raw_json(value: Any) -> bytes:
    return b"" if value is None else _delimited(1, msgspec.json.encode)(value)


_SPECIAL: dict[str, Write] = {
    schema.TIME: lambda value: _moment(value, micro=False),
    schema.MICRO_TIME: lambda value: _moment(value, micro=True),
    schema.QUANTITY: _quantity,
    schema.INT_OR_STRING: _int_or_string,
    schema.RAW_EXTENSION: _raw_json,
    schema.FIELDS_V1: _raw_json,
    schema.ANY_JSON: _raw_json,
    schema.DURATION: _duration,
}


@cache
def bundled() -> Encoder:
    """Return the messages of the kubectl that is installed with the lab."""
    return Encoder(schema.bundled().types)
