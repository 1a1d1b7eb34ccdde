"""Mounts by descriptors: made or cloned detached, given their attributes, and attached last of all.

What is mounted, where, and how is settled before anybody in the container can see it, and no path is resolved
twice: the target is a descriptor that was opened inside the root (openat2 with RESOLVE_IN_ROOT), so who
exchanges a directory for a symlink meanwhile gains nothing (CVE-2021-30465, CVE-2023-27561).
Source: open_tree(2), fsopen(2), mount_setattr(2), move_mount(2), openat2(2); all have numbers that are common
to all processors.
"""

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NoReturn

from kubelab.cluster.errors import KernelError

ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4
ATTR_NOEXEC = 0x8
ATTR_RELATIME = 0x0
ATTR_NOATIME = 0x10
ATTR_STRICTATIME = 0x20
ATTR_ATIME = 0x70
ATTR_NODIRATIME = 0x80
ATTR_IDMAP = 0x100000
ATTR_NOSYMFOLLOW = 0x200000

PRIVATE, SLAVE, SHARED, UNBINDABLE = 0x40000, 0x80000, 0x100000, 0x20000

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 428, 429, 430, 431, 432
_SYS_OPENAT2, _SYS_MOUNT_SETATTR = 437, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CREATE = 0, 1, 6
_MOVE_FROM_EMPTY, _MOVE_TO_EMPTY = 0x4, 0x40
_TRIES = 32
_LINKS_MAX = 40

# PyDLL: see `syscalls`.
_syscall = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def _call(operation: str, target: object, number: int, *arguments: int | bytes | None) -> int:
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = _syscall(ctypes.c_long(number), *words)
    if result < 0:
        _fail(operation, target)
    return result


def _fail(operation: str, target: object) -> NoReturn:
    raise KernelError(operation, target, ctypes.get_errno())


def clone(source: str | int, *, recursive: bool) -> int:
    """Return a detached copy of the mount that shows *source*, a path or a descriptor."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    if isinstance(source, int):
        return _call("open_tree", source, _SYS_OPEN_TREE, source, b"", flags | _AT_EMPTY_PATH)
    return _call("open_tree", source, _SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)


def make(kind: str, source: str, options: Iterable[str] = (), attributes: int = 0) -> int:
    """Return a detached mount of a new file system; *options* as mount(8) has them: `key` or `key=value`."""
    fs = _call("fsopen", kind, _SYS_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC)
    try:
        _configure(fs, kind, "source", source)
        for option in options:
            key, equals, value = option.partition("=")
            _configure(fs, kind, key, value if equals else None)
        _call("mount", kind, _SYS_FSCONFIG, fs, _FSCONFIG_CREATE, None, None, 0)
        return _call("fsmount", kind, _SYS_FSMOUNT, fs, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(fs)


def _configure(fs: int, kind: str, key: str, value: str | None) -> None:
    command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
    content = None if value is None else os.fsencode(value)
    _call(f"mount option {key}", kind, _SYS_FSCONFIG, fs, command, key.encode(), content, 0)


def set_attributes(
    mount_fd: int,
    set_: int = 0,
    clear: int = 0,
    *,
    propagation: int = 0,
    recursive: bool = False,
    userns_fd: int = 0,
) -> None:
    """Change the attributes of the mount whose root *mount_fd* is."""
    change = struct.pack("4Q", set_, clear, propagation, userns_fd)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _call("mount_setattr", mount_fd, _SYS_MOUNT_SETATTR, mount_fd, b"", flags, change, len(change))


def attach(mount_fd: int, target_fd: int, name: str = "") -> None:
    """Show the detached mount on the file or directory that *target_fd* is; *name* is for the error."""
    flags = _MOVE_FROM_EMPTY | _MOVE_TO_EMPTY
    _call("move_mount", name or target_fd, _SYS_MOVE_MOUNT, mount_fd, b"", target_fd, b"", flags)


def open_within(root_fd: int, path: str, flags: int, resolve: int = RESOLVE_IN_ROOT, mode: int = 0) -> int:
    """Open *path* as if *root_fd* were the root directory; magic links are not followed."""
    how = struct.pack("3Q", flags | os.O_CLOEXEC, mode, resolve | RESOLVE_NO_MAGICLINKS)
    arguments = (root_fd, os.fsencode(path) or b".", how, len(how))
    for attempt in range(_TRIES):
        try:
            return _call("open", path, _SYS_OPENAT2, *arguments)
        except KernelError as error:
            # Somebody renamed something meanwhile: the kernel could not be sure, and asks to try again.
            if error.errno != errno.EAGAIN or attempt == _TRIES - 1:
                raise
    raise KernelError("open", path, errno.EAGAIN)


def make_within(
    root_fd: int, path: str, *, directory: bool, resolve: int = RESOLVE_IN_ROOT, links: int = _LINKS_MAX
) -> int:
    """Open *path* in the root as a place to mount on (O_PATH); make it, and those above it, if missing.

    A symlink to what is not there yet is followed inside the root, as everything is.
    """
    try:
        return open_within(root_fd, path, os.O_PATH, resolve)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
    above, name = os.path.split(path.rstrip("/"))
    if name in ("", ".", "..") or not links:
        raise KernelError("make", path, errno.EINVAL if links else errno.ELOOP)
    with opened(make_within(root_fd, above or "/", directory=True, resolve=resolve, links=links)) as parent:
        link = _make_entry(parent, name, path, directory=directory)
    if link and not resolve & RESOLVE_NO_SYMLINKS:
        path = os.path.join(above, link)
        return make_within(root_fd, path, directory=directory, resolve=resolve, links=links - 1)
    return open_within(root_fd, path, os.O_PATH, resolve)


def _make_entry(parent: int, name: str, path: str, *, directory: bool) -> str:
    """Return where the symlink leads that is there already; "" if there is none."""
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent))
    except FileExistsError:
        with contextlib.suppress(OSError):  # Somebody else has made it meanwhile.
            return os.readlink(name, dir_fd=parent)
    except OSError as error:
        raise KernelError("make", path, error.errno or 0) from None
    return ""


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close *fd* at the end."""
    try:
        yield fd
    finally:
        os.close(fd)
