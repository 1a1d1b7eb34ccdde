"""What admission reads of the cluster: a few kinds, kept at hand, so that no write waits for a read.

While `Listers.run` runs, each kind is followed by a watch and read from memory; a name that is not found
there is looked up in the store, since the watch may be a moment behind. While it does not run (the server's
machine is off, or there is none), everything is read from the store: slower, never wrong.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/admission/initializer (shared informers), and the live
lookups of the plug-ins that use them.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.persistence import persistently
from kubelab.cluster.apiserver.registry import Registry, WatchedEvent
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    LIMITRANGES,
    NAMESPACES,
    PRIORITYCLASSES,
    RESOURCEQUOTAS,
    RUNTIMECLASSES,
    SERVICEACCOUNTS,
    Object,
    Resource,
    key_of,
)

FOLLOWED = (NAMESPACES, SERVICEACCOUNTS, LIMITRANGES, RESOURCEQUOTAS, PRIORITYCLASSES, RUNTIMECLASSES)


class Reader(Protocol):
    """What plug-ins need of a kind's objects; they are shared: treat them as frozen."""

    async def get(self, namespace: str, name: str) -> Object | None: ...

    async def list(self, namespace: str = "") -> Sequence[Object]: ...


class Lister:
    """The objects of one kind; a kind that is not served has none."""

    def __init__(self, registry: Registry, resource: Resource) -> None:
        self._registry = registry
        self._resource = resource
        self._followed: dict[str, dict[str, Object]] | None = None

    async def get(self, namespace: str, name: str) -> Object | None:
        known = (self._followed or {}).get(namespace, {}).get(name)
        return known or await self.live(namespace, name)

    async def live(self, namespace: str, name: str) -> Object | None:
        """Return what the store has now."""
        kind = self._registry.kinds.get(self._resource)
        if kind is None:
            return None
        try:
            return (await self._registry.get(kind, namespace, name)).object
        except ApiError as refusal:
            if refusal.is_not_found:
                return None
            raise

    async def list(self, namespace: str = "") -> Sequence[Object]:
        if self._followed is None:
            kind = self._registry.kinds.get(self._resource)
            page = await self._registry.list(kind, namespace) if kind else None
            return [version.object for version in page.versions] if page else []
        if namespace:
            return list(self._followed.get(namespace, {}).values())
        return [obj for objects in self._followed.values() for obj in objects.values()]

    async def run(self) -> None:
        """Follow the kind until cancelled; again from the start when the watch is lost."""
        while kind := self._registry.kinds.get(self._resource):
            follow = partial(self._follow, kind)
            await persistently(self._registry.clock, f"following {self._resource.plural}", follow)

    async def _follow(self, kind: Kind) -> None:
        try:
            await self._keep_all(kind)
        finally:
            self._followed = None

    async def _keep_all(self, kind: Kind) -> None:
        page = await self._registry.list(kind)
        async with self._registry.watch(kind, revision=page.revision) as batches:
            self._followed = {}
            for version in page.versions:
                self._keep(version.object)
            async for batch in batches:
                for event in batch:
                    self._apply(event)

    def _apply(self, event: WatchedEvent) -> None:
        if event.type != "DELETED":
            self._keep(event.version.object)
        elif self._followed is not None:
            namespace, name = key_of(event.version.object)
            self._followed.get(namespace, {}).pop(name, None)

    def _keep(self, obj: Object) -> None:
        assert self._followed is not None
        namespace, name = key_of(obj)
        self._followed.setdefault(namespace, {})[name] = obj


class Listers:
    def __init__(self, registry: Registry, resources: Iterable[Resource] = FOLLOWED) -> None:
        self._of: Mapping[Resource, Lister] = {each: Lister(registry, each) for each in resources}

    def __getitem__(self, resource: Resource) -> Lister:
        return self._of[resource]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lister in self._of.values():
                group.create_task(lister.run())
