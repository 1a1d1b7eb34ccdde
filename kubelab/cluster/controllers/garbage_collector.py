"""The garbage collector: deletes what has lost its owners, and carries out foreground and orphan deletion.

`garbage.next_step` decides. The graph of owners and dependents is an index over the shared informers.

Source: kubernetes, pkg/controller/garbagecollector/{garbagecollector,graph_builder}.go.
What is served besides the shared informers' resources, custom ones included, is found by discovery, again and
again. Owners of unknown kinds count as there.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.garbage import (
    ORPHAN,
    Delete,
    Orphan,
    Owner,
    RemoveFinalizer,
    SetOwners,
    finalizers_of,
    next_step,
    owners_of,
    stands,
)
from kubelab.cluster.controllers.ownership import release_patch
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import forever
from kubelab.cluster.objects import Key, Object, Resource, is_deleting, key_of, uid_of

OWNER_INDEX = "owner"
UID_INDEX = "uid"
REDISCOVERY_S = 10  # Upstream looks every 30 s.
IGNORED = "events"  # They have no owners and own nothing, in either group; upstream ignores them, too.


def owner_uids(obj: Object) -> Iterable[str]:
    """The index by which an owner's dependents are found: every shared informer has it."""
    return (reference["uid"] for reference in owners_of(obj))


def own_uid(obj: Object) -> Iterable[str]:
    return (uid_of(obj),)


class GarbageCollector:
    """One work queue for all resources: its keys carry the uid in the place of a name."""

    def __init__(self, api: Api, clock: Clock, informers: Mapping[Resource, Informer]) -> None:
        self._api = api
        self._clock = clock
        self._informers = dict(informers)
        self._shared = frozenset(map(_group_resource, informers))
        sources = [Source(informer, self._keys_of) for informer in informers.values()]
        self._controller = Controller("garbage-collector", self.reconcile, sources, clock=clock)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._controller.run())
            await self._follow_what_is_served(group)

    async def _follow_what_is_served(self, group: asyncio.TaskGroup) -> None:
        """Have an informer for each resource that is served now and has no shared one."""
        following: dict[Resource, asyncio.Task[None]] = {}
        while True:
            served = await self._discovered()
            for gone in following.keys() - served:
                following.pop(gone).cancel()
            for new in served - following.keys():
                following[new] = group.create_task(self._follow(new))
            await self._clock.sleep(REDISCOVERY_S)

    async def _discovered(self) -> set[Resource]:
        """Return what is served beside the shared resources, each in one version."""
        try:
            served = await self._api.resources()
        except (ApiError, ConnectionError):
            return {each for each in self._informers if _group_resource(each) not in self._shared}
        known = {_group_resource(each): each for each in reversed(served) if each.plural != IGNORED}
        return {resource for name, resource in known.items() if name not in self._shared}

    async def _follow(self, resource: Resource) -> None:
        indexes = {UID_INDEX: own_uid, OWNER_INDEX: owner_uids}
        async with Informer(self._api, resource, clock=self._clock, indexes=indexes) as informer:
            self._informers[resource] = informer
            informer.on_change(self._enqueue)
            try:
                await forever()
            finally:
                del self._informers[resource]

    def _enqueue(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            for key in self._keys_of(obj) if obj else ():
                self._controller.enqueue(key)

    def _keys_of(self, obj: Object) -> Iterable[Key]:
        """An object's change may matter to itself, to what it owns, and to an owner that waits for it."""
        uid = uid_of(obj)
        if owners_of(obj) or is_deleting(obj):
            yield Key("", uid)
        if is_deleting(obj) or self._find(uid) is None:
            for _, dependent in self._dependents(uid):
                yield Key("", uid_of(dependent))
        for owner in owner_uids(obj):
            found = self._find(owner)
            if found is not None and is_deleting(found[1]):
                yield Key("", owner)

    async def reconcile(self, key: Key) -> None:
        """Take the next step with the object of the uid in *key*.

        Raises:
            ApiError: the step was refused; it is tried again.
        """
        found = self._find(key.name)
        if found is None:
            return
        resource, obj = found
        dependents = [each for _, each in self._dependents(key.name)]
        owners = {} if is_deleting(obj) else {r["uid"]: await self._stands(obj, r) for r in owners_of(obj)}
        try:
            await self._take(next_step(obj, owners, dependents), resource, obj)
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise

    async def _take(
        self, step: Delete | SetOwners | RemoveFinalizer | Orphan | None, resource: Resource, obj: Object
    ) -> None:
        match step:
            case Delete(propagation):
                await self._api.delete(resource, *key_of(obj), uid=uid_of(obj), propagation=propagation)
            case SetOwners(references):
                await self._patch(resource, obj, {"ownerReferences": list(references)})
            case RemoveFinalizer(finalizer):
                await self._remove_finalizer(resource, obj, finalizer)
            case Orphan():
                await self._orphan(uid_of(obj))
                await self._remove_finalizer(resource, obj, ORPHAN)

    async def _orphan(self, owner_uid: str) -> None:
        for resource, dependent in self._dependents(owner_uid):
            try:
                await self._api.patch(resource, *key_of(dependent), release_patch(owner_uid, dependent))
            except ApiError as refusal:
                if not refusal.is_not_found:
                    raise

    async def _remove_finalizer(self, resource: Resource, obj: Object, finalizer: str) -> None:
        rest = [each for each in finalizers_of(obj) if each != finalizer]
        await self._patch(resource, obj, {"finalizers": rest})

    async def _patch(self, resource: Resource, obj: Object, change: Object) -> None:
        metadata = obj["metadata"]
        guard = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        await self._api.patch(resource, *key_of(obj), {"metadata": {**guard, **change}})

    async def _stands(self, obj: Object, reference: Object) -> Owner:
        """An owner that the cache does not show is asked for: it may be newer than the cache."""
        found = self._find(reference["uid"])
        if found is not None:
            return stands(found[1])
        resource = self._resource_of(reference)
        if resource is None:
            return Owner.SOLID
        namespace = key_of(obj).namespace if resource.namespaced else ""
        try:
            live = await self._api.get(resource, namespace, reference["name"])
        except ApiError as refusal:
            if refusal.is_not_found:
                return Owner.DANGLING
            raise
        return stands(live if uid_of(live) == reference["uid"] else None)

    def _resource_of(self, reference: Object) -> Resource | None:
        group, _, _ = reference["apiVersion"].rpartition("/")
        wanted = (group, reference["kind"])
        return next((each for each in self._informers if (each.group, each.kind) == wanted), None)

    def _find(self, uid: str) -> tuple[Resource, Object] | None:
        for resource, informer in self._informers.items():
            for obj in informer.by_index(UID_INDEX, uid):
                return resource, obj
        return None

    def _dependents(self, uid: str) -> Sequence[tuple[Resource, Object]]:
        return [
            (resource, obj)
            for resource, informer in self._informers.items()
            for obj in informer.by_index(OWNER_INDEX, uid)
        ]


def _group_resource(resource: Resource) -> tuple[str, str]:
    return resource.group, resource.plural
