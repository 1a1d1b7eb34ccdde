"""The store of a lab whose members do not run: where they lie, and how it is put back to a snapshot.

All members are restored, as those of a new cluster: beside what is there first, and put in its place when all
are whole, so that whoever is killed in between leaves the old store or the new one (`finish_restoring`).
A real etcd's members are made by its own tool (`etcd_restore`).
Source: https://etcd.io/docs/v3.6/op-guide/recovery/ (all members from the same snapshot; a new cluster id).
"""

import secrets
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.aside import put_aside
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.shape import Shape, settle, write
from kubelab.cluster.store import etcd_restore
from kubelab.cluster.store.member_config import found_cluster
from kubelab.cluster.store.member_restore import restore_member, stopped_store
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.peers import PORT as PEER_PORT
from kubelab.cluster.store.segment import disk_errors, sync_directory
from kubelab.cluster.store.wal import has_log
from kubelab.language import Text

TOKEN = "kubelab"  # noqa: S105 - it tells clusters apart, and is no secret
DATA = {"raft": "member", "etcd": "etcd"}
_PREPARED = ".restored"


def prepared_at(path: Path) -> Path:
    """Return where the directory is made ready that is to be at *path*."""
    return path.with_name(path.name + _PREPARED)


def member_directories(directory: LabDirectory) -> dict[str, Path]:
    """Return the directories of the members of the lab's own store by their masters' names.

    Raises:
        LabError: there was no lab here, or its store is a real etcd.
    """
    shape = _shape(directory)
    if shape.choice != "raft":
        raise LabError(_ETCD.format(store=shape.store))
    return _directories(directory, shape)


def check_restorable(directory: LabDirectory) -> None:
    """Raises LabError: there is nothing here that could be restored, or nothing to do so with."""
    shape = _shape(directory)
    _directories(directory, shape)
    if shape.choice == "etcd":
        etcd_restore.find_tool()


def last_revision(directory: LabDirectory) -> int:
    """Return the newest revision that the members' disks tell of, none of which runs; 0 if they do not."""
    shape = _shape(directory)
    paths = list(_directories(directory, shape).values())
    if shape.choice == "etcd":
        return max(map(etcd_restore.last_revision, paths))
    with suppress(LabError):  # None is left, or too many are damaged.
        return stopped_store(paths).revision
    return 0


def restore_lab(directory: LabDirectory, mvcc: Mvcc, *, force: bool) -> list[Path]:
    """Let the members' next life begin with *mvcc*; return their directories. None of them may run.

    What was there is put aside.

    Raises:
        LabError: there is a store, and *force* is not given; or a real etcd's tool is missing.
    """
    shape = _shape(directory)
    directories = _directories(directory, shape)
    is_etcd = shape.choice == "etcd"
    there = [path for path in directories.values() if _has_data(path)]
    if there and not force:
        raise LabError(_EXISTS.format(path=there[0]))
    prepared = {name: prepared_at(path) for name, path in directories.items()}
    for path in prepared.values():
        _remove(path)
    (_prepare_etcd if is_etcd else _prepare)(prepared, mvcc)
    _marker(directory).touch()
    with disk_errors(directory.masters):
        sync_directory(directory.masters)
    finish_restoring(directory)
    return list(directories.values())


def _has_data(path: Path) -> bool:
    return has_log(path / "wal") or etcd_restore.has_data(path)


def _prepare(prepared: Mapping[str, Path], mvcc: Mvcc) -> None:
    cluster_id, cluster = found_cluster(_new_token(), _peer_urls(prepared))
    for member in cluster:
        restore_member(prepared[member.name], member.id, cluster_id, cluster, mvcc)


def _prepare_etcd(prepared: Mapping[str, Path], mvcc: Mvcc) -> None:
    token, urls = _new_token(), _peer_urls(prepared)
    with TemporaryDirectory(prefix="kubelab-") as place:
        file = Path(place) / "snapshot.db"
        etcd_restore.write_snapshot_of(mvcc, file)
        for name, path in prepared.items():
            etcd_restore.restore_member(path, name, urls, token, file)


def _new_token() -> str:
    return f"{TOKEN}-{secrets.token_hex(8)}"


def _peer_urls(names: Iterable[str]) -> dict[str, str]:
    return {name: f"https://{name}:{PEER_PORT}" for name in names}


def _shape(directory: LabDirectory) -> Shape:
    if not directory.shape.exists():
        raise LabError(_NONE.format(path=directory.masters))
    return settle(directory.shape, LabConfig(directory=directory))


def _directories(directory: LabDirectory, shape: Shape) -> dict[str, Path]:
    if not isinstance(shape.choice, str):
        raise LabError(_ELSEWHERE.format(store=shape.store))
    names = (f"master-{number}" for number in range(1, shape.span + 1))
    return {name: directory.masters / name / DATA[shape.choice] for name in names}


def replace_member(directory: LabDirectory, name: str) -> None:
    """Put aside what the member on the master *name* has, so that the others give it everything anew when the
    lab starts (`resize`). None of them may run.

    Raises:
        LabError: there is no such member, or the others are no majority.
    """
    shape = _shape(directory)
    directories = _directories(directory, shape)
    if name not in directories:
        raise LabError(_NO_MEMBER.format(name=name, names=", ".join(directories)))
    others = [path for each, path in directories.items() if each != name and _has_data(path)]
    voters = len(others) - bool(shape.becoming)  # While members change, one of them may be a learner.
    if 2 * voters <= len(directories):
        raise LabError(_NO_MAJORITY.format(name=name))
    write(directory.shape, structs.replace(shape, has_run=True))
    if directories[name].exists():
        put_aside(directories[name])


def finish_restoring(directory: LabDirectory) -> None:
    """Put in place what `restore_lab` has prepared; if that is not the whole, throw it away.

    Raises:
        LabError: the disk refuses.
    """
    is_whole = _marker(directory).exists()
    for prepared in directory.masters.glob(f"*/*{_PREPARED}"):
        path = prepared.with_name(prepared.name.removesuffix(_PREPARED))
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
_NO_MEMBER = Text(
    es="El laboratorio no tiene ningún miembro en {name}: elige uno de {names}.",
    en="The lab has no member on {name}: choose one of {names}.",
)
_NO_MAJORITY = Text(
    es="Sin el miembro de {name} los demás no son mayoría, y no hay de quién tomar lo que guardaba: restaura "
    "una copia con `kubelab store snapshot restore FILE --force`, o empieza de nuevo con `kubelab up "
    "--fresh`.",
    en="Without the member on {name} the others are no majority, and nobody has what it kept: restore a "
    "snapshot with `kubelab store snapshot restore FILE --force`, or begin anew with `kubelab up --fresh`.",
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
_ELSEWHERE = Text(
    es="El almacén de este laboratorio está en {store}: restáuralo allí, con `etcdutl snapshot restore`.",
    en="The store of this lab is at {store}: restore it there, by `etcdutl snapshot restore`.",
)
