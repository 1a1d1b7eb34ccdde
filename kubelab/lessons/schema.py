"""Read a YAML node into a frozen dataclass by its type hints: the dataclass is the format's own schema.

Field `in_new` is written `in-new` in YAML. A type with a `read(node)` class method reads itself. Each check
is such a dataclass, so a check's documentation can be generated from the code. A list that is annotated with
`SOME`, too, must not be empty.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from kubelab.language import Text
from kubelab.lessons.located import Node, unknown

T = TypeVar("T")

KEY = Text("clave", "key")
SOME = "at least one"


def read(type_: type[T], node: Node) -> T:
    """Return *node* as a *type_* (a dataclass).

    Raises:
        LessonError: a key is unknown or missing, or a value has the wrong type.
    """
    result: T = _read(type_, node)
    return result


def yaml_name(field: str) -> str:
    return field.rstrip("_").replace("_", "-")


def _read(type_: Any, node: Node) -> Any:
    if hasattr(type_, "read"):
        return type_.read(node)
    if dataclasses.is_dataclass(type_):
        return read_fields(typing.cast("type[Any]", type_), node, node.mapping())
    origin = get_origin(type_)
    if origin is Literal:
        return _choice(get_args(type_), node)
    if origin is tuple:
        return tuple(_read(get_args(type_)[0], item) for item in node.items())
    if origin in (types.UnionType, typing.Union):
        return _read(next(option for option in get_args(type_) if option is not type(None)), node)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _read(get_args(type_)[1], value) for key, value in node.mapping().items()}
    return _SCALARS[type_](node)


def read_fields(type_: type[T], node: Node, entries: Mapping[str, Node]) -> T:
    """Build *type_* from *entries*; *node* is where a missing key is reported."""
    hints = _hints(typing.cast("Any", type_))
    fields = {yaml_name(field.name): field for field in dataclasses.fields(typing.cast("Any", type_))}
    values: dict[str, Any] = {}
    for key, value in entries.items():
        if key not in fields:
            raise unknown(value, KEY, key, fields)
        values[fields[key].name] = _read_field(hints[fields[key].name], value)
    for key, field in fields.items():
        if _is_required(field) and key not in entries:
            raise node.error(f"falta «{key}».", f"“{key}” is missing.")
    return type_(**values)


@functools.cache  # To resolve them takes longer than to read a node.
def _hints(type_: type) -> Mapping[str, Any]:
    return typing.get_type_hints(type_, include_extras=True)


def _read_field(hint: Any, node: Node) -> Any:
    type_, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    value = _read(type_, node)
    if SOME in extras and not value:
        raise node.error("aquí va al menos uno.", "at least one belongs here.")
    return value


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _choice(choices: tuple[Any, ...], node: Node) -> Any:
    if node.value in choices:
        return node.value
    raise unknown(node, Text("valor", "value"), str(node.value), map(str, choices))


def _boolean(node: Node) -> bool:
    if isinstance(node.value, bool):
        return node.value
    raise node.error("aquí va true o false.", "true or false belongs here.")


_SCALARS: Mapping[Any, Any] = {
    str: Node.text,
    int: Node.integer,
    bool: _boolean,
    Any: Node.plain,
}
