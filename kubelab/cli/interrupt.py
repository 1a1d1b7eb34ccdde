"""Run one coroutine so that SIGINT, SIGTERM and SIGHUP end it cleanly, once."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interruptible(coroutine: Coroutine[Any, Any, T]) -> T | None:
    """Run *coroutine* and return its result, None when a signal has ended it.

    The first signal cancels it, which takes the lab down; later ones are ignored, for half a clean-up helps
    nobody (SIGKILL stays, and the next start cleans up after it).
    """
    with asyncio.Runner() as runner:
        return runner.run(_until_signalled(coroutine))


async def _until_signalled(coroutine: Coroutine[Any, Any, T]) -> T | None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(coroutine)
    ended_by: list[BaseException | None] = []

    def end(bug: BaseException | None = None) -> None:
        if not ended_by:
            task.cancel()
        ended_by.append(bug)

    def on_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback that raised is a bug: it ends the program as any other would, after the clean-up."""
        if "handle" in context and "exception" in context:
            end(context["exception"])
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(on_failure)
    for number in SIGNALS:
        loop.add_signal_handler(number, end)
    try:
        return await task
    except asyncio.CancelledError:
        if not ended_by:
            raise
        if ended_by[0] is not None:
            raise ended_by[0] from None
        return None
