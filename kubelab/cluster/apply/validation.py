"""Is an applied configuration of its type? In upstream's words, by field.

Source: structured-merge-diff, typed/validate.go.
"""

from collections.abc import Iterator
from typing import Any

from kubelab.cluster.apply import path_element
from kubelab.cluster.apply.types import Form, ListType, MapType, Scalar, Type

_EXPECTED = {
    Scalar.STRING: (str,),
    Scalar.NUMERIC: (int, float),
    Scalar.BOOLEAN: (bool,),
    Scalar.UNTYPED: (str, int, float, bool),
}


def validate(type_: Type, value: Any, path: str = "") -> Iterator[str]:
    """Yield what is wrong with *value*, each with its path in front."""
    form = type_.form(value)
    if form is Form.MAP and type_.map is not None:
        yield from _maps(type_.map, value, path)
    elif form is Form.LIST and type_.list is not None:
        yield from _lists(type_.list, value, path)
    elif type_.scalar is not None and value is not None:
        yield from _scalars(type_.scalar, value, path)


def message(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n".join(["errors:", *(f"  {problem}" for problem in problems)])


def _scalars(scalar: Scalar, value: Any, path: str) -> Iterator[str]:
    wanted = _EXPECTED[scalar]
    if isinstance(value, wanted) and isinstance(value, bool) <= (bool in wanted):
        return
    match scalar:
        case Scalar.NUMERIC:
            expected = f"numeric (int or float), got {_go_type(value)}"
        case Scalar.STRING:
            expected = f"string, got &value.valueUnstructured{{Value:{_go_value(value)}}}"
        case Scalar.BOOLEAN:
            expected = f"boolean, got {_shown(value)}"
        case Scalar.UNTYPED:
            expected = f"any scalar, got {_shown(value)}"
    yield _at(path, f"expected {expected}")


def _maps(map_: MapType, value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield _at(path, f"expected map, got {_shown(value)}")
        return
    for name, item in value.items():
        type_ = map_.type_of(name)
        if type_ is None:
            yield _at(f"{path}.{name}", "field not declared in schema")
        else:
            yield from validate(type_, item, f"{path}.{name}")


def _lists(list_: ListType, value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        yield _at(path, f"expected list, got {_shown(value)}")
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        element = f"i:{index}"
        if not list_.atomic:
            try:
                element = list_.path_element(item)
            except ValueError as error:
                yield _at(path, f"element {index}: {error}")
                return
            if element in seen:
                yield _at(path, f"duplicate entries for key {path_element.shown(element)}")
            seen.add(element)
        yield from validate(list_.element, item, path + path_element.shown(element))


def _at(path: str, what: str) -> str:
    return f"{path}: {what}" if path else what


def _shown(value: Any) -> str:
    return path_element.shown_value(value)


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"


def _go_value(value: Any) -> str:
    """Return *value* as Go's %#v has it."""
    if isinstance(value, dict):
        return "map[string]interface {}{" + _joined(value) + "}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_go_value, value)) + "}"
    return _shown(value)


def _joined(value: dict[str, Any]) -> str:
    return ", ".join(f"{_shown(key)}:{_go_value(item)}" for key, item in sorted(value.items()))
