"""Sets of fields, as the JSON that FieldsV1 writes them in: a tree by path elements.

`{"f:spec": {"f:replicas": {}}}` holds `.spec.replicas`. A node without any below it is in the set; one with
others below it is in the set only if "." is among them. The empty tree is the empty set: the object as a
whole is nobody's. Nothing here changes a tree, and results share parts with what they were made from.

Source: structured-merge-diff, fieldpath/set.go, serialize.go.
"""

from collections.abc import Iterator
from typing import Any

from kubelab.cluster.apply import path_element
from kubelab.cluster.apply.path_element import PathElementError
from kubelab.cluster.apply.types import Type

Fields = dict[str, Any]  # Of more `Fields`.

SELF = "."
MEMBER: Fields = {}
NOTHING: Fields = {}


def of_paths(*paths: tuple[str, ...]) -> Fields:
    """Return the set of these *paths* of path elements."""
    tree = NOTHING
    for path in paths:
        node = MEMBER
        for element in reversed(path):
            node = {element: node}
        tree = union(tree, node)
    return tree


def node(below: Fields, *, member: bool) -> Fields | None:
    """Return the node that has *below* below it; None if there is nothing in it."""
    if not below:
        return MEMBER if member else None
    return {SELF: MEMBER, **below} if member else below


def is_member(tree: Fields | None) -> bool:
    """Whether the field that *tree* is the node of is in the set."""
    return tree is not None and (not tree or SELF in tree)


def union(left: Fields, right: Fields) -> Fields:
    if not left or not right:
        return left or right
    merged = dict(left)
    for element, there in right.items():
        here = merged.get(element)
        merged[element] = there if here is None else _union_of_nodes(here, there)
    return merged


def _union_of_nodes(left: Fields, right: Fields) -> Fields:
    if left is right:
        return left
    if left and right:
        return union(left, right)
    below = left or right
    return below if not below or SELF in below else {SELF: MEMBER, **below}


def difference(left: Fields, right: Fields) -> Fields:
    """Return *left* without the fields in *right*; those below them stay."""
    return _without(left, right, _difference_of_nodes)


def recursive_difference(left: Fields, right: Fields) -> Fields:
    """Return *left* without the fields in *right* and without all that is below them."""
    return _without(left, right, _recursive_difference_of_nodes)


def _without(left: Fields, right: Fields, of_nodes: Any) -> Fields:
    rest: Fields | None = None
    for element, there in right.items():
        here = left.get(element)
        if here is None:
            continue
        remaining = of_nodes(here, there)
        if remaining is here:
            continue
        rest = dict(left) if rest is None else rest
        if remaining is None:
            del rest[element]
        else:
            rest[element] = remaining
    return left if rest is None else rest


def _difference_of_nodes(left: Fields, right: Fields) -> Fields | None:
    below = difference(left, right)
    if is_member(right):
        below = left if left and below is left and SELF not in left else _children(below)
        return below or None
    return _lone(below) if below is not left else left


def _recursive_difference_of_nodes(left: Fields, right: Fields) -> Fields | None:
    if is_member(right):
        return None
    below = recursive_difference(left, right)
    return _lone(below) if below is not left else left


def _children(tree: Fields) -> Fields:
    return {element: below for element, below in tree.items() if element != SELF}


def _lone(tree: Fields) -> Fields | None:
    """Return the node *tree* as it is written: None if it is empty, a plain member if it is nothing else."""
    if len(tree) == 1 and SELF in tree:
        return MEMBER
    return tree or None


def intersection(left: Fields, right: Fields) -> Fields:
    """Return the fields that are in both."""
    if len(right) < len(left):
        left, right = right, left
    common: Fields = {}
    for element, here in left.items():
        if (there := right.get(element)) is None or element == SELF:
            continue
        both = is_member(here) and is_member(there)
        if (sub := node(intersection(here, there), member=both)) is not None:
            common[element] = sub
    return common


def contains(tree: Fields, path: tuple[str, ...]) -> bool:
    here: Fields | None = tree
    for element in path:
        here = here.get(element) if here is not None else None
    return bool(path) and is_member(here)


def paths(tree: Fields, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield each field's path: those of one level in their order, then those below them."""
    elements = [element for element in sorted(tree) if element != SELF]
    for element in elements:
        if is_member(tree[element]):
            yield (*prefix, element)
    for element in elements:
        yield from paths(tree[element], (*prefix, element))


def shown(path: tuple[str, ...]) -> str:
    """Return *path* for people: `.spec.template.spec.containers[name="web"].image`."""
    return "".join(map(path_element.shown, path))


def with_named_fields(tree: Fields, type_: Type | None) -> Fields:
    """Return *tree* with the structs' fields on the way to its fields, which are in no set themselves.

    That makes sets comparable which have only what is below: `a.b.c` then has `a.b` if a is a struct, and not
    if it is a map.
    """
    named: Fields = {}
    for element, below in tree.items():
        if element == SELF:
            continue
        child, is_named = _child(type_, element)
        deeper = with_named_fields(below, child)
        named[element] = node(deeper, member=is_named or is_member(below)) or MEMBER
    return named


def _child(type_: Type | None, element: str) -> tuple[Type | None, bool]:
    """Return the type below *type_* at *element*, and whether it is a struct's field."""
    if type_ is None:
        return None, False
    if element.startswith(path_element.FIELD) and type_.map is not None:
        field = type_.map.fields.get(element[2:])
        return (field, True) if field is not None else (type_.map.element, False)
    if element.startswith(path_element.KEY) and type_.list is not None:
        return type_.list.element, False
    return None, False


def decoded(tree: Any) -> Fields:
    """Return the set that a client wrote as *tree*, each element in its one way of writing.

    Raises:
        PathElementError: it is no FieldsV1.
    """
    if not isinstance(tree, dict):
        raise PathElementError("FieldsV1 must be an object")
    return {
        path_element.canonical(element): _decoded_node(below)
        for element, below in tree.items()
        if element != SELF
    }


def _decoded_node(tree: Any) -> Fields:
    below = decoded(tree)
    return {SELF: MEMBER, **below} if below and SELF in tree else below
