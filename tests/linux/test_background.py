"""Tasks beside a block: who starts them owns their end."""

import asyncio

import pytest

from kubelab.cluster.linux.background import background, forever


async def test_the_end_of_the_block_cancels_the_tasks() -> None:
    ended = []

    async def task() -> None:
        try:
            await forever()
        finally:
            ended.append(True)

    async with background(task(), task()):
        await asyncio.sleep(0)
    assert ended == [True, True]


async def test_a_failing_task_ends_the_block_and_comes_out_as_itself() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with background(forever(), fail()):
            await forever()


async def test_a_failure_keeps_its_cause() -> None:
    async def fail() -> None:
        raise ConnectionError from ZeroDivisionError()

    with pytest.raises(ConnectionError) as error:
        async with background(fail()):
            await forever()
    assert isinstance(error.value.__cause__, ZeroDivisionError)


async def test_a_failing_block_cancels_the_tasks_and_comes_out_as_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        async with background(forever()):
            raise ZeroDivisionError


async def test_cancelling_the_block_from_outside_stays_a_cancellation() -> None:
    async def block() -> None:
        async with background(forever()):
            await forever()

    running = asyncio.ensure_future(block())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
