"""Owners' sets after the type of an object changed: what was granular and is atomic now is one field.

Whoever owned something in it owns it all. From atomic to granular nothing is done, as upstream: it is taken
as if it had always been granular.

Source: structured-merge-diff, typed/reconcile_schema.go.
"""

from kubelab.cluster.apply.fields import MEMBER, SELF, Fields
from kubelab.cluster.apply.path_element import FIELD
from kubelab.cluster.apply.types import DEDUCED, Form, MapType, Type


def migrate(owned: Fields, type_: Type) -> Fields:
    """Return *owned*, which may be of an older schema, as a set of *type_*'s fields."""
    migrated = _below(owned, type_)
    return owned if migrated == owned else migrated


def _below(tree: Fields, type_: Type | None) -> Fields:
    form = type_.form(None) if type_ is not None else None
    if type_ is None or form is None or form is Form.SCALAR:
        return tree
    if form is Form.LIST and type_.list is not None:
        item = type_.list.element
        return {element: _node(below, item) if element != SELF else below for element, below in tree.items()}
    assert type_.map is not None
    if _is_deduced(type_.map):
        return tree
    return {element: _field(element, below, type_.map) for element, below in tree.items()}


def _field(element: str, below: Fields, map_: MapType) -> Fields:
    return _node(below, map_.type_of(element[2:])) if element.startswith(FIELD) else below


def _node(tree: Fields, type_: Type | None) -> Fields:
    if not tree or type_ is None:
        return tree
    form = type_.form(None)
    is_atomic = (form is Form.MAP and type_.map is not None and type_.map.atomic) or (
        form is Form.LIST and type_.list is not None and type_.list.atomic
    )
    return MEMBER if is_atomic else _below(tree, type_)


def _is_deduced(map_: MapType) -> bool:
    return not map_.fields and map_.element is DEDUCED
