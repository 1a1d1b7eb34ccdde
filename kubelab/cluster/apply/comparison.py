"""What differs between two values of a type: the fields that were added or changed, and those that are gone.

A field that is there on one side alone counts with all that is below it, and so does the field itself. An
element of a list is compared with the one of the same keys, whatever their places; elements that there are
several of count as one field.

This runs at every write, so what is equal is passed over without looking into it.

Source: structured-merge-diff, typed/compare.go. Added and changed fields are not told apart: whoever did it
owns them.
"""

from dataclasses import dataclass
from typing import Any

from kubelab.cluster.apply.fields import MEMBER, NOTHING, SELF, Fields, union
from kubelab.cluster.apply.path_element import PathElementError
from kubelab.cluster.apply.types import ABSENT, Form, ListType, MapType, Type


@dataclass(frozen=True, slots=True)
class Comparison:
    """`written` are the fields that were added or have another value; `removed` those that are no more."""

    written: Fields
    removed: Fields

    def __bool__(self) -> bool:
        return bool(self.written or self.removed)


SAME = Comparison(NOTHING, NOTHING)


def compare(type_: Type, old: Any, new: Any) -> Comparison:
    """Return what became of *old* in *new*."""
    has_parts = isinstance(new, dict) and type_.map is not None and not type_.map.atomic
    if old is new or (not has_parts and old == new):
        return SAME  # Equal parts are passed over one by one: to look at all first would take twice as long.
    return _compare(type_, old, new)


def _compare(type_: Type, old: Any, new: Any) -> Comparison:
    """Compare two values that differ; where they are one field, `SELF` stands for it."""
    form = type_.form(new)
    comparison = _compare_as(form, type_, old, new)
    if (other := type_.form(old)) is not form:
        before = _compare_as(other, type_, old, new)
        return _both(before, comparison)
    return comparison


_LEAF = Comparison({SELF: MEMBER}, NOTHING)  # The value itself was changed.


def _both(left: Comparison, right: Comparison) -> Comparison:
    return Comparison(union(left.written, right.written), union(left.removed, right.removed))


def _compare_as(form: Form | None, type_: Type, old: Any, new: Any) -> Comparison:
    if form is Form.MAP and type_.map is not None and not type_.map.atomic:
        before = old if isinstance(old, dict) else {}
        after = new if isinstance(new, dict) else {}
        return _maps(type_.map, before, after) if before or after else _LEAF
    if form is Form.LIST and type_.list is not None and not type_.list.atomic:
        earlier = old if isinstance(old, list) else []
        later = new if isinstance(new, list) else []
        return _lists(type_.list, earlier, later) if earlier or later else _LEAF
    return _LEAF


def _maps(map_: MapType, old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    written: Fields = {}
    removed: Fields = {}
    fields, element = map_.fields, map_.element
    for name, value in new.items():
        before = old.get(name, ABSENT)
        if before is ABSENT:
            nested = isinstance(value, (dict, list)) and value
            written[f"f:{name}"] = everything(fields.get(name, element), value) if nested else MEMBER
        elif before is not value and before != value:
            _note(f"f:{name}", fields.get(name, element), before, value, written, removed)
    for name, before in old.items():
        if name not in new:
            removed[f"f:{name}"] = everything(fields.get(name, element), before)
    return Comparison(written, removed)


def _lists(list_: ListType, old: list[Any], new: list[Any]) -> Comparison:
    before, after = _by_element(list_, old), _by_element(list_, new)
    written: Fields = {}
    removed: Fields = {}
    for element in before | after:
        _items(element, list_.element, before.get(element, []), after.get(element, []), written, removed)
    return Comparison(written, removed)


def _items(
    element: str, type_: Type, old: list[Any], new: list[Any], written: Fields, removed: Fields
) -> None:
    """Note what became of the items of one path element; several of them are a field without parts."""
    if old == new:
        return
    if len(old) <= 1 and len(new) <= 1:
        before, after = old[0] if old else ABSENT, new[0] if new else ABSENT
        _note(element, type_, before, after, written, removed)
    elif len(old) > 1 and len(new) > 1:
        written[element] = MEMBER
    elif len(old) > 1:
        if new:
            written[element] = everything(type_, new[0])
        removed[element] = MEMBER
    else:
        if old:
            removed[element] = everything(type_, old[0])
        written[element] = MEMBER


def _by_element(list_: ListType, items: list[Any]) -> dict[str, list[Any]]:
    """Return the *items* by path element; those that have none (which validation refuses) are nobody's."""
    found: dict[str, list[Any]] = {}
    for item in items:
        try:
            element = list_.path_element(item)
        except PathElementError:
            continue
        found.setdefault(element, []).append(item)
    return found


def _note(element: str, type_: Type | None, old: Any, new: Any, written: Fields, removed: Fields) -> None:
    """Note what became of one field, which differs, in *written* and *removed*."""
    if old is ABSENT:
        written[element] = everything(type_, new)
    elif new is ABSENT:
        removed[element] = everything(type_, old)
    elif type_ is None:
        written[element] = MEMBER
    else:
        below = _compare(type_, old, new)
        if below.written:
            written[element] = _as_node(below.written)
        if below.removed:
            removed[element] = below.removed


def _as_node(below: Fields) -> Fields:
    """Return the node of a field that *below* was found in; SELF alone is the field and nothing below it."""
    return MEMBER if len(below) == 1 and SELF in below else below


def everything(type_: Type | None, value: Any) -> Fields:
    """Return the node of a field that is *value* and was not there: itself and all that is below it."""
    if isinstance(value, dict):
        if type_ is None or (map_ := type_.map) is None or map_.atomic or not value:
            return MEMBER
        return _all_of_map(map_, value)
    if isinstance(value, list):
        if type_ is None or (list_ := type_.list) is None or list_.atomic or not value:
            return MEMBER
        return _all_of_list(list_, value)
    return MEMBER


def _all_of_map(map_: MapType, value: dict[str, Any]) -> Fields:
    found: Fields = {SELF: MEMBER}
    fields, element = map_.fields, map_.element
    for name in sorted(value):
        item = value[name]
        nested = isinstance(item, (dict, list)) and item
        found[f"f:{name}"] = everything(fields.get(name, element), item) if nested else MEMBER
    return found


def _all_of_list(list_: ListType, value: list[Any]) -> Fields:
    found: Fields = {SELF: MEMBER}
    type_, path_element = list_.element, list_.path_element
    for item in value:
        try:
            element = path_element(item)
        except PathElementError:
            continue
        found[element] = MEMBER if element in found or not isinstance(item, dict) else everything(type_, item)
    return found
