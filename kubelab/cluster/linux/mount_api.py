"""Mounts by file descriptor: a directory's mount without a place yet, which another mount namespace may take.

Source: open_tree(2), move_mount(2); linux/mount.h. Both are system calls 428 and 429 on every processor.
Imports nothing outside the standard library and the lab's errors, because the shim runs without
site-packages.
Left out: fsopen and fsconfig.
"""

import ctypes
import os

from kubelab.cluster.errors import KernelError

_SYS_OPEN_TREE, _SYS_MOVE_MOUNT = 428, 429
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_AT_FDCWD = -100

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def open_detached(directory: str) -> int:
    """Return the descriptor of a new mount of *directory* that is in no mount namespace; it goes away with
    the last descriptor of it."""
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC)
    call = (ctypes.c_long(_SYS_OPEN_TREE), ctypes.c_int(_AT_FDCWD), os.fsencode(directory), flags)
    fd: int = _syscall(*call)
    if fd < 0:
        raise KernelError("open_tree", directory, ctypes.get_errno())
    return fd


def attach(mount_fd: int, target: str) -> None:
    """Put the detached mount at *target* of this mount namespace; it can be done once."""
    source = (ctypes.c_int(mount_fd), b"")
    destination = (ctypes.c_int(_AT_FDCWD), os.fsencode(target))
    flags = ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
    if _syscall(ctypes.c_long(_SYS_MOVE_MOUNT), *source, *destination, flags):
        raise KernelError("move_mount", target, ctypes.get_errno())
