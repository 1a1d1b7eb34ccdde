"""The fields that a configuration mentions: each leaf, and each item of a list or a map.

A struct's field is not in the set if only something below it is: to apply `spec.replicas` is not to own
`spec`. An item of a list, or of a map with free keys, is: who applied something in it wants it to be there.

Source: structured-merge-diff, typed/tofieldset.go.
"""

from collections import Counter
from typing import Any

from kubelab.cluster.apply.fields import MEMBER, NOTHING, Fields, node
from kubelab.cluster.apply.types import Form, ListType, MapType, Type


def leaves(type_: Type, value: Any) -> Fields:
    """Return the set of the fields in *value*."""
    return _below(type_, value)[0]


def _below(type_: Type | None, value: Any) -> tuple[Fields, bool]:
    """Return what is below a field, and whether the field itself is a leaf."""
    form = type_.form(value) if type_ is not None else None
    if type_ is None or form is None or form is Form.SCALAR:
        return NOTHING, True
    if form is Form.MAP and type_.map is not None:
        if type_.map.atomic:
            return NOTHING, True
        return (_maps(type_.map, value), False) if isinstance(value, dict) else (NOTHING, False)
    if type_.list is not None and not type_.list.atomic:
        return (_lists(type_.list, value), False) if isinstance(value, list) else (NOTHING, False)
    return NOTHING, True


def _maps(map_: MapType, value: dict[str, Any]) -> Fields:
    found: Fields = {}
    for name, item in value.items():
        below, leaf = _below(map_.type_of(name), item)
        member = leaf or item is None or item == {} or name not in map_.fields
        if (there := node(below, member=member)) is not None:
            found[f"f:{name}"] = there
    return found


def _lists(list_: ListType, value: list[Any]) -> Fields:
    elements = [list_.path_element(item) for item in value]
    times = Counter(elements)
    found: Fields = {}
    for element, item in zip(elements, value, strict=True):
        below, _ = _below(list_.element, item) if times[element] == 1 else (NOTHING, True)
        found[element] = node(below, member=True) or MEMBER
    return found
