"""SIGSTOP and SIGCONT for a part of this process: its tasks, timers and sockets stand still, and stay.

Everything that is started within a context which a `Suspension` governs belongs to it, however deep: the
governor is a context variable, and asyncio hands those down to tasks and callbacks. While it is suspended no
such task takes a step, no such timer fires, no such socket is read, written or accepted from: as with a
stopped process the kernel goes on to take connections and bytes until its buffers are full. What comes to a
task meanwhile, a cancellation too, it finds on resuming.
To the exit of the context the suspension is resumed, or nothing of it could end.
asyncio has no public question for what it waits for, hence the look at the loop's timers, and a selector of
our own in front of the loop's: whatever becomes of a connection meanwhile, the loop finds it as it left it.
Left out: what another task does by calling into the suspended part directly (it awaits `passed` itself);
what was to run in that very round of the loop; work that has gone to threads.
Source: signal(7); asyncio, selector_events.py and base_events.py (3.11).
"""

import asyncio
import heapq
import selectors
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import Context, ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

_governor: "ContextVar[Suspension | None]" = ContextVar("governor", default=None)


class Suspension:
    def __init__(self) -> None:
        self.is_suspended = False
        self._waiting: list[asyncio.Future[None]] = []
        self._timers: list[asyncio.TimerHandle] = []

    @asynccontextmanager
    async def governing(self, context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
        """Enter *context*: what it starts can be suspended, until it is left."""
        _gate(asyncio.get_running_loop())
        async with AsyncExitStack() as stack:
            token = _governor.set(self)
            try:
                value = await stack.enter_async_context(context)
            finally:
                _governor.reset(token)
            try:
                yield value
            finally:
                self.resume()

    def suspend(self) -> None:
        """Take effect at once; from this very part of the process, with its next step."""
        if self.is_suspended:
            return
        self.is_suspended = True
        loop = vars(asyncio.get_running_loop())
        self._set_timers_aside(loop["_scheduled"])
        _look_again(loop["_selector"])

    def resume(self) -> None:
        if not self.is_suspended:
            return
        self.is_suspended = False
        loop = vars(asyncio.get_running_loop())
        self._put_timers_back(loop["_scheduled"])
        _look_again(loop["_selector"])
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():  # Else its task has been cancelled meanwhile.
                future.set_result(None)

    async def passed(self) -> None:
        """Wait until it is not suspended; for who calls into this part from another."""
        while self.is_suspended:
            await self._resumed()

    def _resumed(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def _set_timers_aside(self, scheduled: list[asyncio.TimerHandle]) -> None:
        self._timers = [timer for timer in scheduled if _governor_of(timer) is self]
        ours = set(map(id, self._timers))
        scheduled[:] = [timer for timer in scheduled if id(timer) not in ours]
        heapq.heapify(scheduled)

    def _put_timers_back(self, scheduled: list[asyncio.TimerHandle]) -> None:
        """Those that were cancelled meanwhile, too: the loop has counted them, and drops them itself."""
        timers, self._timers = self._timers, []
        for timer in timers:
            heapq.heappush(scheduled, timer)


_CONTEXT = "_context"  # Python 3.12 has Handle.get_context.


def _governor_of(handle: asyncio.Handle) -> Suspension | None:
    context: Context = getattr(handle, _CONTEXT)
    return context.get(_governor)


def _stands_still(handle: asyncio.Handle | None) -> bool:
    governor = _governor_of(handle) if handle else None
    return governor is not None and governor.is_suspended


class _Gated(Coroutine[Any, Any, Any]):
    """A coroutine whose steps wait while it is suspended."""

    __slots__ = ("_inner", "_suspension", "_thrown")

    def __init__(self, inner: Coroutine[Any, Any, Any], suspension: Suspension) -> None:
        self._inner = inner
        self._suspension = suspension
        self._thrown: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # What tracebacks and a task's `repr` ask for.

    def __await__(self) -> Generator[Any, Any, Any]:
        raise RuntimeError("a task's coroutine is its own alone")

    def send(self, value: Any) -> Any:
        if self._suspension.is_suspended:
            return self._wait()
        if self._thrown:
            thrown, self._thrown = self._thrown, ()
            return self._inner.throw(*thrown)
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        if not self._suspension.is_suspended:
            self._thrown = ()  # As with any task, a cancellation takes the place of what it meets.
            return self._inner.throw(*error)
        self._thrown = error
        return self._wait()

    def close(self) -> None:
        self._inner.close()

    def _wait(self) -> Any:
        return next(self._suspension._resumed().__await__())


def _gate(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop make tasks that can be suspended, in contexts that somebody governs, and wait only for
    the sockets of those that are not."""
    before = loop.get_task_factory()
    if isinstance(before, _TaskFactory):
        return
    if before is not None:
        raise RuntimeError("the loop has a task factory of somebody else's")
    loop.set_task_factory(_TaskFactory())
    parts = vars(loop)
    parts["_selector"] = _GatedSelector(parts["_selector"])


class _TaskFactory:
    def __call__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, *, context: Context | None = None
    ) -> asyncio.Task[Any]:
        governor = _governor.get() if context is None else context.get(_governor)
        gated = coroutine if governor is None else _Gated(coroutine, governor)
        return asyncio.Task(gated, loop=loop, context=context)


class _GatedSelector(selectors.SelectSelector):
    """The loop's selector: a book of all that the loop waits for, and the kernel's own, *watched*, which is
    told of what stands still for nobody. The loop reads and writes the book: what it adds, changes and takes
    out there while somebody is suspended holds when he goes on."""

    def __init__(self, watched: selectors.BaseSelector) -> None:
        super().__init__()
        self._watched = watched
        for key in watched.get_map().values():
            super().register(key.fileobj, key.events, key.data)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        try:
            self.look_at(key)
        except OSError:  # The kernel does not wait for such files.
            super().unregister(fileobj)
            raise
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        if key.fd in self._watched.get_map():
            self._watched.unregister(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self.unregister(fileobj)
        return self.register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._watched.select(timeout)

    def close(self) -> None:
        super().close()
        self._watched.close()

    def look_at(self, key: selectors.SelectorKey) -> None:
        """Have the kernel look at what of *key* does not stand still."""
        reader, writer = key.data
        events = 0 if _stands_still(reader) else key.events & selectors.EVENT_READ
        events |= 0 if _stands_still(writer) else key.events & selectors.EVENT_WRITE
        before = self._watched.get_map().get(key.fd)
        if before is not None and before.events == events:
            return
        if before is not None:
            self._watched.unregister(key.fd)
        if events:
            self._watched.register(key.fd, events, key.data)


def _look_again(selector: selectors.BaseSelector) -> None:
    if isinstance(selector, _GatedSelector):  # Else nothing has been started that anybody governs.
        for key in tuple(selector.get_map().values()):
            selector.look_at(key)
