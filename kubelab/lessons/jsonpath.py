"""The part of kubectl's JSONPath that selects values: `{.spec.containers[?(@.name=="web")].image}`.

Source: https://kubernetes.io/docs/reference/kubectl/jsonpath/.
Our own, because kubectl's dialect is its own, and authors try a path with `kubectl get -o jsonpath` first.
The kept libraries speak others, without `{…}` and a backslash before a dot in a name: jsonpath-ng one of its
own, python-jsonpath that of RFC 9535.
Left out: recursive descent, slices, unions, range/end.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>(?:\\.|[\w/-])+)"""  # .metadata, .app\.kubernetes\.io/name
    r"""|\.?\[(?P<index>-?\d+)\]"""
    r"""|\.?\[(?P<every>\*)\]"""
    r"""|\.?\['(?P<key>[^']+)'\]"""
    r"""|\.?\[\?\(@(?P<filter>(?:\.[\w/-]+)+)\s*==\s*(?P<literal>"[^"]*"|'[^']*'|-?\d+|true|false)\)\]"""
)


@dataclass(frozen=True, slots=True)
class JsonPath:
    text: str
    _steps: tuple[re.Match[str], ...]

    @classmethod
    def parse(cls, text: str) -> "JsonPath":
        """Raises ValueError with the part that is not understood."""
        inner = text.strip().removeprefix("{").removesuffix("}")
        inner = inner if inner.startswith((".", "[")) else f".{inner}"
        steps, position = [], 0
        while position < len(inner):
            step = _STEP.match(inner, position)
            if step is None:
                raise ValueError(inner[position:])
            steps.append(step)
            position = step.end()
        return cls(f"{{{inner}}}", tuple(steps))

    def find(self, value: Any) -> list[Any]:
        """Return every value that the path selects; none where a part is missing."""
        found = [value]
        for step in self._steps:
            found = [result for item in found for result in _apply(step, item)]
        return found


def _apply(step: re.Match[str], value: Any) -> Iterator[Any]:
    parts = step.groupdict()
    if (name := parts["name"] or parts["key"]) is not None:
        key = name.replace("\\.", ".")
        if isinstance(value, dict) and key in value:
            yield value[key]
    elif isinstance(value, list):
        yield from _from_list(parts, value)


def _from_list(parts: dict[str, str | None], items: list[Any]) -> Iterator[Any]:
    if parts["every"]:
        yield from items
    elif (index := parts["index"]) is not None:
        if -len(items) <= int(index) < len(items):
            yield items[int(index)]
    else:
        path = JsonPath.parse(str(parts["filter"]))
        literal = _literal(str(parts["literal"]))
        yield from (item for item in items if literal in path.find(item))


def _literal(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if text[0] in "\"'" else int(text)
