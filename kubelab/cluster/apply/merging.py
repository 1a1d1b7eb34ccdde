"""A configuration merged into a value: nothing is removed, and where both have a leaf the configuration wins.

Items that both have keep the configuration's order among them; those that the value alone has stay where they
are between them.

Source: structured-merge-diff, typed/merge.go.
"""

from collections.abc import Iterator
from typing import Any

from kubelab.cluster.apply.path_element import PathElementError
from kubelab.cluster.apply.types import ABSENT, Form, ListType, MapType, Type


def merge(type_: Type | None, value: Any, config: Any) -> Any:
    """Return *value* with *config* merged in; either may be `ABSENT`. What changes not is shared.

    Raises:
        PathElementError: *config* has two items with the same keys.
    """
    if config is ABSENT:
        return value
    if type_ is None:
        return config
    form = type_.form(config)
    if form is Form.MAP and type_.map is not None and not type_.map.atomic:
        left, right = _dict(value), _dict(config)
        return _maps(type_.map, left, right) if left or right else config
    if form is Form.LIST and type_.list is not None and not type_.list.atomic:
        before, after = _list(value), _list(config)
        return _lists(type_.list, before, after) if before or after else config
    return config


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _maps(map_: MapType, value: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    merged = dict(value)
    for name, item in config.items():
        merged[name] = merge(map_.type_of(name), value.get(name, ABSENT), item)
    return merged


def _lists(list_: ListType, value: list[Any], config: list[Any]) -> list[Any]:
    old = [(list_.path_element(item), item) for item in value]
    new = [(list_.path_element(item), item) for item in config]
    wanted = dict(new)
    if len(wanted) < len(new):
        raise PathElementError("duplicate entries")
    known: dict[str, Any] = {}
    for element, item in old:  # An item that is there several times is none to merge with.
        known[element] = None if element in known else item
    return [
        item if config_item is ABSENT else merge(list_.element, known.get(element, ABSENT), config_item)
        for element, item, config_item in _in_order(old, wanted)
    ]


def _in_order(old: list[tuple[str, Any]], wanted: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the items of both lists: element, the old item (if it is kept alone), the configuration's item.

    An old item that is shared, and whose turn it is not, is passed over: it comes where the configuration has
    it.
    """
    known = {element for element, _ in old}
    order = list(wanted)
    shared = iter([element for element in order if element in known])
    next_shared = next(shared, None)
    merged: set[str] = set()
    left = right = 0
    while left < len(old) or right < len(order):
        if left < len(old) and right < len(order):
            element = old[left][0]
            if element == order[right]:
                merged.add(element)
                yield element, ABSENT, wanted[element]
                left, right = left + 1, right + 1
                next_shared = next(shared, None)
                continue
            if element in wanted and next_shared is not None and next_shared != element:
                left += 1
                continue
        if left < len(old):
            element, item = old[left]
            if element not in wanted:
                yield element, item, ABSENT
                left += 1
                continue
            if element in merged:
                left += 1
        if right < len(order):
            element = order[right]
            merged.add(element)
            yield element, ABSENT, wanted[element]
            right += 1
            if next_shared == element:
                next_shared = next(shared, None)
