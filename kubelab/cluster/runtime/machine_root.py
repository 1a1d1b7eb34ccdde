"""The root file system of a machine: this host's, writable without harm to it, and kernel file systems of its
own.

Runs in the shim, in its new namespaces. `/` is an overlay of the host's root on a tmpfs of a fixed size; each
other disk-like file system of the host (a separate /usr or /home, say) gets an overlay of its own in its
place, or, where overlay cannot be, a read-only bind, if the kernel allows that. /dev, /dev/pts, /dev/shm,
/proc, /run, /sys, /tmp are fresh; /sys is read-only but for /sys/fs/cgroup, which shows the machine's own
subtree; /proc/sys is read-only but for /proc/sys/net. What is bound into it from the host is bound out of an
overlay as well: `mount -o remount` changes a whole file system, and must not find one of the host's.

In a user namespace (a rootless lab) what is shown of the host is less, see `unprivileged_root`, and device
nodes are the host's own, bound into place.

Root on a machine lacks the capabilities and system calls that reach past it (see `privileges`), may open no
disk and write no sysctl but his network's, wherever he mounts them (see `linux.cgroup_programs`).
What stays open, for it takes a user namespace of the machine's own: who mounts another sysfs, devtmpfs,
debugfs, efivarfs or /proc on purpose finds there knobs of the kernel that is everybody's: files below
/sys, the names in /dev, /proc/sysrq-trigger. So this keeps a learner from harming the host by accident and
by trying things out; it is no prison for somebody who means harm. In a rootless lab those knobs are root's,
who is nobody there: the kernel gives a machine's root no more than the user's own rights.
Left out: device nodes beyond the usual, a user namespace for each machine, hosts without overlay.
"""
# ruff: noqa: PTH102, PTH103, PTH108, PTH110, PTH112, PTH113, PTH114, PTH119, PTH123, PTH202, PTH211, SIM905

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import user_namespace
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
from kubelab.cluster.runtime import unprivileged_root
from kubelab.cluster.runtime.overlays import (
    ROOT,
    STAGE,
    bind_if_possible,
    overlay,
    overlay_or_bind,
    read_only_view,
)

NO_ACCESS = MS_NOSUID | MS_NODEV | MS_NOEXEC
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
PRISTINE_DEVICES = "/run/kubelab/devices"
BYTES_PER_INODE = 8192
_TTY_MAJOR, _MEMORY_MAJOR = 5, 1
_TTY_GROUP = 5
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
    path. `sizes`: of the writable file systems, in bytes, by their path."""

    files: Mapping[str, str]
    binds: Mapping[str, str]
    sizes: Mapping[str, int]


def build(root: MachineRoot, cgroups: CgroupTree) -> dict[str, int]:
    """Give this mount namespace the machine's root; return descriptors of the directories into which its
    overlays write, by where the overlays are.

    Raises:
        KernelError: a mount was refused.
    """
    make_private()
    table = mount_table()
    with _opened(root.binds) as sources:
        mount("kubelab", STAGE, "tmpfs", MS_NODEV, f"mode=0700,{_size(root.sizes['/'])}")
        uppers = unprivileged_root.show_host(table) if user_namespace.is_nested() else _show_host(table)
        _mount_kernel_file_systems(cgroups, root.sizes)
        for path, source in sources.items():
            _bind_into(source, ROOT + path)
    _write_files(root.files)
    fds = {
        path: os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path, upper in uppers.items()
    }
    enter_root(ROOT)
    # As systemd leaves it; what mounts something for itself makes itself private first.
    mount("none", "/", flags=MS_REC | MS_SHARED)
    return fds


def _size(bytes_: int) -> str:
    """Return a tmpfs's options: each of its inodes costs memory as well, even an empty file's."""
    return f"size={bytes_},nr_inodes={bytes_ // BYTES_PER_INODE}"


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


def _show_host(table: Sequence[MountEntry]) -> dict[str, str]:
    """Return the directories into which the overlays write, by where the overlays are."""
    uppers = {"/": overlay("/", ROOT)}
    for entry in disk_like(table):
        if not os.path.isdir(entry.target):
            _copy_or_bind_file(entry.target)
        elif upper := overlay_or_bind(entry.target):
            uppers[entry.target] = upper
    return uppers


def _copy_or_bind_file(path: str) -> None:
    """A container's /etc/hosts and the like are mounts of single files: take the content, to be writable."""
    if os.path.isfile(path) and os.path.getsize(path) <= 1 << 20:
        with open(path, "rb") as source, open(ROOT + path, "wb") as target:
            target.write(source.read())
    elif os.path.exists(ROOT + path):
        bind_if_possible(path)


@contextlib.contextmanager
def _opened(binds: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Open the directories of what is to be bound before the stage covers them; yield paths that still lead
    there."""
    fds: dict[str, int] = {}
    try:
        files = {path: os.path.realpath(source) for path, source in binds.items()}
        for path, file in files.items():
            os.close(_open_path(file))
            fds[path] = _open_path(os.path.dirname(file))
        yield {path: f"/proc/self/fd/{fd}/{os.path.basename(files[path])}" for path, fd in fds.items()}
    finally:
        for fd in fds.values():
            os.close(fd)


def _open_path(source: str) -> int:
    try:
        return os.open(source, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", source, error.errno or 0) from None


def _bind_into(source: str, target: str) -> None:
    source = _out_of_overlay(source)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            with open(target, "wb"):
                pass
    bind(source, target, read_only=True)


def _out_of_overlay(path: str) -> str:
    """Return where the same file is seen by a read-only overlay of its directory, if there can be one."""
    directory, name = os.path.split(path)
    view = read_only_view(directory)
    return f"{view}/{name}" if view else path


def _mount_kernel_file_systems(cgroups: CgroupTree, sizes: Mapping[str, int]) -> None:
    mount_proc(ROOT)
    mount("sysfs", f"{ROOT}/sys", "sysfs", NO_ACCESS | MS_RDONLY)
    mount_cgroups(ROOT, cgroups, 0)
    make_dev(f"{ROOT}/dev")
    for path, mode in (("/dev/shm", "1777"), ("/run", "0755"), ("/tmp", "1777")):  # noqa: S108
        mount("tmpfs", ROOT + path, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode},{_size(sizes[path])}")
    os.mkdir(f"{ROOT}/run/kubelab", mode=0o700)
    _keep_devices(ROOT + PRISTINE_DEVICES)
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


def _keep_devices(path: str) -> None:
    """Make the device nodes that containers are given: later on nobody here may make any."""
    os.mkdir(path)
    mount("devices", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0700,size=64k")
    _make_or_bind_devices(path)


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


def make_dev(path: str, pristine: str = "") -> None:
    """The devices of the OCI runtime specification (config-linux.md, Default Devices), and a devpts of its
    own. The nodes are made, or bound out of the *pristine* directory."""
    mount("dev", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k")
    if pristine:
        _bind_devices(pristine, path)
    else:
        _make_or_bind_devices(path)
    links = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1"}
    for name, destination in (links | {"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}).items():
        os.symlink(destination, f"{path}/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{path}/{name}")
    mount("devpts", f"{path}/pts", "devpts", MS_NOSUID | MS_NOEXEC, _terminals())
    mount("mqueue", f"{path}/mqueue", "mqueue", NO_ACCESS)


def _terminals() -> str:
    """Return the options of a devpts. Where there is no group of terminals, they are their opener's."""
    group = f",gid={_TTY_GROUP}" if user_namespace.has_group(_TTY_GROUP) else ""
    return f"newinstance,ptmxmode=0666,mode=0620{group}"


def _make_or_bind_devices(path: str) -> None:
    """The host's /dev is still in sight when a machine is built; nobody makes device nodes in a user
    namespace."""
    if user_namespace.is_nested():
        _bind_devices("/dev", path)
    else:
        _make_devices(path)


def _make_devices(path: str) -> None:
    before = os.umask(0)
    for name, minor in DEVICES.items():
        _make_device(f"{path}/{name}", _MEMORY_MAJOR, minor)
    _make_device(f"{path}/tty", _TTY_MAJOR, 0)
    os.umask(before)


def _bind_devices(source: str, target: str) -> None:
    for name in (*DEVICES, "tty"):
        os.close(os.open(f"{target}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        bind(f"{source}/{name}", f"{target}/{name}")


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
