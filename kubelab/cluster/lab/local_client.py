"""The `Api` by which components of this process use an API server of this process, which may die at any time.

What they have with it are connections: a server that is killed ends them all, one that is stopped answers
none, and while there is none they are refused. Nothing is encoded and nothing crosses a cable: a component
that talks to the server of its own machine has none in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from kubelab.cluster.apiserver.authorized import authorized
from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.client.api import Api, ObjectList, PatchType, WatchEvent
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.objects import Object, Resource


class Connections:
    """Those to one running API server."""

    def __init__(self, registry: Registry, suspension: Suspension) -> None:
        self.registry = registry
        self.suspension = suspension
        self.is_closed = False
        self._open: set[asyncio.Timeout] = set()

    @property
    def answers(self) -> bool:
        return not self.is_closed and not self.suspension.is_suspended

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Registry]:
        """Raises ConnectionError when the server ends before the block does."""
        await self.suspension.passed()
        if self.is_closed:
            raise ConnectionRefusedError(_REFUSED)
        scope = asyncio.timeout(None)  # Nothing that takes long, but the end of the server ends it.
        try:
            async with scope:
                self._open.add(scope)
                yield self.registry
        except TimeoutError:
            if scope.expired():
                raise ConnectionResetError(_RESET) from None
            raise
        finally:
            self._open.discard(scope)

    def close(self) -> None:
        self.is_closed = True
        for scope in tuple(self._open):
            scope.reschedule(0)


Reach = Callable[[], Connections]
"""Returns the server to ask now. Raises ConnectionError when there is none."""


class LocalClient:
    """See `client.api.Api`. Without a *caller* it may do everything."""

    def __init__(self, reach: Reach, caller: Caller | None = None) -> None:
        self._reach = reach
        self._caller = caller

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[Api]:
        async with self._reach().connected() as registry:
            yield self._api(registry)

    def _api(self, registry: Registry) -> Api:
        return authorized(registry, self._caller) if self._caller else LocalApi(registry)

    async def resources(self) -> tuple[Resource, ...]:
        async with self._server() as api:
            return await api.resources()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        async with self._server() as api:
            return await api.get(resource, namespace, name)

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        async with self._server() as api:
            return await api.list(
                resource, namespace, label_selector=label_selector, field_selector=field_selector
            )

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
        server = self._reach()
        async with (
            server.connected() as registry,
            self._api(registry).watch(
                resource,
                namespace,
                resource_version=resource_version,
                label_selector=label_selector,
                field_selector=field_selector,
                initial_events=initial_events,
            ) as events,
        ):
            yield _told(events, server.suspension)

    async def create(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        async with self._server() as api:
            return await api.create(resource, obj, subresource=subresource)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        async with self._server() as api:
            return await api.update(resource, obj, subresource=subresource)

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
        async with self._server() as api:
            return await api.patch(resource, namespace, name, patch, patch_type, subresource=subresource)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> None:
        async with self._server() as api:
            await api.delete(
                resource, namespace, name, grace_period_s=grace_period_s, uid=uid, propagation=propagation
            )


async def _told(events: AsyncIterator[WatchEvent], suspension: Suspension) -> AsyncIterator[WatchEvent]:
    async for event in events:
        if suspension.is_suspended:
            await suspension.passed()
        yield event


_REFUSED = "the API server of this machine does not run"
_RESET = "the API server has ended"
