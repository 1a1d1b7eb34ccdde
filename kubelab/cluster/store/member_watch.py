"""All watches of a member: they end with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.watch import MvccWatch, watching


class MemberWatches:
    def __init__(self, mvcc: Mvcc) -> None:
        self._mvcc = mvcc
        self._open: set[MvccWatch] = set()

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes, *, start_revision: int, prev_kv: bool
    ) -> AsyncIterator[MvccWatch]:
        """Raises CompactedError."""
        async with watching(
            self._mvcc, key, range_end, start_revision=start_revision, prev_kv=prev_kv
        ) as watch:
            self._open.add(watch)
            try:
                yield watch
            finally:
                self._open.discard(watch)

    @property
    def count(self) -> int:
        return len(self._open)

    def end(self) -> None:
        for watch in self._open:
            watch.close()
