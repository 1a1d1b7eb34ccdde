"""The root file system of a machine: this host's, writable without harm to it, and kernel file systems of its
own.

Runs in the shim, in its new namespaces. `/` is an overlay of the host's root on a tmpfs; each other disk-like
file system of the host (a separate /usr or /home, say) gets an overlay of its own in its place, or, where
overlay cannot be, a read-only bind, if the kernel allows that. /dev, /dev/pts, /dev/shm, /proc, /run, /sys,
/tmp are fresh; /sys is read-only but for /sys/fs/cgroup, which shows the machine's own subtree; /proc/sys is
read-only but for /proc/sys/net.

This keeps a learner from harming the host by accident, and no more: root on a machine is root.
Left out: device nodes beyond the usual, user namespaces, hosts without overlay.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH108, PTH110, PTH112, PTH113, PTH114, PTH116, PTH123, PTH202, PTH208, PTH211, SIM905

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.mounts import MountEntry, bind, enter_root, make_private, mount_table
from kubelab.cluster.linux.syscalls import (
    MOUNT_ATTR_RDONLY,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    mount,
    set_mount_attributes,
)

NO_ACCESS = MS_NOSUID | MS_NODEV | MS_NOEXEC
STAGE = "/tmp"  # noqa: S108 - exists on every host; covered in this mount namespace only
ROOT = f"{STAGE}/root"
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
_TTY_MAJOR, _MEMORY_MAJOR = 5, 1
_KERNEL_FILE_SYSTEMS = frozenset(
    (
        "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs "
        "mqueue nsfs proc pstore ramfs rpc_pipefs securityfs selinuxfs sysfs tmpfs tracefs"
    ).split()
)
_FRESH_OR_NOT_WANTED = tuple(
    (
        "/boot /dev /proc /run /sys /tmp /var/lib/containerd /var/lib/containers /var/lib/docker "
        "/var/lib/kubelet"
    ).split()
)
_READ_ONLY_PROC = ("bus", "irq", "sys", "sysrq-trigger")


@dataclass(frozen=True, slots=True)
class MachineRoot:
    """`files`: path to content of what the machine has of its own in /etc. `binds`: path to the host's
    path."""

    files: Mapping[str, str]
    binds: Mapping[str, str]


def build(root: MachineRoot, cgroups: CgroupTree) -> None:
    """Give this mount namespace the machine's root.

    Raises:
        KernelError: a mount was refused.
    """
    make_private()
    table = mount_table()
    with _opened(root.binds) as sources:
        mount("kubelab", STAGE, "tmpfs", MS_NODEV, "mode=0700")
        _overlay("/", ROOT)
        for entry in disk_like(table):
            _overlay_or_bind(entry.target)
        _mount_kernel_file_systems(cgroups)
        for path, source in sources.items():
            _bind_into(source, ROOT + path)
    _write_files(root.files)
    enter_root(ROOT)
    # As systemd leaves it; what mounts something for itself makes itself private first.
    mount("none", "/", flags=MS_REC | MS_SHARED)


def disk_like(table: Sequence[MountEntry]) -> list[MountEntry]:
    """Return the host's other file systems that belong into a machine's view, outer ones first."""
    wanted = {
        entry.target: entry
        for entry in table
        if entry.kind not in _KERNEL_FILE_SYSTEMS and entry.target != "/" and not _unwanted(entry.target)
    }
    return sorted(wanted.values(), key=lambda entry: entry.target)


def _unwanted(path: str) -> bool:
    # Overlay's options have no spelling for these that works on every kernel.
    if ":" in path or "," in path or "\\" in path:
        return True
    return any(path == other or path.startswith(other + "/") for other in _FRESH_OR_NOT_WANTED)


def _overlay(lower: str, target: str) -> None:
    layer = f"{STAGE}/layers/{len(os.listdir(STAGE + '/layers')) if os.path.isdir(STAGE + '/layers') else 0}"
    for directory in (f"{layer}/upper", f"{layer}/work", target):
        os.makedirs(directory, exist_ok=True)
    status = os.stat(lower)
    os.chmod(f"{layer}/upper", status.st_mode & 0o7777)
    mount("overlay", target, "overlay", 0, f"lowerdir={lower},upperdir={layer}/upper,workdir={layer}/work")


def _overlay_or_bind(path: str) -> None:
    if not os.path.isdir(path):
        _copy_or_bind_file(path)
        return
    try:
        _overlay(path, ROOT + path)
    except (KernelError, OSError):
        _bind_if_possible(path)


def _copy_or_bind_file(path: str) -> None:
    """A container's /etc/hosts and the like are mounts of single files: take the content, to be writable."""
    if os.path.isfile(path) and os.path.getsize(path) <= 1 << 20:
        with open(path, "rb") as source, open(ROOT + path, "wb") as target:
            target.write(source.read())
    elif os.path.exists(ROOT + path):
        _bind_if_possible(path)


def _bind_if_possible(path: str) -> None:
    """Some file systems are their user's alone (FUSE), or their server is gone: the lab can do without."""
    with contextlib.suppress(KernelError):
        bind(path, ROOT + path, read_only=True)


@contextlib.contextmanager
def _opened(binds: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Open what is to be bound before the stage covers it; yield paths that still lead there."""
    fds: dict[str, int] = {}
    try:
        for path, source in binds.items():
            fds[path] = _open_path(source)
        yield {path: f"/proc/self/fd/{fd}" for path, fd in fds.items()}
    finally:
        for fd in fds.values():
            os.close(fd)


def _open_path(source: str) -> int:
    try:
        return os.open(source, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", source, error.errno or 0) from None


def _bind_into(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            with open(target, "wb"):
                pass
    bind(source, target, read_only=True)


def _mount_kernel_file_systems(cgroups: CgroupTree) -> None:
    mount_proc(ROOT)
    mount("sysfs", f"{ROOT}/sys", "sysfs", NO_ACCESS | MS_RDONLY)
    mount_cgroups(ROOT, cgroups, 0)
    make_dev(f"{ROOT}/dev")
    mount("shm", f"{ROOT}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")  # noqa: S108
    for path, mode in (("run", "0755"), ("tmp", "1777")):
        mount(path, f"{ROOT}/{path}", "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
    os.mkdir(f"{ROOT}/run/kubelab", mode=0o700)
    _keep_untouched_proc(f"{ROOT}/run/kubelab/untouched")


def _keep_untouched_proc(path: str) -> None:
    """Let a learner's new user namespace mount /proc.

    The kernel allows that only where a /proc without anything mounted on it can be seen in the mount
    namespace (fs/namespace.c, mount_too_revealing). As systemd-nspawn does, keep one, here out of reach below
    an empty mount.
    """
    os.makedirs(f"{path}/proc")
    mount("proc", f"{path}/proc", "proc", NO_ACCESS)
    mount("none", path, "tmpfs", NO_ACCESS | MS_RDONLY, "size=4k,mode=0")


def mount_proc(root: str) -> None:
    """Mount /proc; its /sys/net stays writable, for it is that of the network namespace of whoever looks."""
    mount("proc", f"{root}/proc", "proc", NO_ACCESS)
    bind(f"{root}/proc/sys/net", f"{root}/proc/sys/net")
    for name in _READ_ONLY_PROC:
        path = f"{root}/proc/{name}"
        if os.path.exists(path):
            bind(path, path)
            set_mount_attributes(path, MOUNT_ATTR_RDONLY, recursive=False)


def mount_cgroups(root: str, cgroups: CgroupTree, flags: int) -> None:
    """Mount the hierarchies as this cgroup namespace shows them, where the host has them."""
    top = f"{root}/sys/fs/cgroup"
    if any(h.name for h in cgroups.hierarchies):
        mount("cgroup", top, "tmpfs", NO_ACCESS, "mode=0755")
    for h in cgroups.hierarchies:
        path = os.path.join(top, h.name).rstrip("/")
        os.makedirs(path, exist_ok=True)
        if h.version == 2:
            mount("cgroup2", path, "cgroup2", NO_ACCESS | flags)
        else:
            mount("cgroup", path, "cgroup", NO_ACCESS | flags, ",".join(h.controllers))
            _link_controllers(top, h.name, h.controllers)
    if flags & MS_RDONLY and any(h.name for h in cgroups.hierarchies):
        set_mount_attributes(top, MOUNT_ATTR_RDONLY, recursive=False)


def _link_controllers(top: str, name: str, controllers: Sequence[str]) -> None:
    for controller in controllers:
        if controller != name:
            os.symlink(name, f"{top}/{controller}")


def make_dev(path: str) -> None:
    """The devices of the OCI runtime specification (config-linux.md, Default Devices), and a devpts of its
    own."""
    mount("dev", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k")
    before = os.umask(0)
    for name, minor in DEVICES.items():
        _make_device(f"{path}/{name}", _MEMORY_MAJOR, minor)
    _make_device(f"{path}/tty", _TTY_MAJOR, 0)
    os.umask(before)
    links = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1"}
    for name, destination in (links | {"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}).items():
        os.symlink(destination, f"{path}/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{path}/{name}")
    mount(
        "devpts", f"{path}/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"
    )
    mount("mqueue", f"{path}/mqueue", "mqueue", NO_ACCESS)


def _make_device(path: str, major: int, minor: int) -> None:
    try:
        os.mknod(path, 0o020666, os.makedev(major, minor))
    except OSError as error:
        raise KernelError("mknod", path, error.errno or 0) from None


def _write_files(files: Mapping[str, str]) -> None:
    for path, content in files.items():
        target = ROOT + path
        # A link (resolv.conf into systemd's /run, say) would lead outside of what the machine has.
        if os.path.islink(target):
            os.unlink(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(content)
