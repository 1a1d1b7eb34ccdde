"""The directories of a pod's volumes on its machine, and the parts of them that are mounted by `subPath`.

Source: kubernetes, pkg/volume/util/atomic_writer.go (files change all at once: `..data` is a link to a
directory of its own for each version), pkg/volume/volume_linux.go (SetVolumeOwnership), pkg/volume/emptydir,
pkg/volume/hostpath/host_path.go (types), pkg/volume/util/subpath/subpath_linux.go (a subPath is opened
without leaving its volume, whatever links a container has put there, and bound from the open descriptor).
Left out: quotas. An emptyDir with a sizeLimit is a file system of that size: who fills it gets ENOSPC, where
Kubernetes evicts the pod.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH106, PTH108, PTH110, PTH112, PTH114, PTH115, PTH116, PTH123, PTH208, PTH211

import contextlib
import errno
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.mounts import bind, mount_table
from kubelab.cluster.linux.syscalls import (
    MNT_DETACH,
    MS_NODEV,
    MS_NOSUID,
    RESOLVE_BENEATH,
    mount,
    openat2,
    umount,
)

PODS = "/var/lib/kubelet/pods"
EMPTY_DIR_MODE = 0o777  # Everybody's, as upstream has it.
DATA = "..data"
_READ_MASK, _WRITE_MASK, _ENTER_MASK = 0o440, 0o660, 0o110

Volume = Mapping[str, Any]


class VolumeTypeError(Exception):
    """A hostPath is not of the type that the pod asks for. The sentence is upstream's."""


def pod_directory(uid: str) -> str:
    return f"{PODS}/{uid}"


def set_up(volume: Volume) -> None:
    """Make what *volume* says, or bring it to what it says now.

    Raises:
        VolumeTypeError, OSError, KernelError: it cannot be.
    """
    _SET_UP[volume["kind"]](volume)


def remove_all(uid: str) -> None:
    """Remove a pod's volumes. What its hostPath volumes showed stays."""
    top = pod_directory(uid)
    if os.path.isdir(top):
        _umount_below(top)
        remove_tree(top)


# emptyDir


def _set_up_empty(volume: Volume) -> None:
    path, size = volume["path"], volume["size"]
    if os.path.isdir(path):
        return
    os.makedirs(path)
    if volume["memory"] or size is not None:
        data = "" if size is None else f"size={size}"
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, data)
    os.chmod(path, EMPTY_DIR_MODE)
    if volume["group"] is not None:
        _give_to_group(path, volume["group"], _WRITE_MASK)


# hostPath


def _set_up_host(volume: Volume) -> None:
    path, kind = volume["path"], volume["type"]
    if kind == "DirectoryOrCreate" and not os.path.exists(path):
        os.makedirs(path, 0o755)
    elif kind == "FileOrCreate" and not os.path.exists(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
    if kind:
        _check_type(path, kind)


_TYPES: Mapping[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def _check_type(path: str, kind: str) -> None:
    holds, name = _TYPES[kind]
    try:
        mode = os.stat(path).st_mode
    except OSError:
        mode = 0
    if not holds(mode):
        raise VolumeTypeError(f"hostPath type check failed: {path} is not {name}")


# configMap, secret, projected, downwardAPI


def _set_up_files(volume: Volume) -> None:
    """Write the files, all at once for who reads them, unless they are there as they should be."""
    top, group = volume["path"], volume["group"]
    files = {
        name: (bytes.fromhex(file["content"]), _mode(file["mode"], group))
        for name, file in volume["files"].items()
    }
    os.makedirs(top, exist_ok=True)
    os.chmod(top, EMPTY_DIR_MODE)
    before = _link_of(f"{top}/{DATA}")
    if before and _read_files(f"{top}/{before}") == files:
        return
    version = _new_version(top)
    for name, (content, mode) in files.items():
        _write(f"{top}/{version}/{name}", content, mode)
    if group is not None:
        _give_to_group(f"{top}/{version}", group, 0)
    os.symlink(version, f"{top}/{DATA}_tmp")
    os.rename(f"{top}/{DATA}_tmp", f"{top}/{DATA}")
    _show(top, {name.partition("/")[0] for name in files})
    if before:
        remove_tree(f"{top}/{before}")


def _mode(mode: int, group: int | None) -> int:
    return mode if group is None else mode | _READ_MASK


def _new_version(top: str) -> str:
    """Return the name of a new directory for one version of the files."""
    name = time.strftime("..%Y_%m_%d_%H_%M_%S", time.gmtime()) + f".{time.time_ns() % 10**9}"
    os.mkdir(f"{top}/{name}", 0o755)
    return name


def _show(top: str, names: set[str]) -> None:
    """Let the volume show the newest version's files by their names, and no others."""
    for name in os.listdir(top):
        if not name.startswith("..") and name not in names:
            os.unlink(f"{top}/{name}")
    for name in names:
        if not os.path.islink(f"{top}/{name}"):
            os.symlink(f"{DATA}/{name}", f"{top}/{name}")


def _write(path: str, content: bytes, mode: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _read_files(top: str) -> dict[str, tuple[bytes, int]]:
    return {path[len(top) + 1 :]: _read_file(path) for path in _files_below(top)}


def _read_file(path: str) -> tuple[bytes, int]:
    """Return content and mode; of what is no file no mode that one could have. Who opens a pipe waits for its
    writer."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        mode = os.fstat(fd).st_mode
        return (file.read(), stat.S_IMODE(mode)) if stat.S_ISREG(mode) else (b"", -1)


def _files_below(top: str) -> Iterator[str]:
    for path, _, names in os.walk(top):
        for name in names:
            yield os.path.join(path, name)


def _link_of(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _give_to_group(top: str, group: int, mask: int) -> None:
    """Let the pod's fsGroup own what is there and what will be put there."""
    for path, _, names in os.walk(top):
        os.chown(path, -1, group)
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | mask | _ENTER_MASK | stat.S_ISGID)
        for name in names:
            os.chown(os.path.join(path, name), -1, group, follow_symlinks=False)


_SET_UP: Mapping[str, Callable[[Volume], None]] = {
    "empty": _set_up_empty,
    "host": _set_up_host,
    "files": _set_up_files,
}


# subPath


def bind_sub_path(volume: str, sub_path: str, target: str) -> None:
    """Show what is at *sub_path* in the directory *volume* at *target*; a directory is made if nothing is.

    Raises:
        KernelError: it lies outside of the volume (EXDEV), or cannot be had.
    """
    fd = _open_below(volume, sub_path)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.makedirs(target, exist_ok=True)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
        bind(f"/proc/self/fd/{fd}", target)
    finally:
        os.close(fd)


def unbind(target: str) -> None:
    """Undo `bind_sub_path`; nothing happens if it is gone."""
    with contextlib.suppress(KernelError):
        umount(target, MNT_DETACH)
    with contextlib.suppress(OSError):
        (os.rmdir if os.path.isdir(target) else os.unlink)(target)


def _open_below(volume: str, sub_path: str) -> int:
    top = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        return _open_or_make(top, sub_path, stat.S_IMODE(os.fstat(top).st_mode))
    finally:
        os.close(top)


def _open_or_make(top: int, sub_path: str, mode: int) -> int:
    try:
        return openat2(top, sub_path, os.O_PATH, RESOLVE_BENEATH)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
    above, _, name = sub_path.rstrip("/").rpartition("/")
    parent = _open_or_make(top, above or ".", mode)
    try:
        os.mkdir(name, dir_fd=parent)
        made = openat2(parent, name, os.O_PATH, RESOLVE_BENEATH)
        os.chmod(f"/proc/self/fd/{made}", mode)
    finally:
        os.close(parent)
    return made


# Trees


def _umount_below(top: str) -> None:
    targets = [entry.target for entry in mount_table() if entry.target.startswith(f"{top}/")]
    for target in reversed(targets):
        umount(target, MNT_DETACH)


def remove_tree(top: str) -> None:
    """Remove a directory, however deep a container has made it: deeper than a path can be long, or than
    Python calls itself. So what lies below is moved up, level by level."""
    chance, number = os.urandom(8).hex(), itertools.count()
    while directories := _remove_files(top):
        for directory in directories:
            for below in _remove_files(directory):
                os.rename(below, f"{top}/{chance}-{next(number)}")
            os.rmdir(directory)
    os.rmdir(top)


def _remove_files(directory: str) -> list[str]:
    """Remove all in it but its directories; return those."""
    directories = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.path)
            else:
                os.unlink(entry.path)
    return directories
