"""What is waited for at the same time: whoever stops waiting may be stopped himself."""

import asyncio

from kubelab.plain.waits import Waits


async def test_what_had_come_is_returned_by_who_stops_and_nothing_otherwise() -> None:
    waits = Waits()
    waits.start("over", _over)
    waits.start("open", asyncio.Event().wait)
    await asyncio.sleep(0)
    assert [await waits.stop(key) for key in ("over", "open", "unknown")] == [1, None, None]


async def test_who_is_cancelled_while_he_stops_waiting_is_cancelled() -> None:
    """The end of what he waited for looks the same, and takes a moment."""
    waits = Waits()
    waits.start("slow", _slow_to_end)
    await asyncio.sleep(0)
    stopping = asyncio.create_task(waits.stop_all())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait({stopping})
    assert stopping.cancelled()


async def _over() -> int:
    return 1


async def _slow_to_end() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(5):
            await asyncio.sleep(0)
