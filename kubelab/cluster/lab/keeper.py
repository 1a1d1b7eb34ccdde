"""Async contexts that any task may open and close: each lives in a task of its own.

A task group must be left by the task that entered it, and what runs on a machine is made of such groups; but
a machine is started by the lab and started again by whoever asks for that.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Self, TypeVar

from kubelab.cluster.errors import LabError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Held(Generic[T_co]):
    """An open context. `value` is what it gave."""

    def __init__(self, context: AbstractAsyncContextManager[T_co]) -> None:
        self._context = context
        self._opened: asyncio.Future[T_co] = asyncio.get_running_loop().create_future()
        self._ending = asyncio.Event()
        self._failure: LabError | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def value(self) -> T_co:
        return self._opened.result()

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Raises LabError, as the context does."""
        self._task = group.create_task(self._live())
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait([self._task])
            raise

    async def close(self) -> None:
        """Leave the context, if that has not happened. Raises LabError, as the context does."""
        assert self._task is not None
        self._ending.set()
        await asyncio.wait([self._task])
        if self._failure:
            raise self._failure

    async def _live(self) -> None:
        """A failure is told to whoever opens or closes; one in between, or a bug, ends the keeper."""
        try:
            async with self._context as value:
                self._opened.set_result(value)
                await self._ending.wait()
        except LabError as error:
            if not self._opened.done():
                self._opened.set_exception(error)
                self._opened.exception()  # Whoever opened it may have stopped waiting.
            elif self._ending.is_set():
                self._failure = error
            else:
                raise
        finally:
            self._opened.cancel()


class Keeper:
    """Use it with `async with`: at the end of the block everything is closed, the youngest first."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._held: list[Held[object]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        failures = [failure for held in reversed(self._held) for failure in [await _closed(held)] if failure]
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from group.exceptions[0].__cause__
        if failures:
            raise failures[0]
        return None

    async def open(self, context: AbstractAsyncContextManager[T]) -> Held[T]:
        """Open *context* in a task of its own.

        Raises:
            LabError: as the context does.
        """
        held = Held(context)
        await held.open(self._group)
        self._held.append(held)
        return held

    async def close(self, held: Held[T]) -> None:
        """Leave the context again.

        Raises:
            LabError: as the context does.
        """
        self._held = [other for other in self._held if other is not held]
        await held.close()


async def _closed(held: Held[object]) -> LabError | None:
    try:
        await held.close()
    except LabError as error:
        return error
    return None
