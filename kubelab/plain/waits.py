"""What is waited for at the same time, each under a key and at most once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any


class Waits:
    """Whoever begins to wait ends it: with `first` once it has come, or with `stop`."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    def start(self, key: Hashable, wait: Callable[[], Awaitable[Any]]) -> None:
        """Begin to wait for one more under *key*, unless that is under way."""
        if key not in self._tasks:
            self._tasks[key] = asyncio.ensure_future(wait())

    async def first(self, timeout_s: float | None) -> dict[Hashable, Any]:
        """Return what has come, by key; nothing at all after *timeout_s*."""
        await asyncio.wait(self._tasks.values(), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        done = [key for key, task in self._tasks.items() if task.done()]
        return {key: self._tasks.pop(key).result() for key in done}

    async def one(self, key: Hashable) -> Any:
        """Return what comes under *key*, and leave the others alone."""
        return await self._tasks.pop(key)

    async def stop(self, key: Hashable) -> Any:
        """Wait no longer; return what had come in the meantime, None if nothing had."""
        task = self._tasks.pop(key, None)
        if task is None:
            return None
        task.cancel()
        await asyncio.wait([task])  # Not for its result: our own cancellation would look like the task's.
        return None if task.cancelled() else task.result()

    async def stop_all(self) -> None:
        for key in tuple(self._tasks):
            await self.stop(key)
