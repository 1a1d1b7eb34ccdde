"""The work queue of controllers: which keys want to be reconciled, each one once and never twice at a time.

- A key that is added while it waits is not added again.
- A key that is added while it is being worked on waits until `done`, and then comes again.
- A key that failed comes back after a back-off of its own, until `forget`.

Source: kubernetes, staging/src/k8s.io/client-go/util/workqueue/{queue,delaying_queue,
default_rate_limiters}.go. Left out: metrics, priorities, and the token bucket over all keys (10 a second
after 100) that protects the API servers of large clusters.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from contextlib import AsyncExitStack
from itertools import count
from types import TracebackType
from typing import Generic, Self, TypeVar

from kubelab.cluster.client.backoff import Backoff
from kubelab.cluster.clock import Clock
from kubelab.cluster.linux.background import background

K = TypeVar("K", bound=Hashable)

FAILURE_BACKOFF = Backoff(first_s=0.005, max_s=1000.0)  # As upstream's default controller rate limiter.


class WorkQueue(Generic[K]):
    """Use it with `async with`: the delayed keys need a task that wakes for them."""

    def __init__(self, clock: Clock, backoff: Backoff = FAILURE_BACKOFF) -> None:
        self._clock = clock
        self._backoff = backoff
        self._queue: deque[K] = deque()
        self._dirty: set[K] = set()  # Wants work: those in the queue, and those added while in work.
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._available = asyncio.Semaphore(0)
        self._delayed: list[tuple[float, int, K]] = []
        self._due_s: dict[K, float] = {}  # The one deadline of a key that counts; heap entries may be older.
        self._sequence = count()
        self._delays_changed = asyncio.Event()
        self._lifetime = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._lifetime.enter_async_context(background(self._release_due()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._lifetime.__aexit__(kind, error, trace)

    def __len__(self) -> int:
        """The keys that wait for a worker now; not those in work, and not the delayed ones."""
        return len(self._queue)

    def add(self, key: K) -> None:
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._enqueue(key)

    def add_after(self, key: K, delay_s: float) -> None:
        """Add *key* once *delay_s* has passed; of several deadlines for a key the earliest counts."""
        if delay_s <= 0:
            self.add(key)
            return
        due_s = self._clock.monotonic_s() + delay_s
        if self._due_s.get(key, due_s + 1) <= due_s:
            return
        self._due_s[key] = due_s
        heapq.heappush(self._delayed, (due_s, next(self._sequence), key))
        self._delays_changed.set()

    def add_rate_limited(self, key: K) -> None:
        """Add *key* again after a failure: the more in a row, the later."""
        self._failures[key] = self.failures(key) + 1
        self.add_after(key, self._backoff.delay_s(self._failures[key]))

    def forget(self, key: K) -> None:
        """*key* went well: its next failure is its first. Say `done` besides."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """Wait for a key and take it; the worker says `done` when it has finished."""
        await self._available.acquire()
        key = self._queue.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        self._processing.discard(key)
        if key in self._dirty:
            self._enqueue(key)

    def _enqueue(self, key: K) -> None:
        self._queue.append(key)
        self._available.release()

    async def _release_due(self) -> None:
        while True:
            self._delays_changed.clear()
            while self._delayed and self._delayed[0][0] <= self._clock.monotonic_s():
                self._release(heapq.heappop(self._delayed))
            await self._wait_for_delays()

    def _release(self, delayed: tuple[float, int, K]) -> None:
        due_s, _, key = delayed
        if self._due_s.get(key) == due_s:
            del self._due_s[key]
            self.add(key)

    async def _wait_for_delays(self) -> None:
        """Return when the earliest deadline has come, or when there may be an earlier one."""
        if not self._delayed:
            await self._delays_changed.wait()
            return
        deadline = asyncio.ensure_future(self._clock.sleep(self._delayed[0][0] - self._clock.monotonic_s()))
        changed = asyncio.ensure_future(self._delays_changed.wait())
        try:
            await asyncio.wait((deadline, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            deadline.cancel()
            changed.cancel()
