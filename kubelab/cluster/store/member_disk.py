"""A member's directory: its log and its snapshots, opened together, or begun.

    DIRECTORY/wal/    the log (wal.py)
    DIRECTORY/snap/   the snapshot that the log names (snapshots.py)

Source: etcd, server/storage/datadir/datadir.go.
"""

from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.raft.messages import Entry, HardState, Snapshot
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_restore import Restoring, SnapshotError
from kubelab.cluster.store.snapshots import Snapshots
from kubelab.cluster.store.wal import Identity, Wal, has_log
from kubelab.language import Text


@dataclass(frozen=True, slots=True)
class MemberDisk:
    """What Raft and the store go on from: `mvcc` is `snapshot`'s state; the entries are yet to be applied."""

    wal: Wal
    snapshots: Snapshots
    hard_state: HardState
    snapshot: Snapshot
    entries: tuple[Entry, ...]
    mvcc: Mvcc


def open_disk(directory: Path, identity: Identity, first: Snapshot) -> MemberDisk:
    """Read what is in *directory*; begin a log after the snapshot *first* if there is none.

    Raises:
        LabError: it is damaged, in use, of another member, or cannot be written.
    """
    if has_log(directory / "wal"):
        return _read(directory, identity)
    return create_disk(directory, identity, first)


def create_disk(directory: Path, identity: Identity, first: Snapshot) -> MemberDisk:
    """Begin a log in *directory* after the snapshot *first*. Raises LabError."""
    snapshots = Snapshots(directory / "snap")
    mark = snapshots.save(first)
    hard_state = HardState(term=first.term, commit=first.index)
    wal = Wal.create(directory / "wal", identity, mark, hard_state=hard_state)
    return MemberDisk(wal, snapshots, hard_state, first, (), restored(first.data))


def read_disk(directory: Path) -> MemberDisk:
    """Read what is in *directory*, whichever member's it is. Raises LabError."""
    return _read(directory, None)


def _read(directory: Path, identity: Identity | None) -> MemberDisk:
    wal, log = Wal.open(directory / "wal")
    try:
        if identity is not None and wal.identity != identity:
            raise LabError(_OTHER.format(path=directory, member=f"{wal.identity.member_id:x}"))
        snapshots = Snapshots(directory / "snap")
        snapshot = snapshots.load(log.snapshot)
        snapshots.keep_only(log.snapshot)
        mvcc = restored(snapshot.data)
    except LabError:
        wal.close()
        raise
    return MemberDisk(wal, snapshots, log.hard_state, snapshot, tuple(log.entries), mvcc)


def restored(data: bytes) -> Mvcc:
    """Return the store that is in a snapshot's *data*. Raises LabError."""
    restoring = Restoring()
    try:
        restoring.feed(data)
        return restoring.finish()
    except SnapshotError as error:
        raise not_a_store(error) from error


def not_a_store(error: SnapshotError) -> LabError:
    return LabError(_NO_STORE.format(why=error))


_OTHER = Text(
    es="{path} es del miembro {member} o de otro clúster: indica un directorio vacío, o el suyo.",
    en="{path} belongs to member {member}, or to another cluster: name an empty directory, or its own.",
)
_NO_STORE = Text(
    es="La copia no contiene un almacén de kubelab ({why}): usa una de `kubelab store snapshot save`.",
    en="The snapshot does not hold a store of kubelab's ({why}): use one of `kubelab store snapshot save`.",
)
