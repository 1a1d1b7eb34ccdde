"""The compactor, in virtual time."""

import asyncio

import pytest

from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.store.compactor import keep_compacted
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.protocol import CompactedError, Put, Store


async def test_history_goes_when_it_is_two_intervals_old() -> None:
    service, clock = MemoryStore(), VirtualClock()
    store = Store(service)
    compacting = asyncio.ensure_future(keep_compacted(service, clock, interval_s=300))
    await clock.advance(1)
    first = (await store.txn([], [Put(b"/a", b"1")])).revision
    last = (await store.txn([], [Put(b"/a", b"2")])).revision
    await clock.advance(300)
    assert await store.get(b"/a", revision=first) is not None
    await clock.advance(300)
    with pytest.raises(CompactedError):
        await store.get(b"/a", revision=first)
    await clock.advance(3600)
    kv = await store.get(b"/a", revision=last)
    assert kv is not None
    assert kv.value == b"2"
    compacting.cancel()
