"""Keys, revisions and transactions as etcd has them, of every engine. The real etcd is one."""

import pytest

from kubelab.cluster.store.requests import (
    Alarm,
    AlarmAction,
    AlarmType,
    Compaction,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    DeleteRangeResponse,
    KeyValue,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    SortOrder,
    SortTarget,
    Txn,
    TxnResponse,
    prefix_end,
)
from kubelab.cluster.store.service import (
    CompactedError,
    DuplicateKeyError,
    EmptyKeyError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseNotFoundError,
    LeaseProvidedError,
    Service,
    StoreError,
    TooManyOperationsError,
    ValueProvidedError,
)

ALL = (b"\0", b"\0")


async def _put(service: Service, *pairs: str) -> int:
    """Put each `key=value` in turn; return the revision before the first."""
    before = service.revision
    for pair in pairs:
        key, _, value = pair.partition("=")
        await service.put(Put(key.encode(), value.encode()))
    return before


async def _keys(service: Service, request: Range) -> list[bytes]:
    return [kv.key for kv in (await service.range(request)).kvs]


async def test_a_key_has_the_revisions_of_its_creation_and_of_its_last_write(service: Service) -> None:
    base = await _put(service, "a=1", "b=1", "a=2")
    (kv,) = (await service.range(Range(b"a"))).kvs
    assert kv == KeyValue(b"a", b"2", base + 1, base + 3, version=2)
    assert await service.delete_range(DeleteRange(b"a", prev_kv=True)) == DeleteRangeResponse(
        base + 4, 1, (kv,)
    )
    await _put(service, "a=3")
    (anew,) = (await service.range(Range(b"a"))).kvs
    assert anew == KeyValue(b"a", b"3", base + 5, base + 5, version=1)
    assert (await service.range(Range(b"a", revision=base + 3))).kvs == (kv,)
    assert (await service.range(Range(b"a", revision=base + 4))).kvs == ()


async def test_deleting_what_is_not_there_makes_no_revision(service: Service) -> None:
    base = await _put(service)
    assert await service.delete_range(DeleteRange(b"a")) == DeleteRangeResponse(base)
    assert await service.delete_range(DeleteRange(b"b", b"a")) == DeleteRangeResponse(base)
    assert (await service.txn(Txn((), (DeleteRange(*ALL),)))).revision == base


async def test_a_put_can_keep_the_value_and_tell_what_was(service: Service) -> None:
    base = await _put(service, "a=1")
    answer = await service.put(Put(b"a", prev_kv=True, ignore_value=True))
    assert answer == PutResponse(base + 2, KeyValue(b"a", b"1", base + 1, base + 1, 1))
    assert (await service.range(Range(b"a"))).kvs[0].value == b"1"
    refused: list[tuple[Put, type[StoreError]]] = [
        (Put(b"absent", ignore_value=True), KeyNotFoundError),
        (Put(b"absent", ignore_lease=True), KeyNotFoundError),
        (Put(b"a", b"2", ignore_value=True), ValueProvidedError),
        (Put(b"a", lease=7, ignore_lease=True), LeaseProvidedError),
        (Put(b"a", lease=7), LeaseNotFoundError),
        (Put(b""), EmptyKeyError),
    ]
    for put, error in refused:
        with pytest.raises(error):
            await service.put(put)
    assert (await service.range(Range(b"a"))).revision == base + 2


async def test_ranges_are_of_one_key_of_an_interval_of_a_prefix_or_of_all_from_a_key(
    service: Service,
) -> None:
    await _put(service, "a", "a/1", "a/2", "a0", "b")
    assert await _keys(service, Range(b"a")) == [b"a"]
    assert await _keys(service, Range(b"a", b"a/2")) == [b"a", b"a/1"]
    assert await _keys(service, Range(b"a/", prefix_end(b"a/"))) == [b"a/1", b"a/2"]
    assert await _keys(service, Range(b"a/2", b"\0")) == [b"a/2", b"a0", b"b"]
    assert await _keys(service, Range(*ALL)) == [b"a", b"a/1", b"a/2", b"a0", b"b"]
    assert await _keys(service, Range(b"b", b"a")) == []


async def test_a_limit_cuts_and_the_count_is_of_all(service: Service) -> None:
    base = await _put(service, "a", "b", "c")
    for revision in (0, base + 3):
        page = await service.range(Range(*ALL, limit=2, revision=revision))
        assert ([kv.key for kv in page.kvs], page.more, page.count) == ([b"a", b"b"], True, 3)
        whole = await service.range(Range(*ALL, limit=3, revision=revision))
        assert (len(whole.kvs), whole.more, whole.count) == (3, False, 3)
        counted = await service.range(Range(*ALL, count_only=True, revision=revision))
        assert counted == RangeResponse(base + 3, count=3)
    named = await service.range(Range(*ALL, keys_only=True))
    assert [(kv.key, kv.value, kv.mod_revision) for kv in named.kvs] == [
        (b"a", b"", base + 1),
        (b"b", b"", base + 2),
        (b"c", b"", base + 3),
    ]


async def test_what_is_read_can_be_sorted_and_the_limit_is_for_what_is_sorted(service: Service) -> None:
    await _put(service, "b=1", "a=2", "c=0", "a=3", "a=2", "b=1")
    orders = {
        SortTarget.KEY: [b"a", b"b", b"c"],
        SortTarget.VERSION: [b"c", b"b", b"a"],
        SortTarget.CREATE: [b"b", b"a", b"c"],
        SortTarget.MOD: [b"c", b"a", b"b"],
        SortTarget.VALUE: [b"c", b"b", b"a"],
    }
    for target, keys in orders.items():
        ascending = Range(*ALL, limit=2, sort_order=SortOrder.ASCEND, sort_target=target)
        assert await _keys(service, ascending) == keys[:2]
        descending = Range(*ALL, sort_order=SortOrder.DESCEND, sort_target=target, keys_only=True)
        assert await _keys(service, descending) == keys[::-1]
    unordered = Range(*ALL, sort_target=SortTarget.VALUE)
    assert await _keys(service, unordered) == orders[SortTarget.VALUE]
    cut_first = Range(*ALL, limit=1, sort_target=SortTarget.VALUE)
    assert await _keys(service, cut_first) == [b"b"]


async def test_revisions_filter_what_is_shown_and_not_what_is_counted(service: Service) -> None:
    base = await _put(service, "a", "b", "c", "a")
    later = await service.range(Range(*ALL, min_mod_revision=base + 3))
    assert ([kv.key for kv in later.kvs], later.count) == ([b"a", b"c"], 3)
    assert await _keys(service, Range(*ALL, max_mod_revision=base + 2)) == [b"b"]
    assert await _keys(service, Range(*ALL, min_create_revision=base + 2, limit=1)) == [b"b"]
    assert await _keys(service, Range(*ALL, max_create_revision=base + 1)) == [b"a"]


async def test_the_compacted_and_the_future_cannot_be_read(service: Service) -> None:
    base = await _put(service, "a=1", "a=2", "b=1", "a=3")
    with pytest.raises(FutureRevisionError):
        await service.range(Range(b"a", revision=base + 5))
    with pytest.raises(FutureRevisionError):
        await service.compact(Compaction(base + 5))
    assert await service.compact(Compaction(base + 3, physical=True)) == base + 4
    for old in (base + 2, base + 3):
        with pytest.raises(CompactedError):
            await service.compact(Compaction(old))
    with pytest.raises(CompactedError):
        await service.range(Range(b"a", revision=base + 2))
    with pytest.raises(CompactedError):
        await service.txn(Txn((), (Put(b"c"), Range(b"a", revision=base + 2))))
    assert [kv.value for kv in (await service.range(Range(*ALL, revision=base + 3))).kvs] == [b"2", b"1"]
    assert (await service.range(Range(*ALL))).revision == base + 4


async def test_a_transaction_is_one_revision_and_reads_what_it_has_written(service: Service) -> None:
    base = await _put(service, "a=1", "b=1")
    answer = await service.txn(
        Txn((), (Range(*ALL), Put(b"c", b"2", prev_kv=True), DeleteRange(b"a"), Range(*ALL), Txn()))
    )
    first, put, deletion, second, nested = answer.responses
    assert (answer.revision, answer.succeeded) == (base + 3, True)
    assert isinstance(first, RangeResponse)
    assert isinstance(second, RangeResponse)
    assert [kv.key for kv in first.kvs] == [b"a", b"b"]
    assert [(kv.key, kv.mod_revision) for kv in second.kvs] == [(b"b", base + 2), (b"c", base + 3)]
    assert put == PutResponse(base + 3)
    assert deletion == DeleteRangeResponse(base + 3, 1)
    assert isinstance(nested, TxnResponse)
    assert nested.succeeded


def _compare(key: str, target: CompareTarget, result: CompareResult, value: int | bytes) -> Compare:
    return Compare(key.encode(), target, result, value)


async def test_comparisons_of_every_target_and_result(service: Service) -> None:
    base = await _put(service, "a=m", "a=m", "a=m")
    values: dict[CompareTarget, tuple[int | bytes, int | bytes, int | bytes]] = {
        CompareTarget.VERSION: (2, 3, 4),
        CompareTarget.CREATE: (base, base + 1, base + 2),
        CompareTarget.MOD: (base + 2, base + 3, base + 4),
        CompareTarget.VALUE: (b"l", b"m", b"n"),
        CompareTarget.LEASE: (-1, 0, 1),
    }
    holds = {
        CompareResult.EQUAL: (False, True, False),
        CompareResult.NOT_EQUAL: (True, False, True),
        CompareResult.GREATER: (True, False, False),
        CompareResult.LESS: (False, False, True),
    }
    cases = [
        (_compare("a", target, result, value), held)
        for target, compared in values.items()
        for result, expected in holds.items()
        for value, held in zip(compared, expected, strict=True)
    ]
    for comparison, held in cases:
        assert (await service.txn(Txn((comparison,)))).succeeded == held, comparison


async def test_what_is_not_there_is_compared_as_zeros_and_has_no_value(service: Service) -> None:
    await _put(service)
    for target in (CompareTarget.VERSION, CompareTarget.CREATE, CompareTarget.MOD, CompareTarget.LEASE):
        assert (await service.txn(Txn((_compare("a", target, CompareResult.EQUAL, 0),)))).succeeded
    for result in CompareResult:
        assert not (await service.txn(Txn((_compare("a", CompareTarget.VALUE, result, b"x"),)))).succeeded


async def test_a_comparison_of_a_range_must_hold_for_each_key(service: Service) -> None:
    await _put(service, "a=1", "b=1", "c=2")
    for end, holds in ((b"c", True), (b"d", False), (b"\0", False)):
        comparison = Compare(b"a", CompareTarget.VALUE, CompareResult.EQUAL, b"1", end)
        assert (await service.txn(Txn((comparison,)))).succeeded == holds


async def test_nested_comparisons_look_at_the_state_before_the_whole(service: Service) -> None:
    base = await _put(service)
    is_new = Compare(b"a", CompareTarget.VERSION, CompareResult.EQUAL, 0)
    nested = Txn((is_new,), (Put(b"b", b"new"),), (Put(b"b", b"old"),))
    answer = await service.txn(Txn((is_new,), (Put(b"a"), nested)))
    assert answer.responses[1] == TxnResponse(answer.responses[1].revision, True, (PutResponse(base + 1),))
    failed = await service.txn(Txn((is_new,), (), (nested,)))
    (inner,) = failed.responses
    assert isinstance(inner, TxnResponse)
    assert (failed.succeeded, inner.succeeded) == (False, False)
    assert (await service.range(Range(b"b"))).kvs[0].value == b"old"


_DUPLICATES: list[tuple[Operation, ...]] = [
    (Put(b"a"), Put(b"a")),
    (Put(b"a"), DeleteRange(b"a")),
    (DeleteRange(b"a", b"c"), Put(b"b")),
    (Put(b"a"), Txn((), (), (Put(b"a"),))),
    (Txn((), (Put(b"a"),)), Txn((), (), (Put(b"a"),))),
    (Txn((), (DeleteRange(b"a"),)), Txn((), (Put(b"a"),))),
    (Txn((), (DeleteRange(b"a"),)), Put(b"a")),
]
_ALLOWED: list[tuple[Operation, ...]] = [
    (DeleteRange(b"a", b"c"), DeleteRange(b"b")),
    (Txn((), (Put(b"a"),), (Put(b"a"),)),),
    (Txn((), (Put(b"a"),)), Txn((), (DeleteRange(b"a"),))),
    (DeleteRange(b"a", b"\0"), Put(b"b")),
]


async def test_a_key_may_be_changed_once_in_a_transaction(service: Service) -> None:
    await _put(service, "b=1")
    for operations in _DUPLICATES:
        with pytest.raises(DuplicateKeyError):
            await service.txn(Txn((), operations))
        with pytest.raises(DuplicateKeyError):
            await service.txn(Txn((), (), operations))
    for operations in _ALLOWED:
        assert (await service.txn(Txn((), operations))).succeeded, operations
    with pytest.raises(TooManyOperationsError):
        await service.txn(Txn((), tuple(Put(b"%d" % number) for number in range(129))))
    with pytest.raises(EmptyKeyError):
        await service.txn(Txn((), (), (Range(b""),)))


async def test_a_transaction_that_is_refused_has_done_nothing(service: Service) -> None:
    base = await _put(service, "a=1")
    for refused, error in (
        (Put(b"b", lease=7), LeaseNotFoundError),
        (Put(b"b", ignore_value=True), KeyNotFoundError),
        (Range(b"b", revision=base + 9), FutureRevisionError),
    ):
        with pytest.raises(error):
            await service.txn(Txn((), (Put(b"c"), DeleteRange(b"a"), refused)))
    now = await service.range(Range(*ALL))
    assert ([kv.key for kv in now.kvs], now.revision) == ([b"a"], base + 1)


async def test_an_alarm_refuses_what_takes_room_and_lets_it_be_freed(service: Service) -> None:
    await _put(service, "a=1")
    member = (await service.status()).member
    (state,) = await service.alarm(Alarm(AlarmAction.ACTIVATE, member, AlarmType.NOSPACE))
    assert (state.member, state.alarm) == (member, AlarmType.NOSPACE)
    assert await service.alarm(Alarm(AlarmAction.GET)) == (state,)
    for put in (Put(b"a"), Put(b"b")):
        with pytest.raises(StoreError, match="etcdserver: mvcc: database space exceeded"):
            await service.put(put)
    assert (await service.delete_range(DeleteRange(b"a"))).deleted == 1
    lowered = Alarm(AlarmAction.DEACTIVATE, member, AlarmType.NOSPACE)
    assert await service.alarm(lowered) == (state,)
    await _put(service, "a=2")
    assert await service.alarm(Alarm(AlarmAction.GET)) == ()


async def test_a_checksum_is_of_what_can_be_read(service: Service) -> None:
    base = await _put(service, "a=1", "a=2", "b=1")
    now, _ = await service.hash_kv()
    assert (await service.hash_kv(base + 3))[0] == now
    assert (await service.hash_kv(base + 2))[0] != now
    with pytest.raises(FutureRevisionError):
        await service.hash_kv(base + 4)
    await service.compact(Compaction(base + 2, physical=True))
    assert (await service.hash_kv())[1] == base + 2
    with pytest.raises(CompactedError):
        await service.hash_kv(base + 1)
    await service.defragment()
    assert (await service.range(Range(b"a"))).kvs[0].value == b"2"
