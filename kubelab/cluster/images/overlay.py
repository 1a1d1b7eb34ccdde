"""A container's root out of layers: an overlay, or where the kernel refuses one, a copy.

Runs in the child that becomes the container, in its own mount namespace; standard library only.
Source: Documentation/filesystems/overlayfs.rst. An overlay's lower directories must be in the mount namespace
that it is made in, and at most two overlays can be stacked (FILESYSTEM_MAX_STACK_DEPTH).
Left out: lower directories with a `:` in their names.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH108, PTH112, PTH114, PTH115, PTH208, PTH211 - the shim imports this

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import detached_mounts, user_namespace
from kubelab.cluster.linux.mounts import bind, make_private
from kubelab.cluster.linux.syscalls import MS_NODEV, mount

PLACE = "/run/kubelab/layers"
OPTIONS_BYTES_MAX = 4095  # mount(2): a page, with its last byte zero.
WHITEOUT_PREFIX = ".wh."
OPAQUE_NAME = ".wh..wh..opq"
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_TOO_DEEP = errno.EINVAL


def attach(layers_fd: int, place: str = PLACE) -> None:
    """Put the lent mount where `Loan.lowers` says the layers are; nobody outside this process sees it."""
    make_private()
    os.makedirs(place, exist_ok=True)
    with detached_mounts.opened(os.open(place, os.O_PATH | os.O_CLOEXEC)) as target:
        detached_mounts.attach(layers_fd, target, place)


def mount_root(target: str, lowers: Sequence[str], upper: str, work: str) -> None:
    """Mount at *target* the *lowers* (uppermost first), writable into *upper*.

    *upper* and *work* are empty directories of one file system, a tmpfs say. If the kernel cannot stack
    another overlay on the lowers, *upper* is filled with a copy of them, and shown at *target*.

    Raises:
        KernelError: neither could be done.
    """
    # Only root on the host may read trusted.*: elsewhere overlay keeps its marks in user.*, as `layer` does.
    extra = ",userxattr" if user_namespace.is_nested() else ""
    try:
        _mount_overlay(target, lowers, f",upperdir={upper},workdir={work}{extra}")
    except KernelError as refusal:
        if refusal.errno != _TOO_DEEP:
            raise
        copy(lowers, upper)
        bind(upper, target)


def _mount_overlay(target: str, lowers: Sequence[str], rest: str) -> None:
    options = f"lowerdir={':'.join(lowers)}{rest}"
    if len(os.fsencode(options)) <= OPTIONS_BYTES_MAX:
        mount("overlay", target, "overlay", MS_NODEV, options)
        return
    with _opened(lowers) as paths:
        mount("overlay", target, "overlay", MS_NODEV, f"lowerdir={':'.join(paths)}{rest}")


@contextlib.contextmanager
def _opened(directories: Sequence[str]) -> Iterator[list[str]]:
    """Yield short names for the directories: a hundred long ones do not fit into one page."""
    fds: list[int] = []
    try:
        fds.extend(os.open(each, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for each in directories)
        yield [f"/proc/self/fd/{fd}" for fd in fds]
    finally:
        for fd in fds:
            os.close(fd)


def copy(lowers: Sequence[str], target: str) -> None:
    """Fill the empty directory *target* with what an overlay of *lowers* (uppermost first) would show.

    Raises:
        KernelError: no room, say.
    """
    for layer in reversed(lowers):
        try:
            _merge(layer, target, {})
        except OSError as error:
            raise KernelError("copy", error.filename or layer, error.errno or 0) from None


def _merge(source: str, target: str, links: dict[int, str]) -> None:
    """Put one layer's directory over *target*. *links*: where files of several names were put first."""
    names = sorted(os.listdir(source))  # `.wh.` names come early: what they hide is what is there by now.
    if OPAQUE_NAME in names or _is_opaque(source):
        _empty(target)
    for name in names:
        path = f"{source}/{name}"
        if name.startswith(WHITEOUT_PREFIX):
            _remove(f"{target}/{name.removeprefix(WHITEOUT_PREFIX)}")
        elif is_whiteout(os.lstat(path)):
            _remove(f"{target}/{name}")
        else:
            _put(path, f"{target}/{name}", links)
    _copy_attributes(source, target)


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(directory: str) -> bool:
    return any(_attribute(directory, name) == b"y" for name in _OPAQUE)


def _attribute(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:  # It has none, or its file system cannot have any.
        return b""


def _put(path: str, target: str, links: dict[int, str]) -> None:
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        if not _is_directory(target):
            _remove(target)
            os.mkdir(target)
        _merge(path, target, links)
        return
    _remove(target)
    if status.st_nlink > 1 and status.st_ino in links:
        os.link(links[status.st_ino], target, follow_symlinks=False)
        return
    links[status.st_ino] = target
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(path), target)
    elif stat.S_ISFIFO(status.st_mode):
        os.mkfifo(target)
    else:
        import shutil  # Too slow to import for the shim, which as good as never copies.

        shutil.copyfile(path, target, follow_symlinks=False)
    _copy_attributes(path, target)


def _copy_attributes(path: str, target: str) -> None:
    status = os.lstat(path)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    for name in os.listxattr(path, follow_symlinks=False):
        if name not in _OPAQUE:
            os.setxattr(target, name, os.getxattr(path, name, follow_symlinks=False), follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _empty(directory: str) -> None:
    for name in os.listdir(directory):
        _remove(f"{directory}/{name}")


def _remove(path: str) -> None:
    if _is_directory(path):
        import shutil

        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
