"""Names and limits that differ from learner to learner, so that nobody copies an answer: `$NAME` in a lesson.

Drawn from a seed, so that resuming gives the same ones. Only declared names are substituted: `$$` and `$HOME`
stay what they are for the shell.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from kubelab.lessons.located import Node


def draw(choices: Mapping[str, tuple[Any, ...]], seed: str) -> dict[str, Any]:
    """Pick a value for each name; the same seed picks the same."""
    return {name: values[_digest(f"{seed}/{name}") % len(values)] for name, values in choices.items()}


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def substitute(text: str, values: Mapping[str, Any]) -> str:
    if not values:
        return text
    names = "|".join(sorted(map(re.escape, values), key=len, reverse=True))
    return re.sub(rf"\$(?:{names})\b", lambda match: str(values[match[0][1:]]), text)


def substitute_node(node: Node, values: Mapping[str, Any]) -> Node:
    """Replace in all strings below *node*; one that is nothing but `$NAME` becomes the typed value."""
    if isinstance(node.value, dict):
        entries = {key: substitute_node(value, values) for key, value in node.value.items()}
        return Node(entries, node.file, node.line)
    if isinstance(node.value, list):
        return Node([substitute_node(item, values) for item in node.value], node.file, node.line)
    if not isinstance(node.value, str):
        return node
    name = node.value[1:]
    alone = node.value.startswith("$") and name in values
    if alone:
        return _placed(values[name], node)
    return Node(substitute(node.value, values), node.file, node.line)


def _placed(value: Any, node: Node) -> Node:
    """Return *value*, which may be a whole list or mapping, in the place of *node*."""
    if isinstance(value, Mapping):
        value = {str(key): _placed(inner, node) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        value = [_placed(item, node) for item in value]
    return Node(value, node.file, node.line)
