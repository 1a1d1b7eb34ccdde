"""Tasks that live exactly as long as a `with` block."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from kubelab.cluster.errors import LabError

logger = logging.getLogger(__name__)


@asynccontextmanager
async def background(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run *coroutines* beside the block: its end cancels them, and the failure of one cancels it."""
    async with task_group() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group out of which failures come as callers want them.

    A single failure comes out as itself, so that callers can write `except ApiError`; several come out as
    the group that `asyncio.TaskGroup` makes. But whoever is cancelled meanwhile is cancelled, once, and
    failures are no more than its cause: else he who catches them, to try again, would go on for ever.
    """
    task = asyncio.current_task()
    assert task is not None
    cancellations = task.cancelling()
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0] if len(failures.exceptions) == 1 else failures
        if task.cancelling() > cancellations:
            await _be_cancelled(task, failure)
        if failure is failures:
            raise
        raise failure from failure.__cause__


async def _be_cancelled(task: asyncio.Task[Any], failure: BaseException) -> NoReturn:
    """Take the cancellation that `asyncio.TaskGroup` has kept to itself (until Python 3.12), or will send
    again at the next thing that is waited for, which would be some clean-up (since 3.13)."""
    if not isinstance(failure, LabError | OSError):
        logger.warning("a failure met a cancellation", exc_info=failure)
    task.uncancel()
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as cancelled:
        raise cancelled from failure
    raise AssertionError("it was to be cancelled")


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()
