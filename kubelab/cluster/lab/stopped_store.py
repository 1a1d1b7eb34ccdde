"""The store of a lab whose members do not run: where they lie, and how it is put back to a snapshot.

All members are restored, as those of a new cluster: beside what is there first, and put in its place when all
are whole, so that whoever is killed in between leaves the old store or the new one (`finish_restoring`).
Source: https://etcd.io/docs/v3.6/op-guide/recovery/ (all members from the same snapshot; a new cluster id).
"""

import secrets
import shutil
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.aside import put_aside
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.shape import settle
from kubelab.cluster.store.member_config import found_cluster
from kubelab.cluster.store.member_restore import restore_member
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.peers import PORT as PEER_PORT
from kubelab.cluster.store.segment import disk_errors, sync_directory
from kubelab.cluster.store.wal import has_log
from kubelab.language import Text

TOKEN = "kubelab"  # noqa: S105 - it tells clusters apart, and is no secret
PREPARED = "member.restored"


def member_directories(directory: LabDirectory) -> dict[str, Path]:
    """Return the directories of the members by their masters' names.

    Raises:
        LabError: there was no lab here, or its store is a real etcd.
    """
    if not directory.shape.exists():
        raise LabError(_NONE.format(path=directory.masters))
    shape = settle(directory.shape, LabConfig(directory=directory))
    if shape.choice != "raft":
        raise LabError(_ETCD.format(store=shape.store))
    names = (f"master-{number}" for number in range(1, shape.span + 1))
    return {name: directory.masters / name / "member" for name in names}


def restore_lab(directory: LabDirectory, mvcc: Mvcc, *, force: bool) -> list[Path]:
    """Let the members' next life begin with *mvcc*; return their directories. None of them may run.

    What was there is put aside.

    Raises:
        LabError: there is a store, and *force* is not given.
    """
    directories = member_directories(directory)
    there = [path for path in directories.values() if has_log(path / "wal")]
    if there and not force:
        raise LabError(_EXISTS.format(path=there[0]))
    names = {name: f"https://{name}:{PEER_PORT}" for name in directories}
    cluster_id, cluster = found_cluster(f"{TOKEN}-{secrets.token_hex(8)}", names)
    for member in cluster:
        prepared = directories[member.name].with_name(PREPARED)
        _remove(prepared)
        restore_member(prepared, member.id, cluster_id, cluster, mvcc)
    _marker(directory).touch()
    with disk_errors(directory.masters):
        sync_directory(directory.masters)
    finish_restoring(directory)
    return list(directories.values())


def finish_restoring(directory: LabDirectory) -> None:
    """Put in place what `restore_lab` has prepared; if that is not the whole, throw it away.

    Raises:
        LabError: the disk refuses.
    """
    is_whole = _marker(directory).exists()
    for prepared in directory.masters.glob(f"*/{PREPARED}"):
        path = prepared.with_name("member")
        if not is_whole:
            _remove(prepared)
            continue
        with disk_errors(path):
            if path.exists():
                put_aside(path)
            prepared.rename(path)
            sync_directory(path.parent)
    with disk_errors(directory.masters):
        _marker(directory).unlink(missing_ok=True)


def _marker(directory: LabDirectory) -> Path:
    """Return the file that is there while all members are prepared, and not all in place."""
    return directory.masters / "restoring"


def _remove(path: Path) -> None:
    with disk_errors(path):
        if path.exists():
            shutil.rmtree(path)


_NONE = Text(
    es="No hay almacén del laboratorio en {path}: levanta antes uno con `kubelab up`.",
    en="There is no store of the lab in {path}: start one with `kubelab up` first.",
)
_EXISTS = Text(
    es="El laboratorio ya tiene un almacén en {path}: guárdalo si hace falta con `kubelab store snapshot "
    "save`, y añade --force para apartarlo.",
    en="The lab has a store in {path} already: save it, if need be, by `kubelab store snapshot save`, and "
    "add --force to put it aside.",
)
_ETCD = Text(
    es="El almacén de este laboratorio es {store}: usa etcdutl, o `etcdctl snapshot save` en un master.",
    en="The store of this lab is {store}: use etcdutl, or `etcdctl snapshot save` on a master.",
)
