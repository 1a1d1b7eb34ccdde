"""The virtual clock: what tests advance instead of sleeping."""

import asyncio

from kubelab.cluster.clock import VirtualClock


async def _note_after(clock: VirtualClock, delay_s: float, log: list[tuple[float, float]]) -> None:
    await clock.sleep(delay_s)
    log.append((delay_s, clock.monotonic_s()))


async def test_sleepers_wake_in_order_and_see_their_own_deadline() -> None:
    clock, log = VirtualClock(), list[tuple[float, float]]()
    async with asyncio.TaskGroup() as tasks:
        for delay_s in (30.0, 10.0, 20.0):
            tasks.create_task(_note_after(clock, delay_s, log))
        await clock.advance(20)
        assert log == [(10, 10), (20, 20)]
        await clock.advance(3600)
    assert log[-1] == (30, 30)
    assert clock.monotonic_s() == 3620


async def test_a_sleeper_that_sleeps_again_wakes_within_one_advance() -> None:
    clock, ticks = VirtualClock(), list[float]()

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.monotonic_s())

    ticking = asyncio.ensure_future(tick())
    await clock.advance(3.5)
    ticking.cancel()
    assert ticks == [1, 2, 3]
    await clock.advance(10)
    assert ticks == [1, 2, 3]


async def test_advancing_by_nothing_waits_until_everything_rests() -> None:
    clock, hops = VirtualClock(), list[int]()

    async def hop() -> None:
        for number in range(500):
            await asyncio.sleep(0)
            hops.append(number)

    hopping = asyncio.ensure_future(hop())
    await clock.advance(0)
    assert hopping.done()
    assert len(hops) == 500
    assert (clock.now() - VirtualClock().now()).total_seconds() == 0
