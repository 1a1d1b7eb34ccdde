"""What an applier left out of its configuration leaves the object, unless somebody else owns it, too.

Each owner's fields are looked at in the version in which they are owned; the applier's own in that in which
it applied last.

Source: structured-merge-diff, merge/update.go (prune, addBackOwnedItems, addBackDanglingItems).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kubelab.cluster.apply import fields
from kubelab.cluster.apply.fields import NOTHING, Fields, difference, intersection, union
from kubelab.cluster.apply.leaves import leaves
from kubelab.cluster.apply.managed_fields import Owned
from kubelab.cluster.apply.removal import remove
from kubelab.cluster.apply.versions import Version, Versions

Object = dict[str, Any]


def pruned(versions: Versions, merged: Object, owned: Iterable[Owned], last: Owned | None) -> Object:
    """Return *merged* without what was in *last* and is *owned* by nobody now."""
    version = versions.of(last.api_version) if last and last.fields else None
    if last is None or version is None:
        return merged
    whole = version.told(merged)
    gone = _named(version, last.fields)
    rest = version.back(remove(version.type, whole, gone) or {})
    # Items that somebody owns come back, with what is in them ...
    for each, everyone in _by_version(versions, owned, first=version):
        rest = _with_owned(each, merged, rest, everyone)
    # ... and so do those that went with their parent, and were never this manager's.
    lost = difference(_leaves(version, whole), _leaves(version, version.told(rest)))
    return version.back(remove(version.type, whole, intersection(lost, gone)) or {})


def _with_owned(version: Version, merged: Object, rest: Object, owned: Fields) -> Object:
    """Return *rest* with what there was in *merged* and is in *owned*, a set of that *version*."""
    whole = version.told(merged)
    kept = union(_leaves(version, version.told(rest)), _named(version, owned))
    return version.back(remove(version.type, whole, difference(_leaves(version, whole), kept)) or {})


def _by_version(
    versions: Versions, owned: Iterable[Owned], *, first: Version
) -> Iterable[tuple[Version, Fields]]:
    """Return what is owned in each version, in the *first* one before all others: what was taken out may be
    needed to convert the object to another."""
    together: dict[str, Fields] = {first.api_version: NOTHING}
    for each in owned:
        together[each.api_version] = union(together.get(each.api_version, NOTHING), each.fields)
    return _known(versions, together)


def _known(versions: Versions, together: Mapping[str, Fields]) -> Iterable[tuple[Version, Fields]]:
    for api_version, everyone in together.items():
        if (version := versions.of(api_version)) is not None:
            yield version, everyone


def _leaves(version: Version, obj: Object) -> Fields:
    return _named(version, leaves(version.type, obj))


def _named(version: Version, tree: Fields) -> Fields:
    return fields.with_named_fields(tree, version.type)
