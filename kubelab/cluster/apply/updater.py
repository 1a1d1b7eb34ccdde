"""One write, as a change of owners: whoever changes a field owns it, and who had it owns it no more.

An update takes what it changed from everyone. An applied configuration is owned whole, changed or not; what
it changes of others is a conflict, or taken when that is forced; and what its manager applied before and not
now is taken out of the object unless somebody else owns it, too.

Source: structured-merge-diff, merge/update.go.
"""

from collections.abc import Iterable
from typing import Any

from kubelab.cluster.apply import fields
from kubelab.cluster.apply.comparison import Comparison, compare
from kubelab.cluster.apply.conflict import ConflictError, conflicts_of
from kubelab.cluster.apply.fields import NOTHING, Fields, difference, intersection, union
from kubelab.cluster.apply.leaves import leaves
from kubelab.cluster.apply.managed_fields import Manager, Owned, Owners
from kubelab.cluster.apply.merging import merge
from kubelab.cluster.apply.migration import migrate
from kubelab.cluster.apply.removal import remove
from kubelab.cluster.apply.types import Type

Object = dict[str, Any]


def update(type_: Type, live: Object, new: Object, owners: Owners, ignored: Fields) -> tuple[Owners, Fields]:
    """Return the owners after *live* became *new*, without who changed it, and what it changed.

    Fields in *ignored* do not count, whatever was sent: the write cannot change them.
    """
    comparison = _considered(compare(type_, live, new), ignored)
    if not comparison:
        return owners, NOTHING
    return _without(owners, comparison), comparison.written


def apply(
    type_: Type,
    live: Object,
    config: Object,
    owners: Owners,
    manager: Manager,
    api_version: str,
    ignored: Fields,
    *,
    force: bool,
) -> tuple[Object, Owners]:
    """Return *live* with *config* applied by *manager*, and its owners.

    Raises:
        ConflictError: it changes what others own, and that is not forced.
    """
    owners = {each: _migrated(owned, type_) for each, owned in owners.items()}
    last = owners[manager].fields if manager in owners else NOTHING
    merged = merge(type_, live, config)
    applied = fields.recursive_difference(leaves(type_, config), ignored)
    time = owners[manager].time if manager in owners else ""
    owners[manager] = Owned(applied, api_version, time)
    new = _pruned(type_, merged, [owned.fields for owned in owners.values()], last)
    others = {each: owned for each, owned in owners.items() if each != manager}
    comparison = _considered(compare(type_, live, new), ignored)
    conflicts = _conflicts(others, comparison)
    if conflicts and not force:
        raise ConflictError(conflicts_of(conflicts))
    owned_after = {**_without(others, comparison), manager: owners[manager]}
    return new, {each: owned for each, owned in owned_after.items() if owned.fields}


def _considered(comparison: Comparison, ignored: Fields) -> Comparison:
    if not ignored or not comparison:
        return comparison
    return Comparison(
        fields.recursive_difference(comparison.written, ignored),
        fields.recursive_difference(comparison.removed, ignored),
    )


def _without(owners: Owners, comparison: Comparison) -> dict[Manager, Owned]:
    """Return *owners* without what was written or removed; who owns nothing any more is no owner."""
    remaining: dict[Manager, Owned] = {}
    for manager, owned in owners.items():
        kept = difference(difference(owned.fields, comparison.written), comparison.removed)
        if kept is owned.fields:
            remaining[manager] = owned
        elif kept:
            remaining[manager] = Owned(kept, owned.api_version, owned.time)
    return remaining


def _conflicts(others: Owners, comparison: Comparison) -> dict[Manager, Fields]:
    shared = {each: intersection(owned.fields, comparison.written) for each, owned in others.items()}
    return {each: both for each, both in shared.items() if both}


def _migrated(owned: Owned, type_: Type) -> Owned:
    migrated = migrate(owned.fields, type_)
    return owned if migrated is owned.fields else Owned(migrated, owned.api_version, owned.time)


def _pruned(type_: Type, merged: Object, owned: Iterable[Fields], last: Fields) -> Object:
    """Return *merged* without what was in *last* and is *owned* by nobody now."""
    if not last:
        return merged

    def named(tree: Fields) -> Fields:
        return fields.with_named_fields(tree, type_)

    everyone = NOTHING
    for each in owned:
        everyone = union(everyone, each)
    there, before = named(leaves(type_, merged)), named(last)
    pruned = named(leaves(type_, remove(type_, merged, before) or {}))
    # Items that somebody owns come back, with what is in them ...
    kept = remove(type_, merged, difference(there, union(pruned, named(everyone)))) or {}
    gone = difference(there, named(leaves(type_, kept)))
    # ... and so do those that went with their parent, and were never this manager's.
    result: Object = remove(type_, merged, intersection(gone, before)) or {}
    return result
