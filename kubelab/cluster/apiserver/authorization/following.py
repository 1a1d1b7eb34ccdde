"""Keeping the authorizers' copies of roles, bindings and pods up to date while a server runs.

Source: kubernetes, pkg/kubeapiserver/authorizer/config.go (its shared informers).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from kubelab.cluster.apiserver.authorization.authorizer import Authorizer
from kubelab.cluster.apiserver.authorization.node_graph import NodeGraph
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.persistence import persistently
from kubelab.cluster.apiserver.registry import Registry, WatchedEvent
from kubelab.cluster.apiserver.versions import Version
from kubelab.cluster.client.informer import Handler, Informer
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    PODS,
    ROLEBINDINGS,
    ROLES,
    Resource,
)

_BOUND = b'"nodeName":"'  # In a pod that is bound to a node, and in hardly another one.


@asynccontextmanager
async def following(registry: Registry, authorizer: Authorizer) -> AsyncIterator[None]:
    """Have *authorizer* know what *registry* holds from the block's first line to its last."""
    policy = authorizer.policy
    handlers: dict[Resource, Handler] = {
        CLUSTERROLES: policy.role_changed,
        ROLES: policy.role_changed,
        CLUSTERROLEBINDINGS: policy.binding_changed,
        ROLEBINDINGS: policy.binding_changed,
    }
    api = LocalApi(registry)
    async with AsyncExitStack() as stack:
        for resource, handler in handlers.items():
            if registry.kinds.get(resource) is None:
                continue
            informer = Informer(api, resource, clock=registry.clock)
            informer.on_change(handler)
            await stack.enter_async_context(informer)
            await informer.wait_synced()
        if kind := registry.kinds.get(PODS):
            pods = _Pods(registry, kind, authorizer.graph)
            await stack.enter_async_context(background(pods.follow()))
            await pods.synced.wait()
        yield


class _Pods:
    """No informer, which would keep all pods: most that come by need not even be decoded for the graph."""

    def __init__(self, registry: Registry, kind: Kind, graph: NodeGraph) -> None:
        self._registry = registry
        self._kind = kind
        self._graph = graph
        self.synced = asyncio.Event()

    async def follow(self) -> None:
        """Follow the pods until cancelled; again from the start when the watch is lost."""
        while True:
            await persistently(self._registry.clock, "following pods", self._once)

    async def _once(self) -> None:
        page = await self._registry.list(self._kind)
        async with self._registry.watch(self._kind, revision=page.revision) as batches:
            self._graph.clear()
            for version in page.versions:
                self._note(version)
            self.synced.set()
            async for batch in batches:
                for event in batch:
                    self._apply(event)

    def _apply(self, event: WatchedEvent) -> None:
        if event.type != "DELETED":
            self._note(event.version)
        elif _BOUND in event.version.value:
            self._graph.pod_changed(event.version.object, None)

    def _note(self, version: Version) -> None:
        if _BOUND in version.value:  # Else it never was: a pod stays where it is until it is deleted.
            self._graph.pod_changed(None, version.object)
