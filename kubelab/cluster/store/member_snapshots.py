"""When a member takes a snapshot of its own state, and how it becomes the one that a leader sends.

Both go on in pieces beside the member's work: taking one copies pointers, then each piece is encoded in a
turn of its own; what comes from the leader is read into a second store, which takes the first one's place in
the end.
Source: etcd, server/etcdserver/server.go (snapshot, applySnapshot); thesis, chapter 5.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.raft.messages import Snapshot
from kubelab.cluster.store.member_disk import not_a_store
from kubelab.cluster.store.member_driver import Driver
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_restore import Restoring, SnapshotError
from kubelab.cluster.store.snapshots import Snapshots

PIECE_BYTES = 64 * 1024


class SnapshotKeeper:
    def __init__(self, mvcc: Mvcc, driver: Driver, snapshots: Snapshots, every_entries: int) -> None:
        self._mvcc = mvcc
        self._driver = driver
        self._snapshots = snapshots
        self._every_entries = every_entries
        self._due = asyncio.Event()
        self._sent: deque[Snapshot] = deque()
        self._has_sent = asyncio.Event()
        self._applied = 0

    def applied(self, index: int) -> None:
        self._applied = index
        if index - self._driver.snapshot_index >= self._every_entries:
            self._due.set()

    def install(self, snapshot: Snapshot) -> None:
        """The leader has sent *snapshot*, and the disk has it."""
        self._sent.append(snapshot)
        self._has_sent.set()

    async def run(self, installed: Callable[[Snapshot], None]) -> None:
        """Until cancelled. Raises LabError: the disk is full, or a leader sent what is no snapshot."""
        async with background(self._take_when_due()):
            while True:
                await self._has_sent.wait()
                self._has_sent.clear()
                while self._sent:
                    snapshot = self._sent.popleft()
                    await self._restore(snapshot)
                    installed(snapshot)

    async def _restore(self, snapshot: Snapshot) -> None:
        restoring, data = Restoring(), memoryview(snapshot.data)
        try:
            for start in range(0, len(data), PIECE_BYTES):
                restoring.feed(bytes(data[start : start + PIECE_BYTES]))
                await asyncio.sleep(0)
            self._mvcc.replace(restoring.finish())
        except SnapshotError as error:
            raise not_a_store(error) from error

    async def _take_when_due(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            await self._take()

    async def _take(self) -> None:
        index, image, pieces = self._applied, self._mvcc.image(), list[bytes]()
        for piece in image.encode():
            pieces.append(piece)
            await asyncio.sleep(0)
        if index <= self._driver.snapshot_index:
            return  # The leader's came meanwhile, and stands for the log that this one is of.
        data = await in_thread(b"".join, pieces)
        try:
            snapshot = self._driver.raft.snapshot_at(index, data)
        except ValueError:  # It has just come, and nobody has heard yet but Raft.
            return
        mark = await in_thread(self._snapshots.save, snapshot)
        if index > self._driver.snapshot_index:
            self._driver.note(mark)
            self._driver.raft.compact(snapshot)
