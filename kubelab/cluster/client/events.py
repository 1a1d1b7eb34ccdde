"""Events: what a component did and why, for people. The same event again counts up instead of adding one.

Source: kubernetes, staging/src/k8s.io/client-go/tools/record/{event,events_cache}.go.
Left out: the spam filter and the aggregation of similar messages; broadcasting to other sinks.
"""

import asyncio
import logging
from collections import OrderedDict
from datetime import datetime
from itertools import count
from typing import Literal, NamedTuple

from kubelab.cluster.client.api import Api
from kubelab.cluster.clock import Clock, rfc3339
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import EVENTS, Object, Resource

logger = logging.getLogger(__name__)

CACHE_EVENTS_MAX = 4096  # As upstream's maxLruCacheEntries.
QUEUE_EVENTS_MAX = 1000  # As upstream's broadcaster; what comes on top is dropped, never waited for.
RETRIES_MAX = 12
RETRY_S = 1.0

EventType = Literal["Normal", "Warning"]


class _Same(NamedTuple):
    """Two events with the same of this are the same event."""

    uid: str
    field_path: str
    type: str
    reason: str
    message: str


class _Occurrence(NamedTuple):
    same: _Same
    about: Object
    at: datetime


class EventRecorder:
    """`record` never waits; `run` writes what was recorded until cancelled."""

    def __init__(self, api: Api, clock: Clock, component: str, host: str = "") -> None:
        self._api = api
        self._clock = clock
        self._component = component
        self._host = host
        self._queue: asyncio.Queue[_Occurrence] = asyncio.Queue(QUEUE_EVENTS_MAX)
        self._written: OrderedDict[_Same, Object] = OrderedDict()
        self._sequence = count()  # Tells apart the events of one microsecond.

    def record(
        self,
        resource: Resource,
        obj: Object,
        type_: EventType,
        reason: str,
        message: str,
        *,
        field_path: str = "",
    ) -> None:
        same = _Same(obj["metadata"].get("uid", ""), field_path, type_, reason, message)
        occurrence = _Occurrence(same, _reference(resource, obj, field_path), self._clock.now())
        try:
            self._queue.put_nowait(occurrence)
        except asyncio.QueueFull:
            logger.warning("too many events at once: dropped %s %s", reason, message)

    async def run(self) -> None:
        while True:
            occurrence = await self._queue.get()
            for _ in range(RETRIES_MAX):
                try:
                    await self._write(occurrence)
                except ConnectionError:
                    await self._clock.sleep(RETRY_S)
                    continue
                break

    async def _write(self, occurrence: _Occurrence) -> None:
        try:
            self._remember(
                occurrence.same, await self._count_up(occurrence) or await self._create(occurrence)
            )
        except ApiError as refusal:
            # As upstream: an event that the server does not want (its namespace is going, say) is dropped.
            logger.debug("event %s not written: %s", occurrence.same.reason, refusal)

    async def _count_up(self, occurrence: _Occurrence) -> Object | None:
        known = self._written.get(occurrence.same)
        if known is None:
            return None
        patch = {"count": known["count"] + 1, "lastTimestamp": rfc3339(occurrence.at)}
        metadata = known["metadata"]
        try:
            return await self._api.patch(EVENTS, metadata["namespace"], metadata["name"], patch)
        except ApiError as refusal:
            if refusal.is_not_found:  # Deleted meanwhile: begin anew.
                return None
            raise

    async def _create(self, occurrence: _Occurrence) -> Object:
        return await self._api.create(EVENTS, self._event(occurrence))

    def _remember(self, same: _Same, event: Object) -> None:
        self._written[same] = event
        self._written.move_to_end(same)
        if len(self._written) > CACHE_EVENTS_MAX:
            self._written.popitem(last=False)

    def _event(self, occurrence: _Occurrence) -> Object:
        same, about, at = occurrence
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        nanoseconds = int(at.timestamp() * 1_000_000) * 1000
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{about['name']}.{nanoseconds + next(self._sequence) % 1000:x}",
                "namespace": about.get("namespace") or "default",
            },
            "involvedObject": about,
            "type": same.type,
            "reason": same.reason,
            "message": same.message,
            "source": source,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
            "count": 1,
            "firstTimestamp": rfc3339(at),
            "lastTimestamp": rfc3339(at),
        }


def _reference(resource: Resource, obj: Object, field_path: str) -> Object:
    metadata = obj["metadata"]
    reference = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "uid": metadata.get("uid", ""),
        "resourceVersion": metadata.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {name: value for name, value in reference.items() if value}
