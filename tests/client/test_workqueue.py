"""The work queue, by the promises of client-go's: doc.go and queue_test.go."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.client.backoff import Backoff
from kubelab.cluster.client.workqueue import WorkQueue
from kubelab.cluster.clock import VirtualClock


async def test_a_key_waits_only_once() -> None:
    async with WorkQueue[str](VirtualClock()) as queue:
        for key in ("a", "b", "a"):
            queue.add(key)
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0


async def test_a_key_in_work_is_not_given_out_twice_and_comes_again_when_done() -> None:
    async with WorkQueue[str](VirtualClock()) as queue:
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0


async def test_get_waits_for_a_key() -> None:
    async with WorkQueue[str](VirtualClock()) as queue, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(queue.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        queue.add("a")
    assert waiting.result() == "a"


async def test_delayed_keys_come_when_they_are_due_and_in_that_order() -> None:
    clock = VirtualClock()
    async with WorkQueue[str](clock) as queue:
        for key, delay_s in (("late", 60), ("soon", 1), ("now", 0)):
            queue.add_after(key, delay_s)
        assert await queue.get() == "now"
        await clock.advance(0.9)
        assert len(queue) == 0
        await clock.advance(0.1)
        assert await queue.get() == "soon"
        await clock.advance(58.9)
        assert len(queue) == 0
        await clock.advance(0.1)
        assert await queue.get() == "late"


async def test_of_several_deadlines_of_a_key_the_earliest_counts() -> None:
    clock = VirtualClock()
    async with WorkQueue[str](clock) as queue:
        for delay_s in (10, 5, 20):
            queue.add_after("a", delay_s)
        await clock.advance(5)
        assert await queue.get() == "a"
        queue.done("a")
        await clock.advance(60)
        assert len(queue) == 0


async def test_failures_in_a_row_double_the_wait_until_the_key_is_forgotten() -> None:
    clock = VirtualClock()
    async with WorkQueue[str](clock, Backoff(first_s=1, max_s=4)) as queue:
        waits_s = []
        for _ in range(4):
            queue.add_rate_limited("a")
            before_s = clock.monotonic_s()
            while not len(queue):
                await clock.advance(1)
            waits_s.append(clock.monotonic_s() - before_s)
            queue.done(await queue.get())
        assert waits_s == [1, 2, 4, 4]
        queue.forget("a")
        assert queue.failures("a") == 0
        queue.add_rate_limited("a")
        await clock.advance(1)
        assert await queue.get() == "a"


async def test_a_worker_that_is_cancelled_while_it_waits_takes_no_key_with_it() -> None:
    async with WorkQueue[str](VirtualClock()) as queue:
        waiting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        queue.add("a")
        assert await queue.get() == "a"


@given(failures=st.integers(min_value=0, max_value=10_000))
def test_backoff_never_shrinks_and_never_exceeds_its_bound(failures: int) -> None:
    backoff = Backoff(first_s=0.005, max_s=1000)
    assert backoff.delay_s(failures) <= backoff.delay_s(failures + 1) <= 1000
