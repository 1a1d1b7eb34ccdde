"""A value without some of its items: those that a set of fields holds, with all that is below them.

Source: structured-merge-diff, typed/remove.go.
"""

from typing import Any

from kubelab.cluster.apply.fields import SELF, Fields, is_member
from kubelab.cluster.apply.types import ListType, MapType, Type


def remove(type_: Type | None, value: Any, items: Fields) -> Any:
    """Return *value* without *items*; None if nothing is left of a list or a map."""
    if type_ is None or not items:
        return value
    if isinstance(value, dict) and type_.map is not None:
        return _maps(type_.map, value, items) if value and not type_.map.atomic else None
    if isinstance(value, list) and type_.list is not None:
        return _lists(type_.list, value, items) if value and not type_.list.atomic else None
    return value


def _below(items: Fields) -> Fields:
    return items if SELF not in items else {key: each for key, each in items.items() if key != SELF}


def _maps(map_: MapType, value: dict[str, Any], items: Fields) -> dict[str, Any] | None:
    kept: dict[str, Any] = {}
    for name, item in value.items():
        node = items.get(f"f:{name}")
        if node is None:
            kept[name] = item
        elif not is_member(node):
            kept[name] = remove(map_.type_of(name), item, _below(node))
    return kept or None


def _lists(list_: ListType, value: list[Any], items: Fields) -> list[Any] | None:
    kept: list[Any] = []
    for item in value:
        node = items.get(list_.path_element(item))
        if node is None:
            kept.append(item)
        elif not is_member(node):
            kept.append(remove(list_.element, item, _below(node)))
    return kept or None
