"""The resource quota controller: counts again what is there, and so gives back what is no longer used.

Admission only ever adds to a quota's usage. This controller writes the hard limits into the status of a new
or changed quota (before that it limits nothing, as upstream's), and counts when something that a quota
tracks goes or uses less. It counts what the server lists, not what a cache shows, and writes only on the
version of the quota that it knew before: so what admission charged meanwhile is not lost.
Source: kubernetes, pkg/controller/resourcequota/{resource_quota_controller,resource_quota_monitor}.go.
Left out: two queues, so that new quotas come first.
"""

import asyncio
from collections.abc import Iterable, Mapping

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Handler, Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.linux.background import forever
from kubelab.cluster.objects import RESOURCEQUOTAS, Key, Object, Resource, is_deleting, key_of
from kubelab.cluster.quota import counted, is_counted, tracked, usage
from kubelab.cluster.resource_list import parse_list, written

RESYNC_S = 300.0  # As upstream's --resource-quota-sync-period.
# A creation that admission has charged may not be in the list yet: what was written is looked at once more.
RECHECK_S = 1.0


class ResourceQuotaController:
    """*informers* are those that run anyhow; for what else a quota tracks it makes informers of its own."""

    def __init__(
        self, api: Api, clock: Clock, quotas: Informer, informers: Mapping[Resource, Informer]
    ) -> None:
        self._api = api
        self._clock = clock
        self._quotas = quotas
        self._informers = informers
        self._served: tuple[Resource, ...] = ()
        self._followed: set[Resource] = set()
        self._controller = Controller(
            "resourcequota", self.reconcile, [Source(quotas, _needing_count)], clock=clock
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            await self._controller.run()

    async def reconcile(self, key: Key) -> float | None:
        """Bring the quota's status to what is there.

        Raises:
            ApiError: someone was quicker, or the server refused; it is tried again.
        """
        quota = self._quotas.get(key)
        if quota is None:
            return None
        hard, used = counted(quota, await self._tracked(quota), self._clock.now())
        status = quota.get("status") or {}
        if hard == parse_list(status.get("hard")) and used == parse_list(status.get("used")):
            return RESYNC_S
        new = {"hard": written(hard), "used": written(used)}
        await self._api.update(RESOURCEQUOTAS, quota | {"status": new}, subresource="status")
        return RECHECK_S

    async def _tracked(self, quota: Object) -> dict[Resource, Iterable[Object]]:
        """Return the objects of the quota's namespace, of each resource that it tracks; follow these."""
        hard = (quota.get("spec") or {}).get("hard") or {}
        objects: dict[Resource, Iterable[Object]] = {}
        for resource in await self._resources(hard):
            self._follow(resource)
            objects[resource] = (await self._api.list(resource, key_of(quota).namespace)).items
        return objects

    async def _resources(self, hard: Mapping[str, str]) -> list[Resource]:
        known = [each for each in self._served if tracked(each, hard)]
        if len({name for each in known for name in tracked(each, hard)}) < len(hard):
            served = await self._api.resources()  # Custom resources come and go.
            self._served = tuple(each for each in served if is_counted(each))
            known = [each for each in self._served if tracked(each, hard)]
        return known

    def _follow(self, resource: Resource) -> None:
        if resource not in self._followed:
            self._followed.add(resource)
            self._group.create_task(self._watch(resource))

    async def _watch(self, resource: Resource) -> None:
        handler = self._handler(resource)
        if shared := self._informers.get(resource):
            shared.on_change(handler)
            return
        async with Informer(self._api, resource, clock=self._clock) as own:
            own.on_change(handler)
            await forever()

    def _handler(self, resource: Resource) -> Handler:
        """Return what has quotas counted again when an object of theirs goes or uses less than before."""

        def enqueue(old: Object | None, new: Object | None) -> None:
            if old is None:
                return
            namespace = key_of(old).namespace
            quotas = [each for each in self._quotas.objects(namespace) if _tracks(each, resource)]
            if quotas and (new is None or self._uses_less(resource, old, new)):
                for quota in quotas:
                    self._controller.enqueue(key_of(quota))

        return enqueue

    def _uses_less(self, resource: Resource, old: Object, new: Object) -> bool:
        now = self._clock.now()
        before, after = usage(resource, old, now), usage(resource, new, now)
        return any(name not in after or after[name] < value for name, value in before.items())


def _tracks(quota: Object, resource: Resource) -> bool:
    return bool(tracked(resource, (quota.get("spec") or {}).get("hard") or {}))


def _needing_count(quota: Object) -> Iterable[Key]:
    """A quota whose limits are not yet in its status, or whose usage was never counted.

    Usage alone changes with each charge: to count at each would be to count all the time.
    """
    hard, status = parse_list((quota.get("spec") or {}).get("hard")), quota.get("status") or {}
    counted_already = (
        hard == parse_list(status.get("hard")) and hard.keys() == (status.get("used") or {}).keys()
    )
    if not counted_already and not is_deleting(quota):
        yield key_of(quota)
