"""What is asked of a store to see how quick it is, whoever answers (`kubelab bench store`)."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Put, Range, prefix_end
from kubelab.cluster.store.segment import prepare_segment
from kubelab.cluster.store.service import KeyValueService, Progress, StoreTimeoutError
from kubelab.cluster.store.watch import watching as watching_mvcc

CLIENTS = (1, 32)
DURATION_S = 1.5
TURNS = 5
VALUE = b"x" * 1024
LISTED = 10_000
EVENTS = 200
PROBE_S = 0.005
FAILOVER_TIMEOUT_S = 30.0
SYNCS = 200
PREFIX = b"/registry/bench/"
DISK = "one fdatasync of 1 KiB"
BESIDE_DISK = "write, in turns with fdatasync: p50"

Rows = dict[tuple[str, str], float]
"""By name and unit."""


@dataclass(frozen=True, slots=True)
class _Load:
    """`took_s` are the times of each call."""

    took_s: Sequence[float]
    elapsed_s: float

    @property
    def rate(self) -> float:
        return len(self.took_s) / self.elapsed_s

    def quantile_s(self, share: float) -> float:
        return sorted(self.took_s)[int(len(self.took_s) * share)]


async def writes(stores: Mapping[str, KeyValueService]) -> dict[str, Rows]:
    """Durable writes, of all *stores* in turns: rate, and the time of each, by the number of clients."""
    rows: dict[str, Rows] = {way: {} for way in stores}
    for clients in CLIENTS:
        loads: dict[str, list[_Load]] = {way: [] for way in stores}
        for _ in range(TURNS):
            for way, store in stores.items():
                loads[way].append(await _loaded(partial(_write, store), clients, DURATION_S / TURNS))
        name = f"write, {_clients(clients)}"
        for way, turns in loads.items():
            load = _joined(turns)
            rows[way][name, "/s"] = load.rate
            rows[way][f"{name}: p50", "ms"] = load.quantile_s(0.5) * 1e3
            rows[way][f"{name}: p99", "ms"] = load.quantile_s(0.99) * 1e3
    return rows


async def _write(store: KeyValueService, client: int, number: int) -> None:
    await store.put(Put(PREFIX + b"%d/%d" % (client, number % 1000), VALUE))


async def writes_beside_disk(store: KeyValueService, place: Path) -> Rows:
    """One client's durable writes, and in turns with them plain ones of that size to a file at *place*: how
    quick a disk is changes from one moment to the next, so only what was measured together compares."""
    took_s: list[float] = []
    disk_s: list[float] = []
    with _plain_file(place) as fd:
        for number in range(SYNCS):
            began_s = time.perf_counter()
            await store.put(Put(PREFIX + b"beside-disk", VALUE))
            took_s.append(time.perf_counter() - began_s)
            await asyncio.sleep(0.001)  # Until the followers' disks are done with it, too.
            disk_s.append(_fdatasync_s(fd, number))
    return {
        (BESIDE_DISK, "us"): statistics.median(took_s) * 1e6,
        (DISK, "us"): statistics.median(disk_s) * 1e6,
    }


async def reads(store: KeyValueService) -> Rows:
    rows: Rows = {}
    await store.put(Put(PREFIX + b"read", VALUE))
    for name, is_serializable in (("linearizable", False), ("serializable", True)):
        request = Range(PREFIX + b"read", serializable=is_serializable)

        async def act(client: int, number: int) -> None:
            await store.range(request)  # noqa: B023 - awaited before the next round

        for clients in CLIENTS:
            load = await _loaded(act, clients)
            rows[f"{name} read, {_clients(clients)}", "/s"] = load.rate
        rows[f"{name} read: p50", "us"] = (await _loaded(act, 1)).quantile_s(0.5) * 1e6
    return rows


async def watching(store: KeyValueService) -> Rows:
    """How long after a write was asked for its event is at a watch, and how far from the answer."""
    asked_s: list[float] = []
    answered_s: list[float] = []
    seen_s: list[float] = []

    async def look() -> None:
        async for batch in watch:
            if isinstance(batch, Progress):
                continue
            seen_s.append(time.perf_counter())
            if len(seen_s) == EVENTS:
                return

    async with store.watch(PREFIX + b"watched") as watch, asyncio.TaskGroup() as group:
        group.create_task(look())
        await asyncio.sleep(0)
        for _ in range(EVENTS):
            asked_s.append(time.perf_counter())
            await store.put(Put(PREFIX + b"watched", VALUE))
            answered_s.append(time.perf_counter())
            while len(seen_s) < len(asked_s):  # noqa: ASYNC110 - an event would have a wake of its own
                await asyncio.sleep(0)
    since_asked = [seen - asked for seen, asked in zip(seen_s, asked_s, strict=True)]
    apart = [abs(seen - answered) for seen, answered in zip(seen_s, answered_s, strict=True)]
    return {
        ("request to watch event: p50", "ms"): statistics.median(since_asked) * 1e3,
        ("answer and watch event apart: p50", "us"): statistics.median(apart) * 1e6,
    }


async def delivery() -> Rows:
    """How long it takes from a write that the state machine carries out until a watcher's task has it."""
    mvcc, seen_s = Mvcc(), list[float]()
    applied_s: list[float] = []

    async def look() -> None:
        async for _ in watch:
            seen_s.append(time.perf_counter())
            if len(seen_s) == EVENTS:
                return

    async with watching_mvcc(mvcc, PREFIX + b"watched") as watch, asyncio.TaskGroup() as group:
        group.create_task(look())
        await asyncio.sleep(0)
        for _ in range(EVENTS):
            mvcc.apply(Put(PREFIX + b"watched", VALUE))
            applied_s.append(time.perf_counter())
            while len(seen_s) < len(applied_s):  # noqa: ASYNC110 - an event would have a wake of its own
                await asyncio.sleep(0)
    took_s = [seen - applied for seen, applied in zip(seen_s, applied_s, strict=True)]
    return {("applied to watch event: p50", "us"): statistics.median(took_s) * 1e6}


async def listing(store: KeyValueService) -> Rows:
    """How long a list of LISTED keys takes, values and all."""
    limit = asyncio.Semaphore(256)

    async def fill(number: int) -> None:
        async with limit:
            while True:
                with suppress(StoreTimeoutError):  # On a busy machine; to put it twice is as good as once.
                    await store.put(Put(PREFIX + b"list/%06d" % number, VALUE))
                    return

    await asyncio.gather(*map(fill, range(LISTED)))
    whole = Range(PREFIX + b"list/", prefix_end(PREFIX + b"list/"))
    took_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        answer = await store.range(whole)
        took_s.append(time.perf_counter() - began_s)
        assert len(answer.kvs) == LISTED
    return {(f"list of {LISTED}", "ms"): statistics.median(took_s) * 1e3}


async def failover_s(survivors: Sequence[KeyValueService]) -> float:
    """Return how long it takes from now until one of *survivors* has carried out a write."""
    began_s = time.perf_counter()
    probes: set[asyncio.Task[None]] = set()
    try:
        async with asyncio.timeout(FAILOVER_TIMEOUT_S):
            while True:
                probes |= {asyncio.create_task(_probe(store)) for store in survivors}
                done, probes = await asyncio.wait(
                    probes, timeout=PROBE_S, return_when=asyncio.FIRST_COMPLETED
                )
                refusals = [task.exception() for task in done]
                if not all(refusals):
                    return time.perf_counter() - began_s
                if done:
                    await asyncio.sleep(PROBE_S)
    finally:
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)


async def _probe(store: KeyValueService) -> None:
    await store.put(Put(PREFIX + b"failover", VALUE))


@contextmanager
def _plain_file(place: Path) -> Iterator[int]:
    """Make a file that has room for SYNCS writes, as a segment of the log is made."""
    fd = prepare_segment(place, SYNCS * len(VALUE))
    try:
        yield fd
    finally:
        os.close(fd)


def _fdatasync_s(fd: int, number: int) -> float:
    """Return the time of a write that the disk has to keep. It holds the loop, on which nothing goes on."""
    began_s = time.perf_counter()
    os.pwrite(fd, VALUE, number * len(VALUE))
    os.fdatasync(fd)
    return time.perf_counter() - began_s


async def _loaded(
    act: Callable[[int, int], Awaitable[None]], clients: int, duration_s: float | None = None
) -> _Load:
    """Let *clients* do *act* again and again, for DURATION_S if nothing else is said."""
    took_s: list[float] = []
    began_s = time.perf_counter()
    end_s = began_s + (DURATION_S if duration_s is None else duration_s)

    async def client(number: int) -> None:
        done, before_s = 0, time.perf_counter()
        while before_s < end_s:
            await act(number, done)
            now_s = time.perf_counter()
            took_s.append(now_s - before_s)
            done, before_s = done + 1, now_s
            if done % 64 == 0:
                await asyncio.sleep(0)  # What answers at once would never let anybody else.

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    return _Load(took_s, time.perf_counter() - began_s)


def _joined(turns: Sequence[_Load]) -> _Load:
    took_s = [each_s for turn in turns for each_s in turn.took_s]
    return _Load(took_s, sum(turn.elapsed_s for turn in turns))


def _clients(number: int) -> str:
    return f"{number} client{'s' if number > 1 else ''}"
