"""A watch of `Mvcc` for the tasks of one event loop: `service.Watch` on top of `watch_hub.Watcher`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.service import Event, Progress
from kubelab.cluster.store.watch_hub import Watcher


class MvccWatch:
    """Enter `watching` to have one. Its iteration ends when that is left."""

    def __init__(self, woken: asyncio.Event, watcher: Watcher) -> None:
        self._woken = woken
        self._watcher = watcher
        self._is_closed = False

    def __aiter__(self) -> "MvccWatch":
        return self

    async def __anext__(self) -> tuple[Event, ...] | Progress:
        while True:
            if self._is_closed:
                raise StopAsyncIteration
            taken = self._watcher.take()
            if taken is not None:
                return taken
            if self._watcher.is_behind:
                await asyncio.sleep(0)  # To read a long log must not hold the loop.
            else:
                self._woken.clear()
                await self._woken.wait()

    def request_progress(self) -> None:
        self._watcher.request_progress()

    def close(self) -> None:
        """End it; once more does no harm."""
        if self._is_closed:
            return
        self._is_closed = True
        self._watcher.close()
        self._woken.set()


@asynccontextmanager
async def watching(
    mvcc: Mvcc, key: bytes, range_end: bytes = b"", *, start_revision: int = 0, prev_kv: bool = True
) -> AsyncIterator[MvccWatch]:
    """Watch as `KeyValueService.watch` says. Raises CompactedError."""
    woken = asyncio.Event()
    watcher = mvcc.watch(key, range_end, start_revision=start_revision, prev_kv=prev_kv, wake=woken.set)
    watch = MvccWatch(woken, watcher)
    try:
        yield watch
    finally:
        watch.close()
