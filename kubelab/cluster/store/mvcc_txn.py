"""What a transaction will do, decided before it does anything. Pure.

As in etcd, all comparisons, those of nested transactions too, look at the state before the transaction, and
so does the check that none of its operations will be refused.
Source: etcd, server/etcdserver/txn/txn.go (compareToPath, checkTxn, applyCompare), server/storage/quota.go.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kubelab.cluster.store.mvcc_keys import Keys
from kubelab.cluster.store.requests import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    KeyValue,
    LeaseGrant,
    Put,
    Range,
    Txn,
    Write,
)

PUT_OVERHEAD_BYTES = 256  # etcd's kvOverhead and leaseOverhead: what a request may cost at the worst.
LEASE_OVERHEAD_BYTES = 64

_ABSENT = KeyValue(b"", b"", 0, 0, 0)

_TARGETS: dict[CompareTarget, Callable[[KeyValue], Any]] = {
    CompareTarget.VERSION: lambda kv: kv.version,
    CompareTarget.CREATE: lambda kv: kv.create_revision,
    CompareTarget.MOD: lambda kv: kv.mod_revision,
    CompareTarget.VALUE: lambda kv: kv.value,
    CompareTarget.LEASE: lambda kv: kv.lease,
}

_RESULTS: dict[CompareResult, Callable[[Any, Any], bool]] = {
    CompareResult.EQUAL: operator.eq,
    CompareResult.NOT_EQUAL: operator.ne,
    CompareResult.GREATER: operator.gt,
    CompareResult.LESS: operator.lt,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The branch that was taken, at all levels."""

    succeeded: bool
    steps: "tuple[Range | Put | DeleteRange | Plan, ...]"

    def operations(self) -> Iterator[Range | Put | DeleteRange]:
        for step in self.steps:
            if isinstance(step, Plan):
                yield from step.operations()
            else:
                yield step


def plan(keys: Keys, txn: Txn) -> Plan:
    succeeded, branch = taken(keys, txn)
    return Plan(succeeded, tuple([plan(keys, step) if isinstance(step, Txn) else step for step in branch]))


def taken(keys: Keys, txn: Txn) -> "tuple[bool, tuple[Range | Put | DeleteRange | Txn, ...]]":
    """Return whether all comparisons hold, and the branch that is taken then."""
    for comparison in txn.compare:
        if not _holds(keys, comparison):
            return False, txn.failure
    return True, txn.success


def _holds(keys: Keys, comparison: Compare) -> bool:
    """Whether *comparison* holds for all keys of its range. None being there, it is with zeros; a value that
    is not there is like no other, and not unlike either."""
    if not comparison.range_end:
        kv = keys.live.get(comparison.key)
        kvs = [] if kv is None else [kv]
    else:
        kvs, _ = keys.page(comparison.key, comparison.range_end, 0)
    if not kvs:
        return comparison.target != CompareTarget.VALUE and _compares(comparison, _ABSENT)
    return all(_compares(comparison, kv) for kv in kvs)


def _compares(comparison: Compare, kv: KeyValue) -> bool:
    return _RESULTS[comparison.result](_TARGETS[comparison.target](kv), comparison.value)


def is_read_only(txn: Txn) -> bool:
    """Whether *txn* need not be in the log (a nested one always is, as in etcd)."""
    return all(isinstance(operation, Range) for operation in (*txn.success, *txn.failure))


def cost_bytes(request: Write) -> int:
    """Return the room that *request* may take; 0 for one that takes none."""
    if isinstance(request, Put):  # Nearly always.
        return PUT_OVERHEAD_BYTES + len(request.key) + len(request.value)
    match request:
        case LeaseGrant():
            return LEASE_OVERHEAD_BYTES
        case Txn():
            return max(_cost_of_branch(request.success), _cost_of_branch(request.failure))
        case _:
            return 0


def _cost_of_branch(branch: tuple[Range | Put | DeleteRange | Txn, ...]) -> int:
    return sum([cost_bytes(step) for step in branch if isinstance(step, (Put, Txn))])
