"""Watches as etcd has them, of every engine."""

import asyncio
from collections.abc import Sequence

import pytest

from kubelab.cluster.store.requests import Compaction, DeleteRange, Put, Range, Txn, prefix_end
from kubelab.cluster.store.service import CompactedError, Event, Progress, Service, Watch

A = (b"a/", prefix_end(b"a/"))


async def _put(service: Service, *pairs: str) -> int:
    before = service.revision
    for pair in pairs:
        key, _, value = pair.partition("=")
        await service.put(Put(key.encode(), value.encode()))
    return before


async def _take(watch: Watch, batches: int) -> list[tuple[Event, ...] | Progress]:
    iterator = aiter(watch)
    return [await anext(iterator) for _ in range(batches)]


def _told(batches: Sequence[tuple[Event, ...] | Progress]) -> list[list[tuple[str, bytes]]]:
    return [[(event.type, event.kv.key) for event in batch] for batch in batches if isinstance(batch, tuple)]


async def test_events_of_one_revision_come_together_and_only_what_is_watched(service: Service) -> None:
    base = await _put(service, "a/1=x", "b")
    async with service.watch(*A) as watch:
        await _put(service, "b", "a/2")
        await service.txn(Txn((), _MIXED))
        await service.delete_range(DeleteRange(b"a", b"c"))
        batches = await _take(watch, 3)
    assert _told(batches) == [
        [("PUT", b"a/2")],
        [("DELETE", b"a/1"), ("PUT", b"a/3")],
        [("DELETE", b"a/2"), ("DELETE", b"a/3")],
    ]
    mixed = batches[1]
    assert isinstance(mixed, tuple)
    assert [event.kv.mod_revision for event in mixed] == [base + 5, base + 5]
    assert (mixed[0].kv.value, mixed[0].kv.version, mixed[0].kv.create_revision) == (b"", 0, 0)
    assert mixed[0].prev_kv is not None
    assert mixed[0].prev_kv.value == b"x"
    assert mixed[1].prev_kv is None


_MIXED = (DeleteRange(b"a/1"), Put(b"b", b"2"), Put(b"a/3"))


async def test_a_watch_from_the_past_goes_on_into_the_present(service: Service) -> None:
    base = await _put(service, "a/1=1", "b", "a/1=2")
    async with (
        service.watch(*A, start_revision=base + 2) as watch,
        service.watch(b"a/1", start_revision=1, prev_kv=False) as single,
    ):
        await _put(service, "a/2")
        batches = await _take(watch, 2)
        singles = await _take(single, 2)
    assert _told(batches) == [[("PUT", b"a/1")], [("PUT", b"a/2")]]
    assert isinstance(batches[0], tuple)
    assert batches[0][0].prev_kv is not None
    assert batches[0][0].prev_kv.value == b"1"
    assert [event.prev_kv for batch in singles if isinstance(batch, tuple) for event in batch] == [None] * 2


async def test_a_watch_from_the_future_waits_for_it(service: Service) -> None:
    base = await _put(service, "a/0")
    async with service.watch(*A, start_revision=base + 4) as watch:
        await _put(service, "a/1", "a/2", "a/3")
        assert _told(await _take(watch, 1)) == [[("PUT", b"a/3")]]


async def test_progress_is_told_after_all_events_before_it(service: Service) -> None:
    await _put(service, "a/0")
    async with service.watch(*A) as watch:
        base = await _put(service, "a/1", "a/2", "b")
        await service.range(Range(b"a/1"))
        watch.request_progress()
        iterator = aiter(watch)
        batches = []
        while not isinstance(batch := await anext(iterator), Progress):
            batches.append(batch)
            watch.request_progress()
    assert _told(batches) == [[("PUT", b"a/1")], [("PUT", b"a/2")]]
    assert batch.revision == base + 3


async def test_what_is_compacted_cannot_be_watched_and_what_is_not_can(service: Service) -> None:
    base = await _put(service, "a/1=1", "a/1=2", "a/1=3")
    await service.compact(Compaction(base + 2))
    with pytest.raises(CompactedError):
        async with service.watch(*A, start_revision=base + 1) as watch:
            await _take(watch, 1)
    async with service.watch(*A, start_revision=base + 2) as watch:
        batches = await _take(watch, 2)
    kept = [event.kv.value for batch in batches if isinstance(batch, tuple) for event in batch]
    assert kept == [b"2", b"3"]


async def test_a_watch_that_is_left_ends(service: Service) -> None:
    async with service.watch(*A) as watch:
        waiting = asyncio.ensure_future(_all(watch))
        await asyncio.sleep(0)
    await _put(service, "a/1")
    assert await waiting == []


async def _all(watch: Watch) -> list[tuple[Event, ...] | Progress]:
    return [batch async for batch in watch]
