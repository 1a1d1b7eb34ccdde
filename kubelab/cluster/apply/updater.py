"""One write, as a change of owners: whoever changes a field owns it, and who had it owns it no more.

An update takes what it changed from everyone. An applied configuration is owned whole, changed or not; what
it changes of others is a conflict, or taken when that is forced; and what its manager applied before and not
now is taken out of the object unless somebody else owns it, too. What somebody owns is looked at in the
version in which it is owned.

Source: structured-merge-diff, merge/update.go.
"""

from typing import Any

from kubelab.cluster.apply import fields
from kubelab.cluster.apply.conflict import ConflictError, conflicts_of
from kubelab.cluster.apply.fields import NOTHING, Fields, difference, intersection
from kubelab.cluster.apply.leaves import leaves
from kubelab.cluster.apply.managed_fields import Manager, Owned, Owners
from kubelab.cluster.apply.merging import merge
from kubelab.cluster.apply.migration import migrate
from kubelab.cluster.apply.pruning import pruned
from kubelab.cluster.apply.versions import Changes, Versions

Object = dict[str, Any]


def update(versions: Versions, live: Object, new: Object, owners: Owners) -> tuple[Owners, Fields]:
    """Return the owners after *live* became *new*, without who changed it, and what it changed.

    Fields that the version ignores do not count, whatever was sent: the write cannot change them.
    """
    changes = Changes(versions, live, new)
    if not changes.own:
        return owners, NOTHING
    return _without(owners, changes), changes.own.written


def apply(
    versions: Versions, live: Object, config: Object, owners: Owners, manager: Manager, *, force: bool
) -> tuple[Object, Owners]:
    """Return *live* with *config* applied by *manager*, and its owners.

    Raises:
        ConflictError: it changes what others own, and that is not forced.
    """
    own = versions.own
    owners = {each: _migrated(owned, versions) for each, owned in owners.items()}
    last = owners.get(manager)
    merged = merge(own.type, live, config)
    applied = fields.recursive_difference(leaves(own.type, config), own.ignored)
    owners[manager] = Owned(applied, own.api_version, last.time if last else "")
    new = pruned(versions, merged, owners.values(), last)
    others = {each: owned for each, owned in owners.items() if each != manager}
    changes = Changes(versions, live, new)
    conflicts = _conflicts(others, changes)
    if conflicts and not force:
        raise ConflictError(conflicts_of(conflicts))
    owned_after = {**_without(others, changes), manager: owners[manager]}
    return new, {each: owned for each, owned in owned_after.items() if owned.fields}


def _without(owners: Owners, changes: Changes) -> dict[Manager, Owned]:
    """Return *owners* without what was written or removed; who owns nothing any more is no owner."""
    remaining: dict[Manager, Owned] = {}
    for manager, owned in owners.items():
        if (changed := changes.within(owned.api_version)) is None:
            continue
        kept = difference(difference(owned.fields, changed.written), changed.removed)
        if kept is owned.fields:
            remaining[manager] = owned
        elif kept:
            remaining[manager] = Owned(kept, owned.api_version, owned.time)
    return remaining


def _conflicts(others: Owners, changes: Changes) -> dict[Manager, Fields]:
    conflicts: dict[Manager, Fields] = {}
    for each, owned in others.items():
        changed = changes.within(owned.api_version)
        if changed is not None and (both := intersection(owned.fields, changed.written)):
            conflicts[each] = both
    return conflicts


def _migrated(owned: Owned, versions: Versions) -> Owned:
    if (version := versions.of(owned.api_version)) is None:
        return owned
    migrated = migrate(owned.fields, version.type)
    return owned if migrated is owned.fields else Owned(migrated, owned.api_version, owned.time)
