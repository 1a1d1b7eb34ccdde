"""Noticing that a peer is gone while nobody reads what it has sent.

A connection whose reader stands still is not read, so its end is not seen either; but the kernel knows of it.
It may not yet, where the end waits behind data for which there is no room: so whoever speaks a protocol that
has pings sends some, and a peer without a process answers with a reset.
Source: epoll_ctl(2), EPOLLRDHUP. An epoll descriptor is itself readable when one that it watches has news.
"""

import asyncio
import contextlib
import select
from collections.abc import Callable, Coroutine
from typing import Any

PING_PERIOD_S = 1.0
LAST_READS_S = 0.2  # In which a reader may still take what came before the end.
_CHECK_PERIOD_S = 1.0  # A descriptor that was closed here is no longer watched.


async def ping(send: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Call *send* from time to time, as long as it can be."""
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.sleep(PING_PERIOD_S)
            await send()


async def hung_up(transport: asyncio.BaseTransport | None) -> None:
    """Wait until the peer has closed the connection, or is unreachable."""
    if transport is None or transport.is_closing():
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    with select.epoll() as watch:
        watch.register(transport.get_extra_info("socket").fileno(), select.EPOLLRDHUP)
        loop.add_reader(watch.fileno(), gone.set)
        try:
            while not gone.is_set() and not transport.is_closing():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CHECK_PERIOD_S):
                        await gone.wait()
        finally:
            loop.remove_reader(watch.fileno())
    await asyncio.sleep(LAST_READS_S)
