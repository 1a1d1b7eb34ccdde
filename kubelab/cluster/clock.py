"""Time as an argument: the real clock for the lab, a virtual one for tests.

Pure code takes seconds or `datetime`s; only shells hold a `Clock`.
"""

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall-clock time, in UTC."""

    def monotonic_s(self) -> float: ...

    async def sleep(self, delay_s: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    monotonic_s = staticmethod(time.monotonic)  # As it is: each linearizable read asks it.

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class VirtualClock:
    """A clock that stands still until a test advances it: an hour passes at once, in the right order."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._sequence = count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic_s(self) -> float:
        return self._elapsed_s

    async def sleep(self, delay_s: float) -> None:
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + delay_s, next(self._sequence), woken))
        await woken

    async def advance(self, delay_s: float) -> None:
        """Let *delay_s* pass. Sleepers wake one deadline after the other, and all that each of them sets off
        comes to rest before the next one wakes; so `advance(0)` waits until nothing can run any more."""
        end_s = self._elapsed_s + delay_s
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            self._elapsed_s = self._sleepers[0][0]
            self._wake_due()
            await _settle()
        self._elapsed_s = end_s

    def _wake_due(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._elapsed_s:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():  # Else its sleeper was cancelled.
                woken.set_result(None)


async def _settle(rounds_max: int = 100_000) -> None:
    """Give way until no callback of the loop is ready: only time, a thread or another program can go on.

    asyncio has no public question for that, hence the look at the loop's queue. Two idle rounds, because
    descriptors that have become readable join the queue one round later.
    """
    ready = vars(asyncio.get_running_loop())["_ready"]
    idle_rounds = 0
    for _ in range(rounds_max):
        await asyncio.sleep(0)
        idle_rounds = 0 if ready else idle_rounds + 1
        if idle_rounds == 2:
            return
    raise RuntimeError("the loop never comes to rest: some task runs without waiting for anything")


def rfc3339(moment: datetime) -> str:
    """Return *moment* as `metav1.Time` is written: UTC, whole seconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def rfc3339_micro(moment: datetime) -> str:
    """Return *moment* as `metav1.MicroTime` is written."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
