"""Leases as etcd has them, of every engine."""

from contextlib import suppress

import pytest

from kubelab.cluster.store.requests import DeleteRange, KeyValue, LeaseGrant, Put, Range, Txn
from kubelab.cluster.store.service import (
    LeaseExistsError,
    LeaseNotFoundError,
    LeaseState,
    LeaseTtlTooLargeError,
    Service,
)

LONG_S = 600


async def test_a_lease_takes_its_keys_along_in_one_revision(service: Service) -> None:
    lease = (await service.lease_grant(LeaseGrant(LONG_S, 7))).id
    base = service.revision
    for key in (b"b", b"a"):
        await service.put(Put(key, lease=lease))
    await service.put(Put(b"c"))
    assert (await service.range(Range(b"a"))).kvs == (KeyValue(b"a", b"", base + 2, base + 2, 1, lease),)
    async with service.watch(b"a", b"z") as watch:
        await service.lease_revoke(lease)
        batch = await anext(aiter(watch))
    assert isinstance(batch, tuple)
    assert [(event.type, event.kv.key, event.kv.mod_revision) for event in batch] == [
        ("DELETE", b"a", base + 4),
        ("DELETE", b"b", base + 4),
    ]
    assert [kv.key for kv in (await service.range(Range(b"a", b"z"))).kvs] == [b"c"]
    with pytest.raises(LeaseNotFoundError):
        await service.lease_revoke(lease)


async def test_a_put_decides_anew_which_lease_ends_a_key(service: Service) -> None:
    for lease in (7, 8):
        await service.lease_grant(LeaseGrant(LONG_S, lease))
    await service.put(Put(b"moved", lease=7))
    await service.put(Put(b"moved", lease=8))
    await service.put(Put(b"freed", lease=7))
    await service.put(Put(b"freed"))
    await service.put(Put(b"kept", lease=7))
    await service.put(Put(b"kept", b"2", ignore_lease=True))
    await service.put(Put(b"gone", lease=7))
    await service.delete_range(DeleteRange(b"gone"))
    await service.put(Put(b"gone"))
    assert (await service.lease_time_to_live(7, keys=True)).keys == (b"kept",)
    assert (await service.lease_time_to_live(8, keys=True)).keys == (b"moved",)
    await service.lease_revoke(7)
    assert [kv.key for kv in (await service.range(Range(b"\0", b"\0"))).kvs] == [b"freed", b"gone", b"moved"]


async def test_leases_are_listed_and_told_how_long_they_live(service: Service) -> None:
    granted = await service.lease_grant(LeaseGrant(LONG_S, 7))
    assert (granted.id, granted.granted_ttl_s) == (7, LONG_S)
    chosen = await service.lease_grant(LeaseGrant(LONG_S, 0))
    assert chosen.id > 0
    assert set(await service.leases()) == {7, chosen.id}
    state = await service.lease_time_to_live(7, keys=True)
    assert (state.granted_ttl_s, state.keys) == (LONG_S, ())
    assert LONG_S - 60 < state.ttl_s <= LONG_S
    assert await service.lease_keep_alive(7) == LONG_S
    assert await service.lease_time_to_live(99) == LeaseState(99, -1, 0)


async def test_what_cannot_be_granted_or_kept_alive_is_refused(service: Service) -> None:
    await service.lease_grant(LeaseGrant(LONG_S, 7))
    with pytest.raises(LeaseExistsError):
        await service.lease_grant(LeaseGrant(LONG_S, 7))
    with pytest.raises(LeaseTtlTooLargeError):
        await service.lease_grant(LeaseGrant(9_000_000_001, 8))
    with pytest.raises(LeaseNotFoundError):
        await service.lease_keep_alive(8)
    with pytest.raises(LeaseNotFoundError):
        await service.txn(Txn((), (Put(b"a", lease=8),)))


async def test_a_lease_that_nobody_keeps_alive_ends(service: Service) -> None:
    async with service.watch(b"a") as watch:
        lease = await _with_a_short_lease(service, b"a")
        events = aiter(watch)
        batches = [await anext(events) for _ in range(2)]
    told = [(event.type, event.kv.key) for batch in batches if isinstance(batch, tuple) for event in batch]
    assert told == [("PUT", b"a"), ("DELETE", b"a")]
    assert await service.lease_time_to_live(lease) == LeaseState(lease, -1, 0)
    with pytest.raises(LeaseNotFoundError):
        await service.lease_keep_alive(lease)


async def _with_a_short_lease(service: Service, key: bytes) -> int:
    """Put *key*; return its lease. A busy machine may be slower than the lease."""
    while True:
        lease = (await service.lease_grant(LeaseGrant(1, 0))).id
        with suppress(LeaseNotFoundError):
            await service.put(Put(key, lease=lease))
            return lease
