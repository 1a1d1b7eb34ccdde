"""A member takes a snapshot of its own while its leader sends one: the log on disk stays whole."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from member_cluster import Members, store_members, surely

from kubelab.cluster.store.member import Member
from kubelab.cluster.store.requests import Put, Range


class SlowDisk(ThreadPoolExecutor):
    """Each job waits until it is let through."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked = 0
        self._permits = threading.Semaphore(0)

    def submit(self, act: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self.asked += 1
        return super().submit(self._when_let_through, act, *args, **kwargs)

    def let_through(self) -> None:
        self._permits.release()

    def _when_let_through(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._permits.acquire()
        return act(*args, **kwargs)


async def _save_slowly(cluster: Members, member: Member, slow: SlowDisk) -> None:
    """Write until *member* is about to save a snapshot of its own, and cut it off."""
    leader, loop = await cluster.leader(), asyncio.get_running_loop()
    loop.set_default_executor(slow)
    while not slow.asked:
        await leader.put(Put(b"key"))
        await cluster.caught_up()
    cluster.network.isolate(member.member_id)
    slow.let_through()  # It is put together;
    await cluster.until(lambda: slow.asked == 2)  # to save it is what waits.
    loop.set_default_executor(ThreadPoolExecutor())


async def _is_saved(slow: SlowDisk) -> None:
    """Have the snapshot saved, and let the member see to it."""
    slow.let_through()
    slow.let_through()
    await asyncio.get_running_loop().run_in_executor(slow, int)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_snapshot_of_its_own_follows_one_that_the_leader_sent(tmp_path: Path) -> None:
    """In the log, between the two, entries would be missing, and the member refuse to start."""
    async with store_members(tmp_path, snapshot_entries=30, catch_up_entries=5) as cluster:
        leader = await cluster.leader()
        name = cluster.name(cluster.others(leader)[0])
        await cluster.kill(name)
        member = await cluster.start(name, replace(cluster.config(name), snapshot_entries=10))
        with SlowDisk() as slow:
            await _save_slowly(cluster, member, slow)
            for number in range(100):
                await surely(lambda number=number: leader.put(Put(b"key", b"%d" % number)))
            await cluster.until(lambda: leader.view().raft.first_index > 50)
            is_log_free = threading.Event()
            member._driver.writer._thread.submit(is_log_free.wait)
            cluster.network.heal()
            await cluster.until(lambda: member.view().raft.snapshot_index > 50)
            await _is_saved(slow)
            is_log_free.set()
        await cluster.caught_up()
        await cluster.kill(name)
        again = await cluster.start(name)
        found = await surely(lambda: again.range(Range(b"key")))
        assert found.kvs[0].value == b"99"
