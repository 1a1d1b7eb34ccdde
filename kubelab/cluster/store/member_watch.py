"""A client's watch of a member's store: waits where the watcher, which is pure, has nothing to say."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.service import Event, Progress
from kubelab.cluster.store.watch_hub import Watcher


class MemberWatch:
    """As `service.Watch` says. It ends when the block ends, or the member."""

    def __init__(self, watch: Callable[[Callable[[], None]], Watcher]) -> None:
        self._woken = asyncio.Event()
        self._closed = False
        self._watcher = watch(self._woken.set)

    def __aiter__(self) -> "MemberWatch":
        return self

    async def __anext__(self) -> tuple[Event, ...] | Progress:
        while not self._closed:
            self._woken.clear()
            found = self._watcher.take()
            if found is not None:
                return found
            if self._watcher.is_behind:
                await asyncio.sleep(0)
            else:
                await self._woken.wait()
        raise StopAsyncIteration

    def request_progress(self) -> None:
        self._watcher.request_progress()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._watcher.close()
            self._woken.set()


class MemberWatches:
    """All watches of a member."""

    def __init__(self, mvcc: Mvcc) -> None:
        self._mvcc = mvcc
        self._open: set[MemberWatch] = set()

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes, *, start_revision: int, prev_kv: bool
    ) -> AsyncIterator[MemberWatch]:
        """Raises CompactedError."""
        watch = MemberWatch(
            lambda wake: self._mvcc.watch(
                key, range_end, start_revision=start_revision, prev_kv=prev_kv, wake=wake
            )
        )
        self._open.add(watch)
        try:
            yield watch
        finally:
            self._open.discard(watch)
            watch.close()

    @property
    def count(self) -> int:
        return len(self._open)

    def end(self) -> None:
        for watch in self._open:
            watch.close()
