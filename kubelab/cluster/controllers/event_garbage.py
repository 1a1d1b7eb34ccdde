"""Event garbage: an event is forgotten an hour after it was last seen, or a long lab would drown in them.

Source: kubernetes, pkg/registry/core/event/storage/storage.go and kube-apiserver's `--event-ttl`: there each
event lives on a lease of etcd; here, as the store has no leases yet, somebody looks now and then.
"""

from datetime import datetime

from kubelab.cluster.client.api import Api
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import EVENTS, Object, key_of, uid_of
from kubelab.cluster.pods import parse_time

TTL_S = 3600.0
LOOK_S = 300.0


def is_forgotten(event: Object, now: datetime) -> bool:
    last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return (now - parse_time(last)).total_seconds() >= TTL_S


class EventGarbageCollector:
    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    async def run(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            try:
                await self._collect()
            except (ApiError, ConnectionError):
                continue  # The next look finds what is left.

    async def _collect(self) -> None:
        now = self._clock.now()
        for event in (await self._api.list(EVENTS)).items:
            if is_forgotten(event, now):
                await self._delete(event)

    async def _delete(self, event: Object) -> None:
        try:
            await self._api.delete(EVENTS, *key_of(event), uid=uid_of(event))
        except ApiError as refusal:
            if not (refusal.is_not_found or refusal.is_conflict):
                raise
