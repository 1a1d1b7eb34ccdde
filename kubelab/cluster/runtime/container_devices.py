"""A container's /dev: the devices that every container has, those that it asks for, links, and its console.

Source: OCI runtime specification, config-linux.md, Default Devices and /dev symbolic links. Where nodes may
not be made (no CAP_MKNOD, a user namespace) the same ones are bound, from the machine's pristine directory or
its /dev; they are checked to be the device that they are named after (CVE-2025-31133).
"""

import array
import contextlib
import errno
import fcntl
import functools
import os
import socket
import stat
import struct
import termios
from collections.abc import Iterable, Iterator, Mapping

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import detached_mounts
from kubelab.cluster.linux.detached_mounts import RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, opened
from kubelab.cluster.runtime.config import Config, Device, Mount
from kubelab.cluster.runtime.machine_root import PRISTINE_DEVICES

DEFAULT = tuple(
    Device(f"/dev/{name}", stat.S_IFCHR | 0o666, major, minor)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_ASKED_MAX = 64
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441
_NOT_ALLOWED = (errno.EPERM, errno.EACCES)


def sources(devices: Iterable[Device]) -> dict[str, int]:
    """Return open descriptors of the machine's nodes, by the devices' paths; those that there are.

    Raises:
        KernelError: there is none that was asked for by name.
    """
    found = {}
    for device in devices:
        if device.source:
            found[device.path] = _open(device.source)
            continue
        name = device.path.rpartition("/")[2]
        for path in (f"{PRISTINE_DEVICES}/{name}", device.path):
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                if _is(fd, device):
                    found[device.path] = fd
                    break
                os.close(fd)
    return found


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", path, error.errno or 0) from None


def _is(fd: int, device: Device) -> bool:
    status = os.fstat(fd)
    same_type = stat.S_IFMT(status.st_mode) == stat.S_IFMT(device.mode)
    return same_type and status.st_rdev == os.makedev(device.major, device.minor)


def wanted(config: Config) -> tuple[Device, ...]:
    """Return the devices to be made: none where /dev is somebody else's, bound as it is."""
    return _wanted(config.mounts, config.devices)


@functools.lru_cache(maxsize=_ASKED_MAX)
def _wanted(mounts: tuple[Mount, ...], devices: tuple[Device, ...]) -> tuple[Device, ...]:
    for mount in mounts:
        bound = mount.type in ("bind", "rbind") or {"bind", "rbind"} & set(mount.options)
        if os.path.normpath(mount.destination) == "/dev" and bound:
            return ()
    asked = {os.path.normpath(each.path): each for each in devices}
    return (*(each for each in DEFAULT if each.path not in asked), *asked.values())


def make_devices(root_fd: int, devices: Iterable[Device], nodes: Mapping[str, int]) -> None:
    """Make the nodes, or show the machine's; close the latter.

    Raises:
        KernelError: one can be had neither way.
    """
    before = os.umask(0)
    for device in devices:
        _make(root_fd, device, nodes.get(device.path, -1))
    os.umask(before)
    for fd in nodes.values():
        os.close(fd)


def _make(root_fd: int, device: Device, node: int) -> None:
    directory, name = os.path.split(device.path)
    with opened(detached_mounts.make_within(root_fd, directory, directory=True)) as parent:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
        if device.source:
            _show(parent, name, device, node)
            return
        try:
            os.mknod(name, device.mode, os.makedev(device.major, device.minor), dir_fd=parent)
        except OSError as error:
            if error.errno not in _NOT_ALLOWED or node < 0:
                raise KernelError("mknod", device.path, error.errno or 0) from None
            _show(parent, name, device, node)
            return
        if device.uid or device.gid:
            os.chown(name, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)


def _show(parent: int, name: str, device: Device, node: int) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    os.close(os.open(name, flags, stat.S_IMODE(device.mode), dir_fd=parent))
    with (
        opened(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)) as place,
        opened(detached_mounts.clone(node, recursive=False)) as tree,
    ):
        detached_mounts.attach(tree, place, device.path)


def make_links(root_fd: int) -> None:
    with opened(detached_mounts.make_within(root_fd, "/dev", directory=True)) as dev:
        for name, destination in LINKS.items():
            if name == "ptmx":
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=dev)
            with contextlib.suppress(FileExistsError):
                os.symlink(destination, name, dir_fd=dev)


def open_terminal(root_fd: int, size: tuple[int, int] | None) -> tuple[int, int]:
    """Return master and slave of a new terminal in the container's own devpts.

    The slave is asked of the master itself: its name could lead to another (CVE-2025-52565).

    Raises:
        KernelError: the container has no devpts.
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
    flags = os.O_RDWR | os.O_NOCTTY
    master = detached_mounts.open_within(root_fd, "/dev/pts/ptmx", flags, resolve)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, flags | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", "terminal", error.errno or 0) from None
    if size and all(size):
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
    return master, slave


def send_terminal(console_fd: int, master: int) -> None:
    """Hand the master over, and keep none of it.

    Source: runc, docs/terminals.md: the message's data is the terminal's name.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master]))]
    with socket.socket(fileno=os.dup(console_fd)) as sock:
        sock.sendmsg([b"/dev/ptmx"], rights)
    os.close(master)


def show_console(root_fd: int, slave: int) -> None:
    """Show the terminal as /dev/console."""
    with (
        _console(root_fd) as place,
        opened(detached_mounts.clone(slave, recursive=False)) as tree,
    ):
        detached_mounts.attach(tree, place, "/dev/console")


@contextlib.contextmanager
def _console(root_fd: int) -> Iterator[int]:
    with opened(detached_mounts.make_within(root_fd, "/dev/console", directory=False)) as fd:
        yield fd
