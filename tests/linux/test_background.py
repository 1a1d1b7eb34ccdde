"""Tasks beside a block: who starts them owns their end."""

import asyncio
from contextlib import suppress

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


async def test_a_cancellation_that_meets_a_failure_is_not_lost() -> None:
    """Whoever tries again after a failure would go on for ever."""
    attempts = []

    async def fail() -> None:
        try:
            await forever()
        finally:
            raise ConnectionError

    async def try_again() -> None:
        while True:
            attempts.append(True)
            with suppress(ConnectionError):
                async with background(fail()):
                    await forever()
            await asyncio.sleep(0)

    running = asyncio.ensure_future(try_again())
    for _ in range(2):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running], timeout=5)
    assert running.cancelled()
    assert attempts == [True]


async def test_a_cancellation_that_meets_a_failure_comes_once() -> None:
    """What is to be closed then is closed to the end."""
    closed = []

    async def fail() -> None:
        raise ConnectionError

    async def work() -> None:
        try:
            async with background(fail()):
                running.cancel()
                await forever()
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    running = asyncio.ensure_future(work())
    await asyncio.wait([running])
    assert running.cancelled()
    assert closed == [True]


async def test_a_time_out_that_meets_a_failure_is_a_time_out() -> None:
    async def fail() -> None:
        try:
            await forever()
        finally:
            raise ConnectionError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001), background(fail()):
            await forever()


async def test_a_cancellation_of_before_does_not_hide_a_failure() -> None:
    """What is done after a cancellation may fail as anything else."""

    async def fail() -> None:
        raise ConnectionError

    async def work() -> None:
        try:
            await forever()
        finally:
            with pytest.raises(ConnectionError):
                async with background(fail()):
                    await forever()

    running = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_bug_that_meets_a_cancellation_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        try:
            await forever()
        finally:
            raise ZeroDivisionError

    async def work() -> None:
        async with background(fail()):
            await forever()

    running = asyncio.ensure_future(work())
    for _ in range(2):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert "ZeroDivisionError" in caplog.text
