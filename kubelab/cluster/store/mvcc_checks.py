"""What no request may be, whatever the store holds. Pure.

Every member checks what it applies, so that all refuse the same; whoever proposes can check before.
Source: etcd, server/etcdserver/api/v3rpc/key.go (checkPutRequest, checkTxnRequest, checkIntervals) and
server/lease/lessor.go (Grant).
"""

from collections.abc import Iterable, Sequence

from kubelab.cluster.store.mvcc_keys import ALL_FROM_KEY, is_between
from kubelab.cluster.store.requests import DeleteRange, LeaseGrant, Operation, Put, Range, Txn, Write
from kubelab.cluster.store.service import (
    DuplicateKeyError,
    EmptyKeyError,
    LeaseNotFoundError,
    LeaseProvidedError,
    LeaseTtlTooLargeError,
    TooManyOperationsError,
    ValueProvidedError,
)

OPERATIONS_MAX = 128  # etcd's --max-txn-ops; a nested transaction has what its parent leaves.
LEASE_TTL_MAX_S = 9_000_000_000

_OPERATIONS = (Put, DeleteRange, Range)  # A tuple is looked through quicker than a union.


def check(request: Write | Range) -> None:
    """Raise the `StoreError` with which etcd refuses *request* without a look at what it holds."""
    if isinstance(request, Put):
        _check_put(request)
    elif isinstance(request, _OPERATIONS):
        _check_key(request)
    elif isinstance(request, Txn):
        _check_txn(request, OPERATIONS_MAX)
        _check_duplicates(request)
    elif isinstance(request, LeaseGrant):
        _check_grant(request)


def _check_duplicates(request: Txn) -> None:
    for branch in (request.success, request.failure):
        if len(branch) > 1 or (branch and not isinstance(branch[0], _OPERATIONS)):
            _written(branch)


def _check_grant(request: LeaseGrant) -> None:
    if not request.id:
        raise LeaseNotFoundError
    if request.ttl_s > LEASE_TTL_MAX_S:
        raise LeaseTtlTooLargeError


def _check_txn(request: Txn, operations_max: int) -> None:
    operations = max(len(request.compare), len(request.success), len(request.failure))
    if operations > operations_max:
        raise TooManyOperationsError
    for comparison in request.compare:
        if not comparison.key:
            raise EmptyKeyError
    for operation in (*request.success, *request.failure):
        if isinstance(operation, Txn):
            _check_txn(operation, operations_max - operations)
        elif isinstance(operation, Put):
            _check_put(operation)
        else:
            _check_key(operation)


def _check_put(request: Put) -> None:
    if not request.key:
        raise EmptyKeyError
    if request.ignore_value and request.value:
        raise ValueProvidedError
    if request.ignore_lease and request.lease:
        raise LeaseProvidedError


def _check_key(operation: DeleteRange | Range) -> None:
    if not operation.key:
        raise EmptyKeyError


def _written(operations: Sequence[Operation]) -> tuple[set[bytes], list[DeleteRange]]:
    """Return the puts and the deletions that *operations* may make; none may be of a key of another.

    Only what two branches of one nested transaction put may be the same key: one of them happens. As in etcd,
    two overlaps pass, and then the later operation wins: a nested deletion of what an earlier nested
    transaction puts, and a deletion of all from a key on.

    Raises:
        DuplicateKeyError: a key would be changed twice.
    """
    deletions = [operation for operation in operations if isinstance(operation, DeleteRange)]
    puts: set[bytes] = set()
    for operation in operations:
        if isinstance(operation, Txn):
            success, deleted_by_success = _written(operation.success)
            failure, deleted_by_failure = _written(operation.failure)
            _add(puts, success | failure, deletions)
            deletions += deleted_by_success + deleted_by_failure
    for operation in operations:
        if isinstance(operation, Put):
            _add(puts, {operation.key}, deletions)
    return puts, deletions


def _add(puts: set[bytes], added: set[bytes], deletions: Iterable[DeleteRange]) -> None:
    if not puts.isdisjoint(added):
        raise DuplicateKeyError
    for deletion in deletions:
        if deletion.range_end != ALL_FROM_KEY and any(
            is_between(key, deletion.key, deletion.range_end) for key in added
        ):
            raise DuplicateKeyError
    puts |= added
