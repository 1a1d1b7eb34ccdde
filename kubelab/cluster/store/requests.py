"""What can be asked of the store, in etcd's words, and what it answers. Pure.

Requests that change something are also what is in Raft's log (`encode`, `decode`): structs in MessagePack.
A key is bytes, a `range_end` is exclusive: b"" means the key alone, b"\\0" all from the key on, and
`prefix_end(key)` all that begin with it.
Source: etcd, api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto, whose field names these are.
"""

from enum import IntEnum

import msgspec


class KeyValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`version` counts the writes since the key was created; a deleted key starts again at 1. `lease` is 0
    for a key that no lease ends."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class SortTarget(IntEnum):
    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class SortOrder(IntEnum):
    NONE = 0
    ASCEND = 1
    DESCEND = 2


class CompareResult(IntEnum):
    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class CompareTarget(IntEnum):
    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class AlarmType(IntEnum):
    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


class AlarmAction(IntEnum):
    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


class _Request(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Tagged with its class's name."""


class Put(_Request, frozen=True, array_like=True):
    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class Range(_Request, frozen=True, array_like=True):
    """`limit` 0: all. `revision` 0: now. Bounds of revisions that are 0 bound nothing."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: SortOrder = SortOrder.NONE
    sort_target: SortTarget = SortTarget.KEY
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class DeleteRange(_Request, frozen=True, array_like=True):
    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


class Compare(msgspec.Struct, frozen=True, array_like=True):
    """`value` is a number, bytes for the target VALUE. With a `range_end` it must hold for each key there."""

    key: bytes
    target: CompareTarget
    result: CompareResult
    value: int | bytes
    range_end: bytes = b""


class Txn(_Request, frozen=True, array_like=True):
    """All of `success` if every comparison holds, else all of `failure`; one revision at the most."""

    compare: tuple[Compare, ...] = ()
    success: "tuple[Range | Put | DeleteRange | Txn, ...]" = ()
    failure: "tuple[Range | Put | DeleteRange | Txn, ...]" = ()


class Compaction(_Request, frozen=True, array_like=True):
    revision: int
    physical: bool = False


class LeaseGrant(_Request, frozen=True, array_like=True):
    """`id` is chosen by the member that was asked; every member must come to the same."""

    ttl_s: int
    id: int


class LeaseRevoke(_Request, frozen=True, array_like=True):
    id: int


class Alarm(_Request, frozen=True, array_like=True):
    action: AlarmAction
    member: int = 0
    alarm: AlarmType = AlarmType.NONE


class Membership(_Request, frozen=True, array_like=True):
    """A member's name and addresses, told to all (etcd: a ConfChange's context, ClusterMemberAttrSet)."""

    id: int
    name: str
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()
    is_gone: bool = False


Operation = Range | Put | DeleteRange | Txn
Write = Put | DeleteRange | Txn | Compaction | LeaseGrant | LeaseRevoke | Alarm | Membership


class PutResponse(msgspec.Struct, frozen=True, gc=False):
    """In these answers `revision` is the store's after the request."""

    revision: int
    prev_kv: KeyValue | None = None


class RangeResponse(msgspec.Struct, frozen=True, gc=False):
    """`count` is of the whole range, not of a page."""

    revision: int
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False
    count: int = 0


class DeleteRangeResponse(msgspec.Struct, frozen=True):
    revision: int
    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


class TxnResponse(msgspec.Struct, frozen=True):
    revision: int
    succeeded: bool
    responses: "tuple[RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse, ...]" = ()


def prefix_end(prefix: bytes) -> bytes:
    """Return the `range_end` of all keys that begin with *prefix* (etcd: clientv3.GetPrefixRangeEnd)."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(type=Write).decode


def encode(request: Write) -> bytes:
    return _encode(request)


def decode(data: bytes) -> Write:
    write: Write = _decode(data)
    return write
