"""A body in YAML, as JSON has it: a timestamp is a string, and no alias makes a small body huge.

Source: sigs.k8s.io/yaml (yaml.go, UnmarshalStrict); go.yaml.in/yaml/v2, decode.go (alias limits, duplicates).
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

NODES_MAX = 400_000  # Of a document with its aliases written out; upstream's limit for heavy aliasing.


def load(raw: bytes) -> Any:
    """Return the document in *raw*.

    Raises:
        ValueError: it is none, or its aliases make it too large.
    """
    loader_type, yaml_error = _yaml()
    try:
        loader = loader_type(raw)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > NODES_MAX:
                raise ValueError("error converting YAML to JSON: yaml: document contains excessive aliasing")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml_error as error:
        raise ValueError(f"error converting YAML to JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("error converting YAML to JSON: yaml: exceeded max depth") from error


def duplicates(raw: bytes) -> list[str]:
    """Return a sentence for each key of a mapping that comes again, by line; *raw* did load."""
    loader_type, _ = _yaml()
    loader = loader_type(raw)
    try:
        node = loader.get_single_node()
        return list(_duplicates(node)) if node is not None else []
    finally:
        loader.dispose()


@cache
def _yaml() -> tuple[Any, type[Exception]]:
    import yaml  # 20 ms, and hardly any client sends it.

    class Loader(yaml.composer.Composer, yaml.CSafeLoader):
        """Nests in Python, where too deep is an error: in C it is the end of the process."""

        def __init__(self, raw: bytes) -> None:
            yaml.CSafeLoader.__init__(self, raw)
            yaml.composer.Composer.__init__(self)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader, yaml.YAMLError


def _children(node: Any) -> Iterator[Any]:
    """Yield the nodes in *node*, keys and values alike."""
    if isinstance(node.value, list):
        for each in node.value:
            yield from each if isinstance(each, tuple) else (each,)


def _size(node: Any, known: dict[int, int | None]) -> int:
    """Return how many nodes *node* is with its aliases written out; it may not contain itself."""
    if id(node) in known:
        if (size := known[id(node)]) is None:
            raise ValueError("error converting YAML to JSON: yaml: anchor value contains itself")
        return size
    known[id(node)] = None
    total = 1 + sum(_size(child, known) for child in _children(node))
    known[id(node)] = total
    return total


def _duplicates(node: Any) -> Iterator[str]:
    seen: set[str] = set()
    for each in node.value if isinstance(node.value, list) else ():
        if isinstance(each, tuple):
            key = each[0]
            if isinstance(key.value, str):
                if key.value in seen:
                    yield f'line {key.start_mark.line + 1}: key "{key.value}" already set in map'
                seen.add(key.value)
            yield from _duplicates(each[1])
        else:
            yield from _duplicates(each)
