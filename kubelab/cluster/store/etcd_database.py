"""A store as etcd's database file, and back: what `etcdctl snapshot save` gets and `restore` takes. Pure.

Each version of each key is a record of the bucket "key", named by its revision and its place in the
transaction, so that a file is a log of all that was not compacted. A snapshot is the file and its SHA-256.
So the lab's store can be restored into a real etcd, and a real one's into the lab's.
Source: etcd, server/storage/mvcc/{revision,kvstore}.go, server/storage/schema/, server/lease/lessor.go,
server/etcdserver/api/membership/store.go; the file itself: store/bolt.
Left out: users and roles, and who the members were, when a file is read: a restored store has new ones.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

from google.protobuf.message import DecodeError

from kubelab.cluster.store.bolt.reader import Bolt, BoltError
from kubelab.cluster.store.bolt.writer import Item, write
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_image import VERSION, Before, Frame, Header, Leases, Revisions
from kubelab.cluster.store.mvcc_keys import NEVER_COMPACTED
from kubelab.cluster.store.requests import AlarmType, KeyValue, Membership
from kubelab.cluster.store.rpc.messages import key_value
from kubelab.cluster.store.rpc.pb import kv_pb2, lease_pb2, rpc_pb2

CHECKSUM_BYTES = hashlib.sha256().digest_size
SECTOR_BYTES = 512  # A file is of whole sectors; what is over is its checksum.
FIRST_REVISION = 1  # Of an empty store.

KEY, META, LEASE, ALARM, MEMBERS = b"key", b"meta", b"lease", b"alarm", b"members"
_EMPTY_BUCKETS = (b"auth", b"authRoles", b"authUsers", b"cluster", b"members_removed")
_SCHEDULED, _FINISHED, _INDEX = b"scheduledCompactRev", b"finishedCompactRev", b"consistent_index"
_REVISION = struct.Struct(">q1sq")
_NUMBER = struct.Struct(">Q")
_LEASE_ID = struct.Struct(">q")
_SEPARATOR, _TOMBSTONE = b"_", b"t"
_ALARMS = {
    AlarmType.NONE: rpc_pb2.NONE,
    AlarmType.NOSPACE: rpc_pb2.NOSPACE,
    AlarmType.CORRUPT: rpc_pb2.CORRUPT,
}


class DatabaseError(Exception):
    """What should be etcd's database is not, or not whole; the text says why."""


def snapshot(image: Iterable[Frame]) -> Iterator[bytes]:
    """Yield etcd's snapshot of what an *image* of `mvcc_image` holds, its checksum last; an empty piece only
    says that somebody else may have a turn."""
    checksum = hashlib.sha256()
    for piece in write(_buckets(iter(image))):
        checksum.update(piece)
        yield piece
    yield checksum.digest()


def _buckets(frames: Iterator[Frame]) -> dict[bytes, Iterable[Item | None]]:
    header = next(frames)
    assert isinstance(header, Header)
    leases: list[tuple[int, int]] = []
    before: list[KeyValue] = []
    log: list[tuple[KeyValue, ...]] = []
    for frame in frames:
        match frame:
            case Leases():
                leases += frame.leases
            case Before():
                before += frame.kvs
            case Revisions():
                log += frame.revisions
    return {
        **dict.fromkeys(_EMPTY_BUCKETS, ()),
        ALARM: sorted(_alarm_items(header.alarms)),
        KEY: _key_items(before, log),
        LEASE: sorted(map(_lease_item, leases)),
        MEMBERS: sorted(map(_member_item, header.members)),
        META: _meta_items(header),
    }


def _key_items(before: list[KeyValue], log: list[tuple[KeyValue, ...]]) -> Iterator[Item | None]:
    """Yield the records in their order. Which place a version had in a transaction before the log is not
    known any more; any place is as good."""
    before.sort(key=attrgetter("mod_revision", "key"))
    old = (tuple(kvs) for _, kvs in groupby(before, attrgetter("mod_revision")))
    for changes in chain(old, log):
        for sub, kv in enumerate(changes):
            yield _record(kv, sub)
        yield None


def _record(kv: KeyValue, sub: int) -> Item:
    revision = _REVISION.pack(kv.mod_revision, _SEPARATOR, sub)
    if kv.version:
        return revision, key_value(kv).SerializeToString()
    return revision + _TOMBSTONE, kv_pb2.KeyValue(key=kv.key).SerializeToString()


def _alarm_items(alarms: Iterable[tuple[int, AlarmType]]) -> Iterator[Item]:
    for member, alarm in alarms:
        yield rpc_pb2.AlarmMember(memberID=member, alarm=_ALARMS[alarm]).SerializeToString(), b""


def _lease_item(lease: tuple[int, int]) -> Item:
    lease_id, ttl_s = lease
    return _LEASE_ID.pack(lease_id), lease_pb2.Lease(ID=lease_id, TTL=ttl_s).SerializeToString()


def _member_item(member: Membership) -> Item:
    state = {
        "id": member.id,
        "peerURLs": member.peer_urls,
        "name": member.name,
        "clientURLs": member.client_urls,
    }
    return f"{member.id:x}".encode(), json.dumps(state).encode()


def _meta_items(header: Header) -> Iterator[Item]:
    yield _INDEX, _NUMBER.pack(header.applied_index)
    if header.compact_revision > 0:
        compacted = _REVISION.pack(header.compact_revision, _SEPARATOR, 0)
        yield _FINISHED, compacted
        yield _SCHEDULED, compacted


def check_snapshot(data: Any) -> memoryview:
    """Return the database that is in the snapshot *data*, whose checksum is right.

    Raises:
        DatabaseError: it is not, or there is none.
    """
    view = memoryview(data)
    if len(view) % SECTOR_BYTES != CHECKSUM_BYTES:
        raise DatabaseError("its checksum is not there")
    database, checksum = view[:-CHECKSUM_BYTES], view[-CHECKSUM_BYTES:]
    if hashlib.sha256(database).digest() != checksum:
        raise DatabaseError("its checksum does not match")
    return database


def read(database: Any) -> Mvcc:
    """Return the store that is in etcd's *database*, as `mmap` gives it or in bytes, without its members.

    Its log is what is without a gap at the end, and what is before that counts as compacted.

    Raises:
        DatabaseError: it is none, or damaged.
    """
    try:
        bolt = Bolt(database)
        if KEY not in bolt:
            raise DatabaseError("it has no keys of etcd's")
        return _restored(bolt)
    except (BoltError, DecodeError, struct.error, ValueError) as error:
        raise DatabaseError(str(error)) from error


def _restored(bolt: Bolt) -> Mvcc:
    meta = dict(bolt.items(META))
    revisions = _revisions(bolt)
    compacted = max(_compact_revision(meta, _SCHEDULED), _compact_revision(meta, _FINISHED), FIRST_REVISION)
    first = max(_log_start(revisions), compacted + 1)
    mvcc = Mvcc()
    mvcc.restore_header(
        Header(
            VERSION,
            revision=max([first - 1, *revisions]),
            compact_revision=first - 1 if first - 1 > FIRST_REVISION else NEVER_COMPACTED,
            first_revision=first,
            applied_index=_NUMBER.unpack(meta.get(_INDEX, bytes(_NUMBER.size)))[0],
            alarms=tuple(map(_alarm, bolt.items(ALARM))),
            members=(),
        )
    )
    mvcc.restore_leases(map(_lease, bolt.items(LEASE)))
    mvcc.restore_before(_present(kvs for revision, kvs in revisions.items() if revision < first))
    mvcc.restore_revisions(kvs for revision, kvs in revisions.items() if revision >= first)
    mvcc.restore_end()
    return mvcc


def _compact_revision(meta: dict[bytes, bytes], name: bytes) -> int:
    revision, _separator, _sub = _REVISION.unpack(meta.get(name, bytes(_REVISION.size)))
    return int(revision)


def _revisions(bolt: Bolt) -> dict[int, list[KeyValue]]:
    """Return what each revision changed, in order."""
    revisions: dict[int, list[KeyValue]] = {}
    for name, value in bolt.items(KEY):
        revision, _separator, _sub = _REVISION.unpack(name[: _REVISION.size])
        message = kv_pb2.KeyValue.FromString(value)
        if name.endswith(_TOMBSTONE) and len(name) > _REVISION.size:
            kv = KeyValue(message.key, b"", 0, revision, 0)
        else:
            kv = _key_value(message)
        if kv.key:  # Else it only says that revisions up to here are used up (etcdutl, --bump-revision).
            revisions.setdefault(revision, []).append(kv)
    return revisions


def _key_value(message: kv_pb2.KeyValue) -> KeyValue:
    return KeyValue(
        message.key,
        message.value,
        message.create_revision,
        message.mod_revision,
        message.version,
        message.lease,
    )


def _log_start(revisions: dict[int, list[KeyValue]]) -> int:
    """Return the first of the revisions that come without a gap at the end."""
    start = max(revisions, default=0) + 1
    while start - 1 in revisions:
        start -= 1
    return start


def _present(revisions: Iterable[list[KeyValue]]) -> list[KeyValue]:
    """Return what there was after *revisions*, in the order of the keys."""
    newest = {kv.key: kv for kvs in revisions for kv in kvs}
    return [newest[key] for key in sorted(newest) if newest[key].version]


def _alarm(item: Item) -> tuple[int, AlarmType]:
    message = rpc_pb2.AlarmMember.FromString(item[0])
    return message.memberID, AlarmType(message.alarm)


def _lease(item: Item) -> tuple[int, int]:
    message = lease_pb2.Lease.FromString(item[1])
    return message.ID, message.TTL
