"""What of a cluster stays from one of its lives to the next: how many masters, and which store.

It is written down beside what the masters keep, when the cluster is new. Masters come and go when the lab is
started with another number of them, and one whose disk is lost is replaced (`resize`); what is under way is
written down as well, so that the next start goes on with it.
Left out: another store for a cluster that is there.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.lab.config import LabConfig, StoreChoice
from kubelab.cluster.store.segment import disk_errors, sync_directory
from kubelab.language import Text

VERSION = 1


class Shape(msgspec.Struct, frozen=True):
    """`store`: raft, etcd, or the URLs of an etcd with commas between. `becoming`: how many masters it is to
    have when its members have changed, also the same number where one is replaced; 0: no change is under way.
    `has_run`: it has come up once, so that a member without data has lost it. `version` is that of all files
    beside this one."""

    masters: int
    store: str
    version: int = VERSION
    becoming: int = 0
    has_run: bool = False

    @property
    def choice(self) -> StoreChoice:
        if self.store in ("raft", "etcd"):
            return "raft" if self.store == "raft" else "etcd"
        return tuple(self.store.split(","))

    @property
    def span(self) -> int:
        """Among how many masters its members are to be looked for: those that come and that go too."""
        return max(self.masters, self.becoming)

    def towards(self, masters: int) -> "Shape":
        """Return the shape that is on its way to so many *masters*."""
        if not isinstance(self.choice, str):  # Masters have nothing of their own there.
            return replace(self, masters=masters)
        return replace(self, masters=self.span, becoming=masters)

    def lost(self, has_data: Mapping[str, bool]) -> list[str]:
        """Return those of the members on the lab's masters that have lost what they had in an earlier life of
        the cluster. While it changes, who is new has nothing yet.

        Raises:
            LabError: so many have that the cluster is lost.
        """
        without = [name for name, has in has_data.items() if self.has_run and not has]
        are_all = 0 < len(without) == len(has_data)
        if are_all or (not self.becoming and 0 < len(has_data) <= 2 * len(without)):
            raise LabError(_LOST.format(names=", ".join(without[: self.masters])))
        return [] if self.becoming else without


def settle(path: Path, config: LabConfig) -> Shape:
    """Return the shape of the cluster whose file is at *path*; of a new one as *config* says, and write it.

    Raises:
        LabError: *config* asks for another store than is there.
    """
    asked_store = (
        config.store if config.store is None or isinstance(config.store, str) else ",".join(config.store)
    )
    there = _read(path)
    if there is None:
        return write(path, Shape(config.masters or 1, asked_store or "raft"))
    if asked_store not in (None, there.store):
        raise LabError(_OTHER.format(path=path.parent, store=there.store))
    if config.masters in (None, there.becoming or there.masters):
        return there
    has_members = there.has_run or _has_members(path.parent)
    shape = there.towards(config.masters) if has_members else replace(there, masters=config.masters)
    return write(path, shape)


def _has_members(masters: Path) -> bool:
    """Whether the cluster has ever come up: else there is nobody who would have to agree."""
    return any(any(masters.glob(f"master-*/{data}")) for data in ("member/wal", "etcd/member"))


def write(path: Path, shape: Shape) -> Shape:
    """Write *shape* down, whole or not at all. Raises LabError."""
    unfinished = path.with_suffix(".tmp")
    with disk_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.write_bytes(msgspec.json.encode(shape))
        unfinished.rename(path)
        sync_directory(path.parent)
    return shape


def _read(path: Path) -> Shape | None:
    try:
        shape = msgspec.json.decode(path.read_bytes(), type=Shape)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KernelError("read", path, error.errno or 0) from error
    except msgspec.MsgspecError as error:
        raise LabError(_UNREADABLE.format(path=path, reason=error)) from error
    if shape.version != VERSION:
        raise LabError(_UNREADABLE.format(path=path, reason=f"version {shape.version}"))
    return shape


_LOST = Text(
    es="Lo que guardaba el almacén de {names} ya no está, y los demás no son mayoría: restaura una copia con "
    "`kubelab store snapshot restore FILE --force`, o empieza de nuevo con `kubelab up --fresh`.",
    en="What the store of {names} kept is gone, and the others are no majority: restore a snapshot with "
    "`kubelab store snapshot restore FILE --force`, or begin anew with `kubelab up --fresh`.",
)
_OTHER = Text(
    es="El clúster de {path} tiene el almacén {store}: levántalo con él, o empieza de nuevo con --fresh.",
    en="The cluster in {path} has the store {store}: start it with that one, or add --fresh to begin anew.",
)
_UNREADABLE = Text(
    es="No se entiende {path} ({reason}): empieza de nuevo con --fresh.",
    en="{path} cannot be understood ({reason}): begin anew with --fresh.",
)
