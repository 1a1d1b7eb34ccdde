"""Keep this program's own file from being overwritten by who finds it through /proc/<pid>/exe.

A process that is about to become a container's still runs the host's Python; a container that gets it to
execute /proc/self/exe, or opens that of a process entering it, holds a file of the host's (CVE-2019-5736). So
the program is executed from a read-only mount of its file that is in no mount namespace: nobody can remount
what nobody can reach, and writing through it is refused whoever asks.
Source: open_tree(2), mount_setattr(2); runc keeps a sealed copy of itself for the same (libcontainer/
exeseal). Where this process may not mount, it may not overwrite the host's files either.
"""

import os
import sys
from collections.abc import Sequence

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import detached_mounts
from kubelab.cluster.linux.detached_mounts import ATTR_RDONLY

_OWN = "/proc/self/exe"


def is_protected() -> bool:
    return bool(os.statvfs(_OWN).f_flag & os.ST_RDONLY)


def open_protected(path: str = _OWN) -> int:
    """Return a descriptor to execute *path* by, inheritable.

    Raises:
        KernelError: this process may not mount.
    """
    fd = detached_mounts.clone(os.path.realpath(path), recursive=False)
    try:
        detached_mounts.set_attributes(fd, ATTR_RDONLY)
        os.set_inheritable(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def protect(arguments: Sequence[str]) -> None:
    """Execute the interpreter again with *arguments*, protected, unless it is or cannot be; returns then."""
    if is_protected():
        return
    try:
        fd = open_protected()
    except KernelError:
        return
    os.set_inheritable(fd, False)  # The kernel opens it itself; nothing is left for the container.
    os.execve(fd, (sys.executable, *arguments), dict(os.environ))  # noqa: S606
