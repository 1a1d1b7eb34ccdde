"""Waiting in line by leases: what locks and elections have in common.

Everyone puts a key of their own, held by their lease, below a common name; the oldest key is first, and who
is not first waits for the key just before to go. So one key gone wakes one waiter.
Source: etcd, client/v3/concurrency/{key,session,mutex,election}.go.
"""

from contextlib import suppress

from kubelab.cluster.store.requests import (
    Compare,
    CompareResult,
    CompareTarget,
    LeaseGrant,
    Put,
    Range,
    RangeResponse,
    SortOrder,
    SortTarget,
    Txn,
    TxnResponse,
    prefix_end,
)
from kubelab.cluster.store.rpc.status import Code, StatusError
from kubelab.cluster.store.service import CompactedError, LeaseNotFoundError, Progress, Service

SESSION_TTL_S = 60  # Of a lease that the caller did not bring along.


async def session(service: Service, lease: int) -> int:
    """Return *lease*, alive from now on, or a new one for 0."""
    if not lease:
        return (await service.lease_grant(LeaseGrant(SESSION_TTL_S, 0))).id
    with suppress(LeaseNotFoundError):  # What is put with it will say so.
        await service.lease_keep_alive(lease)
    return lease


def key_of(prefix: bytes, lease: int) -> bytes:
    return b"%s%x" % (prefix, lease)


def has_revision(key: bytes, create_revision: int) -> Compare:
    """Create revision 0: *key* is not there."""
    return Compare(key, CompareTarget.CREATE, CompareResult.EQUAL, create_revision)


def oldest(prefix: bytes) -> Range:
    return Range(
        prefix,
        prefix_end(prefix),
        limit=1,
        sort_order=SortOrder.ASCEND,
        sort_target=SortTarget.CREATE,
    )


async def queue_up(service: Service, prefix: bytes, lease: int, value: bytes) -> TxnResponse:
    """Put the key of *lease* below *prefix* unless it is there; answers with that key and the oldest."""
    key = key_of(prefix, lease)
    return await service.txn(
        Txn(
            (has_revision(key, 0),),
            success=(Put(key, value, lease), oldest(prefix)),
            failure=(Range(key), oldest(prefix)),
        )
    )


def own_revision(queued: TxnResponse) -> int:
    if queued.succeeded:
        return queued.revision
    return found(queued, 0).kvs[0].create_revision


def found(answer: TxnResponse, index: int) -> RangeResponse:
    response = answer.responses[index]
    assert isinstance(response, RangeResponse)
    return response


async def wait_until_first(service: Service, prefix: bytes, own_revision: int) -> None:
    """Wait until no key below *prefix* is older than the one of *own_revision*."""
    while True:
        before = await service.range(
            Range(
                prefix,
                prefix_end(prefix),
                limit=1,
                sort_order=SortOrder.DESCEND,
                sort_target=SortTarget.CREATE,
                max_create_revision=own_revision - 1,
            )
        )
        if not before.kvs:
            return
        await _wait_until_gone(service, before.kvs[0].key, before.revision + 1)


async def _wait_until_gone(service: Service, key: bytes, revision: int) -> None:
    """Wait until *key* is deleted, or so much has been compacted that one has to look again."""
    with suppress(CompactedError):
        async with service.watch(key, start_revision=revision, prev_kv=False) as watch:
            async for item in watch:
                if not isinstance(item, Progress) and any(event.type == "DELETE" for event in item):
                    return
        raise StatusError(Code.UNKNOWN, "lost watcher waiting for delete")
