"""One step from a value to a field below it, as FieldsV1 writes it.

- `f:name`: the field of that name, of a map or a struct;
- `k:{"name":"a"}`: the element of a list that has these keys;
- `v:"a"`: the element of a set;
- `i:0`: the element at that place.

Two steps are the same when they are written the same, so there is one way to write each: keys in their order,
no white space, whole numbers without a fraction.

Source: structured-merge-diff, fieldpath/serialize-pe.go, element.go.
"""

import json
from typing import Any

import msgspec

FIELD, KEY, VALUE, INDEX = "f:", "k:", "v:", "i:"

_encode = msgspec.json.Encoder(order="sorted").encode


class PathElementError(ValueError):
    """Something is no path element, or has none."""


def of_key(key: str, value: str) -> str:
    """Return what `of_keys` does for one key that is a text, which nearly all are."""
    return KEY + _encode({key: value}).decode()


def of_keys(keys: dict[str, Any]) -> str:
    return KEY + _encode(_canonical(keys)).decode()


def of_value(value: Any) -> str:
    return VALUE + _encode(_canonical(value)).decode()


def canonical(element: str) -> str:
    """Return *element*, which a client wrote, in the one way.

    Raises:
        PathElementError: it is no path element.
    """
    try:
        return _rewritten(element[:2], element[2:])
    except ValueError as error:
        raise PathElementError(f"{element}: {error}") from error


def _rewritten(kind: str, rest: str) -> str:
    if kind == FIELD:
        return FIELD + rest
    if kind == INDEX:
        return INDEX + str(int(rest))
    if kind == VALUE:
        return of_value(json.loads(rest))
    if kind == KEY and isinstance(keys := json.loads(rest), dict):
        return of_keys(keys)
    raise PathElementError("unknown path element type")


def shown(element: str) -> str:
    """Return *element* for people: `.spec`, `[name="a"]`, `[="a"]`, `[0]`."""
    kind, rest = element[:2], element[2:]
    if kind == FIELD:
        return f".{rest}"
    if kind == INDEX:
        return f"[{rest}]"
    if kind == VALUE:
        return f"[={rest}]"
    keys = json.loads(rest)
    return f"[{','.join(f'{key}={shown_value(keys[key])}' for key in sorted(keys))}]"


def shown_value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value
