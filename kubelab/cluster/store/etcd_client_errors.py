"""What a call's status means for who asked: an error of the store, and whether it may be asked again. Pure.

Source: etcd, api/v3rpc/rpctypes/error.go (the sentences and their codes) and client/v3/retry.go (which of
them tell that nothing was done).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubelab.cluster.store.etcd_client_http2 import Code, Status
from kubelab.cluster.store.requests import Compaction, Range, Write
from kubelab.cluster.store.service import (
    CompactedError,
    CorruptError,
    DuplicateKeyError,
    EmptyKeyError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseExistsError,
    LeaseNotFoundError,
    LeaseProvidedError,
    LeaseTtlTooLargeError,
    MemberError,
    NoLeaderError,
    NoSpaceError,
    StoreError,
    StoreTimeoutError,
    TooManyOperationsError,
    ValueProvidedError,
)


class UnreachableError(NoLeaderError):
    """No member could be asked: surely nothing was done."""

    def __init__(self, endpoints: str) -> None:
        super().__init__()
        self.args = (f"etcdserver: no leader: none of {endpoints} answers",)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`untouched`: surely nothing was done, so that anything may be asked again, of another member.
    `passing`: it may go better next time; a read may be asked again."""

    error: StoreError
    untouched: bool = False
    passing: bool = False


_COMPACTED = "etcdserver: mvcc: required revision has been compacted"
_FUTURE = "etcdserver: mvcc: required revision is a future revision"
_FINAL: Mapping[str, Callable[[], StoreError]] = {
    "etcdserver: key is not provided": EmptyKeyError,
    "etcdserver: key not found": KeyNotFoundError,
    "etcdserver: duplicate key given in txn request": DuplicateKeyError,
    "etcdserver: too many operations in txn request": TooManyOperationsError,
    "etcdserver: value is provided": ValueProvidedError,
    "etcdserver: lease is provided": LeaseProvidedError,
    "etcdserver: too large lease TTL": LeaseTtlTooLargeError,
    "etcdserver: requested lease not found": LeaseNotFoundError,
    "etcdserver: lease already exists": LeaseExistsError,
    "etcdserver: mvcc: database space exceeded": NoSpaceError,
    "etcdserver: corrupt cluster": CorruptError,
}
_OF_MEMBERS = frozenset(
    {
        "etcdserver: member not found",
        "etcdserver: member ID already exist",
        "etcdserver: Peer URLs already exists",
        "etcdserver: given member URLs are invalid",
        "etcdserver: re-configuration failed due to not enough started members",
        "etcdserver: unhealthy cluster",
        "etcdserver: can only promote a learner member which is in sync with leader",
        "etcdserver: can only promote a learner member",
        "etcdserver: too many learner members in cluster",
        "etcdserver: not leader",
        "etcdserver: bad leader transferee",
    }
)
_UNTOUCHED = frozenset(
    {
        "etcdserver: no leader",
        "etcdserver: not capable",
        "etcdserver: too many requests",
        "raft proposal dropped",
    }
)
_REFUSALS = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.UNIMPLEMENTED,
        Code.UNAUTHENTICATED,
    }
)


def outcome(status: Status, request: Range | Write | None = None, revision: int = 0) -> Outcome:
    """Return what *status* says of *request*; *revision* is the newest that the client has seen."""
    sentence = status.message
    if sentence in (_COMPACTED, _FUTURE):
        return Outcome(_of_revision(sentence, request, revision))
    if make := _FINAL.get(sentence):
        return Outcome(make())
    if sentence in _OF_MEMBERS:
        return Outcome(MemberError(sentence))
    if status.unprocessed or sentence in _UNTOUCHED:
        return Outcome(NoLeaderError(), untouched=True, passing=True)
    if status.code in _REFUSALS:
        return Outcome(StoreError(sentence))
    return Outcome(StoreTimeoutError(), passing=True)


def _of_revision(sentence: str, request: Range | Write | None, revision: int) -> StoreError:
    """etcd says no numbers: the compacted revision, which it does not tell, is at least one later."""
    asked = request.revision if isinstance(request, Range | Compaction) else 0
    return (
        CompactedError(asked, asked + 1) if sentence == _COMPACTED else FutureRevisionError(asked, revision)
    )
