"""The verbs of the API on the store, without HTTP: all that clients rely on is decided here and below.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go and
https://kubernetes.io/docs/reference/using-api/api-concepts/. A resource version is the store's revision. A
write is a transaction that compares what it was decided on; when someone else was quicker, it is decided
again, unless the client named the version that it meant.
Left out: create on update (but for applied configurations), and the garbage collector (a controller).
"""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeVarTuple

from kubelab.cluster.apiserver import deletion, lifecycle, ownership, paging, refusals, subresources
from kubelab.cluster.apiserver.access import Access
from kubelab.cluster.apiserver.admission import Attributes, Chain, Operation, Plugin
from kubelab.cluster.apiserver.authorization.escalation import RoleEscalation
from kubelab.cluster.apiserver.caller import SYSTEM, Caller
from kubelab.cluster.apiserver.claiming import claiming
from kubelab.cluster.apiserver.deletion import DeleteOptions
from kubelab.cluster.apiserver.kind import Call, Kind, Write
from kubelab.cluster.apiserver.kinds import Catalogue
from kubelab.cluster.apiserver.selection import Matches, selection
from kubelab.cluster.apiserver.versions import Version, VersionCache, copied, stored_form
from kubelab.cluster.apiserver.while_served import while_served
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object
from kubelab.cluster.store.protocol import Compare, Delete, Put, Store, TxnResult
from kubelab.cluster.store.requests import KeyValue
from kubelab.cluster.store.service import CompactedError, Event, FutureRevisionError, KeyValueService

Arguments = TypeVarTuple("Arguments")
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
Change = Callable[[Object], Object]  # From what is stored to what a client wants.
Look = Callable[[Object], None]
Configured = Callable[[Object | None, Write], Object]  # The same for a configuration, of nothing as well.

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # As upstream: no vowels, no bad words, nothing alike.
_EVENTS_KEPT = 1024  # Some 16 KB each; watchers are seldom more than a few events apart.


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query of a list; `resource_version` 0 means any, "" the newest."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    exact: bool = False  # resourceVersionMatch=Exact


@dataclass(frozen=True, slots=True)
class Page:
    versions: tuple[Version, ...]
    revision: int
    continue_: str = ""
    remaining: int | None = None


_EVERYTHING = ListOptions()
_AS_USUAL = DeleteOptions()


class WatchedEvent:
    """One event, made once for all watchers that see it so; `forms` holds what it was encoded into."""

    __slots__ = ("forms", "type", "version")

    def __init__(self, type_: EventType, version: Version) -> None:
        self.type = type_
        self.version = version
        self.forms: dict[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of a deletion: `version` is the object's last or present one; `gone` if it is no more."""

    version: Version
    gone: bool


class Registry:
    """What every way in to the cluster's objects goes through: HTTPS, and the components in this process."""

    def __init__(
        self,
        service: KeyValueService,
        clock: Clock,
        *,
        kinds: Catalogue | None = None,
        plugins: Sequence[Plugin] = (),
        access: Access | None = None,
    ) -> None:
        self.store = Store(service)
        self.clock = clock
        self.kinds = kinds or Catalogue()
        self.access = access or Access()
        authorizer = self.access.authorizer
        self.admission = Chain((*plugins, RoleEscalation(authorizer.policy, authorizer.authorize)))
        self._versions = VersionCache()
        self._events: dict[tuple[int, bytes, EventType, Kind | None], WatchedEvent] = {}

    async def counts(self) -> dict[str, int]:
        """Return how many objects of each resource are stored, by the names that metrics use."""
        stored = [kind for kind in self.kinds.all if not kind.conversion and not kind.review]
        return {
            kind.resource.group_resource: (await self.store.range(kind.prefix(), limit=1)).count
            for kind in stored
        }

    # Reading

    async def get(self, kind: Kind, namespace: str, name: str) -> Version:
        return _seen(kind, self._versions.of(await self._kv(kind, namespace, name)))

    def get_now(self, kind: Kind, namespace: str, name: str) -> Version | None:
        """Return what `get` does, without waiting; None if that cannot be done, or nothing is there."""
        kv = self.store.get_now(kind.key(namespace, name))
        return _seen(kind, self._versions.peek(kv)) if kv else None

    async def _kv(self, kind: Kind, namespace: str, name: str) -> KeyValue:
        kv = await self.store.get(kind.key(namespace, name))
        if kv is None:
            raise refusals.not_found(kind.resource, name)
        return kv

    async def list(self, kind: Kind, namespace: str = "", options: ListOptions = ListOptions()) -> Page:
        matches = selection(kind, options.label_selector, options.field_selector)
        prefix = kind.prefix(namespace)
        wanted = refusals.revision(options.resource_version)
        start, revision = b"", wanted if options.exact else 0
        if options.continue_:
            revision, start = paging.decode(options.continue_, prefix)
            revision = 0 if revision == paging.NEWEST else revision
        elif wanted > self.store.revision and wanted > (newest := await self.store.newest_revision()):
            raise refusals.too_large(wanted, newest)
        try:
            return await self._page(kind, prefix, start, revision, options.limit, matches)
        except FutureRevisionError as error:
            raise refusals.too_large(revision, error.store_revision) from error
        except CompactedError as error:
            if options.continue_:
                rest = paging.encode(paging.Position(paging.NEWEST, start))
                raise refusals.old_page(rest) from error
            raise refusals.too_old(revision, error.compact_revision) from error

    async def _page(
        self, kind: Kind, prefix: bytes, start: bytes, revision: int, limit: int, matches: Matches | None
    ) -> Page:
        """Read on until *limit* objects match, or there are no more."""
        found: list[Version] = []
        are_newest = not revision
        while True:
            wanted = limit - len(found) if limit else 0
            result = await self.store.range(prefix, start=start, limit=wanted, revision=revision)
            revision = revision or result.revision
            versions = self._all_seen(kind, result.kvs, are_newest=are_newest)
            found += versions if matches is None else [each for each in versions if matches(each.object)]
            if not result.more:
                return Page(tuple(found), revision)
            start = result.kvs[-1].key + b"\0"
            if len(found) >= limit:
                remaining = result.count - len(result.kvs) if matches is None else None
                return Page(
                    tuple(found), revision, paging.encode(paging.Position(revision, start)), remaining
                )

    def _all_seen(self, kind: Kind, kvs: Sequence[KeyValue], *, are_newest: bool) -> Sequence[Version]:
        versions = self._versions.all_of(kvs) if are_newest else [*map(self._versions.peek, kvs)]
        return [_seen(kind, each) for each in versions] if kind.custom or kind.conversion else versions

    @asynccontextmanager
    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        revision: int,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[AsyncIterator[tuple[WatchedEvent, ...]]]:
        """Watch what comes after *revision*.

        Raises:
            ApiError: 410 when that is compacted, on entering or later.
        """
        matches = selection(kind, label_selector, field_selector)
        try:
            async with self.store.watch(kind.prefix(namespace), start_revision=revision + 1) as batches:
                events = self._translate(kind, batches, matches)
                yield while_served(self.kinds, kind.resource, events) if kind.custom else events
        except CompactedError as error:
            raise refusals.too_old(revision, error.compact_revision) from error

    async def _translate(
        self, kind: Kind, batches: AsyncIterator[tuple[Event, ...]], matches: Matches | None
    ) -> AsyncIterator[tuple[WatchedEvent, ...]]:
        async for batch in batches:
            seen = [self._event(kind, event, matches) for event in batch]
            if events := tuple(event for event in seen if event is not None):
                yield events

    def _event(self, kind: Kind, event: Event, matches: Matches | None) -> WatchedEvent | None:
        """Return how *event* looks to a watcher of what *matches*: to enter is ADDED, to leave is DELETED."""
        before, after = event.prev_kv, event.kv if event.type == "PUT" else None
        if after is None:  # Perhaps another server did it, and this one would keep it for ever.
            self._versions.forget_before(event.kv.key, event.kv.mod_revision)
        if matches is not None:
            before = before if before and matches(self._peek(kind, before).object) else None
            after = after if after and matches(self._peek(kind, after).object) else None
        if after:
            return self._shared_event("MODIFIED" if before else "ADDED", kind, after, event.kv)
        if before:
            return self._shared_event("DELETED", kind, event.kv if event.type == "PUT" else before, event.kv)
        return None

    def _peek(self, kind: Kind, kv: KeyValue) -> Version:
        return _seen(kind, self._versions.peek(kv))

    def _shared_event(self, type_: EventType, kind: Kind, shown: KeyValue, kv: KeyValue) -> WatchedEvent:
        """Return the event that shows *shown* at the revision of *kv*."""
        key = (kv.mod_revision, kv.key, type_, kind if kind.conversion or kind.custom else None)
        if (shared := self._events.get(key)) is None:
            at_revision = self._versions.peek(kv) if shown is kv else Version(shown.value, kv.mod_revision)
            shared = self._events[key] = WatchedEvent(type_, _seen(kind, at_revision))
            if len(self._events) > _EVENTS_KEPT:
                del self._events[next(iter(self._events))]
        return shared

    # Writing

    async def create(
        self,
        kind: Kind,
        namespace: str,
        obj: Object,
        *,
        caller: Caller = SYSTEM,
        dry_run: bool = False,
        applied: bool = False,
        look: Look | None = None,
        through: Kind | None = None,
    ) -> Version:
        """Store a new object; parts of *obj* become parts of it.

        An *applied* one tells already who owns what in it. *look* is shown what was stored, which nobody
        needs to decode then. *through* is the kind that was asked for, if it is kept as this one.
        """
        if kind.conversion:
            kind.set_defaults(obj)
            stored = self.kinds[kind.conversion.storage]
            converted = kind.conversion.to_storage(obj)
            version = await self.create(
                stored, namespace, converted, caller=caller, dry_run=dry_run, applied=applied, through=kind
            )
            if look is not None:
                look(_seen(kind, version).object)
            return _seen(kind, version)
        self._check_names(kind, obj, namespace)
        new = lifecycle.begin_create(
            kind,
            obj,
            namespace,
            uid=str(uuid.uuid4()),
            suffix=generated_suffix,
            now=self.clock.now(),
            caller=caller,
            applied=applied,
            through=through,
        )
        if kind.custom and kind.custom.terminating:
            why = "create not allowed while custom resource definition is terminating"
            raise refusals.forbidden(kind.resource, new["metadata"].get("name", ""), why)
        attributes = self._attributes("CREATE", kind, new, None, caller, dry_run=dry_run)
        await self.admission.admit(attributes)
        assert attributes.new is not None
        attributes.new = new = await _thought(kind, lifecycle.finish_create, kind, attributes.new)
        await self.admission.validate(attributes)
        version, kept = await self._store_new(kind, namespace, new, dry_run=dry_run)
        if look is not None:
            look(kept)
        return version

    async def _store_new(
        self, kind: Kind, namespace: str, new: Object, *, dry_run: bool
    ) -> tuple[Version, Object]:
        key = kind.key(namespace, new["metadata"]["name"])
        while True:
            assigned = await self._assigned(kind, new, None)
            value = _stored(kind, assigned)
            if dry_run:
                if await self.store.get(key) is not None:
                    raise refusals.already_exists(kind.resource, new["metadata"]["name"])
                return _seen(kind, Version(value, 0)), assigned
            compares, writes = claiming(kind, assigned, None, key)
            result = await self.store.txn([Compare(key, 0), *compares], [Put(key, value), *writes])
            if result.succeeded:
                return _seen(kind, self._versions.put(key, Version(value, result.revision))), assigned
            if any(kv.key == key for kv in result.kvs):
                raise refusals.already_exists(kind.resource, new["metadata"]["name"])

    async def _assigned(self, kind: Kind, new: Object, old: Object | None) -> Object:
        """Return *new* with what it is to hold for itself alone; *new* stays as it is."""
        if kind.claims is None:
            return new
        assigned = copied(new)
        await kind.claims.assign(self.store, assigned, old)
        return assigned

    @staticmethod
    def _attributes(
        operation: Operation,
        kind: Kind,
        new: Object | None,
        old: Object | None,
        caller: Caller,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Attributes:
        metadata = (new or old or {}).get("metadata") or {}
        namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
        return Attributes(kind, operation, namespace, name, subresource, caller, new, old, dry_run)

    async def update(
        self,
        kind: Kind,
        namespace: str,
        obj: Object,
        *,
        subresource: str = "",
        caller: Caller = SYSTEM,
        dry_run: bool = False,
    ) -> Version:
        """Replace an object, or its part that *subresource* (status, scale, finalize) stands for."""
        self._check_names(kind, obj, namespace)
        name = obj["metadata"].get("name", "")
        return await self.change(
            kind, namespace, name, lambda _: obj, subresource=subresource, caller=caller, dry_run=dry_run
        )

    async def change(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Change,
        *,
        subresource: str = "",
        caller: Caller = SYSTEM,
        dry_run: bool = False,
        applied: bool = False,
        through: Kind | None = None,
    ) -> Version:
        """Write what *change* makes of the object, which may be asked again when another write came between.

        When the changed object names a resource version, it must be the stored one (409 otherwise). What
        does not change anything writes nothing. An object whose last finalizer goes, goes with it. *through*
        is the kind that was asked for, if it is kept as this one.
        """
        if conversion := kind.conversion:
            version = await self.change(
                self.kinds[conversion.storage],
                namespace,
                name,
                lambda old: conversion.to_storage(change(conversion.from_storage(old))),
                subresource=subresource,
                caller=caller,
                dry_run=dry_run,
                applied=applied,
                through=kind,
            )
            return _seen(kind, version)
        write_by = Write(caller, self.clock.now(), subresource, applied, through)
        key = kind.key(namespace, name)
        kv = await self._kv(kind, namespace, name)
        while True:
            old = _seen(kind, self._versions.of(kv))
            wanted = await _thought(kind, _wanted, kind, old.object, change, "" if applied else subresource)
            asked = (wanted.get("metadata") or {}).get("resourceVersion")
            if asked and asked != str(old.revision):
                raise refusals.modified(kind.resource, name)
            if not asked and not kind.unconditional_update:
                raise refusals.unversioned(kind.resource, name)
            new = await self._admitted_update(kind, wanted, old.object, write_by, dry_run=dry_run)
            new = await self._assigned(kind, new, old.object)
            value = _stored(kind, new)
            if _same(new, old.object):
                return old
            if dry_run:
                return _seen(kind, Version(value, old.revision))
            finished = deletion.is_finished(new)
            stored = Delete(key) if finished else Put(key, value)
            compares, writes = claiming(kind, None if finished else new, old.object, key)
            result = await self.store.txn([Compare(key, old.revision), *compares], [stored, *writes])
            if result.succeeded:
                return _seen(kind, self._written(key, Version(value, result.revision), gone=finished))
            kv = _present(kind, name, key, result)

    async def _admitted_update(
        self, kind: Kind, wanted: Object, old: Object, write: Write, *, dry_run: bool
    ) -> Object:
        """Return what is to be stored when a client wants *old* to be as *wanted*."""
        new = lifecycle.begin_update(kind, wanted, old, write)
        attributes = self._attributes(
            "UPDATE", kind, new, old, write.caller, subresource=write.subresource, dry_run=dry_run
        )
        await self.admission.admit(attributes)
        assert attributes.new is not None
        attributes.new = await _thought(
            kind, lifecycle.finish_update, kind, attributes.new, old, write.subresource
        )
        await self.admission.validate(attributes)
        return ownership.settled(attributes.new, old)

    async def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        configured: Configured,
        *,
        subresource: str = "",
        caller: Caller = SYSTEM,
        dry_run: bool = False,
    ) -> tuple[Version, bool]:
        """Write what *configured* makes of the object (None: there is none); return whether it is new."""
        write = Write(caller, self.clock.now(), subresource, applied=True)
        while True:
            if there := bool(subresource) or await self._is_there(kind, namespace, name):
                writing = self.change(
                    kind,
                    namespace,
                    name,
                    lambda old: configured(old, write),
                    subresource=subresource,
                    caller=caller,
                    dry_run=dry_run,
                    applied=True,
                )
            else:
                new = configured(None, write)
                writing = self.create(kind, namespace, new, caller=caller, dry_run=dry_run, applied=True)
            try:
                version = await writing
            except ApiError:
                if there == (bool(subresource) or await self._is_there(kind, namespace, name)):
                    raise  # Else it came or went meanwhile: once more.
            else:
                return version, not there

    async def _is_there(self, kind: Kind, namespace: str, name: str) -> bool:
        return await self.store.get(kind.key(namespace, name)) is not None

    def _written(self, key: bytes, version: Version, *, gone: bool) -> Version:
        if not gone:
            return self._versions.put(key, version)
        self._versions.forget(key)
        return version

    async def act(self, subresource: str, call: Call) -> Object:
        """Carry out what *call* asks of a subresource that is no part of the object; return the answer."""
        attributes = Attributes(
            call.kind,
            "CREATE",
            call.namespace,
            call.name,
            subresource,
            call.caller,
            call.body,
            None,
            call.dry_run,
        )
        await self.admission.admit(attributes)
        await self.admission.validate(attributes)
        return await call.kind.actions[subresource].run(self, call)

    async def exchange(
        self, kind: Kind, namespace: str, name: str, change: Change, *, dry_run: bool = False
    ) -> Version:
        """Write what *change* makes of an object as it is, past defaults, admission and validation.

        For the server's own changes (a binding, say); *change* makes a new object, and may be asked again.
        """
        key = kind.key(namespace, name)
        kv = await self._kv(kind, namespace, name)
        while True:
            old = self._versions.of(kv)
            value = stored_form(change(old.object))
            if dry_run:
                return Version(value, old.revision)
            result = await self.store.txn([Compare(key, old.revision)], [Put(key, value)])
            if result.succeeded:
                return self._versions.put(key, Version(value, result.revision))
            if not result.kvs:
                raise refusals.not_found(kind.resource, name)
            kv = result.kvs[0]

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        options: DeleteOptions = _AS_USUAL,
        *,
        caller: Caller = SYSTEM,
    ) -> Deleted:
        if kind.conversion:
            stored = self.kinds[kind.conversion.storage]
            deleted = await self.delete(stored, namespace, name, options, caller=caller)
            return Deleted(_seen(kind, deleted.version), deleted.gone)
        key = kind.key(namespace, name)
        kv = await self._kv(kind, namespace, name)
        while True:
            old = self._versions.of(kv)
            deletion.check_preconditions(kind, old.object, options)
            attributes = self._attributes("DELETE", kind, None, old.object, caller, dry_run=options.dry_run)
            await self.admission.admit(attributes)
            await self.admission.validate(attributes)
            new = deletion.delete(kind, old.object, options, self.clock.now())
            value = stored_form(new) if new else old.value
            if options.dry_run or (new and value == old.value):
                return Deleted(_seen(kind, Version(value, old.revision)), gone=new is None)
            write = Put(key, value) if new else Delete(key)
            compares, writes = claiming(kind, new, old.object, key)
            result = await self.store.txn([Compare(key, old.revision), *compares], [write, *writes])
            if result.succeeded:
                written = self._written(key, Version(value, result.revision), gone=new is None)
                return Deleted(_seen(kind, written), gone=new is None)
            kv = _present(kind, name, key, result)

    async def delete_collection(
        self,
        kind: Kind,
        namespace: str,
        select: ListOptions,
        options: DeleteOptions,
        *,
        caller: Caller = SYSTEM,
    ) -> Page:
        """Delete each of what *select* lists; return them as they were."""
        page = await self.list(kind, namespace, select)
        for version in page.versions:
            metadata = version.object["metadata"]
            try:
                await self.delete(
                    kind, metadata.get("namespace", ""), metadata["name"], options, caller=caller
                )
            except ApiError as error:
                if not error.is_not_found:  # Someone else was quicker: as good as done.
                    raise
            await asyncio.sleep(0)  # Thousands of events, say, must not hold the loop.
        return page

    # What every write checks

    def _check_names(self, kind: Kind, obj: Object, namespace: str) -> None:
        metadata = obj.setdefault("metadata", {})
        given = metadata.get("namespace") or ""
        if given and given != (namespace if kind.resource.namespaced else ""):
            raise refusals.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if not kind.resource.namespaced:
            metadata.pop("namespace", None)


def _seen(kind: Kind, version: Version) -> Version:
    """Return the stored *version* as those see it who ask for *kind*."""
    if kind.custom:
        shown = kind.custom.read(version.object)
    elif kind.conversion:
        shown = kind.conversion.from_storage(version.object)
    else:
        return version
    return version if shown is version.object else Version(stored_form(shown), version.revision)


def _stored(kind: Kind, new: Object) -> bytes:
    return stored_form(kind.custom.write(new) if kind.custom else new)


async def _thought(kind: Kind, decide: Callable[[*Arguments], Object], *arguments: *Arguments) -> Object:
    """Return what *decide* makes of its arguments, in a thread for a kind that this may take long for."""
    if kind.in_threads:
        return await asyncio.to_thread(decide, *arguments)
    return decide(*arguments)


def _wanted(kind: Kind, old: Object, change: Change, subresource: str) -> Object:
    """Return what *change* wants of *old*, which stays as it is: nothing is shared between the two."""
    if subresource == "scale":
        return copied(subresources.scaled(kind, old, change(subresources.scale_of(kind, old))))
    return _apart(change(old), old)


def _apart(wanted: Object, old: Object) -> Object:
    """Return *wanted* anew, but for the owners of *old*, which nobody changes and which are as long."""
    owners = old["metadata"].get("managedFields")
    metadata = wanted.get("metadata")
    if not owners or not metadata or metadata.get("managedFields") is not owners:
        return copied(wanted)
    others = {key: value for key, value in metadata.items() if key != "managedFields"}
    copy = copied(wanted | {"metadata": others})
    copy["metadata"]["managedFields"] = owners
    return copy


def _present(kind: Kind, name: str, key: bytes, result: TxnResult) -> KeyValue:
    """Return what a failed transaction found at *key*; raises ApiError 404 if nothing."""
    for kv in result.kvs:
        if kv.key == key:
            return kv
    raise refusals.not_found(kind.resource, name)


def _same(new: Object, old: Object) -> bool:
    unversioned = {key: value for key, value in old["metadata"].items() if key != "resourceVersion"}
    return new == old | {"metadata": unversioned}


def generated_suffix() -> str:
    """Return the end of a generated name; each pod has one, or its volume for tokens has."""
    chosen = secrets.token_bytes(lifecycle.GENERATED_SUFFIX_LENGTH)
    return "".join(_SUFFIX_ALPHABET[each % len(_SUFFIX_ALPHABET)] for each in chosen)
