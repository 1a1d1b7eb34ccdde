"""System calls that may take long, off the loop and to their end.

A thread cannot be stopped. A task that is cancelled while it waits for `asyncio.to_thread` goes on to close
the descriptors that the thread still uses, and what the thread makes after that is nobody's.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


async def in_thread(
    act: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
) -> _Result:
    """Return what *act* returns, called in a thread. Neither *act* nor its result is lost to a cancellation:
    that is held back until the caller, who then has the result in hand, waits again."""
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(None, lambda: act(*args, **kwargs))
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        _cancel_at_next_wait()
    return work.result()


def _cancel_at_next_wait() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()  # Who counts the requests (asyncio.timeout, TaskGroup) shall see as many as there were.
    task.cancel()
