"""JSON Patch: a list of operations on paths, carried out all or not at all.

Source: RFC 6902 and RFC 6901 (pointers); error texts after evanphx/json-patch v4, which upstream uses.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubelab.cluster.patch.document import InapplicablePatchError, MalformedPatchError, same_json

COPIED_VALUES_MAX = 100_000
"""So many values may the `copy` operations of one patch add up to, or a few of them fill the memory."""

PAST_END = "-"  # The token for the place after the last element of an array.


def json_patch(document: Any, operations: object) -> Any:
    """Return *document* after all *operations*, or none of them.

    Raises:
        PatchError: one of them cannot be carried out.
    """
    if not isinstance(operations, list):
        raise MalformedPatchError("a JSON patch is a list of operations")
    copied = 0
    for operation in operations:
        name = _member(operation, "op")
        if not isinstance(name, str) or name not in _OPERATIONS:
            raise MalformedPatchError(f"Unexpected kind: {name}")
        if name == "copy":
            copied += _size(_get(document, _pointer(operation, "from"), operation))
        if copied > COPIED_VALUES_MAX:
            raise InapplicablePatchError(f"the patch copies more than {COPIED_VALUES_MAX} values")
        document = _OPERATIONS[name](document, operation)
    return document


def _member(operation: Any, name: str) -> Any:
    if not isinstance(operation, Mapping) or name not in operation:
        raise MalformedPatchError(f"JSON patch operation {operation} has no '{name}'")
    return operation[name]


def _pointer(operation: Any, name: str) -> list[str]:
    """Return the reference tokens of a JSON pointer (RFC 6901)."""
    text = _member(operation, name)
    if not isinstance(text, str) or not re.fullmatch(r"(/([^~]|~[01])*)?", text, re.DOTALL):
        raise MalformedPatchError(f"'{text}' is not a JSON pointer")
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]


def _add(document: Any, operation: Any) -> Any:
    return _put(document, _pointer(operation, "path"), _member(operation, "value"), operation)


def _remove(document: Any, operation: Any) -> Any:
    return _without(document, _pointer(operation, "path"), operation)


def _replace(document: Any, operation: Any) -> Any:
    path, value = _pointer(operation, "path"), _member(operation, "value")
    _get(document, path, operation)

    def replaced(parent: Any, token: str) -> Any:
        if isinstance(parent, list):
            index = int(token)
            return [*parent[:index], value, *parent[index + 1 :]]
        return {**parent, token: value}

    return _changed(document, path, replaced, operation) if path else value


def _move(document: Any, operation: Any) -> Any:
    source, path = _pointer(operation, "from"), _pointer(operation, "path")
    if path[: len(source)] == source and path != source:
        raise MalformedPatchError(f"cannot move {operation['from']} into itself, to {operation['path']}")
    value = _get(document, source, operation)
    return (
        value if path == source == [] else _put(_without(document, source, operation), path, value, operation)
    )


def _copy(document: Any, operation: Any) -> Any:
    value = _get(document, _pointer(operation, "from"), operation)
    return _put(document, _pointer(operation, "path"), value, operation)


def _test(document: Any, operation: Any) -> Any:
    if not same_json(_get(document, _pointer(operation, "path"), operation), _member(operation, "value")):
        raise InapplicablePatchError(f"testing value {operation['path']} failed: test failed")
    return document


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _missing(operation: Any) -> InapplicablePatchError:
    place = operation["from"] if "from" in operation else operation["path"]
    return InapplicablePatchError(
        f'{operation["op"]} operation does not apply: doc is missing path: "{place}": missing value'
    )


def _get(document: Any, path: Sequence[str], operation: Any) -> Any:
    for token in path:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list):
            document = document[_index(token, len(document), operation)]
        else:
            raise _missing(operation)
    return document


def _index(token: str, length: int, operation: Any) -> int:
    """Return *token* as an index below *length*."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", token):
        raise MalformedPatchError(
            f"error in {operation['op']} for path: '{operation['path']}': bad index '{token}'"
        )
    if int(token) >= length:
        raise InapplicablePatchError(
            f"error in {operation['op']} for path: '{operation['path']}': "
            f"Unable to access invalid index: {token}: invalid index referenced"
        )
    return int(token)


Change = Callable[[Any, str], Any]


def _changed(document: Any, path: Sequence[str], change: Change, operation: Any) -> Any:
    """Return *document* with the container that holds the last token of *path* replaced by `change` of it."""
    token, *rest = path
    if not rest:
        if isinstance(document, dict | list):
            return change(document, token)
        raise _missing(operation)
    if isinstance(document, dict) and token in document:
        return {**document, token: _changed(document[token], rest, change, operation)}
    if isinstance(document, list):
        index = _index(token, len(document), operation)
        return [*document[:index], _changed(document[index], rest, change, operation), *document[index + 1 :]]
    raise _missing(operation)


def _put(document: Any, path: Sequence[str], value: Any, operation: Any) -> Any:
    def put(parent: Any, token: str) -> Any:
        if isinstance(parent, list):
            index = len(parent) if token == PAST_END else _index(token, len(parent) + 1, operation)
            return [*parent[:index], value, *parent[index:]]
        return {**parent, token: value}

    return _changed(document, path, put, operation) if path else value


def _without(document: Any, path: Sequence[str], operation: Any) -> Any:
    def removed(parent: Any, token: str) -> Any:
        if isinstance(parent, list):
            index = _index(token, len(parent), operation)
            return [*parent[:index], *parent[index + 1 :]]
        if token in parent:
            return {key: value for key, value in parent.items() if key != token}
        raise InapplicablePatchError(
            f"error in {operation['op']} for path: '{operation['path']}': "
            f"Unable to remove nonexistent key: {token}: missing value"
        )

    if not path:
        raise InapplicablePatchError(f"{operation['op']} cannot remove the whole document")
    return _changed(document, path, removed, operation)


def _size(document: Any) -> int:
    children = (
        document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    )
    return 1 + sum(map(_size, children))
