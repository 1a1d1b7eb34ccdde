"""The state machine against a naive model that copies the whole world at each revision.

Beside it two more members apply the same log as it is on the wire; one of them is restored from a snapshot
now and then, and forgets what is compacted at other times. All must come to the same bytes.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubelab.cluster.store import requests
from kubelab.cluster.store.mvcc import Lease, Mvcc
from kubelab.cluster.store.mvcc_checks import check
from kubelab.cluster.store.mvcc_restore import Restoring
from kubelab.cluster.store.requests import (
    Compaction,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    DeleteRangeResponse,
    KeyValue,
    LeaseGrant,
    LeaseRevoke,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    SortOrder,
    SortTarget,
    Txn,
    TxnResponse,
    Write,
)
from kubelab.cluster.store.service import CompactedError, Event, Progress, StoreError
from kubelab.cluster.store.watch_hub import Watcher

World = dict[bytes, KeyValue]
Response = RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse

KEYS = st.sampled_from([b"a", b"a/1", b"a/2", b"b", b"c\xff"])
ENDS = st.sampled_from([b"", b"", b"\0", b"a/2", b"a0", b"b", b"d"])
LEASES = st.sampled_from([0, 0, 1, 2])
VALUES = st.sampled_from([b"", b"1", b"2"])
PUTS = st.builds(Put, KEYS, VALUES, LEASES, st.booleans()) | st.builds(
    Put, KEYS, lease=LEASES, ignore_value=st.just(True)
)
DELETIONS = st.builds(DeleteRange, KEYS, ENDS, st.booleans())
RANGES = st.builds(
    Range,
    KEYS,
    ENDS,
    limit=st.integers(0, 3),
    sort_order=st.sampled_from(SortOrder),
    sort_target=st.sampled_from(SortTarget),
    keys_only=st.booleans(),
    count_only=st.booleans(),
    min_mod_revision=st.integers(0, 5),
    max_create_revision=st.integers(0, 5) | st.just(0),
)
COMPARES = st.builds(
    Compare,
    KEYS,
    st.sampled_from([each for each in CompareTarget if each != CompareTarget.VALUE]),
    st.sampled_from(CompareResult),
    st.integers(0, 4),
    ENDS,
) | st.builds(Compare, KEYS, st.just(CompareTarget.VALUE), st.sampled_from(CompareResult), VALUES, ENDS)


def _txns(operations: st.SearchStrategy[Operation]) -> st.SearchStrategy[Txn]:
    branches = st.lists(operations, max_size=3).map(tuple)
    return st.builds(Txn, st.lists(COMPARES, max_size=2).map(tuple), branches, branches)


OPERATIONS: st.SearchStrategy[Operation] = st.recursive(PUTS | DELETIONS | RANGES, _txns, max_leaves=4)


class Model:
    """etcd, as simply as can be. It refuses nothing: only what is accepted is asked of it."""

    def __init__(self) -> None:
        self.worlds: list[World] = [{}, {}]  # By revision; 0 is never read.
        self.log: list[tuple[Event, ...]] = [(), ()]
        self.compacted = -1
        self.leases: set[int] = set()

    @property
    def revision(self) -> int:
        return len(self.worlds) - 1

    def write(self, operations: list[Operation]) -> list[Response]:
        before, now, events = self.worlds[-1], dict(self.worlds[-1]), list[Event]()
        answers = [self._do(each, before, now, events) for each in operations]
        if events:
            self.worlds.append(now)
            self.log.append(tuple(events))
        return answers

    def _do(self, operation: Operation, before: World, now: World, events: list[Event]) -> Response:
        if isinstance(operation, Txn):
            return self._txn(operation, before, now, events)
        revision = self.revision + bool(events)
        if isinstance(operation, Range):
            return read(now, operation, revision)
        if isinstance(operation, DeleteRange):
            gone = [now.pop(key) for key in within(now, operation.key, operation.range_end)]
            for kv in gone:
                tombstone = KeyValue(kv.key, b"", 0, self.revision + 1, 0)
                events.append(Event("DELETE", tombstone, before.get(kv.key)))
            previous = tuple(gone) if operation.prev_kv else ()
            return DeleteRangeResponse(self.revision + bool(events), len(gone), previous)
        old = now.get(operation.key)
        value = old.value if old and operation.ignore_value else operation.value
        created, version = (old.create_revision, old.version) if old else (self.revision + 1, 0)
        kv = KeyValue(operation.key, value, created, self.revision + 1, version + 1, operation.lease)
        now[operation.key] = kv
        events.append(Event("PUT", kv, before.get(operation.key)))
        return PutResponse(self.revision + 1, old if operation.prev_kv else None)

    def _txn(self, txn: Txn, before: World, now: World, events: list[Event]) -> TxnResponse:
        succeeded = all(holds(before, comparison) for comparison in txn.compare)
        branch = txn.success if succeeded else txn.failure
        answers = tuple(self._do(each, before, now, events) for each in branch)
        return TxnResponse(self.revision + bool(events), succeeded, answers)


def within(world: World, key: bytes, end: bytes) -> list[bytes]:
    if not end:
        return [key] if key in world else []
    return sorted(each for each in world if each >= key and (end == b"\0" or each < end))


_FIELDS: dict[Any, Callable[[KeyValue], Any]] = {
    "KEY": lambda kv: kv.key,
    "VERSION": lambda kv: kv.version,
    "CREATE": lambda kv: kv.create_revision,
    "MOD": lambda kv: kv.mod_revision,
    "VALUE": lambda kv: kv.value,
    "LEASE": lambda kv: kv.lease,
}


def holds(world: World, compare: Compare) -> bool:
    kvs = [world[key] for key in within(world, compare.key, compare.range_end)]
    if not kvs:
        if compare.target == CompareTarget.VALUE:
            return False
        kvs = [KeyValue(b"", b"", 0, 0, 0)]
    field = _FIELDS[compare.target.name]
    return all(
        {
            CompareResult.EQUAL: field(kv) == compare.value,
            CompareResult.NOT_EQUAL: field(kv) != compare.value,
            CompareResult.GREATER: field(kv) > compare.value,
            CompareResult.LESS: field(kv) < compare.value,
        }[compare.result]
        for kv in kvs
    )


def read(world: World, asked: Range, revision: int) -> RangeResponse:
    kvs = [world[key] for key in within(world, asked.key, asked.range_end)]
    count = len(kvs)
    if asked.count_only:
        return RangeResponse(revision, count=count)
    is_filtered = asked.min_mod_revision or asked.max_create_revision
    if asked.sort_order == SortOrder.NONE and not is_filtered and asked.limit:
        kvs = kvs[: asked.limit + 1]
    if asked.min_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision >= asked.min_mod_revision]
    if asked.max_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision <= asked.max_create_revision]
    kvs.sort(key=_FIELDS[asked.sort_target.name], reverse=asked.sort_order == SortOrder.DESCEND)
    more = bool(asked.limit) and len(kvs) > asked.limit
    kvs = kvs[: asked.limit or None]
    if asked.keys_only:
        kvs = [KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease) for kv in kvs]
    return RangeResponse(revision, tuple(kvs), more, count)


def encoded(mvcc: Mvcc) -> bytes:
    return b"".join(mvcc.image().encode())


def restored(snapshot: bytes) -> Mvcc:
    restoring = Restoring()
    for start in range(0, len(snapshot), 100):
        restoring.feed(snapshot[start : start + 100])
    return restoring.finish()


class Watch:
    def __init__(self, watcher: Watcher, key: bytes, end: bytes) -> None:
        self.watcher = watcher
        self.key = key
        self.end = end
        self.expected: list[tuple[Event, ...]] = []
        self.lost = False

    def offer(self, events: tuple[Event, ...]) -> None:
        world = {event.kv.key: event.kv for event in events}
        watched = within(world, self.key, self.end)
        if matching := tuple(event for event in events if event.kv.key in watched):
            self.expected.append(matching)


class AgainstCopies(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.mvcc, self.second, self.third = Mvcc(), Mvcc(), Mvcc()
        self.index = 0
        self.watches: list[Watch] = []

    def apply(self, request: Write) -> Any:
        """Have all three carry *request* out; raises what all three refuse it with."""
        self.index += 1
        outcomes = [self._outcome(each, request) for each in (self.mvcc, self.second, self.third)]
        assert [repr(each) for each in outcomes] == [repr(outcomes[0])] * 3
        if isinstance(outcomes[0], StoreError):
            raise outcomes[0]
        return outcomes[0]

    def _outcome(self, mvcc: Mvcc, request: Write) -> Any:
        try:
            return mvcc.apply(requests.decode(requests.encode(request)), self.index)
        except StoreError as error:
            return error

    def written(self, operations: list[Operation]) -> list[Response]:
        before = self.model.revision
        answers = self.model.write(operations)
        if self.model.revision > before:
            for watch in self.watches:
                watch.offer(self.model.log[-1])
        return answers

    def _is_refused(self, operation: Operation) -> bool:
        """Whether an operation that will be carried out is refused for what the store (not) holds."""
        world = self.model.worlds[-1]
        if isinstance(operation, Txn):
            taken = all(holds(world, comparison) for comparison in operation.compare)
            return any(map(self._is_refused, operation.success if taken else operation.failure))
        if not isinstance(operation, Put):
            return False
        lacks_lease = bool(operation.lease) and operation.lease not in self.model.leases
        return lacks_lease or (operation.ignore_value and operation.key not in world)

    @rule(operation=PUTS | DELETIONS | _txns(OPERATIONS))
    def write(self, operation: Put | DeleteRange | Txn) -> None:
        try:
            check(operation)
            is_refused = self._is_refused(operation)
        except StoreError:
            is_refused = True
        if is_refused:
            with pytest.raises(StoreError):
                self.apply(operation)
        else:
            assert [self.apply(operation)] == self.written([operation])

    @rule(asked=RANGES, data=st.data())
    def read(self, asked: Range, data: st.DataObject) -> None:
        revision = data.draw(st.integers(max(1, self.model.compacted), self.model.revision))
        there = read(self.model.worlds[revision], asked, self.model.revision)
        at_revision = Range(**{name: getattr(asked, name) for name in asked.__struct_fields__} | {
            "revision": revision
        })  # fmt: skip
        assert self.mvcc.range(at_revision) == there

    @rule(lease=st.integers(1, 2))
    def grant_or_revoke(self, lease: int) -> None:
        if lease not in self.model.leases:
            self.apply(LeaseGrant(60, lease))
            self.model.leases.add(lease)
            return
        ended = sorted(key for key, kv in self.model.worlds[-1].items() if kv.lease == lease)
        assert self.mvcc.leases[lease] == Lease(lease, 60, set(ended))
        self.apply(LeaseRevoke(lease))
        self.written([DeleteRange(key) for key in ended])
        self.model.leases.discard(lease)

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(1, self.model.revision))
        if revision <= self.model.compacted:
            with pytest.raises(CompactedError):
                self.apply(Compaction(revision))
            return
        behind = [watch for watch in self.watches if watch.watcher.is_behind]
        self.apply(Compaction(revision))
        self.model.compacted = revision
        for watch in self.watches:
            missed = bool(watch.expected) and watch.expected[0][0].kv.mod_revision < revision
            had_not_looked = watch in behind and not watch.watcher.is_behind
            watch.lost = watch.lost or missed or had_not_looked

    @rule(number=st.integers(1, 3))
    def forget(self, number: int) -> None:
        self.third.trim(number)

    @rule()
    def restore(self) -> None:
        self.third.replace(restored(encoded(self.second)))

    @rule()
    def replace(self) -> None:
        """The one that is watched gets a snapshot that it has got itself: watchers read on in the log."""
        self.mvcc.replace(restored(encoded(self.mvcc)))

    @precondition(lambda self: len(self.watches) < 4)
    @rule(data=st.data(), key=KEYS, end=ENDS)
    def watch(self, data: st.DataObject, key: bytes, end: bytes) -> None:
        start = data.draw(st.integers(0, self.model.revision))
        if 0 < start < self.model.compacted:
            with pytest.raises(CompactedError):
                self.mvcc.watch(key, end, start_revision=start, wake=lambda: None)
            return
        watch = Watch(self.mvcc.watch(key, end, start_revision=start, wake=lambda: None), key, end)
        for events in self.model.log[start:] if start else []:
            watch.offer(events)
        self.watches.append(watch)

    @precondition(lambda self: self.watches)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        watch = data.draw(st.sampled_from(self.watches))
        if watch.lost:
            with pytest.raises(CompactedError):
                watch.watcher.take()
            watch.watcher.close()
            self.watches.remove(watch)
            return
        number = data.draw(st.integers(0, len(watch.expected)))
        assert [watch.watcher.take() for _ in range(number)] == watch.expected[:number]
        del watch.expected[:number]
        if not watch.expected:
            assert watch.watcher.take() is None
            watch.watcher.request_progress()
            assert watch.watcher.take() == Progress(self.model.revision)

    @invariant()
    def all_are_alike(self) -> None:
        assert self.mvcc.revision == self.model.revision
        assert encoded(self.mvcc) == encoded(self.second) == encoded(self.third)
        assert _checksum(self.second) == _checksum(self.third)


def _checksum(mvcc: Mvcc) -> tuple[int, int]:
    steps = mvcc.hash_kv()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            checksum: tuple[int, int] = end.value
            return checksum


AgainstCopies.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestAgainstCopies = AgainstCopies.TestCase
