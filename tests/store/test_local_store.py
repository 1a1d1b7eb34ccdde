"""What an API server sees of the store's member on its own machine when that ends."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

import pytest
from member_cluster import store_members

from kubelab.cluster.lab.local_store import LocalStore
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.raft.messages import Message
from kubelab.cluster.store.requests import Put, Range


async def test_who_waits_for_a_member_that_is_killed_is_told_nothing(tmp_path: Path) -> None:
    """That nobody leads would be wrong: the others go on, and can be asked."""
    async with store_members(tmp_path) as cluster:
        leader = await cluster.leader()  # Who leads may read for as long as its lease holds, also alone.
        name, member = next(each for each in cluster.running.items() if each[1] is not leader)
        store = LocalStore(member, Suspension())
        cluster.network.isolate(member.member_id)
        reading = asyncio.create_task(store.range(Range(b"key")))
        writing = asyncio.create_task(store.put(Put(b"key", b"value")))
        await asyncio.sleep(0)
        store.end()
        await cluster.kill(name)
        for asking in (reading, writing):
            assert not asking.done()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking


async def test_what_a_member_does_for_an_api_server_is_its_own_work(tmp_path: Path, monkeypatch) -> None:
    """Else it would stand still with that server: a snapshot on its way to a peer, a connection's buffer."""
    whose, works = ContextVar("whose", default="the member's"), set[str]()
    async with store_members(tmp_path) as cluster:
        leader = await cluster.leader()
        transport = leader._transport
        send = transport.send

        def overheard(messages: Sequence[Message]) -> None:
            works.add(whose.get())
            send(messages)

        monkeypatch.setattr(transport, "send", overheard)
        whose.set("the API server's")
        await asyncio.gather(*(LocalStore(leader, Suspension()).put(Put(b"key")) for _ in range(3)))
        await LocalStore(leader, Suspension()).put(Put(b"key"))
        await leader.hash_kv()
    assert works == {"the member's"}
