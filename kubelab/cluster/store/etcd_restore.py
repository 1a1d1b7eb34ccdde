"""Members of a real etcd of which none runs: what they have, and new ones that begin with a snapshot.

The directory of a new member is made by etcd's own tool, so that whichever version runs finds its own format:
etcdutl, or etcdctl where that does it still (until 3.5).
Source: etcd, etcdutl/snapshot/v3_snapshot.go (Restore); https://etcd.io/docs/v3.6/op-guide/recovery/.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.host_programs import find_program
from kubelab.cluster.store.etcd_database import DatabaseError, read, snapshot
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.segment import disk_errors
from kubelab.language import Text

TOOLS = ("etcdutl", "etcdctl")
RESTORE_S = 120.0
DATABASE = "member/snap/db"
REFUSAL_LINES = 3


def find_tool() -> Path:
    """Return the program that makes a member's directory. Raises LabError: there is none."""
    found = next(filter(None, map(find_program, TOOLS)), None)
    if found is None:
        raise LabError(_NO_TOOL)
    return found


def has_data(directory: Path) -> bool:
    """Whether there was a member in *directory*."""
    return (directory / "member" / "wal").is_dir()


def last_revision(directory: Path) -> int:
    """Return the newest revision in the database of the member in *directory*; 0 if that cannot be told.

    It is what was written until the member ended in order; one that was killed may have had a tenth of a
    second's more.
    """
    try:
        return read((directory / DATABASE).read_bytes()).revision
    except (OSError, DatabaseError):
        return 0


def write_snapshot_of(mvcc: Mvcc, path: Path) -> None:
    """Write the store as what etcd's tool takes. Raises LabError."""
    with disk_errors(path), open(path, "wb", opener=_private) as file:
        file.writelines(snapshot(filter(None, mvcc.image().frames())))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def restore_member(directory: Path, name: str, peer_urls: Mapping[str, str], token: str, file: Path) -> None:
    """Make the directory of the member *name* of a new cluster, told apart by its *token*.

    Raises:
        LabError: there is no tool, or it refuses.
    """
    tool = find_tool()
    members = ",".join(f"{each}={url}" for each, url in sorted(peer_urls.items()))
    options = {
        "name": name,
        "data-dir": directory,
        "initial-cluster": members,
        "initial-cluster-token": token,
        "initial-advertise-peer-urls": peer_urls[name],
    }
    done = subprocess.run(
        [tool, "snapshot", "restore", file, *(f"--{option}={value}" for option, value in options.items())],
        env={**os.environ, "ETCDCTL_API": "3"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RESTORE_S,
    )
    if done.returncode:
        why = " ".join(done.stderr.strip().splitlines()[-REFUSAL_LINES:])
        raise LabError(_REFUSED.format(tool=tool.name, name=name, why=why))


_NO_TOOL = Text(
    es="Para restaurar un etcd hace falta etcdutl o etcdctl: instálalo con `apt-get install etcd-client`.",
    en="To restore an etcd takes etcdutl or etcdctl: install it with `apt-get install etcd-client`.",
)
_REFUSED = Text(
    es="{tool} no restaura el miembro de {name} ({why}): mira la copia con `kubelab store snapshot status`.",
    en="{tool} does not restore the member of {name} ({why}): look at the snapshot with `kubelab store "
    "snapshot status`.",
)
