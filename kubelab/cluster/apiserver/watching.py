"""A watch as a stream of lines: what is there, what changes, bookmarks, and an orderly end.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/watch.go;
https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks and #streaming-lists.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kubelab.cluster.apiserver.forms import View
from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.apiserver.queries import WatchOptions
from kubelab.cluster.apiserver.registry import ListOptions, Registry, WatchedEvent
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background

BOOKMARK_INTERVAL_S = 60
_INITIAL_EVENTS_AT_ONCE = {JSON: 100, PROTOBUF: 10}  # To make a message takes 10 times as long as a line.
Write = Callable[[bytes], Awaitable[None]]


class Deadlines:
    """The time limits of all watches, so that a server that stops can bring them forward."""

    def __init__(self) -> None:
        self._timeouts: set[asyncio.Timeout] = set()
        self.closed = False

    @asynccontextmanager
    async def until(self, delay_s: float) -> AsyncIterator[None]:
        """Let the block run for *delay_s* or until `close`, then leave it without a word."""
        try:
            async with asyncio.timeout(0 if self.closed else delay_s) as timeout:
                self._timeouts.add(timeout)
                try:
                    yield
                finally:
                    self._timeouts.discard(timeout)
        except TimeoutError:
            return

    def close(self) -> None:
        self.closed = True
        for timeout in self._timeouts:
            timeout.reschedule(0)  # The loop's clock is past that.


class Watch:
    """One client's watch of one kind, written line by line with *write*; *count* hears of how many events."""

    def __init__(
        self,
        registry: Registry,
        view: View,
        namespace: str,
        options: WatchOptions,
        write: Write,
        count: Callable[[int], None],
    ) -> None:
        self._registry = registry
        self._view = view
        self._namespace = namespace
        self._options = options
        self._write = write
        self._count = count
        self._revision = 0
        self._first = True
        self._delivering = False

    async def run(self) -> None:
        """Write events until cancelled. A watch that falls behind a compaction ends with an ERROR event."""
        try:
            self._revision = await self._begin()
            async with background(*([self._bookmark()] if self._options.bookmarks else [])):
                await self._follow()
        except* ApiError as errors:
            refusal = errors.exceptions[0]
            assert isinstance(refusal, ApiError)
            await self._write(self._view.error(refusal.status()))

    async def _begin(self) -> int:
        options = self._options
        if options.revision is not None:
            return options.revision or self._registry.store.revision
        select = ListOptions(
            options.label_selector, options.field_selector, resource_version=options.not_older_than
        )
        page = await self._registry.list(self._view.kind, self._namespace, select)
        at_once = _INITIAL_EVENTS_AT_ONCE[self._view.media_type]
        for start in range(0, len(page.versions), at_once):
            versions = page.versions[start : start + at_once]
            await self._deliver(tuple(WatchedEvent("ADDED", version) for version in versions))
            await asyncio.sleep(0)  # To encode thousands of objects must not hold the loop.
        if options.initial_events_end:
            await self._write(self._view.bookmark(page.revision, initial_events_end=True))
        return page.revision

    async def _follow(self) -> None:
        async with self._registry.watch(
            self._view.kind,
            self._namespace,
            revision=self._revision,
            label_selector=self._options.label_selector,
            field_selector=self._options.field_selector,
        ) as batches:
            async for batch in batches:
                await self._deliver(batch)

    async def _deliver(self, events: tuple[WatchedEvent, ...]) -> None:
        self._delivering = True
        lines = []
        for event in events:
            lines.append(self._view.event(event, first=self._first))
            self._first = False
        await self._write(b"".join(lines))
        self._count(len(events))
        self._delivering = False

    async def _bookmark(self) -> None:
        """Tell now and then how far the watch is, so that a client can resume there.

        What was written before an interval began has been delivered at its end, unless the client is slow.
        """
        while True:
            revision = self._registry.store.revision
            await self._registry.clock.sleep(BOOKMARK_INTERVAL_S)
            if not self._delivering:
                await self._write(self._view.bookmark(max(revision, self._revision)))
