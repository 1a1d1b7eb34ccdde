"""kubectl's JSONPath, as far as it selects values: `{.spec.containers[?(@.name=="web")].image}`.

Source: https://kubernetes.io/docs/reference/kubectl/jsonpath/, kubernetes, staging/src/k8s.io/client-go/util/
jsonpath/{parser,jsonpath}.go and third_party/forked/golang/template/funcs.go, quirks included: a dot within
`['a.b']` descends, a backslash takes its meaning away; an integer cannot be compared with a float.
Our own, because kubectl's dialect is its own, and authors try a path with `kubectl get -o jsonpath` first.
The kept libraries speak others, without `{…}` and a backslash before a dot in a name: jsonpath-ng one of its
own, python-jsonpath that of RFC 9535.
Left out: what makes a text of values: several `{…}`, text around them, `range` and `end`. Where kubectl ends
with an error (an index beyond a list) there is no value. The members of a mapping come in its own order.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne
from typing import Any

Step = Callable[[list[Any]], list[Any]]
"""Makes the values that are selected so far into the next ones."""


class _RefusedError(Exception):
    """What kubectl, too, ends with an error for, once it sees the values."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    text: str
    _steps: tuple[Step, ...] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> "JsonPath":
        """Read `{.a.b}`; `.a.b` and `a.b` stand for it.

        Raises:
            ValueError: with the part that is not understood.
        """
        inner = text.strip()
        if inner.startswith("{") and inner.endswith("}"):
            inner = inner[1:-1]
        elif not inner.startswith((".", "[", "@", "$")):
            inner = f".{inner}"
        return cls(f"{{{inner}}}", tuple(_parsed(inner)))

    def find(self, value: Any) -> list[Any]:
        """Return every value that the path selects; none where a part is missing."""
        try:
            return _walk(self._steps, [value])
        except _RefusedError:
            return []


def _walk(steps: Iterable[Step], values: list[Any]) -> list[Any]:
    for step in steps:
        values = step(values)
    return values


_FIELD = r"(?:\\.|[^\\\s.,\[\]$@{}])*"
_TOKEN = re.compile(
    r"(?P<skip>[ @$])"
    r"|(?P<filter>\[\?\()"
    r"|\[(?P<array>[^\]\n]*)\]"
    rf"|(?P<descent>\.\.(?!\.\.))(?P<below>\w{_FIELD})?"
    rf"|\.(?!\.)(?P<field>{_FIELD})"
    r"|(?P<quoted>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
    r"|(?P<number>[+-]?[\d.]+)"
    r"|(?P<truth>true|false)(?![^\s.,\[\]$@{}])",
    re.DOTALL,
)


def _parsed(text: str) -> Iterator[Step]:
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(text[position:])
        position = token.end()
        if token["filter"]:
            end = _end_of_filter(text, position)
            yield _filter(text[position:end])
            position = end + len(")]")
        else:
            yield from _steps_of(token)


def _steps_of(token: re.Match[str]) -> Iterator[Step]:
    if token["descent"]:
        yield _descend
        if token["below"]:
            yield _named(token["below"])
    elif token["field"] is not None:
        yield _named(token["field"])
    elif token["array"] is not None:
        yield from _array(token["array"])
    elif not token["skip"]:
        yield _literal(token)


def _named(name: str) -> Step:
    if name == "*":
        return lambda values: [child for value in values for child in _children(value)]
    key = name.replace("\\", "")
    return lambda values: [value[key] for value in values if isinstance(value, dict) and key in value]


def _children(value: Any) -> list[Any]:
    """As upstream has it, what is below a text are its bytes."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list):
        return value
    return list(value.encode()) if isinstance(value, str) else []


def _descend(values: list[Any]) -> list[Any]:
    found = []
    for value in values:
        if children := _children(value):
            found += [value, *_descend(children)]
    return found


def _literal(token: re.Match[str]) -> Step:
    if token["quoted"] is not None:
        text = re.sub(r"\\(.)", r"\1", token["quoted"][1:-1])
        return lambda _: [text]
    value = token["truth"] == "true" if token["truth"] else _number(token["number"])
    return lambda values: [value for _ in values]


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _array(text: str) -> Iterator[Step]:
    parts = text.split(",")
    if len(parts) > 1:
        yield _union([tuple(_array(part.strip(" "))) for part in parts])
    elif key := re.fullmatch(r"'([^']*)'", text):
        yield from _parsed(f".{key[1]}")
    else:
        yield _slice(text)


def _union(branches: list[tuple[Step, ...]]) -> Step:
    return lambda values: [found for branch in branches for found in _walk(branch, values)]


def _slice(text: str) -> Step:
    """`[n]` is the slice from n to the next one, `[*]` that of all."""
    bounds = re.fullmatch(r"(-?\d*)(?::(-?\d*))?(?::(-?\d*))?", ":" if text == "*" else text)
    if bounds is None:
        raise ValueError(f"[{text}]")
    start, end, every = (int(part) if part else None for part in bounds.groups())
    single, step = bounds[2] is None, 1 if every is None else every

    def take(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for items in _lists(value for value in values if value is not None):
            first, beyond = _bounds(start, end, single, len(items))
            if first == beyond:
                break  # As upstream, which does not look at the further lists.
            if not 0 <= first < len(items) or not first < beyond <= len(items) or step <= 0:
                raise _RefusedError
            found += items[first:beyond:step]
        return found

    return take


def _bounds(start: int | None, end: int | None, single: bool, length: int) -> tuple[int, int]:
    first = start or 0
    beyond = first + 1 if single else length if end is None else end
    wraps = beyond < 0 or (beyond == 0 and single)
    return first + length * (first < 0), beyond + length * wraps


def _lists(values: Iterable[Any]) -> Iterator[list[Any]]:
    for value in values:
        if not isinstance(value, list):
            raise _RefusedError
        yield value


def _end_of_filter(text: str, start: int) -> int:
    """Return where the `)]` is that ends the filter; what is quoted may contain one."""
    ended = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[^\"')])*").match(text, start)
    assert ended is not None
    if not text.startswith(")]", ended.end()):
        raise ValueError(text[start:])
    return ended.end()


_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+)", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}


def _filter(text: str) -> Step:
    comparison = _COMPARISON.fullmatch(text)
    if comparison is None:
        sought = tuple(_parsed(text))
        return lambda values: [item for item in _items(values) if _found(sought, item)]
    left, right = tuple(_parsed(comparison[1])), tuple(_parsed(comparison[3]))
    operator = _OPERATORS.get(comparison[2])
    if operator is None:
        raise ValueError(comparison[2])
    return lambda values: [item for item in _items(values) if _compares(operator, left, right, item)]


def _items(values: list[Any]) -> Iterator[Any]:
    return (item for items in _lists(values) for item in items)


def _found(steps: tuple[Step, ...], item: Any) -> bool:
    """What cannot be looked up is not there: for existence upstream asks no more."""
    try:
        return bool(_walk(steps, [item]))
    except _RefusedError:
        return False


def _compares(
    operator: Callable[[Any, Any], bool], left: tuple[Step, ...], right: tuple[Step, ...], item: Any
) -> bool:
    lefts = _walk(left, [item])
    rights = _walk(right, [item]) if len(lefts) == 1 else lefts
    if len(lefts) > 1 or len(rights) > 1:
        raise _RefusedError
    if not lefts or not rights:
        return False
    if not _comparable(operator, type(lefts[0]), type(rights[0])):
        raise _RefusedError
    return operator(lefts[0], rights[0])


def _comparable(operator: Callable[[Any, Any], bool], left: type, right: type) -> bool:
    """Numbers of both kinds, a truth value and an order, a list: upstream compares none of these."""
    return left is right and (left in (int, float, str) or (left is bool and operator in (eq, ne)))
