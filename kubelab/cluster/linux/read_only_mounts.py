"""A mount namespace like this process's in which no file of any disk can be written to.

Who runs a program in it maps that program's file and its libraries from read-only mounts, which are nobody's
to remount once the program has left them for a root of its own. Whoever then finds those files through
/proc/<pid>/exe or /proc/<pid>/map_files (CVE-2019-5736; proc(5)) cannot overwrite them.
Source: mount_setattr(2), mount_namespaces(7). Kernel file systems stay as they are: cgroups are written to.
Left out: what is mounted on top of something that is mounted at the same place.
"""

import contextlib

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import namespaces, syscalls
from kubelab.cluster.linux.mounts import make_private, mount_table

_OF_THE_KERNEL = frozenset(("cgroup", "cgroup2", "devpts", "mqueue", "nsfs", "proc", "sysfs"))


def open_read_only() -> int:
    """Return a descriptor of the mount namespace. It blocks, for a millisecond or two.

    Raises:
        KernelError: this process may not make one.
    """
    return namespaces.call_in_thread(_make)


def _make() -> int:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    make_private()
    for target in {entry.target for entry in mount_table() if entry.kind not in _OF_THE_KERNEL}:
        # A file system whose user (FUSE) or server refuses us is none that we run programs from.
        with contextlib.suppress(KernelError):
            syscalls.set_mount_attributes(target, syscalls.MOUNT_ATTR_RDONLY, recursive=False)
    return namespaces.open_namespace("thread-self", "mnt")
