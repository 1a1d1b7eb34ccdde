"""The `Api` of the server's own process: the registry's verbs without a wire and without its encodings.

Objects that it hands out are the registry's own, shared by all that hold them. It is the lab's components'
way in, so it asks nobody who they are (what they may do: see `authorized`); fields are taken as they come,
without a schema. After each write all others have their turn, as with a server elsewhere: a controller that
makes 500 pods does not hold the loop.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from kubelab.cluster.apiserver import discovery, refusals, subresources
from kubelab.cluster.apiserver.caller import SYSTEM, Caller
from kubelab.cluster.apiserver.deletion import DeleteOptions, Propagation
from kubelab.cluster.apiserver.kind import Call, Kind
from kubelab.cluster.apiserver.patching import apply_patch
from kubelab.cluster.apiserver.registry import ListOptions, Registry, WatchedEvent
from kubelab.cluster.apiserver.versions import Version, copied
from kubelab.cluster.client.api import INITIAL_EVENTS_END, ObjectList, PatchType, WatchEvent
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource


class Check(Protocol):
    """Raises ApiError when *verb* may not be done there."""

    def __call__(
        self,
        verb: str,
        resource: Resource,
        namespace: str,
        name: str = "",
        subresource: str = "",
        field_selector: str = "",
        /,
    ) -> None: ...


def _anything(*_: str | Resource) -> None:
    """Allow it."""


class LocalApi:
    """Each verb is asked of *check* first."""

    def __init__(self, registry: Registry, caller: Caller = SYSTEM, check: Check = _anything) -> None:
        self._registry = registry
        self._caller = caller
        self._check = check

    def _kind(self, resource: Resource) -> Kind:
        if (kind := self._registry.kinds.get(resource)) is None:
            raise refusals.no_such_path()
        return kind

    async def resources(self) -> tuple[Resource, ...]:
        return discovery.preferred(self._registry.kinds.all)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._check("get", resource, namespace, name)
        return (await self._registry.get(self._kind(resource), namespace, name)).object

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        self._check("list", resource, namespace, "", "", field_selector)
        options = ListOptions(label_selector, field_selector)
        page = await self._registry.list(self._kind(resource), namespace, options)
        return ObjectList(tuple(version.object for version in page.versions), str(page.revision))

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        initial_events: bool = False,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """Watch from just after *resource_version*; "" and "0" stand for now."""
        self._check("watch", resource, namespace, "", "", field_selector)
        kind = self._kind(resource)
        initial: list[WatchEvent] = []
        revision = refusals.revision(resource_version) or self._registry.store.revision
        if initial_events:
            page = await self._registry.list(kind, namespace, ListOptions(label_selector, field_selector))
            initial = [WatchEvent("ADDED", version.object) for version in page.versions]
            initial.append(WatchEvent("BOOKMARK", _initial_events_end(resource, page.revision)))
            revision = page.revision
        async with self._registry.watch(
            kind,
            namespace,
            revision=revision,
            label_selector=label_selector,
            field_selector=field_selector,
        ) as batches:
            yield _watched(initial, batches)

    async def create(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        kind = self._kind(resource)
        metadata = obj.get("metadata") or {}
        namespace = metadata.get("namespace", "")
        name = metadata.get("name", "") if subresource else ""
        self._check("create", resource, namespace, name, subresource)
        if subresource in kind.actions:
            call = Call(kind, namespace, name, obj, self._caller)
            answer = await self._registry.act(subresource, call)
            await _others_turn()
            return answer
        if subresource:
            raise refusals.method_not_allowed(resource, "create")
        if kind.review:
            return await kind.review(
                self._registry, Call(kind, namespace, metadata.get("name", ""), copied(obj), self._caller)
            )
        version = await self._registry.create(kind, namespace, copied(obj), caller=self._caller)
        await _others_turn()
        return version.object

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        kind = self._kind(resource)
        metadata = obj["metadata"]
        namespace = metadata.get("namespace", "")
        self._check("update", resource, namespace, metadata["name"], subresource)
        try:
            version = await self._registry.update(
                kind, namespace, obj, subresource=subresource, caller=self._caller
            )
        except ApiError as error:
            if not error.is_not_found or subresource or not kind.creates_on_update:
                raise
            return await self.create(resource, obj)
        await _others_turn()
        return _shown(kind, version, subresource)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Object | Sequence[Any],
        patch_type: PatchType = PatchType.MERGE,
        *,
        subresource: str = "",
    ) -> Object:
        self._check("patch", resource, namespace, name, subresource)
        kind = self._kind(resource)
        version = await self._registry.change(
            kind,
            namespace,
            name,
            lambda old: apply_patch(kind, old, patch, patch_type),
            subresource=subresource,
            caller=self._caller,
        )
        await _others_turn()
        return _shown(kind, version, subresource)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        propagation: Propagation | None = None,
    ) -> None:
        self._check("delete", resource, namespace, name)
        options = DeleteOptions(grace_period_s, uid, propagation=propagation)
        await self._registry.delete(self._kind(resource), namespace, name, options, caller=self._caller)
        await _others_turn()


async def _watched(
    initial: Sequence[WatchEvent], batches: AsyncIterator[tuple[WatchedEvent, ...]]
) -> AsyncIterator[WatchEvent]:
    for first in initial:
        yield first
    async for batch in batches:
        for event in batch:
            yield WatchEvent(event.type, event.version.object)


def _initial_events_end(resource: Resource, revision: int) -> Object:
    metadata = {"resourceVersion": str(revision), "annotations": {INITIAL_EVENTS_END: "true"}}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}


async def _others_turn() -> None:
    await asyncio.sleep(0)


def _shown(kind: Kind, version: Version, subresource: str) -> Object:
    return subresources.scale_of(kind, version.object) if subresource == "scale" else version.object
