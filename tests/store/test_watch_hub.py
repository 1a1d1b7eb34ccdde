"""Who is told what: watchers of keys and of ranges, quick ones and slow ones."""

import asyncio
import itertools
import random

import pytest

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_keys import is_between
from kubelab.cluster.store.mvcc_restore import Restoring
from kubelab.cluster.store.requests import Compaction, Put, Range, Txn, prefix_end
from kubelab.cluster.store.service import CompactedError, Progress
from kubelab.cluster.store.watch import watching
from kubelab.cluster.store.watch_hub import PENDING_MAX, SCAN_MAX, Watcher


def _watch(mvcc: Mvcc, key: bytes, end: bytes = b"", start: int = 0) -> Watcher:
    return mvcc.watch(key, end, start_revision=start, wake=lambda: None)


def _keys(watcher: Watcher) -> list[bytes]:
    """Take all that there is."""
    keys: list[bytes] = []
    while (taken := watcher.take()) or watcher.is_behind:
        if isinstance(taken, tuple):
            keys += [event.kv.key for event in taken]
    return keys


def test_each_of_many_overlapping_ranges_is_told_what_is_its_own() -> None:
    """Ranges that come and go, against a look at each of them."""
    chance, mvcc = random.Random(6), Mvcc()
    bounds = [b"%02d" % number for number in range(40)]
    ends = [*bounds, b"\0", b""]
    watchers: dict[Watcher, tuple[bytes, bytes]] = {}
    for _ in range(400):
        if chance.random() < 0.5 or not watchers:
            watched = (chance.choice(bounds), chance.choice(ends))
            watchers[_watch(mvcc, *watched)] = watched
        else:
            leaving = chance.choice(list(watchers))
            leaving.close()
            del watchers[leaving]
        key = chance.choice(bounds)
        mvcc.apply(Put(key))
        for watcher, watched in watchers.items():
            assert _keys(watcher) == ([key] if is_between(key, *watched) else [])
    for watcher in watchers:
        watcher.close()


def test_watchers_of_one_thing_share_its_events() -> None:
    mvcc = Mvcc()
    one, two = _watch(mvcc, b"a"), _watch(mvcc, b"a", b"b")
    mvcc.apply(Put(b"a"))
    assert one.take() is two.take()


def test_one_that_takes_nothing_keeps_little_and_misses_nothing() -> None:
    mvcc = Mvcc()
    slow, quick = _watch(mvcc, b"a", b"z"), _watch(mvcc, b"a", b"z")
    number = PENDING_MAX + SCAN_MAX + 10
    told = []
    for each in range(number):
        mvcc.apply(Put(b"k%d" % each))
        told += _keys(quick)
    assert told == [b"k%d" % each for each in range(number)]
    assert slow.is_behind
    assert _keys(slow) == told
    assert not slow.is_behind
    mvcc.apply(Put(b"last"))
    assert (_keys(slow), _keys(quick)) == ([b"last"], [b"last"])


def test_one_that_takes_nothing_is_lost_to_a_compaction_and_another_is_not() -> None:
    mvcc = Mvcc()
    slow, quick, idle = (_watch(mvcc, *watched) for watched in ((b"a", b"b"), (b"a", b"b"), (b"x",)))
    for each in range(PENDING_MAX + 5):
        mvcc.apply(Put(b"a%d" % each))
        _keys(quick)
    mvcc.apply(Compaction(mvcc.revision))
    with pytest.raises(CompactedError) as caught:
        slow.take()
    assert (caught.value.revision, caught.value.compact_revision) == (2, mvcc.revision)
    mvcc.apply(Put(b"a"))
    mvcc.apply(Put(b"x"))
    assert (_keys(quick), _keys(idle)) == ([b"a"], [b"x"])
    slow.close()


def test_watchers_go_on_in_a_snapshot_that_takes_the_place_of_the_store() -> None:
    """As when a member that was away gets the leader's: what it missed is told, once."""
    leader, away = Mvcc(), Mvcc()
    for mvcc in (leader, away):
        mvcc.apply(Put(b"a", b"1"))
    early, future = _watch(away, b"a", b"z"), _watch(away, b"a", start=6)
    untaken = _watch(away, b"a", start=2)
    for each in range(5):
        leader.apply(Txn((), (Put(b"a", b"%d" % each), Put(b"b%d" % each))))
    restoring = Restoring()
    for piece in leader.image().encode():
        restoring.feed(piece)
    away.replace(restoring.finish())
    assert _keys(early) == list(itertools.chain.from_iterable((b"a", b"b%d" % each) for each in range(5)))
    assert _keys(untaken) == [b"a"] * 6
    assert _keys(future) == [b"a"] * 2
    away.apply(Put(b"a"))
    assert [_keys(watcher) for watcher in (early, untaken, future)] == [[b"a"]] * 3
    assert away.range(Range(b"a", prefix_end(b"a"))) == away.range(Range(b"a", b"b"))


def test_progress_waits_for_what_is_untaken_and_is_not_told_before_the_start() -> None:
    mvcc = Mvcc()
    watcher, future = _watch(mvcc, b"a"), _watch(mvcc, b"a", start=9)
    mvcc.apply(Put(b"a"))
    for each in (watcher, future):
        each.request_progress()
        each.request_progress()
    assert isinstance(watcher.take(), tuple)
    assert watcher.take() == Progress(2)
    assert watcher.take() is None
    assert future.take() is None


async def test_a_wait_that_is_given_up_loses_nothing() -> None:
    mvcc = Mvcc()
    async with watching(mvcc, b"a") as watch:
        waiting = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        mvcc.apply(Put(b"a"))
        batch = await anext(watch)
        assert isinstance(batch, tuple)
        watch.request_progress()
        assert await anext(watch) == Progress(2)
