"""A local copy of one resource that follows the cluster by list and watch, and tells handlers what changed.

It streams what is there by the watch itself (KEP-3157), from servers that can, and lists it from others.
Source: kubernetes, staging/src/k8s.io/client-go/tools/cache/{reflector,shared_informer,store}.go.
Left out: the queue between watch and handlers: handlers are called at once, so they must be quick (put a key
into a work queue).

The objects are shared with every reader: treat them as frozen.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from kubelab.cluster.client.api import Api, WatchEvent
from kubelab.cluster.client.backoff import Backoff
from kubelab.cluster.client.indexes import namespace as namespace_of
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import Key, Object, Resource, key_of, revision_of, uid_of

logger = logging.getLogger(__name__)

Handler = Callable[[Object | None, Object | None], None]
"""Called with an object before and after a change; None stands for "not there"."""

Index = Callable[[Object], Iterable[str]]
"""Returns the values under which an object is found."""

# Upstream waits 0.8 to 30 s; a learner who plugs a cable in again should not.
RECONNECT_BACKOFF = Backoff(first_s=0.05, max_s=2.0)

BAD_REQUEST, GONE, INVALID = 400, 410, 422


class Informer:
    """Use it with `async with`: it follows the cluster as long as the block lasts.

    With *resync_s*, handlers are called that often for every object, as if it had changed into itself: for
    what depends on more than the objects. It outlives every `ApiError` and `ConnectionError`, with back-off;
    any other exception is a bug and ends the block.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource,
        *,
        clock: Clock,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, Index] | None = None,
        resync_s: float | None = None,
    ) -> None:
        self.resource = resource
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._resync_s = resync_s
        self._objects: dict[Key, Object] = {}
        self._namespaces = _IndexedKeys(namespace_of)
        self._indexes = {name: _IndexedKeys(index) for name, index in (indexes or {}).items()}
        self._handlers: list[Handler] = []
        self._streams = True
        self._resource_version = ""  # "": begin with what is there.
        self._failures = 0
        self._synced = asyncio.Event()
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._lifetime.enter_async_context(background(self._follow(), self._resync()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._lifetime.__aexit__(kind, error, trace)

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key)

    def objects(self, namespace: str = "") -> list[Object]:
        """Return the objects of *namespace*, or all of them."""
        if not namespace:
            return list(self._objects.values())
        return [self._objects[key] for key in self._namespaces.keys.get(namespace, ())]

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects for which the index function named *index* gave *value*."""
        return [self._objects[key] for key in self._indexes[index].keys.get(value, ())]

    def add_index(self, name: str, index: Index) -> None:
        """Have objects found by *index*, too, also those that are there already."""
        self._indexes[name] = indexed = _IndexedKeys(index)
        for key, obj in self._objects.items():
            indexed.update(key, None, obj)

    def on_change(self, handler: Handler) -> Callable[[], None]:
        """Call *handler* for every change from now on, and now for every object that is already there.

        Returns the function that takes the handler away again.
        """
        self._handlers.append(handler)
        for obj in self.objects():
            handler(None, obj)
        return lambda: self._handlers.remove(handler)

    @property
    def has_synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until all has arrived that was there at first."""
        await self._synced.wait()

    async def _follow(self) -> None:
        while True:
            is_new = not self._resource_version
            try:
                if is_new and not self._streams:
                    await self._list()
                await self._watch()
            except ApiError as refusal:
                self._resource_version = ""
                if is_new and self._streams and refusal.code in (BAD_REQUEST, INVALID):
                    self._streams = False  # This server cannot; then it is asked for a list.
                    continue
                if refusal.code == GONE and not is_new:
                    continue  # What we know is too old; that is no failure, and a new list will do.
                self._note_failure(refusal)
            except ConnectionError as failure:
                self._note_failure(failure)
            await self._clock.sleep(RECONNECT_BACKOFF.delay_s(self._failures))

    async def _resync(self) -> None:
        while self._resync_s is not None:
            await self._clock.sleep(self._resync_s)
            for obj in self.objects():
                for handler in tuple(self._handlers):
                    handler(obj, obj)

    def _note_failure(self, failure: Exception) -> None:
        self._failures += 1
        log = logger.warning if self._failures == 1 else logger.debug
        log("watching %s: %s; trying again", self.resource.group_resource, failure)

    async def _list(self) -> None:
        listed = await self._api.list(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        self._begin({key_of(obj): obj for obj in listed.items}, listed.resource_version)

    def _begin(self, objects: Mapping[Key, Object], resource_version: str) -> None:
        self._replace(objects)
        self._resource_version = resource_version
        self._synced.set()

    async def _watch(self) -> None:
        """Apply events until the server ends the watch, as servers do from time to time."""
        start = self._resource_version
        watch = self._api.watch(
            self.resource,
            self._namespace,
            resource_version=start,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            initial_events=not start,
        )
        async with watch as events:
            if not start:
                await self._begin_with(events)
            await self._apply_all(events)
        if self._resource_version == start:
            self._failures += 1  # Do not hurry back to a server that hangs up at once.

    async def _begin_with(self, events: AsyncIterator[WatchEvent]) -> None:
        """Take what is there from *events*; until all has come, the old copy stays."""
        objects: dict[Key, Object] = {}
        async for event in events:
            if event.ends_initial_events:
                self._begin(objects, event.object["metadata"]["resourceVersion"])
                self._failures = 0
                return
            if event.type == "DELETED":
                objects.pop(key_of(event.object), None)
            elif event.type != "BOOKMARK":
                objects[key_of(event.object)] = event.object

    async def _apply_all(self, events: AsyncIterator[WatchEvent]) -> None:
        async for event in events:
            self._failures = 0
            if event.type == "DELETED":
                self._set(key_of(event.object), None)
            elif event.type != "BOOKMARK":
                self._set(key_of(event.object), event.object)
            self._resource_version = str(revision_of(event.object))

    def _replace(self, objects: Mapping[Key, Object]) -> None:
        for key in self._objects.keys() - objects.keys():
            self._set(key, None)
        for key, obj in objects.items():
            known = self._objects.get(key)
            if known is None or revision_of(known) != revision_of(obj):
                self._set(key, obj)

    def _set(self, key: Key, new: Object | None) -> None:
        old = self._objects.get(key)
        if old is not None and new is not None and uid_of(old) != uid_of(new):
            self._set(key, None)  # Deleted and made again while nobody looked: those are two changes.
            old = None
        if new is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = new
        if old is None and new is None:
            return
        for index in (self._namespaces, *self._indexes.values()):
            index.update(key, old, new)
        for handler in self._handlers:
            handler(old, new)


class _IndexedKeys:
    def __init__(self, index: Index) -> None:
        self._index = index
        self.keys: dict[str, dict[Key, None]] = {}  # Dicts as sets that keep their order.

    def update(self, key: Key, old: Object | None, new: Object | None) -> None:
        for value in self._index(old) if old else ():
            self.keys[value].pop(key, None)
            if not self.keys[value]:
                del self.keys[value]
        for value in self._index(new) if new else ():
            self.keys.setdefault(value, {})[key] = None
