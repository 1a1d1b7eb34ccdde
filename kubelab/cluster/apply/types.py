"""What a value may be, and how two of them merge: scalars, lists and maps, atomic or not.

A `Type` says what the value is if it is a scalar, if it is a list and if it is a map; most are but one of
these. An atomic list or map is one field, whoever changes anything in it; a granular one is as many fields as
there are in it. Elements of a granular list are known by their keys, or are a set's values.

Types may contain themselves: `Type` compares by identity, and its parts are filled in later.

Source: structured-merge-diff, schema/elements.go; typed/helpers.go (deduceAtom, handleAtom).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kubelab.cluster.apply import path_element
from kubelab.cluster.apply.path_element import PathElementError


class Scalar(Enum):
    STRING = "string"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    UNTYPED = "untyped"


class Form(Enum):
    SCALAR = "scalar"
    LIST = "list"
    MAP = "map"


class Absent(Enum):
    """What there is where there is nothing, not even a null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(slots=True, eq=False)
class Type:
    scalar: Scalar | None = None
    list: "ListType | None" = None
    map: "MapType | None" = None

    def form(self, value: Any) -> "Form | None":
        """Return as which of its parts *value* is taken; a null, or what it is not, as the first it has."""
        if isinstance(value, dict):
            fits = Form.MAP if self.map is not None else None
        elif isinstance(value, list):
            fits = Form.LIST if self.list is not None else None
        else:
            fits = Form.SCALAR if self.scalar is not None and value is not None else None
        return fits or self._first_form()

    def _first_form(self) -> "Form | None":
        if self.map is not None:
            return Form.MAP
        if self.scalar is not None:
            return Form.SCALAR
        return Form.LIST if self.list is not None else None


@dataclass(slots=True, eq=False)
class MapType:
    """`fields` are a struct's; `element` is what all others are (None: there are no others)."""

    fields: Mapping[str, Type] = field(default_factory=dict)
    element: Type | None = None
    atomic: bool = False

    def type_of(self, name: str) -> Type | None:
        return self.fields.get(name, self.element)


@dataclass(slots=True, eq=False)
class ListType:
    """A list of *element*; `keys` are each element's names, with the default of each or None."""

    element: Type
    atomic: bool = True
    keys: Mapping[str, Any] = field(default_factory=dict)

    def path_element(self, item: Any) -> str:
        """Return the path element of *item* in this granular list.

        Raises:
            PathElementError: nothing in *item* says which element it is.
        """
        return _keyed(self.keys, item) if self.keys else _valued(item)


def _keyed(keys: Mapping[str, Any], item: Any) -> str:
    if item is None:
        raise PathElementError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise PathElementError("associative list with keys may not have non-map elements")
    if len(keys) == 1:
        (only,) = keys
        if type(value := item.get(only)) is str:
            return path_element.of_key(only, value)
    found = {key: item.get(key, default) for key, default in keys.items()}
    present = {key: value for key, value in found.items() if value is not None or key in item}
    if not present:
        names = " ".join(f'"{key}"' for key in keys)
        raise PathElementError(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return path_element.of_keys(present)


def _valued(item: Any) -> str:
    if isinstance(item, dict):
        raise PathElementError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise PathElementError("not supported: associative list with lists as elements")
    if item is None:
        raise PathElementError("associative list without keys has an element that's an explicit null")
    return path_element.of_value(item)


ATOMIC = Type(Scalar.UNTYPED)
"""Whatever it is, it is one field."""
ATOMIC.list = ListType(ATOMIC)
ATOMIC.map = MapType(element=ATOMIC, atomic=True)

DEDUCED = Type(Scalar.UNTYPED, list=ListType(ATOMIC))
"""Whatever it is: a map is granular, a list is not."""
DEDUCED.map = MapType(element=DEDUCED)
