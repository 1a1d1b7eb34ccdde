"""Tasks that live exactly as long as a `with` block."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run *coroutines* beside the block: its end cancels them, and the failure of one cancels it.

    A single failure comes out as itself, so that callers can write `except ApiError`; several come out as
    the group that `asyncio.TaskGroup` makes.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
            yield
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) > 1:
            raise
        failure = failures.exceptions[0]
        raise failure from failure.__cause__


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()
