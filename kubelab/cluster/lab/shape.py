"""What of a cluster cannot change from one of its lives to the next: how many masters, and which store.

It is written down beside what the masters keep, when the cluster is new.
Left out: adding and removing masters of a cluster that is there.
"""

from pathlib import Path

import msgspec

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.lab.config import LabConfig, StoreChoice
from kubelab.language import Text

VERSION = 1


class Shape(msgspec.Struct, frozen=True):
    """`store`: raft, etcd, or the URLs of an etcd with commas between. `version` is that of all files beside
    this one."""

    masters: int
    store: str
    version: int = VERSION

    @property
    def choice(self) -> StoreChoice:
        if self.store in ("raft", "etcd"):
            return "raft" if self.store == "raft" else "etcd"
        return tuple(self.store.split(","))


def settle(path: Path, config: LabConfig) -> Shape:
    """Return the shape of the cluster whose file is at *path*; of a new one as *config* says, and write it.

    Raises:
        LabError: *config* asks for another one than is there.
    """
    asked_store = (
        config.store if config.store is None or isinstance(config.store, str) else ",".join(config.store)
    )
    there = _read(path)
    if there is None:
        shape = Shape(config.masters or 1, asked_store or "raft")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(shape))
        return shape
    if config.masters not in (None, there.masters) or asked_store not in (None, there.store):
        raise LabError(_OTHER.format(path=path.parent, masters=there.masters, store=there.store))
    return there


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


_OTHER = Text(
    es="El clúster de {path} tiene {masters} masters y el almacén {store}: levántalo así, o empieza de nuevo "
    "con --fresh.",
    en="The cluster in {path} has {masters} masters and the store {store}: start it so, or add --fresh to "
    "begin anew.",
)
_UNREADABLE = Text(
    es="No se entiende {path} ({reason}): empieza de nuevo con --fresh.",
    en="{path} cannot be understood ({reason}): begin anew with --fresh.",
)
