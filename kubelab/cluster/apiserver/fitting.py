"""Bodies that fit their type, quickly: each type becomes functions that were made for it once.

They know no paths and no words. Whatever is odd (a null, an unknown field, a key that came twice, a value of
another type) they give up on, and `schema`, which walks the type beside the body, says what is wrong, where,
and what is left of it. Nearly all bodies are not odd, and take a tenth of the time here.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from kubelab.cluster.apiserver import schema
from kubelab.cluster.apiserver.go_types import GoKind, GoType, GoTypes
from kubelab.cluster.objects import Object

Fit = Callable[[Any], Any]
"""Returns a value as it is kept: itself, as a rule."""

_REMEMBERED_MAX = 4096


class OddError(Exception):
    """This is not for here."""


class Fitting:
    """The functions of the types of one kubectl, each made when it is first needed."""

    def __init__(self, types: GoTypes) -> None:
        self._types = types
        self._structs: dict[str, Fit] = {}

    def fitted(self, go_type: str, body: Object) -> Object | None:
        """Return *body*, in which values have become canonical; None if something about it is odd."""
        try:
            fitted: Object = self._of(self._types.of_name(go_type))(body)
        except (OddError, schema.MismatchError):
            return None
        return fitted

    def _of(self, type_: GoType) -> Fit:
        type_ = self._types.pointed_to(type_)
        if type_.name in schema.FREE_FORM or type_.kind is GoKind.INTERFACE:
            return _as_it_is
        if type_.name in schema.SCALARS:
            return _scalar(schema.SCALARS[type_.name])
        if type_.name in schema.EITHER:
            return _odd
        match type_.kind:
            case GoKind.STRUCT:
                return self._struct(type_)
            case GoKind.MAP:
                return _map(self._of(self._types.element(type_)))
            case GoKind.SLICE:
                return self._slice(type_)
            case GoKind.STRING:
                return _exactly(str)
            case GoKind.BOOL:
                return _exactly(bool)
            case _:
                return _number(type_.kind)

    def _struct(self, type_: GoType) -> Fit:
        if type_.name not in self._structs:
            fields: dict[str, Fit] = {}
            self._structs[type_.name] = _struct(fields)  # First: a type may contain itself.
            for name, field in self._types.json_fields(type_).items():
                fields[name] = self._of(field.type)
        return self._structs[type_.name]

    def _slice(self, type_: GoType) -> Fit:
        element = self._types.element(type_)
        if element.kind is GoKind.UINT8:
            return _base64
        return _list(self._of(element))


def _as_it_is(value: Any) -> Any:
    if value is None:
        raise OddError
    return value


def _odd(value: Any) -> Any:
    raise OddError


@cache
def _exactly(python_type: type) -> Fit:
    def fit(value: Any) -> Any:
        if type(value) is not python_type:
            raise OddError
        return value

    return fit


def _number(kind: GoKind) -> Fit:
    def fit(value: Any) -> Any:
        if type(value) is not int or not schema.is_scalar(kind, value):
            raise OddError
        return value

    return fit


def _scalar(canonical: Fit) -> Fit:
    remembered = lru_cache(_REMEMBERED_MAX)(canonical)

    def fit(value: Any) -> Any:
        return remembered(value) if type(value) is str else canonical(value)

    return fit


def _base64(value: Any) -> Any:
    if type(value) is not str:
        raise OddError
    schema.check_base64(value)
    return value


def _struct(fields: dict[str, Fit]) -> Fit:
    text = _exactly(str)

    def fit(value: Any) -> Any:
        if type(value) is not dict:
            raise OddError
        for key, item in value.items():
            if (of_field := fields.get(key)) is None:
                raise OddError
            if type(item) is str and of_field is text:
                continue  # As nearly all are.
            fitted = of_field(item)
            if fitted is not item:
                value[key] = fitted  # No key is added, so the walk goes on.
        return value

    return fit


def _map(of_element: Fit) -> Fit:
    if of_element is _exactly(str):
        return _texts

    def fit(value: Any) -> Any:
        if type(value) is not dict:
            raise OddError
        for key, item in value.items():
            fitted = of_element(item)
            if fitted is not item:
                value[key] = fitted
        return value

    return fit


def _texts(value: Any) -> Any:
    if type(value) is not dict or any(type(item) is not str for item in value.values()):
        raise OddError
    return value


def _list(of_element: Fit) -> Fit:
    def fit(value: Any) -> Any:
        if type(value) is not list:
            raise OddError
        for index, item in enumerate(value):
            fitted = of_element(item)
            if fitted is not item:
                value[index] = fitted
        return value

    return fit


@cache
def bundled() -> Fitting:
    """Return the functions for the kubectl that is installed with the lab."""
    return Fitting(schema.bundled().types)
