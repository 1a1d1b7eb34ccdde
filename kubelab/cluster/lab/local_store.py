"""The member of the store on an API server's own machine, as that server uses it within this process.

A member that is stopped answers nothing, not even what it could from its memory: its clock stands still, so
it may believe that it still leads. When it ends, so does whoever uses it; who waits for an answer is cut off
then, and may ask another server, instead of being told that nobody leads.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from kubelab.cluster.linux.background import background, forever
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.store.member import Member
from kubelab.cluster.store.requests import (
    Compaction,
    DeleteRange,
    DeleteRangeResponse,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
)
from kubelab.cluster.store.service import Event, Progress, StoreError, Watch

T = TypeVar("T")


class LocalStore:
    """See `service.KeyValueService`."""

    def __init__(self, member: Member, suspension: Suspension) -> None:
        self.member = member
        self._suspension = suspension
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def used(self) -> AsyncIterator["LocalStore"]:
        """Wait until the member answers; raises ConnectionError when it ends before the block does."""
        async with background(self._watch_over()):
            await self.member.ready()
            yield self

    def end(self) -> None:
        self._ended.set()

    @property
    def answers(self) -> bool:
        return not self._ended.is_set() and not self._suspension.is_suspended

    @property
    def revision(self) -> int:
        return self.member.revision

    def range_now(self, request: Range) -> RangeResponse | None:
        return None if self._suspension.is_suspended else self.member.range_now(request)

    async def range(self, request: Range) -> RangeResponse:
        await self._passed()
        return await self._answer(self.member.range(request))

    async def put(self, request: Put) -> PutResponse:
        await self._passed()
        return await self._answer(self.member.put(request))

    async def delete_range(self, request: DeleteRange) -> DeleteRangeResponse:
        await self._passed()
        return await self._answer(self.member.delete_range(request))

    async def txn(self, request: Txn) -> TxnResponse:
        await self._passed()
        return await self._answer(self.member.txn(request))

    async def compact(self, request: Compaction) -> int:
        await self._passed()
        return await self._answer(self.member.compact(request))

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0, prev_kv: bool = True
    ) -> AsyncIterator[Watch]:
        await self._passed()
        async with self.member.watch(key, range_end, start_revision=start_revision, prev_kv=prev_kv) as watch:
            yield _GatedWatch(watch, self._suspension)

    async def _passed(self) -> None:
        if self._suspension.is_suspended:
            await self._suspension.passed()

    async def _answer(self, asking: Awaitable[T]) -> T:
        try:
            return await asking
        except StoreError:
            if self._ended.is_set():
                await forever()  # Until whoever asks ends, too.
            raise

    async def _watch_over(self) -> None:
        await self._ended.wait()
        raise ConnectionResetError(f"the store's member {self.member.config.name} has ended")


class _GatedWatch:
    def __init__(self, watch: Watch, suspension: Suspension) -> None:
        self._watch = watch
        self._suspension = suspension

    async def __aiter__(self) -> AsyncIterator[tuple[Event, ...] | Progress]:
        async for each in self._watch:
            if self._suspension.is_suspended:
                await self._suspension.passed()
            yield each

    def request_progress(self) -> None:
        self._watch.request_progress()
