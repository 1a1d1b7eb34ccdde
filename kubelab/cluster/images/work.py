"""Long work with files, in a thread that stops soon after the task that waits for it is cancelled."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from kubelab.cluster.images.content import Heartbeat

_Result = TypeVar("_Result")


class _StoppedError(Exception):
    """Nobody waits for the result any more."""


async def in_stoppable_thread(act: Callable[[Heartbeat], _Result], tell: Heartbeat) -> _Result:
    """Return what *act* returns; it passes each step's count of bytes to its argument, and so to *tell*.

    When the caller is cancelled, that argument raises in *act*, and the thread has ended when this does.
    """
    stop = threading.Event()

    def beat(count_bytes: int) -> None:
        if stop.is_set():
            raise _StoppedError
        tell(count_bytes)

    work = asyncio.get_running_loop().run_in_executor(None, act, beat)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await _ended(work)
        raise


async def _ended(work: "asyncio.Future[_Result]") -> None:
    """Wait, however often we are told to stop waiting."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue
    work.exception()  # Nobody is to miss it.
