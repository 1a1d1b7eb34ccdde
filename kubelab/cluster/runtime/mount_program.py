"""What is mounted in a container, as calls of a program: see `container_mounts`, whose rules it keeps.

A target is resolved inside the root without following a symlink, so it is where its path says, and who
exchanges a directory for a link makes the program fail. Descriptors are closed when the command is executed.
Source: as `detached_mounts`. On x86-64 `stat` has the mode at 24 and the device number at 40.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterable, Mapping, Sequence

from kubelab.cluster.linux.detached_mounts import (
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_RDONLY,
    PRIVATE,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
)
from kubelab.cluster.linux.syscall_program import Argument, Cell, Label, Program
from kubelab.cluster.runtime.mount_options import MountOptions

AT_FDCWD = -100
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_CLONE = 1 | os.O_CLOEXEC
_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_FROM_AND_TO_EMPTY = 0x4 | 0x40
_RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_HOW_BYTES = 24
_STAT_BYTES, _MODE_AT, _RDEV_AT = 144, 24, 40
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
# Of any kind: those of access times are one number (MOUNT_ATTR__ATIME), the last is NOSYMFOLLOW.
ALL_ATTRIBUTES = 0xFF | 0x200000
_EMPTY = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC


def open_within(
    program: Program, root: Cell, path: str, flags: int, mode: int = 0, result: Cell | None = None
) -> Cell:
    how = _how(flags, mode)
    return program.call("openat2", root, path or ".", how, _HOW_BYTES, target=path, result=result)


def open_following(program: Program, root: Cell, path: str, otherwise: Mapping[int, Label]) -> Cell:
    """Open *path* where the symlinks in it lead to, inside the root."""
    how = struct.pack("<3Q", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    return program.call("openat2", root, path or ".", how, _HOW_BYTES, otherwise=otherwise, target=path)


def _how(flags: int, mode: int = 0) -> bytes:
    return struct.pack("<3Q", flags | os.O_CLOEXEC, mode, _RESOLVE)


def target(program: Program, root: Cell, path: str, *, directory: bool) -> Cell:
    """Open *path* in the root as a place to mount on; make it, and those above it, if missing."""
    missing, there = Label(), Label()
    otherwise, how = {errno.ENOENT: missing}, _how(os.O_PATH)
    found = program.call("openat2", root, path, how, _HOW_BYTES, otherwise=otherwise, target=path)
    program.jump(there)
    program.place(missing)
    names = [name for name in path.split("/") if name]
    for depth, name in enumerate(names):
        parent = open_within(program, root, "/".join(names[:depth]), os.O_PATH)
        if directory or depth < len(names) - 1:
            program.try_call("mkdirat", parent, name, 0o755, errors=(errno.EEXIST,))
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            program.try_call("openat", parent, name, flags, 0o644, errors=(errno.EEXIST,))
    open_within(program, root, path, os.O_PATH, result=found)
    program.place(there)
    return found


def clone(program: Program, source: Argument, *, recursive: bool) -> Cell:
    """Make a detached copy of the mount that the path *source* shows."""
    flags = _CLONE | (_AT_RECURSIVE if recursive else 0)
    return program.call("open_tree", AT_FDCWD, source, flags)


def clone_of(program: Program, fd: Cell, *, recursive: bool) -> Cell:
    flags = _CLONE | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    return program.call("open_tree", fd, "", flags)


def attach(program: Program, mount: Cell, place: Cell, name: str) -> None:
    program.call("move_mount", mount, "", place, "", _FROM_AND_TO_EMPTY, target=name)


def make(program: Program, kind: str, source: str, options: Iterable[str] = (), attributes: int = 0) -> Cell:
    """Make a detached mount of a new file system."""
    fs = program.call("fsopen", kind, _CLOEXEC)
    program.call("fsconfig", fs, _SET_STRING, "source", source, 0)
    for option in options:
        key, equals, value = option.partition("=")
        if equals:
            program.call("fsconfig", fs, _SET_STRING, key, value, 0)
        else:
            program.call("fsconfig", fs, _SET_FLAG, key, 0, 0)
    program.call("fsconfig", fs, _CREATE, 0, 0, 0, target=kind)
    return program.call("fsmount", fs, _CLOEXEC, attributes, target=kind)


def set_attributes(
    program: Program,
    mount: Cell,
    set_: int = 0,
    clear: int = 0,
    *,
    propagation: int = 0,
    recursive: bool = False,
) -> None:
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    change = struct.pack("<4Q", set_, clear, propagation, 0)
    program.call("mount_setattr", mount, "", flags, change, len(change))


def is_private(options: MountOptions) -> bool:
    """Is nothing passed on between what is bound and its source?"""
    return not options.propagation or (options.propagation == PRIVATE and options.propagation_recursive)


def bound(
    program: Program, source: Argument, options: MountOptions, *, recursive: bool, source_is_private: bool
) -> Cell:
    """Make a detached copy of what is bound, with the attributes and the propagation asked for."""
    tree = clone(program, source, recursive=recursive)
    if options.set or options.clear:
        set_attributes(program, tree, options.set, options.clear)
    if options.recursive_set or options.recursive_clear:
        set_attributes(program, tree, options.recursive_set, options.recursive_clear, recursive=True)
    if not source_is_private:
        deep = options.propagation_recursive or not options.propagation
        set_attributes(program, tree, propagation=options.propagation or PRIVATE, recursive=deep)
    return tree


def check_device(program: Program, fd: Cell, type_: int, device: int, name: str) -> None:
    """Go on only if the descriptor is this device."""
    status = program.room(_STAT_BYTES)
    program.call("fstat", fd, status)
    program.check(program.within(status, _MODE_AT), type_, 0o170000, target=name)
    program.check(program.within(status, _RDEV_AT), device, target=name)


def make_read_only(program: Program, paths: Sequence[str]) -> None:
    """See `masked_paths.make_read_only`."""
    for path in paths:
        after = Label()
        fd = program.call(
            "openat", AT_FDCWD, path, os.O_PATH | os.O_CLOEXEC, otherwise=dict.fromkeys(_NOT_THERE, after)
        )
        tree = clone_of(program, fd, recursive=True)
        set_attributes(program, tree, ATTR_RDONLY, recursive=True)
        attach(program, tree, fd, path)
        program.place(after)


def mask(program: Program, paths: Sequence[str]) -> None:
    """See `masked_paths.mask`. Where the kernel copies what is mounted nowhere (Linux 6.15), all directories
    are covered by the same emptiness."""
    if not paths:
        return
    empty = make(program, "tmpfs", "tmpfs", ["size=0"], _EMPTY)
    for path in paths:
        after, file = Label(), Label()
        flags = os.O_PATH | os.O_CLOEXEC
        expected: Mapping[int, Label] = {errno.ENOENT: after, errno.EACCES: after, errno.ENOTDIR: file}
        fd = program.call("openat", AT_FDCWD, path, flags | os.O_DIRECTORY, otherwise=expected)
        _cover(program, empty, fd, path)
        program.jump(after)
        program.place(file)
        fd = program.call("openat", AT_FDCWD, path, flags, otherwise=dict.fromkeys(_NOT_THERE, after))
        tree = clone(program, "/dev/null", recursive=False)
        check_device(program, tree, stat.S_IFCHR, os.makedev(1, 3), "/dev/null")
        attach(program, tree, fd, path)
        program.place(after)


def _cover(program: Program, empty: Cell, place: Cell, path: str) -> None:
    alone, after = Label(), Label()
    flags = _CLONE | _AT_EMPTY_PATH
    tree = program.call("open_tree", empty, "", flags, otherwise={errno.EINVAL: alone})
    attach(program, tree, place, path)
    program.jump(after)
    program.place(alone)
    attach(program, make(program, "tmpfs", "tmpfs", ["size=0"], _EMPTY), place, path)
    program.place(after)
