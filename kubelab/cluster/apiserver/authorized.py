"""The `Api` of a component in this process that has a name of its own: it is asked whether it may, first.

So the scheduler can do through it what `system:kube-scheduler` can do over HTTPS, and nothing else.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from kubelab.cluster.apiserver.authorization.requests import of_resource
from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.deletion import Propagation
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.client.api import ObjectList, PatchType, WatchEvent
from kubelab.cluster.objects import Object, Resource


class AuthorizedApi:
    def __init__(self, registry: Registry, caller: Caller) -> None:
        self._api = LocalApi(registry, caller)
        self._user = caller.user
        self._authorizer = registry.access.authorizer

    def _check(
        self,
        verb: str,
        resource: Resource,
        namespace: str,
        name: str = "",
        *,
        subresource: str = "",
        field_selector: str = "",
    ) -> None:
        """Raise 403 unless the component may do it."""
        where = (namespace, name, subresource)
        self._authorizer.check(of_resource(self._user, verb, resource, where, field_selector))

    async def resources(self) -> tuple[Resource, ...]:
        return await self._api.resources()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._check("get", resource, namespace, name)
        return await self._api.get(resource, namespace, name)

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        self._check("list", resource, namespace, field_selector=field_selector)
        return await self._api.list(
            resource, namespace, label_selector=label_selector, field_selector=field_selector
        )

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        initial_events: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        self._check("watch", resource, namespace, field_selector=field_selector)
        return self._api.watch(
            resource,
            namespace,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            initial_events=initial_events,
        )

    async def create(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        metadata = obj.get("metadata") or {}
        name = metadata.get("name", "") if subresource else ""
        self._check("create", resource, metadata.get("namespace", ""), name, subresource=subresource)
        return await self._api.create(resource, obj, subresource=subresource)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        metadata = obj["metadata"]
        self._check(
            "update", resource, metadata.get("namespace", ""), metadata["name"], subresource=subresource
        )
        return await self._api.update(resource, obj, subresource=subresource)

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
        self._check("patch", resource, namespace, name, subresource=subresource)
        return await self._api.patch(resource, namespace, name, patch, patch_type, subresource=subresource)

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
        await self._api.delete(
            resource, namespace, name, grace_period_s=grace_period_s, uid=uid, propagation=propagation
        )
