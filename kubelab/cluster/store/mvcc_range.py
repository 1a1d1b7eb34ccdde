"""A range as it was asked for: from the keys in order to the filtered, sorted, cut answer. Pure.

Source: etcd, server/etcdserver/txn/range.go, with its order of things: the limit is for the last step,
`count` counts before any filter, a sort target other than the key sorts even with the order NONE (and then
only what the limit has let through, plus one).
"""

from collections.abc import Callable
from typing import Any

from kubelab.cluster.store.mvcc_keys import Keys
from kubelab.cluster.store.requests import KeyValue, Range, RangeResponse, SortOrder, SortTarget
from kubelab.cluster.store.service import CompactedError, FutureRevisionError

_SORT_KEYS: dict[SortTarget, Callable[[KeyValue], Any]] = {
    SortTarget.KEY: lambda kv: kv.key,
    SortTarget.VERSION: lambda kv: kv.version,
    SortTarget.CREATE: lambda kv: kv.create_revision,
    SortTarget.MOD: lambda kv: kv.mod_revision,
    SortTarget.VALUE: lambda kv: kv.value,
}


def check_revision(keys: Keys, revision: int) -> None:
    if not revision:
        return
    if revision > keys.read_revision:
        raise FutureRevisionError(revision, keys.read_revision)
    if 0 < revision < keys.compact_revision:
        raise CompactedError(revision, keys.compact_revision)


def read_range(keys: Keys, request: Range) -> RangeResponse:
    """Answer *request*.

    Raises:
        CompactedError: its revision is no longer there.
        FutureRevisionError: its revision is not there yet.
    """
    now = keys.read_revision
    if is_plain(request):
        kv = keys.live.get(request.key)
        return RangeResponse(now) if kv is None else RangeResponse(now, (kv,), False, 1)
    check_revision(keys, request.revision)
    if request.count_only and request.revision in (0, now):
        return RangeResponse(now, count=keys.count(request.key, request.range_end))
    limit = _limit(request)
    if 0 < request.revision < now:
        kvs, count = keys.page_as_of(request.key, request.range_end, limit, request.revision)
    else:
        kvs, count = keys.page(request.key, request.range_end, limit)
    if request.count_only:
        return RangeResponse(now, count=count)
    kvs = _sorted(_filtered(kvs, request), request)
    more = 0 < request.limit < len(kvs)
    if more:
        del kvs[request.limit :]
    if request.keys_only:
        kvs = list(map(_without_value, kvs))
    return RangeResponse(now, tuple(kvs), more, count)


def is_plain(request: Range) -> bool:
    """Whether *request* is of one key now and whole, as nearly all are."""
    return not (
        request.range_end
        or request.revision
        or request.keys_only
        or request.count_only
        or request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _limit(request: Range) -> int:
    """Return how many keys are needed to answer: one more than asked for tells whether there are more."""
    if (request.sort_order != SortOrder.NONE and not _is_in_order(request)) or _has_filters(request):
        return 0
    return request.limit + 1 if request.limit > 0 else 0


def _is_in_order(request: Range) -> bool:
    return request.sort_target == SortTarget.KEY and request.sort_order != SortOrder.DESCEND


def _has_filters(request: Range) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _filtered(kvs: list[KeyValue], request: Range) -> list[KeyValue]:
    if not _has_filters(request):
        return kvs
    return [kv for kv in kvs if _is_wanted(kv, request)]


def _is_wanted(kv: KeyValue, request: Range) -> bool:
    return (
        _is_within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        and _is_within(kv.create_revision, request.min_create_revision, request.max_create_revision)
    )  # fmt: skip


def _is_within(revision: int, minimum: int, maximum: int) -> bool:
    return not (minimum and revision < minimum) and not (maximum and revision > maximum)


def _sorted(kvs: list[KeyValue], request: Range) -> list[KeyValue]:
    if _is_in_order(request):
        return kvs
    is_descending = request.sort_order == SortOrder.DESCEND
    return sorted(kvs, key=_SORT_KEYS[request.sort_target], reverse=is_descending)


def _without_value(kv: KeyValue) -> KeyValue:
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)
