"""What a thread makes is never lost to a cancellation."""

import asyncio
import threading

import pytest

from kubelab.cluster.linux.threads import in_thread


async def test_a_cancellation_waits_for_the_thread_and_strikes_at_the_next_wait():
    may_end, seen = threading.Event(), []

    async def work() -> None:
        seen.append(await in_thread(may_end.wait, 10))
        seen.append("result in hand")
        await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    task.cancel()
    await asyncio.sleep(0)
    assert seen == []
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [True, "result in hand"]


async def test_a_time_out_around_it_stays_a_time_out():
    may_end = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            asyncio.get_running_loop().call_later(0.005, may_end.set)
            await in_thread(may_end.wait, 10)
            await asyncio.sleep(10)


async def test_its_error_comes_through():
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)
