"""Does a body fit its kind? Types, unknown and duplicate fields, in the words of upstream's decoder.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/runtime/serializer/json and sigs.k8s.io/json (the
sentences of encoding/json); https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation.
The schema is kubectl's own (`go_types`). A null is an absent field, as in Go.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from kubelab.cluster import quantity
from kubelab.cluster.apiserver import bundled_kubectl, model_types
from kubelab.cluster.apiserver.go_types import GoKind, GoType, GoTypes
from kubelab.cluster.objects import Object

_MACHINERY = "k8s.io/apimachinery/pkg"
META = f"{_MACHINERY}/apis/meta/v1"
QUANTITY = f"{_MACHINERY}/api/resource.Quantity"
INT_OR_STRING = f"{_MACHINERY}/util/intstr.IntOrString"
TIME = f"{META}.Time"
MICRO_TIME = f"{META}.MicroTime"
DURATION = f"{META}.Duration"
FIELDS_V1 = f"{META}.FieldsV1"
RAW_EXTENSION = f"{_MACHINERY}/runtime.RawExtension"
_EXTENSIONS = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
ANY_JSON = f"{_EXTENSIONS}.JSON"
SCHEMA = f"{_EXTENSIONS}.JSONSchemaProps"
SCHEMA_OR_BOOL = f"{_EXTENSIONS}.JSONSchemaPropsOrBool"
SCHEMA_OR_LIST = f"{_EXTENSIONS}.JSONSchemaPropsOrArray"
SCHEMA_OR_STRINGS = f"{_EXTENSIONS}.JSONSchemaPropsOrStringArray"
EITHER = frozenset({SCHEMA_OR_BOOL, SCHEMA_OR_LIST, SCHEMA_OR_STRINGS})
FREE_FORM = frozenset({FIELDS_V1, RAW_EXTENSION, ANY_JSON})
_DEPTH_MAX = 250  # Upstream's is 10,000; whatever walks an object here does so by recursion.
_INT64_MAX = 1 << 63
_INTEGERS = {
    GoKind.INT: 64,
    GoKind.INT8: 8,
    GoKind.INT16: 16,
    GoKind.INT32: 32,
    GoKind.INT64: 64,
}
_PYTHON_TYPES = {GoKind.STRING: str, GoKind.BOOL: bool}
_UNSIGNED = {GoKind.UINT8: 8, GoKind.UINT32: 32, GoKind.UINT64: 64}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_TIME_LAYOUT = "2006-01-02T15:04:05Z07:00"


DEPTH_MAX = 200  # Go reads 10,000 levels; no kind has more than some 20, and a custom one hardly so many.
_TOO_DEEP = "exceeded max depth"


class Duplicated(dict[str, Any]):
    """A JSON object in which a key came more than once; the last one counts. `pairs`: all that came."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def parse_json(body: bytes) -> Any:
    """Return the JSON in *body*; objects with duplicate keys are `Duplicated`.

    Raises:
        ValueError: it is no JSON, or nested deeper than `DEPTH_MAX`.
    """

    def pairs_to_object(pairs: list[tuple[str, Any]]) -> Object:
        obj = dict(pairs)
        return obj if len(obj) == len(pairs) else Duplicated(pairs)

    try:
        parsed = json.loads(body, object_pairs_hook=pairs_to_object, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX:  # Few documents have so many; most need no walk.
        refuse_deep(parsed)
    return parsed


def refuse_deep(value: Any) -> None:
    """Raise ValueError if *value* is nested deeper than `DEPTH_MAX`: what walks it recurses."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        nested = [each for each in level if isinstance(each, dict | list) and each]
        if not nested:
            return
        level = [part for each in nested for part in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(_TOO_DEEP)


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def plain(value: Any, depth: int = 0) -> Any:
    """Return a copy of what `parse_json` returned as Go's JSON without types has it.

    Raises:
        MismatchError: it cannot be had so: a number is too large, or it is nested too deeply.
    """
    if depth > _DEPTH_MAX:
        raise MismatchError("exceeded max depth")
    if isinstance(value, dict):
        return {key: plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    if type(value) is int and not -_INT64_MAX <= value < _INT64_MAX:
        value = float(value) if abs(value) < 1 << 1000 else math.inf
    if type(value) is float and not math.isfinite(value):
        raise MismatchError("json: cannot unmarshal number into Go value of type float64")
    return value


def all_duplicates(value: Any, path: str = "") -> Iterator[str]:
    """Yield what was there twice, wherever in what `parse_json` returned."""
    if isinstance(value, dict):
        yield from _duplicates(value, path)
        for key, item in value.items():
            yield from all_duplicates(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from all_duplicates(item, f"{path}[{index}]")


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


class MismatchError(Exception):
    """A value is not of its field's type; the message is upstream's."""


class Schema:
    """The types of one kubectl, and what they make of a body."""

    def __init__(self, types: GoTypes) -> None:
        self.types = types
        self._has_protobuf: dict[str, bool] = {}

    def has_protobuf(self, go_type: str) -> bool:
        if go_type not in self._has_protobuf:
            numbers = (field.number for field in self.types.fields(self.types.of_name(go_type)))
            self._has_protobuf[go_type] = any(numbers)
        return self._has_protobuf[go_type]

    def fitted(self, go_type: str, body: Object) -> tuple[Object, list[str]]:
        """Return *body* without nulls and unknown fields, and what was strictly wrong with it.

        Raises:
            MismatchError: a value has the wrong type.
        """
        problems: list[str] = []
        fitted: Object = self._struct(self.types.of_name(go_type), body, "", problems)
        return fitted, list(dict.fromkeys(problems))

    def _struct(self, type_: GoType, value: Any, path: str, problems: list[str]) -> Any:
        fields = self.types.json_fields(type_)
        fitted: Object = {}
        for key, item, came_before in _in_order(value):
            place = f"{path}.{key}" if path else key
            field = fields.get(key)
            if field is None:
                problems.append(f'unknown field "{place}"')
                continue
            if came_before:
                problems.append(f'duplicate field "{place}"')
                fitted.pop(key, None)
            if item is not None:
                fitted[key] = self._value(field.type, item, place, problems, type_)
        return fitted

    def _value(self, type_: GoType, value: Any, path: str, problems: list[str], owner: GoType) -> Any:
        type_ = self.types.pointed_to(type_)
        if type(value) is _PYTHON_TYPES.get(type_.kind):  # Nearly all values are strings: no more questions.
            return value
        if type_.name in FREE_FORM or type_.kind is GoKind.INTERFACE:
            return value
        if type_.name in SCALARS:
            return SCALARS[type_.name](value)
        if type_.name in EITHER:
            return self._schema_or(type_, value, path, owner)
        if type_.kind is GoKind.STRUCT:
            if not isinstance(value, dict):
                raise _mismatch(value, path, owner, _short(type_))
            return self._struct(type_, value, path, problems)
        if type_.kind is GoKind.MAP:
            return self._map(type_, value, path, problems, owner)
        if type_.kind is GoKind.SLICE:
            return self._slice(type_, value, path, problems, owner)
        if not is_scalar(type_.kind, value):
            raise _mismatch(value, path, owner, type_.kind.name.lower())
        return value

    def _schema_or(self, type_: GoType, value: Any, path: str, owner: GoType) -> Any:
        """Fit a schema, or what may stand for it; upstream reads these without a look for unknown fields."""
        schema = self.types.of_name(SCHEMA)
        if isinstance(value, dict):
            return self._value(schema, value, path, [], owner)
        if type_.name == SCHEMA_OR_BOOL and not isinstance(value, bool):
            raise MismatchError("boolean or JSON schema expected")
        if type_.name == SCHEMA_OR_LIST and isinstance(value, list):
            return [self._value(schema, item, f"{path}[{i}]", [], owner) for i, item in enumerate(value)]
        return value

    def _map(self, type_: GoType, value: Any, path: str, problems: list[str], owner: GoType) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(value, path, owner, "map[string]string")
        element = self.types.element(type_)
        fitted: Object = {}
        for key, item, came_before in _in_order(value):
            place = f"{path}.{key}"
            if came_before:
                problems.append(f'duplicate field "{place}"')
                fitted.pop(key, None)
            if item is not None:
                fitted[key] = self._value(element, item, place, problems, owner)
        return fitted

    def _slice(self, type_: GoType, value: Any, path: str, problems: list[str], owner: GoType) -> Any:
        element = self.types.element(type_)
        if element.kind is GoKind.UINT8:  # Bytes are base64 in JSON.
            if not isinstance(value, str):
                raise _mismatch(value, path, owner, "[]uint8")
            check_base64(value)
            return value
        if not isinstance(value, list):
            raise _mismatch(value, path, owner, f"[]{_short(element) or element.kind.name.lower()}")
        return [
            self._value(element, item, f"{path}[{index}]", problems, owner)
            for index, item in enumerate(value)
        ]


def check_base64(text: str) -> None:
    """Refuse what Go's decoder does, in its words: it names the first wrong byte, or the unfinished group."""
    if _BASE64.fullmatch(text):
        return
    encoded = text.replace("\n", "").replace("\r", "")
    if _BASE64.fullmatch(encoded):
        return
    wrong = _NOT_BASE64.search(encoded)
    offset = wrong.start() if wrong else len(encoded) // 4 * 4
    raise MismatchError(f"illegal base64 data at input byte {offset}")


def _in_order(value: Object) -> Iterator[tuple[str, Any, bool]]:
    """Yield what came of an object in its order: key, value, whether the key had come before."""
    if not isinstance(value, Duplicated):
        yield from ((key, item, False) for key, item in value.items())
        return
    seen: set[str] = set()
    for key, item in value.pairs:
        yield key, item, key in seen
        seen.add(key)


def _duplicates(value: Object, path: str) -> Iterator[str]:
    twice = dict.fromkeys(key for key, _, came_before in _in_order(value) if came_before)
    yield from (f'duplicate field "{path}.{key}"' if path else f'duplicate field "{key}"' for key in twice)


def _short(type_: GoType) -> str:
    """Return `v1.Container`, as Go's errors name a type."""
    return type_.name.rpartition("/")[2]


def is_scalar(kind: GoKind, value: Any) -> bool:
    if kind is GoKind.STRING:
        return isinstance(value, str)
    if kind is GoKind.BOOL:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind in _INTEGERS:
        limit = 1 << (_INTEGERS[kind] - 1)
        return isinstance(value, int) and -limit <= value < limit
    if kind in _UNSIGNED:
        return isinstance(value, int) and 0 <= value < 1 << _UNSIGNED[kind]
    return isinstance(value, int | float)


def _mismatch(value: Any, path: str, owner: GoType, wanted: str) -> MismatchError:
    plain = re.sub(r"\[\d+\]", "", path)
    field = f"{owner.name.rpartition('.')[2]}.{plain}"
    return MismatchError(
        f"json: cannot unmarshal {json_kind(value)} into Go struct field {field} of type {wanted}"
    )


def json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _quantity(value: Any) -> str:
    """Return the canonical form, in which upstream keeps every quantity."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MismatchError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    try:
        return str(quantity.parse(value))
    except ValueError as error:
        raise MismatchError(str(error)) from error


def _int_or_string(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise MismatchError(f"json: cannot unmarshal {json_kind(value)} into Go value of type int32")
    return value


def _time(value: Any) -> str:
    if not isinstance(value, str):
        raise MismatchError(f"json: cannot unmarshal {json_kind(value)} into Go value of type string")
    if not _TIME.fullmatch(value):
        raise MismatchError(f'parsing time "{value}" as "{_TIME_LAYOUT}": cannot parse "{value}" as "2006"')
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise MismatchError(f'parsing time "{value}": {str(error).split()[0]} out of range') from error
    return value


SCALARS = {QUANTITY: _quantity, INT_OR_STRING: _int_or_string, TIME: _time, MICRO_TIME: _time}


@cache
def bundled() -> Schema:
    """Return the schema of the kubectl that is installed with the lab; 0.1 s of CPU the first time."""
    types = GoTypes(bundled_kubectl.path())
    model_types.declare(types)
    return Schema(types)
