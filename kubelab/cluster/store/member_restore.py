"""What stopped members have on disk, and new members that begin with a snapshot's store.

The store of members that are all stopped is that of the log which would win their next election: it has
everything that was ever acknowledged, and its leader would commit all that is in it (thesis, section 3.6.1).
A restored member is one of a new cluster, which begins where the snapshot ends: keys, revisions and leases
are the snapshot's, the members are new.
Watchers that have seen later revisions need more (`revision_bump`).
Source: etcd, etcdutl/snapshot/v3_snapshot.go (Restore).
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.raft.messages import Configuration, EntryType, MemberId, Snapshot
from kubelab.cluster.store.member_config import encoded
from kubelab.cluster.store.member_disk import MemberDisk, create_disk, read_disk
from kubelab.cluster.store.member_proposals import ID_BYTES
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import Membership, decode
from kubelab.cluster.store.service import MemberState, StoreError
from kubelab.cluster.store.wal import Identity, has_log
from kubelab.language import Text


def stopped_store(directories: Sequence[Path]) -> Mvcc:
    """Return the store of the members in *directories*, of which none runs.

    Raises:
        LabError: there is none, one is in use, or too many are damaged to know what was acknowledged.
    """
    there = [directory for directory in directories if has_log(directory / "wal")]
    if not there:
        raise LabError(_NONE.format(paths=", ".join(map(str, directories))))
    disks: list[MemberDisk] = []
    damaged: LabError | None = None
    for directory in there:
        try:
            disks.append(read_disk(directory))
        except LabError as error:
            damaged = error
    try:
        if damaged is not None and len(disks) <= len(directories) // 2:
            raise damaged
        return _replayed(max(disks, key=_last))
    finally:
        for disk in disks:
            disk.wal.close()


def _last(disk: MemberDisk) -> tuple[int, int]:
    last = disk.entries[-1] if disk.entries else disk.snapshot
    return last.term, last.index


def _replayed(disk: MemberDisk) -> Mvcc:
    for entry in disk.entries:
        if entry.type is EntryType.NORMAL and entry.data:
            with suppress(StoreError):  # Refused when it was asked, too.
                disk.mvcc.apply(decode(entry.data[ID_BYTES:]), entry.index)
    return disk.mvcc


def restore_member(
    directory: Path, member: MemberId, cluster_id: int, cluster: Sequence[MemberState], mvcc: Mvcc
) -> None:
    """Make the directory of *member* of a new *cluster* that begins with *mvcc*.

    Raises:
        LabError: there is one already, or the disk refuses.
    """
    if has_log(directory / "wal"):
        raise LabError(_EXISTS.format(path=directory))
    mvcc.members = {
        each.id: Membership(each.id, each.name, each.peer_urls, each.client_urls) for each in cluster
    }
    mvcc.applied_index = 1
    voters = tuple(sorted(each.id for each in cluster))
    first = Snapshot(1, 1, Configuration(voters), encoded(mvcc))
    create_disk(directory, Identity(cluster_id, member), first).wal.close()


_NONE = Text(
    es="No hay ningún almacén en {paths}: levanta antes un laboratorio con `kubelab up`.",
    en="There is no store in {paths}: start a lab with `kubelab up` first.",
)
_EXISTS = Text(
    es="{path} ya tiene un almacén: indica otro directorio, o añade --force para apartarlo.",
    en="{path} has a store already: name another directory, or add --force to put it aside.",
)
