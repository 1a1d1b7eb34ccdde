"""One request as a change of owners, with the rules that Kubernetes lays around structured merge.

- Nobody owns what the server alone sets, or what names the object (`UNOWNED`).
- Who updates again keeps one entry; its time is that of its last change. More than ten updaters are merged
  into `ancient-changes`, the oldest first.
- An object that nobody applied to yet and that has no owners belongs to `before-first-apply`.
- Whoever sends `managedFields` with an update sets them; `[]` or `[{}]` takes all owners away, and no owners
  at all are left as they were (a client that knows nothing of them must not delete them).
- `kubectl apply --server-side` on what `kubectl apply` wrote is no conflict where the annotation
  last-applied-configuration says that kubectl wrote it; the annotation is kept up to date.

Source: kubernetes, apimachinery/pkg/util/managedfields/internal (fieldmanager.go, stripmeta.go,
managedfieldsupdater.go, capmanagers.go, skipnonapplied.go, lastappliedmanager.go, lastappliedupdater.go).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kubelab.cluster.apply import fields, managed_fields, updater, validation
from kubelab.cluster.apply.comparison import compare
from kubelab.cluster.apply.conflict import ConflictError
from kubelab.cluster.apply.fields import Fields, difference, union
from kubelab.cluster.apply.leaves import leaves
from kubelab.cluster.apply.managed_fields import APPLY, UPDATE, Manager, Owned, Owners
from kubelab.cluster.apply.path_element import PathElementError
from kubelab.cluster.apply.types import Type
from kubelab.cluster.apply.versions import Version, Versions, no_other

Object = dict[str, Any]

UPDATERS_MAX = 10
ANCIENT_CHANGES = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"
UNKNOWN = "unknown"
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ANNOTATIONS_BYTES_MAX = 256 * 1024
_UNOWNED_METADATA = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
UNOWNED = fields.of_paths(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(("f:metadata", f"f:{name}") for name in _UNOWNED_METADATA),
)


_CREATIONS_KEPT, _CREATION_BYTES_MAX = 128, 16 * 1024  # 3 MB at the very most.
_creations: "dict[tuple[FieldManager, bytes], Fields]" = {}  # Most objects have twins.
_encode = msgspec.json.Encoder().encode


class ApplyError(Exception):
    """A configuration that cannot be applied: it is not of the object's type. The message is upstream's."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldManager:
    """Whose fields are whose, for one kind in one version, written by itself or a *subresource*.

    `empty` is the object that nobody has filled in yet: what a Go type of the kind has when nothing was set.
    `ignored` are the fields that writes to this (sub)resource cannot change. `other_version` finds another
    version of the kind, in which somebody may own fields, by its name.
    """

    type: Type
    api_version: str
    kind: str
    empty: Object
    subresource: str = ""
    ignored: Fields = field(default_factory=dict)
    other_version: Callable[[str], Version | None] = no_other

    @property
    def _versions(self) -> Versions:
        return Versions(Version(self.api_version, self.type, self.ignored), self.other_version)

    def updated(self, live: Object | None, new: Object, name: str, now: str) -> list[Any]:
        """Return the managedFields of *new*, which the manager called *name* makes of *live* (None: creates).

        Those in *new* count if it has any, as upstream; neither object is changed.
        """
        if live is None and new["metadata"].get("managedFields") is None:
            return self._created(new, name, now)
        owners, tracked = self._before(live, new)
        before = _bare(live) if live is not None else self.empty
        if live is not None and not owners:
            return []  # Nobody applied to it, and it was not followed from the start.
        others, changed = updater.update(self._versions, before, _bare(new), owners)
        if not changed:
            return self._encoded(others, owners, tracked)
        manager = Manager(name or UNKNOWN, UPDATE, self.api_version, self.subresource)
        if not (changed := difference(changed, UNOWNED)):
            return self._encoded(others, owners, tracked)
        after = dict(others)
        if (mine := after.get(manager)) is not None:
            changed = union(mine.fields, changed)
        after[manager] = Owned(changed, self.api_version, now)
        return managed_fields.encode(_capped(after))

    def _created(self, new: Object, name: str, now: str) -> list[Any]:
        if not (made := self._made(new)):
            return []
        manager = Manager(name or UNKNOWN, UPDATE, self.api_version, self.subresource)
        return managed_fields.encode({manager: Owned(made, self.api_version, now)})

    def _made(self, new: Object) -> Fields:
        """Return what the creator of *new* owns: the same for all that differ in nothing but their names."""
        metadata = {key: value for key, value in new["metadata"].items() if key not in _UNOWNED_METADATA}
        alike = (self, _encode(new | {"metadata": metadata}))
        if (known := _creations.get(alike)) is not None:
            return known
        _, changed = updater.update(self._versions, self.empty, _bare(new), {})
        made = difference(changed, UNOWNED)
        if len(alike[1]) <= _CREATION_BYTES_MAX:
            if len(_creations) >= _CREATIONS_KEPT:
                del _creations[next(iter(_creations))]
            _creations[alike] = made
        return made

    def applied(self, live: Object | None, config: Object, name: str, now: str, *, force: bool) -> Object:
        """Return *live* (None: a new object) with *config* applied, with its managedFields.

        Raises:
            ConflictError: it changes what others own, and that is not forced.
            ApplyError: it is not of the object's type.
        """
        self._check(config)
        try:
            return self._applied(live, config, name, now, force)
        except PathElementError as error:  # Of what is there: the configuration has been checked.
            raise ApplyError(f"failed to merge config: {error}") from error

    def _applied(self, live: Object | None, config: Object, name: str, now: str, force: bool) -> Object:
        before = _bare(live) if live is not None else self.empty
        owners = self._first_owners(live, now)
        try:
            new, after = self._apply(before, config, owners, name, force)
        except ConflictError as error:
            if not self._is_kubectls_own(error, before, name):
                raise
            new, after = self._apply(before, config, owners, name, force=True)
        manager = self._applier(name)
        if new != before and manager in after:
            after = {**after, manager: Owned(after[manager].fields, self.api_version, now)}
        if name == KUBECTL:
            new = _with_last_applied(new, config)
        return _with_managed_fields(new, managed_fields.encode(after))

    # Before a write

    def _before(self, live: Object | None, new: Object) -> tuple[dict[Manager, Owned], list[Any]]:
        """Return the owners that an update starts from, and the entries in which they are stored."""
        stored = live["metadata"].get("managedFields") or [] if live is not None else []
        sent = new["metadata"].get("managedFields")
        if self.subresource or sent is None or sent is stored or sent == stored:
            return managed_fields.decode(stored, trusted=True), stored
        if _is_reset(sent):
            return {}, []
        try:
            owners = managed_fields.decode(sent)
        except ValueError:
            owners = {}
        if owners:
            return owners, []
        return managed_fields.decode(stored, trusted=True), stored

    @staticmethod
    def _encoded(after: Owners, before: Owners, stored: list[Any]) -> list[Any]:
        return stored if stored and after is before else managed_fields.encode(after)

    def _first_owners(self, live: Object | None, now: str) -> Owners:
        """Return the owners of *live*; if there are none, all of it belongs to who was before."""
        if live is None:
            return {}
        if owners := managed_fields.decode(live["metadata"].get("managedFields"), trusted=True):
            return owners
        _, changed = updater.update(self._versions, self.empty, _bare(live), {})
        if not (changed := difference(changed, UNOWNED)):
            return {}
        manager = Manager(BEFORE_FIRST_APPLY, UPDATE, self.api_version, self.subresource)
        return {manager: Owned(changed, self.api_version, now)}

    # Applying

    def _applier(self, name: str) -> Manager:
        return Manager(name or UNKNOWN, APPLY, subresource=self.subresource)

    def _check(self, config: Object) -> None:
        if problems := list(validation.validate(self.type, config)):
            metadata = config.get("metadata") or {}
            which = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
            raise ApplyError(
                f"failed to create typed patch object ({which}; {self.api_version}, Kind={self.kind}): "
                f"{validation.message(problems)}"
            )

    def _apply(
        self, before: Object, config: Object, owners: Owners, name: str, force: bool
    ) -> tuple[Object, Owners]:
        manager = self._applier(name)
        new, after = updater.apply(self._versions, before, config, owners, manager, force=force)
        kept = dict(after)
        if manager in kept:
            mine = kept.pop(manager)
            if owned := difference(mine.fields, UNOWNED):
                kept[manager] = Owned(owned, mine.api_version, mine.time)
        return new, kept

    def _is_kubectls_own(self, error: ConflictError, live: Object, name: str) -> bool:
        """Whether all that *error* tells of is what client-side apply wrote, and nobody since.

        Raises:
            ConflictError: of what is left, if only some of it is.
        """
        if name != KUBECTL or (allowed := self._last_applied(live)) is None:
            return False
        rest = [each for each in error.conflicts if not fields.contains(allowed, each.path)]
        if rest and len(rest) < len(error.conflicts):
            raise ConflictError(rest) from error
        return not rest

    def _last_applied(self, live: Object) -> Fields | None:
        """Return the fields that the annotation tells and that are still so; None if there is none."""
        annotation = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        try:
            last = json.loads(annotation) if annotation else None
        except ValueError:
            return None
        if not isinstance(last, dict) or last.get("apiVersion") != self.api_version:
            return None
        if any(validation.validate(self.type, last)):
            return None
        comparison = compare(self.type, last, live)
        same = difference(leaves(self.type, last), comparison.written)
        return difference(same, comparison.removed)


def _is_reset(sent: Sequence[Any]) -> bool:
    """Whether a client asks to forget all owners."""
    return not sent or (len(sent) == 1 and not sent[0])


def _bare(obj: Object) -> Object:
    """Return *obj* without its owners, which are nobody's fields."""
    if "managedFields" not in obj["metadata"]:
        return obj
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return obj | {"metadata": metadata}


def _with_managed_fields(obj: Object, entries: list[Any]) -> Object:
    metadata = dict(obj.get("metadata") or {})
    if entries:
        metadata["managedFields"] = entries
    return obj | {"metadata": metadata}


def _with_last_applied(obj: Object, config: Object) -> Object:
    """Return *obj* with the annotation of client-side apply, if it has it, telling *config*."""
    metadata = obj.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return obj
    told = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    text = _last_applied_text(config)
    if (
        sum(len(key.encode()) + len(value.encode()) for key, value in told.items())
        + len((LAST_APPLIED + text).encode())
        <= _ANNOTATIONS_BYTES_MAX
    ):
        told[LAST_APPLIED] = text
    return obj | {"metadata": metadata | {"annotations": told}}


def _last_applied_text(config: Object) -> str:
    """Return *config* as client-side apply would note it: sorted, on one line, without the annotation."""
    metadata = config.get("metadata") or {}
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(LAST_APPLIED, None)
    noted = config | {"metadata": metadata | {"annotations": annotations}}
    return json.dumps(noted, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def _capped(owners: dict[Manager, Owned]) -> dict[Manager, Owned]:
    """Return *owners* with at most `UPDATERS_MAX` updaters: the oldest of each version become one."""
    updaters = [each for each in owners if each.operation == UPDATE]
    surplus = len(updaters) - UPDATERS_MAX
    if surplus <= 0:
        return owners
    updaters.sort(key=lambda each: (owners[each].time, each.name, each.api_version, each.subresource))
    capped, first = dict(owners), dict[str, Manager]()
    for manager in updaters:
        if surplus <= 0:
            break
        version = capped[manager].api_version
        if version not in first:
            first[version] = manager
            continue
        _merge_ancient(capped, manager, first[version], version)
        surplus -= 1
    return capped


def _merge_ancient(owners: dict[Manager, Owned], manager: Manager, first: Manager, version: str) -> None:
    """Put what *manager* owns, and what the *first* of this *version* did, into the bucket of the version."""
    bucket = Manager(ANCIENT_CHANGES, UPDATE, version)
    if manager == bucket:
        return
    if bucket not in owners:
        owners[bucket] = owners.pop(first)
    merged = owners.pop(manager)
    owners[bucket] = Owned(union(merged.fields, owners[bucket].fields), version, merged.time)
