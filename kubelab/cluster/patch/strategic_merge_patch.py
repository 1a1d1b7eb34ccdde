"""Strategic merge patch: a merge patch that knows which lists are maps, and has directives for the rest.

- Lists with a merge key are merged element by element; the result keeps the patch's order among the elements
  that the patch names and the old order among the others (so an element that is new comes before old ones
  that the patch does not name). Other lists are replaced.
- `$patch: replace` and `$patch: delete` in a map or an element; `$retainKeys: [...]` drops all other fields;
  `$setElementOrder/<list>` orders; `$deleteFromPrimitiveList/<list>` takes plain values out of a list.

Source: kubernetes, apimachinery/pkg/util/strategicpatch/patch.go; community/contributors/devel/
sig-api-machinery/strategic-merge-patch.md.
"""

from collections.abc import Callable, Iterator
from typing import Any

from kubelab.cluster.patch.document import MalformedPatchError, same_json

Object = dict[str, Any]

MergeKeys = Callable[[tuple[str, ...]], str | None]
"""From the path of a list, by field names alone (`("spec", "containers", "ports")`), to how patches merge it:
by the field of that name (`containerPort`); "" as a set of plain values; None not at all, it is replaced."""

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
ELEMENT_ORDER = "$setElementOrder/"
DELETE_FROM_LIST = "$deleteFromPrimitiveList/"
DIRECTIVES = (DIRECTIVE, RETAIN_KEYS, ELEMENT_ORDER, DELETE_FROM_LIST)


def strategic_merge_patch(document: Object, patch: Object, merge_keys: MergeKeys) -> Object:
    """Return *document* with *patch* merged in: maps by field, lists as *merge_keys* says.

    Raises:
        PatchError: a directive is malformed, or an element has no merge key.
    """
    if not isinstance(patch, dict):
        raise MalformedPatchError("invalid JSON document")
    return _StrategicMerge(merge_keys).maps(document, patch, ())


class _StrategicMerge:
    def __init__(self, merge_keys: MergeKeys) -> None:
        self._merge_keys = merge_keys

    def maps(self, original: Object, patch: Object, path: tuple[str, ...]) -> Object:
        if DIRECTIVE in patch:
            return _directed(patch)
        merged = _retained(original, patch)
        lists = {*_fields(patch, ELEMENT_ORDER), *_fields(patch, DELETE_FROM_LIST)}
        for name in sorted(lists):
            self._list_by_directives(merged, patch, name, path)
        for name, value in patch.items():
            if name not in lists and not name.startswith(DIRECTIVES):
                self._field(merged, name, value, path)
        return merged

    def _field(self, merged: Object, name: str, value: Any, path: tuple[str, ...]) -> None:
        """Merge one field of a patch into *merged*, in place: it is our own copy."""
        old, below = merged.get(name), (*path, name)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(old, dict):
            merged[name] = self.maps(old, value, below)
        elif isinstance(value, list) and isinstance(old, list):
            merged[name] = self._lists(old, value, below)
        elif isinstance(value, dict) and DIRECTIVE in value:
            merged.pop(name, None)
        else:
            merged[name] = _fresh(value)

    def _list_by_directives(self, merged: Object, patch: Object, name: str, path: tuple[str, ...]) -> None:
        """Merge a list of which the patch tells deletions or the order of elements beside its changes."""
        key = self._merge_keys((*path, name))
        original = _list(merged.get(name) or [])
        order = patch.get(ELEMENT_ORDER + name)
        doomed = _list(patch.get(DELETE_FROM_LIST + name) or [])
        if patch.get(name, ()) is None:
            merged.pop(name, None)
            return
        changes = _list(patch.get(name) or [])
        if order is not None:
            _check_order(changes, order, key)
        kept = [item for item in original if not _contains(doomed, item, "")]
        result = self._lists(kept, changes, (*path, name)) if name in patch else kept
        if order is not None:
            result = _ordered(result, order, original, key or "")
        if name in merged or name in patch:
            merged[name] = result

    def _lists(self, original: list[Any], patch: list[Any], path: tuple[str, ...]) -> list[Any]:
        key = self._merge_keys(path)
        if key is None:
            return [_fresh(item) for item in patch if not _has_directive(item)]
        if not original and not patch:
            return original
        if all(isinstance(item, dict) for item in (*original, *patch)):
            return self._lists_of_maps(original, patch, key, path)
        if key or any(isinstance(item, dict | list) for item in (*original, *patch)):
            raise MalformedPatchError(f"list element types are not identical: {[original, patch]}")
        return _ordered(_unique([*original, *patch]), patch, original, "")

    def _lists_of_maps(
        self, original: list[Any], patch: list[Any], key: str, path: tuple[str, ...]
    ) -> list[Any]:
        if not key:
            raise MalformedPatchError(f"cannot merge lists without merge key for {path[-1]}")
        kept = _after_special_elements(original, patch, key)
        changes = [item for item in patch if DIRECTIVE not in item]
        merged = list(kept)
        for change in changes:
            index = _find(merged, _key_value(change, key), key)
            if index is None:
                merged.append(_fresh(change))
            else:
                merged[index] = self.maps(merged[index], change, path)
        return _ordered(merged, changes, kept, key)


def _directed(patch: Object) -> Object:
    """Carry out a map's `$patch: replace` or `$patch: delete`."""
    if patch[DIRECTIVE] == "replace":
        return {name: _fresh(value) for name, value in patch.items() if name != DIRECTIVE}
    if patch[DIRECTIVE] == "delete":
        return {}
    raise MalformedPatchError(f"unknown patch type: {patch[DIRECTIVE]} in map: {patch}")


def _has_directive(value: Any) -> bool:
    return isinstance(value, dict) and DIRECTIVE in value


def _fresh(value: Any) -> Any:
    """Return what a value of a patch leaves where nothing was: no nulls and no directives."""
    if isinstance(value, dict):
        return {
            name: _fresh(child)
            for name, child in value.items()
            if child is not None and not name.startswith(DIRECTIVES) and not _has_directive(child)
        }
    if isinstance(value, list):
        return [_fresh(item) for item in value if not _has_directive(item)]
    return value


def _retained(original: Object, patch: Object) -> Object:
    """Return a copy of *original* with only the fields of `$retainKeys`, if the patch has it."""
    if RETAIN_KEYS not in patch:
        return dict(original)
    keys = patch[RETAIN_KEYS]
    changed = (name for name, value in patch.items() if value is not None and not name.startswith(DIRECTIVES))
    if not isinstance(keys, list) or not all(name in keys for name in changed):
        raise MalformedPatchError("invalid patch format of retainKeys")
    return {name: value for name, value in original.items() if name in keys}


def _fields(patch: Object, prefix: str) -> Iterator[str]:
    return (name.removeprefix(prefix) for name in patch if name.startswith(prefix))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedPatchError(f"expected a list, but received {value!r}")
    return value


def _check_order(changes: list[Any], order: Any, key: str | None) -> None:
    """Check that the order names all changed elements, in the order in which the patch has them."""
    _list(order)
    places = [
        _find(order, _element_key(item, key), key or "") for item in changes if not _has_directive(item)
    ]
    known = [place for place in places if place is not None]
    if len(known) < len(places) or known != sorted(known):
        raise MalformedPatchError(
            f"The order in patch list:\n{changes}\n doesn't match $setElementOrder list:\n{order}\n"
        )


def _after_special_elements(original: list[Any], patch: list[Any], key: str) -> list[Any]:
    """Return what the elements of *patch* with a `$patch` directive leave of *original*."""
    kept = original
    for special in filter(_has_directive, patch):
        if special[DIRECTIVE] == "delete":
            doomed = _key_value(special, key)
            kept = [item for item in kept if not same_json(item.get(key), doomed)]
        elif special[DIRECTIVE] == "replace":
            return []
        else:
            raise MalformedPatchError(f"unknown patch type: {special[DIRECTIVE]} in map: {special}")
    return kept


def _key_value(item: Any, key: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        raise MalformedPatchError(f"map: {item} does not contain declared merge key: {key}")
    return item[key]


def _element_key(item: Any, key: str | None) -> Any:
    return _key_value(item, key) if key else item


def _find(items: list[Any], wanted: Any, key: str) -> int | None:
    """Return the index of the element whose merge key, or which itself (*key* ""), is *wanted*."""
    for index, item in enumerate(items):
        candidate = item.get(key) if key and isinstance(item, dict) else item
        if same_json(candidate, wanted):
            return index
    return None


def _contains(items: list[Any], item: Any, key: str) -> bool:
    return _find(items, item.get(key) if key and isinstance(item, dict) else item, key) is not None


def _unique(items: list[Any]) -> list[Any]:
    unique: list[Any] = []
    for item in items:
        if not _contains(unique, item, ""):
            unique.append(item)
    return unique


def _ordered(items: list[Any], order: list[Any], live: list[Any], key: str) -> list[Any]:
    """Return *items* with those of *order* in its order, and the others between them as they were *live*."""

    def place(item: Any, among: list[Any]) -> int:
        index = _find(among, item.get(key) if key and isinstance(item, dict) else item, key)
        return len(among) if index is None else index

    ordered = sorted((item for item in items if _contains(order, item, key)), key=lambda i: place(i, order))
    others = sorted((item for item in items if not _contains(order, item, key)), key=lambda i: place(i, live))
    result: list[Any] = []
    for item in ordered:
        while others and place(others[0], live) < place(item, live) < len(live):
            result.append(others.pop(0))
        result.append(item)
    return result + others
