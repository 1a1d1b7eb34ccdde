"""Whether /usr lies on a disk: lessons on disk I/O read from there, and the kernel accounts by device.

Source: Documentation/admin-guide/cgroup-v2.rst, IO Interface Files; sysfs(5) on /sys/dev/block.
Left out: file systems over several disks, and those whose disks only the host of this container can see.
"""
# ruff: noqa: PTH110, PTH116 - paths of the kernel are text

import os
import stat

from kubelab.cluster.linux.capability import Capability, absent, present
from kubelab.cluster.linux.mounts import MountEntry, mount_table
from kubelab.language import Text


def probe_disk(path: str = "/usr") -> Capability:
    """Tell whether *path* lies on a block device that this kernel knows."""
    entry = _mount_of(path)
    if _is_block_device(os.stat(path).st_dev) or _is_block_special(entry.source):
        return present("disk", _ON.format(path=path, source=entry.source, kind=entry.kind))
    return absent("disk", _NOT_ON.format(path=path, kind=entry.kind), _MEND)


def _mount_of(path: str) -> MountEntry:
    above = (entry for entry in mount_table() if f"{path}/".startswith(f"{entry.target.rstrip('/')}/"))
    return max(above, key=lambda entry: len(entry.target))


def _is_block_device(number: int) -> bool:
    return os.path.exists(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")


def _is_block_special(source: str) -> bool:
    """Some file systems (btrfs) have a device number of their own, and name their disk as what is mounted."""
    try:
        return stat.S_ISBLK(os.stat(source).st_mode)
    except OSError:
        return False


_ON = Text(es="{path} está en {source} ({kind})", en="{path} is on {source} ({kind})")
_NOT_ON = Text(es="{path} no está en un disco ({kind})", en="{path} is on no disk ({kind})")
_MEND = Text(
    es="usa un equipo o una máquina virtual con un disco propio",
    en="use a host or a virtual machine with a disk of its own",
)
