"""What the API server relies on, and the same against a naive model that copies the world."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubelab.cluster.errors import ApiError
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.protocol import (
    CompactedError,
    Compare,
    Delete,
    Event,
    FutureRevisionError,
    KeyValue,
    Put,
    Store,
)

Batch = tuple[Event, ...]


async def _put(store: Store, key: bytes, value: bytes = b"v") -> int:
    return (await store.txn([], [Put(key, value)])).revision


async def _take(events: AsyncIterator[Batch], number: int) -> list[Batch]:
    return [await anext(events) for _ in range(number)]


async def test_versions_count_from_the_creation_of_the_key() -> None:
    store = Store(MemoryStore())
    assert store.revision == 1
    await _put(store, b"/a", b"1")
    await _put(store, b"/a", b"2")
    assert await store.get(b"/a") == KeyValue(b"/a", b"2", create_revision=2, mod_revision=3, version=2)
    await store.txn([], [Delete(b"/a")])
    assert await store.get(b"/a") is None
    await _put(store, b"/a", b"3")
    assert await store.get(b"/a") == KeyValue(b"/a", b"3", create_revision=5, mod_revision=5, version=1)
    assert await store.get(b"/a", revision=3) == KeyValue(b"/a", b"2", 2, 3, 2)
    assert await store.get(b"/a", revision=4) is None


async def test_a_failed_transaction_changes_nothing_and_tells_what_is_there() -> None:
    store = Store(MemoryStore())
    await _put(store, b"/a")
    result = await store.txn([Compare(b"/a", 0), Compare(b"/b", 0)], [Put(b"/a", b"new"), Put(b"/b", b"new")])
    assert not result.succeeded
    assert result.revision == store.revision == 2
    assert [kv.key for kv in result.kvs] == [b"/a"]
    assert await store.get(b"/b") is None


async def test_a_transaction_is_one_revision_and_one_batch_of_events() -> None:
    store = Store(MemoryStore())
    await _put(store, b"/b")
    async with store.watch(b"/") as events:
        result = await store.txn([Compare(b"/a", 0)], [Put(b"/a", b"x"), Delete(b"/b"), Delete(b"/c")])
        (batch,) = await _take(events, 1)
    assert (result.succeeded, result.revision) == (True, 3)
    assert [(event.type, event.kv.key, event.kv.mod_revision) for event in batch] == [
        ("PUT", b"/a", 3),
        ("DELETE", b"/b", 3),
    ]
    assert batch[1].prev_kv is not None
    assert batch[1].prev_kv.value == b"v"


async def test_writing_nothing_makes_no_revision() -> None:
    store = Store(MemoryStore())
    assert (await store.txn([], [Delete(b"/absent")])).revision == 1
    assert (await store.txn([], [])).revision == 1


async def test_a_key_may_be_named_once_in_a_transaction() -> None:
    with pytest.raises(ApiError, match="duplicate key given in txn request"):
        await Store(MemoryStore()).txn([], [Put(b"/a", b""), Delete(b"/a")])


async def test_pages_of_one_revision_fit_together_while_others_write() -> None:
    store = Store(MemoryStore())
    for key in (b"/p/a", b"/p/b", b"/p/c", b"/q/a"):
        await _put(store, key)
    page = await store.range(b"/p/", limit=2)
    assert ([kv.key for kv in page.kvs], page.count, page.more) == ([b"/p/a", b"/p/b"], 3, True)
    await store.txn([], [Delete(b"/p/c"), Put(b"/p/d", b"")])
    rest = await store.range(b"/p/", start=page.kvs[-1].key + b"\0", limit=2, revision=page.revision)
    assert ([kv.key for kv in rest.kvs], rest.count, rest.more) == ([b"/p/c"], 1, False)


async def test_a_watch_in_the_past_gets_history_and_then_the_present() -> None:
    store = Store(MemoryStore())
    for key in (b"/a/1", b"/b/1", b"/a/2"):
        await _put(store, key)
    async with store.watch(b"/a/", start_revision=3) as events:
        await _put(store, b"/a/3")
        assert [batch[0].kv.key for batch in await _take(events, 2)] == [b"/a/2", b"/a/3"]


async def test_a_watch_from_a_future_revision_waits_for_it() -> None:
    store = Store(MemoryStore())
    async with store.watch(b"/", start_revision=4) as events:
        for key in (b"/2", b"/3", b"/4"):
            await _put(store, key)
        assert (await anext(events))[0].kv.key == b"/4"


async def test_a_waiting_watcher_is_woken_by_a_write() -> None:
    store = Store(MemoryStore())
    async with store.watch(b"/") as events, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_take(events, 1))
        await asyncio.sleep(0)
        assert not waiting.done()
        await _put(store, b"/a")
    assert len(waiting.result()) == 1


async def test_the_compacted_past_is_gone_and_the_compact_revision_is_still_there() -> None:
    store = Store(MemoryStore())
    for value in (b"2", b"3", b"4"):
        await _put(store, b"/a", value)
    await store.compact(3)
    for read in (store.get(b"/a", revision=2), store.range(b"/", revision=2)):
        with pytest.raises(CompactedError, match="required revision has been compacted"):
            await read
    with pytest.raises(CompactedError):
        async with store.watch(b"/", start_revision=2):
            pass
    kv = await store.get(b"/a", revision=3)
    assert kv is not None
    assert kv.value == b"3"
    async with store.watch(b"/", start_revision=3) as events:
        assert [batch[0].kv.value for batch in await _take(events, 2)] == [b"3", b"4"]


async def test_a_watcher_that_falls_behind_a_compaction_is_told_and_others_are_not() -> None:
    store = Store(MemoryStore())
    async with store.watch(b"/") as slow, store.watch(b"/") as quick, store.watch(b"/other") as idle:
        await _put(store, b"/a")
        await _put(store, b"/b")
        await _take(quick, 2)
        await store.compact(3)
        with pytest.raises(CompactedError):
            await anext(slow)
        await _put(store, b"/other")
        assert (await anext(quick))[0].kv.key == b"/other"
        assert (await anext(idle))[0].kv.key == b"/other"


async def test_the_future_cannot_be_read_or_compacted() -> None:
    store = Store(MemoryStore())
    for attempt in (store.get(b"/a", revision=2), store.range(b"/", revision=2), store.compact(2)):
        with pytest.raises(FutureRevisionError, match="required revision is a future revision"):
            await attempt


async def test_after_a_watch_is_left_its_iterator_ends() -> None:
    store = Store(MemoryStore())
    async with store.watch(b"/") as events:
        pass
    await _put(store, b"/a")
    assert [batch async for batch in events] == []


KEYS = st.sampled_from([b"/a", b"/a/1", b"/a/2", b"/b/1", b"/b/\xff", b"/c"])
PREFIXES = st.sampled_from([b"", b"/", b"/a", b"/a/", b"/b/", b"/b/\xff", b"/none"])
OPERATIONS = st.lists(
    st.one_of(st.builds(Put, KEYS, st.binary(max_size=2)), st.builds(Delete, KEYS)),
    max_size=3,
    unique_by=lambda operation: operation.key,
)


class _Watch:
    """A watch of the store beside what the model says that it must still deliver."""

    def __init__(self, context: AbstractAsyncContextManager[AsyncIterator[Batch]], prefix: bytes) -> None:
        self.context = context
        self.prefix = prefix
        self.expected: list[Batch] = []
        self.behind_from: int | None = None
        """The next revision that it must read in the log, if it began in the past: a compaction may be faster
        even when there is nothing for it, as in etcd."""
        self.lost = False
        self.events: AsyncIterator[Batch]

    def offer(self, events: Batch) -> None:
        matching = tuple(event for event in events if event.kv.key.startswith(self.prefix))
        if matching and not self.lost:
            self.expected.append(matching)

    @property
    def needed(self) -> int | None:
        """The revision that must not be compacted."""
        if self.behind_from is not None or not self.expected:
            return self.behind_from
        return self.expected[0][0].kv.mod_revision


class AgainstCopies(RuleBasedStateMachine):
    """The model keeps a whole copy of all keys for every revision, and a list of all events."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = Store(MemoryStore())
        self.worlds: list[dict[bytes, KeyValue]] = [{}, {}]  # By revision; 0 is never read.
        self.log: list[Batch] = [(), ()]
        self.compacted = 0
        self.watches: list[_Watch] = []

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        for watch in self.watches:
            self.run(watch.context.__aexit__(None, None, None))
        self.runner.close()

    @property
    def revision(self) -> int:
        return len(self.worlds) - 1

    @rule(
        compare=st.lists(st.tuples(KEYS, st.booleans(), st.integers(0, 9)), max_size=2), operations=OPERATIONS
    )
    def transact(self, compare: list[tuple[bytes, bool, int]], operations: list[Put | Delete]) -> None:
        now = self.worlds[-1]
        current = {key: now[key].mod_revision if key in now else 0 for key, _, _ in compare}
        comparisons = [Compare(key, current[key] if right else guess) for key, right, guess in compare]
        holds = all(comparison.mod_revision == current[comparison.key] for comparison in comparisons)
        if holds:
            self._write(operations)
        result = self.run(self.store.txn(comparisons, operations))
        assert (result.succeeded, result.revision) == (holds, self.revision)
        assert set(result.kvs) == (set() if holds else {now[key] for key in current if key in now})

    def _write(self, operations: list[Put | Delete]) -> None:
        before, after, revision = self.worlds[-1], dict(self.worlds[-1]), self.revision + 1
        events = []
        for operation in operations:
            old = before.get(operation.key)
            if isinstance(operation, Put):
                created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
                kv = KeyValue(operation.key, operation.value, created, revision, version)
                after[operation.key] = kv
                events.append(Event("PUT", kv, old))
            elif old:
                del after[operation.key]
                events.append(Event("DELETE", KeyValue(operation.key, b"", 0, revision, 0), old))
        if not events:
            return
        self.worlds.append(after)
        self.log.append(tuple(events))
        for watch in self.watches:
            watch.offer(tuple(events))

    @rule(data=st.data(), key=KEYS)
    def get(self, data: st.DataObject, key: bytes) -> None:
        revision = data.draw(st.integers(0, self.revision))
        if 0 < revision < self.compacted:
            with pytest.raises(CompactedError):
                self.run(self.store.get(key, revision=revision))
        else:
            assert self.run(self.store.get(key, revision=revision)) == self.worlds[revision or -1].get(key)

    @rule(data=st.data(), prefix=PREFIXES, start=st.one_of(st.just(b""), KEYS), limit=st.integers(0, 3))
    def read_range(self, data: st.DataObject, prefix: bytes, start: bytes, limit: int) -> None:
        revision = data.draw(st.integers(max(self.compacted, 1), self.revision))
        world = self.worlds[revision]
        keys = sorted(key for key in world if key.startswith(prefix) and key >= start)
        result = self.run(self.store.range(prefix, start=start, limit=limit, revision=revision))
        assert result.kvs == tuple(world[key] for key in keys[: limit or None])
        assert (result.count, result.revision) == (len(keys), self.revision)

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(1, self.revision))
        if revision <= self.compacted:
            with pytest.raises(CompactedError):
                self.run(self.store.compact(revision))
            return
        self.run(self.store.compact(revision))
        self.compacted = revision
        for watch in self.watches:
            if watch.needed is not None and watch.needed < revision:
                watch.lost = True

    @precondition(lambda self: len(self.watches) < 4)
    @rule(data=st.data(), prefix=PREFIXES)
    def watch(self, data: st.DataObject, prefix: bytes) -> None:
        revision = data.draw(st.integers(0, self.revision))
        watch = _Watch(self.store.watch(prefix, start_revision=revision), prefix)
        if 0 < revision < self.compacted:
            with pytest.raises(CompactedError):
                self.run(watch.context.__aenter__())
            return
        watch.events = self.run(watch.context.__aenter__())
        self.watches.append(watch)
        begin = max(revision, self.compacted, 2)  # Nothing made revision 1.
        watch.behind_from = begin if revision and begin <= self.revision else None
        for events in self.log[revision:] if revision else []:
            watch.offer(events)

    @precondition(lambda self: self.watches)
    @rule(data=st.data())
    def read_watch(self, data: st.DataObject) -> None:
        watch = data.draw(st.sampled_from(self.watches))
        if watch.lost:
            with pytest.raises(CompactedError):
                self.run(_take(watch.events, 1))
            return
        number = data.draw(st.integers(0, len(watch.expected)))
        assert self.run(_take(watch.events, number)) == watch.expected[:number]
        if number and watch.behind_from is not None:
            watch.behind_from = watch.expected[number - 1][0].kv.mod_revision + 1
        del watch.expected[:number]
        if not watch.expected:
            self.run(_assert_waits(watch.events))
            watch.behind_from = None

    @invariant()
    def revisions_agree(self) -> None:
        assert self.store.revision == self.revision


async def _assert_waits(events: AsyncIterator[Batch]) -> None:
    waiting = asyncio.ensure_future(_take(events, 1))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


AgainstCopies.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstCopies = AgainstCopies.TestCase
