"""Paths of a container that show nothing, and paths that nobody in it may write to.

Source: OCI runtime specification, config-linux.md, Masked Paths and Readonly Paths; runc, rootfs_linux.go
(maskPaths). Called inside the new root. A directory is covered by an empty file system, a file by /dev/null,
of which it is made sure that it is that device (CVE-2025-31133). What is not there needs no mask.
"""

import os
import stat
from collections.abc import Iterable

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import detached_mounts
from kubelab.cluster.linux.detached_mounts import (
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_RDONLY,
    opened,
)

_EMPTY = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC
_NULL = os.makedev(1, 3)


def mask(paths: Iterable[str]) -> None:
    """Hide each of *paths*.

    Raises:
        KernelError: one cannot be hidden; /dev/null is something else.
    """
    for path in paths:
        if (fd := _open(path)) >= 0:
            with opened(fd):
                _hide(fd, path)


def make_read_only(paths: Iterable[str]) -> None:
    """Let nobody write below each of *paths*."""
    for path in paths:
        if (fd := _open(path)) >= 0:
            with opened(fd), opened(detached_mounts.clone(fd, recursive=True)) as tree:
                detached_mounts.set_attributes(tree, ATTR_RDONLY, recursive=True)
                detached_mounts.attach(tree, fd, path)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return -1


def _hide(fd: int, path: str) -> None:
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        cover = detached_mounts.make("tmpfs", "tmpfs", ["size=0"], _EMPTY)
    else:
        cover = _null()
    with opened(cover):
        detached_mounts.attach(cover, fd, path)


def _null() -> int:
    """The clone is what is looked at, so that nobody can exchange it between the look and the mount."""
    tree = detached_mounts.clone("/dev/null", recursive=False)
    status = os.fstat(tree)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL:
        os.close(tree)
        raise KernelError("mask with", "/dev/null", 22)
    return tree
