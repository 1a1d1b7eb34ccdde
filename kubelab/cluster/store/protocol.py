"""What the API server needs of a store, in its own narrow words, on top of any `service.KeyValueService`.

The keys and values that it reads are the service's own: nothing is copied. Reads are linearizable, as those
of Kubernetes' own server are without its watch cache. A refusal that only says how the store is (no leader,
no room) is an `ApiError` 500 with etcd's sentence, as upstream's client sees it.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/storage/etcd3/store.go.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from kubelab.cluster.errors import ApiError
from kubelab.cluster.store import requests
from kubelab.cluster.store.requests import (
    Compaction,
    CompareResult,
    CompareTarget,
    DeleteRange,
    KeyValue,
    Put,
    Range,
    RangeResponse,
    Txn,
    prefix_end,
)
from kubelab.cluster.store.service import (
    AnswersNow,
    CompactedError,
    Event,
    FutureRevisionError,
    KeyValueService,
    Progress,
    StoreError,
)

__all__ = [
    "CompactedError",
    "Compare",
    "Delete",
    "Event",
    "FutureRevisionError",
    "KeyValue",
    "Put",
    "Store",
    "TxnResult",
]


_MOD, _EQUAL = CompareTarget.MOD, CompareResult.EQUAL
_OF_REVISIONS = (CompactedError, FutureRevisionError)  # The API server knows what these mean.


@dataclass(frozen=True, slots=True)
class Compare:
    """True when the key's `mod_revision` is this one; 0 stands for a key that is not there."""

    key: bytes
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Delete:
    key: bytes


@dataclass(frozen=True, slots=True)
class TxnResult:
    """`revision` is the write's when it succeeded, else the store's. `kvs`: the compared keys that exist,
    as they are after a failed transaction (so that the caller need not read again); empty on success."""

    succeeded: bool
    revision: int
    kvs: tuple[KeyValue, ...] = ()


class Store:
    """All raise ApiError when the service cannot answer."""

    def __init__(self, service: KeyValueService) -> None:
        self.service = service
        self._range_now = service.range_now if isinstance(service, AnswersNow) else None

    @property
    def revision(self) -> int:
        """The newest revision that the service's member knows; another one may know a newer one."""
        return self.service.revision

    async def newest_revision(self) -> int:
        """Return the revision of the last write, whichever member it was made at."""
        return (await self._range(Range(b"\0", count_only=True))).revision

    async def get(self, key: bytes, *, revision: int = 0) -> KeyValue | None:
        """Return *key* as of *revision* (0: now); raises as `range` does."""
        request = Range(key, revision=revision) if revision else Range(key)
        try:  # As in `_range`: one coroutine more is half as long as the read.
            kvs = (await self.service.range(request)).kvs
        except _OF_REVISIONS:
            raise
        except StoreError as error:
            raise _as_api_error(error) from error
        return kvs[0] if kvs else None

    def get_now(self, key: bytes) -> KeyValue | None:
        """Return *key* without waiting; None if that cannot be done, or it is not there."""
        if self._range_now is None:
            return None
        try:
            answer = self._range_now(Range(key))
        except StoreError:
            return None  # Who waits for an answer is told.
        return answer.kvs[0] if answer and answer.kvs else None

    async def range(
        self, prefix: bytes, *, start: bytes = b"", limit: int = 0, revision: int = 0
    ) -> RangeResponse:
        """Return the keys under *prefix* in order, from *start* on (inclusive), at most *limit* (0: all).

        Raises:
            CompactedError: *revision* is no longer there.
            FutureRevisionError: *revision* is not there yet.
        """
        first = max(prefix, start) or b"\0"
        return await self._range(Range(first, prefix_end(prefix), limit, revision))

    async def _range(self, request: Range) -> RangeResponse:
        try:  # Not `_as_api_errors`, which takes longer than the read of a key.
            return await self.service.range(request)
        except _OF_REVISIONS:
            raise
        except StoreError as error:
            raise _as_api_error(error) from error

    async def txn(self, compare: Sequence[Compare], success: Sequence[Put | Delete]) -> TxnResult:
        """Carry out all of *success* in one revision if every comparison holds, else nothing."""
        try:
            response = await self.service.txn(_txn(compare, success))
        except _OF_REVISIONS:
            raise
        except StoreError as error:
            raise _as_api_error(error) from error
        if response.succeeded:
            return TxnResult(True, response.revision)
        found = (answer.kvs for answer in response.responses if isinstance(answer, RangeResponse))
        return TxnResult(False, response.revision, tuple(kv for kvs in found for kv in kvs))

    @asynccontextmanager
    async def watch(
        self, prefix: bytes, *, start_revision: int = 0
    ) -> AsyncIterator[AsyncIterator[tuple[Event, ...]]]:
        """Watch *prefix* from *start_revision* on, inclusive (0: from now).

        Yields all events of one revision together, in order, none lost and none twice.

        Raises:
            CompactedError: on entering, or while iterating when the watcher fell behind a compaction.
        """
        with _as_api_errors():
            watching = self.service.watch(prefix or b"\0", prefix_end(prefix), start_revision=start_revision)
            async with watching as watch:
                yield _Events(aiter(watch))

    async def compact(self, revision: int) -> None:
        """Forget what only revisions before *revision* could see; *revision* itself can still be read.

        Raises:
            CompactedError: that was done before, at this revision or a later one.
            FutureRevisionError: *revision* is not there yet.
        """
        with _as_api_errors():
            await self.service.compact(Compaction(revision))


def _txn(compare: Sequence[Compare], success: Sequence[Put | Delete]) -> Txn:
    return Txn(
        tuple([requests.Compare(each.key, _MOD, _EQUAL, each.mod_revision) for each in compare]),
        tuple([each if isinstance(each, Put) else DeleteRange(each.key) for each in success]),
        tuple([Range(key) for key in dict.fromkeys([each.key for each in compare])]),
    )


class _Events:
    """The events of a watch. Not a generator: a wait for the next ones that is cancelled does not end it."""

    def __init__(self, watch: AsyncIterator[tuple[Event, ...] | Progress]) -> None:
        self._watch = watch

    def __aiter__(self) -> "_Events":
        return self

    async def __anext__(self) -> tuple[Event, ...]:
        while True:
            batch = await anext(self._watch)
            if not isinstance(batch, Progress):
                return batch


@contextmanager
def _as_api_errors() -> Iterator[None]:
    try:
        yield
    except _OF_REVISIONS:
        raise
    except StoreError as error:
        raise _as_api_error(error) from error


def _as_api_error(error: StoreError) -> ApiError:
    return ApiError(500, "", str(error))
