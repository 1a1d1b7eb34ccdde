"""The service Watch: what comes when over one stream, as etcd's clients count on it."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from etcd_api_ground import Served, served
from grpc_client import Delete, GrpcClient, Put, cancel, connected, create, next_answer, progress

from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.store import requests
from kubelab.cluster.store.requests import Compaction, DeleteRange, Txn
from kubelab.cluster.store.rpc.pb import rpc_pb2
from kubelab.cluster.store.rpc.watch import PROGRESS_NOTIFY_INTERVAL_S


@pytest_asyncio.fixture
async def lab() -> AsyncIterator[Served]:
    async with served() as lab:
        yield lab


@pytest_asyncio.fixture
async def client(lab: Served) -> AsyncIterator[GrpcClient]:
    async with connected(lab.port) as client:
        yield client


async def test_a_watch_is_announced_before_its_first_event(lab: Served, client: GrpcClient) -> None:
    await lab.store.put(requests.Put(b"key", b"1"))
    async with client.watch() as stream:
        await stream.send_message(create(b"key", start_revision=1))
        created, told = await next_answer(stream), await next_answer(stream)
        await stream.cancel()
    assert (created.created, created.watch_id, created.header.revision) == (True, 0, 2)
    assert [(event.type, event.kv.value) for event in told.events] == [(Put, b"1")]


async def test_a_hundred_watches_share_a_stream(lab: Served, client: GrpcClient) -> None:
    async with client.watch() as stream:
        for number in range(100):
            await stream.send_message(create(b"key/%d" % number))
        ids = [(await next_answer(stream)).watch_id for _ in range(100)]
        assert ids == list(range(100))
        for number in range(100):
            await lab.store.put(requests.Put(b"key/%d" % number, b""))
        told = [await next_answer(stream) for _ in range(100)]
        assert sorted((each.watch_id, each.events[0].kv.key) for each in told) == [
            (number, b"key/%d" % number) for number in range(100)
        ]
        await stream.cancel()


async def test_one_transaction_is_one_answer(lab: Served, client: GrpcClient) -> None:
    await lab.store.put(requests.Put(b"a/gone", b"old"))
    async with client.watch() as stream:
        await stream.send_message(create(b"a/", b"a0", prev_kv=True))
        await next_answer(stream)
        await lab.store.txn(
            Txn(success=(requests.Put(b"a/new", b"1"), requests.Put(b"b", b""), DeleteRange(b"a/gone")))
        )
        told = await next_answer(stream)
        await stream.cancel()
    assert [(event.type, event.kv.key, event.prev_kv.value) for event in told.events] == [
        (Put, b"a/new", b""),
        (Delete, b"a/gone", b"old"),
    ]
    assert told.header.revision == 3


async def test_what_is_filtered_is_not_told(lab: Served, client: GrpcClient) -> None:
    only_deletions = [rpc_pb2.WatchCreateRequest.NOPUT]
    async with client.watch() as stream:
        await stream.send_message(create(b"key", filters=only_deletions))
        await next_answer(stream)
        await lab.store.put(requests.Put(b"key", b""))
        await lab.store.delete_range(DeleteRange(b"key"))
        told = await next_answer(stream)
        await stream.cancel()
    assert [event.type for event in told.events] == [Delete]


async def test_numbers_may_be_the_clients_own_but_not_twice(lab: Served, client: GrpcClient) -> None:
    async with client.watch() as stream:
        for _ in range(2):
            await stream.send_message(create(b"key", watch_id=7))
        created, refused = await next_answer(stream), await next_answer(stream)
        await stream.send_message(create(b"key"))
        other = await next_answer(stream)
        await stream.cancel()
    assert (created.watch_id, created.canceled) == (7, False)
    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert refused.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
    assert other.watch_id == 0


async def test_a_range_of_nothing_and_a_negative_revision_are_refused(client: GrpcClient) -> None:
    async with client.watch() as stream:
        await stream.send_message(create(b"b", b"a"))
        await stream.send_message(create(b"b", start_revision=-1))
        empty, negative = await next_answer(stream), await next_answer(stream)
        await stream.cancel()
    assert (empty.canceled, empty.cancel_reason) == (True, "mvcc: watcher range is empty")
    assert (negative.canceled, negative.cancel_reason) == (
        True,
        "etcdserver: mvcc: required revision has been compacted",
    )


async def test_a_canceled_watch_is_silent_and_its_number_free(lab: Served, client: GrpcClient) -> None:
    async with client.watch() as stream:
        await stream.send_message(create(b"key", watch_id=5))
        await next_answer(stream)
        await stream.send_message(cancel(5))
        await stream.send_message(cancel(99))
        canceled = await next_answer(stream)
        await lab.store.put(requests.Put(b"key", b"unseen"))
        await stream.send_message(create(b"key", watch_id=5))
        again = await next_answer(stream)
        await lab.store.put(requests.Put(b"key", b"seen"))
        told = await next_answer(stream)
        await stream.cancel()
    assert (canceled.watch_id, canceled.canceled, again.created) == (5, True, True)
    assert told.events[0].kv.value == b"seen"


async def test_a_watch_from_before_a_compaction_says_where_to_begin(lab: Served, client: GrpcClient) -> None:
    for value in (b"1", b"2", b"3"):
        await lab.store.put(requests.Put(b"key", value))
    await lab.store.compact(Compaction(4))
    async with client.watch() as stream:
        await stream.send_message(create(b"key", start_revision=2))
        created, canceled = await next_answer(stream), await next_answer(stream)
        await stream.send_message(create(b"key", start_revision=4))
        await next_answer(stream)
        told = await next_answer(stream)
        await stream.cancel()
    assert created.created and not created.canceled
    assert (canceled.watch_id, canceled.canceled, canceled.compact_revision) == (0, True, 4)
    assert told.events[0].kv.value == b"3"


async def test_progress_of_all_watches_is_told_when_asked_for(lab: Served, client: GrpcClient) -> None:
    await lab.store.put(requests.Put(b"a", b""))
    async with client.watch() as stream:
        for key in (b"a", b"b"):
            await stream.send_message(create(key, start_revision=2))
        await stream.send_message(progress())
        answers = [await next_answer(stream) for _ in range(4)]
        await stream.cancel()
    assert [each.watch_id for each in answers if each.events] == [0]
    assert [(each.watch_id, each.header.revision) for each in answers if not each.created][-1] == (-1, 2)


async def test_progress_is_told_now_and_then_to_those_who_want_it_and_hear_nothing() -> None:
    clock = VirtualClock()
    async with served(clock=clock) as lab, connected(lab.port) as client, client.watch() as stream:
        await stream.send_message(create(b"quiet", progress_notify=True))
        await stream.send_message(create(b"silent"))
        for _ in range(2):
            await next_answer(stream)
        await lab.store.put(requests.Put(b"elsewhere", b""))
        await clock.advance(PROGRESS_NOTIFY_INTERVAL_S)
        told = await next_answer(stream)
        await stream.cancel()
    assert (told.watch_id, told.header.revision, list(told.events)) == (0, 2, [])


async def test_a_large_revision_comes_in_fragments(lab: Served, client: GrpcClient) -> None:
    puts = tuple(requests.Put(b"key/%d" % number, b"x" * 500_000) for number in range(6))
    async with client.watch() as stream:
        await stream.send_message(create(b"key/", b"key0", fragment=True))
        await next_answer(stream)
        await lab.store.txn(Txn(success=puts))
        answers = [await next_answer(stream)]
        while answers[-1].fragment:
            answers.append(await next_answer(stream))
        await stream.cancel()
    assert len(answers) == 2
    assert [event.kv.key for each in answers for event in each.events] == [put.key for put in puts]


async def test_who_reads_slowly_holds_nobody(lab: Served, client: GrpcClient) -> None:
    """Its windows fill up and its watch waits; others go on, and it misses nothing when it reads again."""
    async with client.watch() as slow:
        await slow.send_message(create(b"key"))
        await next_answer(slow)
        async with connected(lab.port) as other:
            for number in range(100):
                await other.put(b"key", b"%6d" % number * 10_000)
        values = [(await next_answer(slow)).events[0].kv.value[:6] for _ in range(100)]
        await slow.cancel()
    assert values == [b"%6d" % number for number in range(100)]


async def test_a_stream_that_is_cut_leaves_no_task(lab: Served, client: GrpcClient) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        async with client.watch() as stream:
            await stream.send_message(create(b"key", progress_notify=True))
            await next_answer(stream)
            await stream.cancel()
    async with connected(lab.port) as other, other.watch() as stream:
        await stream.send_message(create(b"key"))
        await next_answer(stream)
        await stream.cancel()
    await client.put(b"any")
    while asyncio.all_tasks() != before:  # What was sent last may still be on its way through the kernel.
        await VirtualClock().advance(0)
