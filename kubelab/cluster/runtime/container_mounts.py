"""What is mounted in a container, as its config asks for it, before anything of it runs.

Source: OCI runtime specification, config.md, Mounts; runc, libcontainer/rootfs_linux.go, whose lessons are
kept: the sources are opened first, while the runtime's own mounts are all that there is; a target is resolved
inside the root once, and what it is mounted on is that descriptor; /proc and /sys are mounted on themselves
and never through a symlink; in /proc only what lxcfs shows may be covered (CVE-2019-16884, CVE-2019-19921,
CVE-2021-30465, CVE-2023-27561).
"""
# ruff: noqa: PTH115, SIM905

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import detached_mounts, user_namespace
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree, Hierarchy
from kubelab.cluster.linux.detached_mounts import (
    ATTR_IDMAP,
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_RDONLY,
    PRIVATE,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
    opened,
)
from kubelab.cluster.runtime import container_namespaces
from kubelab.cluster.runtime.config import Config, ConfigError, Mount
from kubelab.cluster.runtime.mount_options import MountOptions, parse_options
from kubelab.language import Text

# What may be covered below /proc: lxcfs shows a container's own figures there.
_COVERED_IN_PROC = frozenset(
    (
        "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo sys/kernel/ns_last_pid "
        "sys/crypto/fips_enabled"
    ).split()
)
_ON_THEMSELVES = ("proc", "sysfs")
CGROUP_ATTRIBUTES = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC


@dataclass(frozen=True, slots=True)
class CgroupSight:
    """What the container may see of the cgroups: `view` if it has a cgroup namespace, else its `own` one."""

    view: CgroupTree
    own: Cgroup


@dataclass(frozen=True, slots=True)
class Prepared:
    """A mount whose source is open: `tree` is a detached copy, -1 where the mount is made anew."""

    mount: Mount
    options: MountOptions
    tree: int
    is_directory: bool


_NOT_MAPPED = Text(
    es="{source}: este kernel no sabe traducir los dueños de sus archivos a los usuarios del contenedor "
    "(para los volúmenes de un pod con hostUsers: false hace falta Linux 6.3)",
    en="{source}: this kernel cannot map the owners of its files to the container's users (for the volumes "
    "of a pod with hostUsers: false it takes Linux 6.3)",
)


def prepare(mounts: Sequence[Mount], userns_fd: int = -1) -> list[Prepared]:
    """Open what is bound into the container, while this process still sees what the runtime sees.

    Raises:
        KernelError: a source cannot be had.
    """
    return [_prepared(each, parse_options(each.options), userns_fd) for each in mounts]


def _prepared(mount: Mount, options: MountOptions, userns_fd: int) -> Prepared:
    if not (options.bind or mount.type in ("bind", "rbind")):
        return Prepared(mount, options, -1, is_directory=True)
    tree = detached_mounts.clone(mount.source, recursive=options.recursive or mount.type == "rbind")
    _set(tree, options)
    if not options.propagation:
        detached_mounts.set_attributes(tree, propagation=PRIVATE, recursive=True)
    if options.idmap or mount.uid_mappings:
        _map_ids(tree, mount, options, userns_fd)
    return Prepared(mount, options, tree, is_directory=stat.S_ISDIR(os.fstat(tree).st_mode))


def _map_ids(tree: int, mount: Mount, options: MountOptions, userns_fd: int) -> None:
    if not mount.uid_mappings:
        _map_ids_as(userns_fd, tree, mount, options)
        return
    with container_namespaces.held(mount.uid_mappings, mount.gid_mappings) as pidfd:
        pid = _pid_of(pidfd)
        with opened(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)) as fd:
            _map_ids_as(fd, tree, mount, options)


def _map_ids_as(userns_fd: int, tree: int, mount: Mount, options: MountOptions) -> None:
    """Some file systems cannot, and tmpfs, where a pod's volumes are, only from Linux 6.3 on."""
    try:
        detached_mounts.set_attributes(
            tree, ATTR_IDMAP, recursive=options.idmap_recursive, userns_fd=userns_fd
        )
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ConfigError(_NOT_MAPPED.format(source=mount.source)) from error


def _pid_of(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as info:  # noqa: PTH123
        return next(int(line.split()[1]) for line in info if line.startswith("Pid:"))


def _set(fd: int, options: MountOptions) -> None:
    if options.set or options.clear:
        detached_mounts.set_attributes(fd, options.set, options.clear)
    if options.recursive_set or options.recursive_clear:
        change = (options.recursive_set, options.recursive_clear)
        detached_mounts.set_attributes(fd, *change, recursive=True)
    if options.propagation:
        recursive = options.propagation_recursive
        detached_mounts.set_attributes(fd, propagation=options.propagation, recursive=recursive)


def mount_all(root_fd: int, prepared: Sequence[Prepared], config: Config, sight: CgroupSight) -> None:
    """Mount each in its turn inside the root, and close its source.

    Raises:
        ConfigError: a destination that a container may not have.
        KernelError: a mount is refused.
    """
    for each in prepared:
        with _target(root_fd, each) as target:
            if each.mount.type in ("cgroup", "cgroup2") and each.tree < 0:
                _mount_cgroups(target, each.options, sight, config)
            else:
                _mount_one(root_fd, each, target)


@contextlib.contextmanager
def _target(root_fd: int, each: Prepared) -> Iterator[int]:
    path = each.mount.destination
    on_itself = each.mount.type in _ON_THEMSELVES and each.tree < 0
    resolve = RESOLVE_IN_ROOT | (RESOLVE_NO_SYMLINKS if on_itself else 0)
    fd = detached_mounts.make_within(root_fd, path, directory=each.is_directory, resolve=resolve)
    with opened(fd):
        _check_target(root_fd, fd, each)
        yield fd


def _check_target(root_fd: int, fd: int, each: Prepared) -> None:
    """Refuse what would let a container's owner put files of his own in the place of the kernel's."""
    resolved = _name(fd).removeprefix(_name(root_fd).rstrip("/"))
    kind, _, below = resolved.lstrip("/").partition("/")
    if resolved in ("", "/"):
        raise ConfigError(_ON_ROOT.format(path=each.mount.destination))
    if kind != "proc":
        return
    if below not in _COVERED_IN_PROC and not (not below and (each.mount.type == "proc" or each.tree >= 0)):
        raise ConfigError(_IN_PROC.format(path=each.mount.destination))
    if not below and each.tree >= 0 and not _is_proc(each.tree):
        raise ConfigError(_IN_PROC.format(path=each.mount.destination))


def _is_proc(fd: int) -> bool:
    """The root of a proc file system has the inode number 1 and a file of this name."""
    if os.fstat(fd).st_ino != 1:
        return False
    try:
        os.stat("thread-self", dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _name(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


def _mount_one(root_fd: int, each: Prepared, target: int) -> None:
    name = each.mount.destination
    if each.tree >= 0:
        with opened(each.tree) as tree:
            detached_mounts.attach(tree, target, name)
        return
    options = each.options
    with opened(_made(each.mount, options)) as fd:
        if options.copy_up and each.mount.type == "tmpfs":
            # What fsmount gives is a place, not an open directory.
            with _readable(root_fd, name) as source, _entry(".", fd) as copy:
                _copy(source, copy)
        if options.propagation:
            recursive = options.propagation_recursive
            detached_mounts.set_attributes(fd, propagation=options.propagation, recursive=recursive)
        detached_mounts.attach(fd, target, name)


def _made(mount: Mount, options: MountOptions) -> int:
    data = _for_groups_here(options.data) if mount.type == "devpts" else options.data
    try:
        return detached_mounts.make(mount.type, mount.source or mount.type, data, options.set)
    except KernelError as error:
        # Who has no network namespace of his own may mount no sysfs, only show the one that there is.
        if mount.type != "sysfs" or error.errno != errno.EPERM:
            raise
    fd = detached_mounts.clone("/sys", recursive=True)
    detached_mounts.set_attributes(fd, options.set, recursive=True)
    return fd


def _for_groups_here(data: Sequence[str]) -> list[str]:
    """Without the group of terminals, where this user namespace has none: then they are their opener's."""
    return [option for option in data if not _names_no_group(option)]


def _names_no_group(option: str) -> bool:
    word, _, number = option.partition("=")
    return word == "gid" and number.isdigit() and not user_namespace.has_group(int(number))


@contextlib.contextmanager
def _readable(root_fd: int, path: str) -> Iterator[int]:
    with opened(detached_mounts.open_within(root_fd, path, os.O_RDONLY | os.O_DIRECTORY)) as fd:
        yield fd


def _copy(source: int, target: int) -> None:
    """Copy a directory's content by descriptors, without following a link."""
    with os.scandir(source) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISDIR(status.st_mode):
            os.mkdir(name, dir_fd=target)
            with _entry(name, source) as from_, _entry(name, target) as to:
                _copy(from_, to)
                _own(to, status)
        elif stat.S_ISREG(status.st_mode):
            _copy_file(name, source, target, status)
    _own(target, os.fstat(source))


@contextlib.contextmanager
def _entry(name: str, directory: int) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with opened(os.open(name, flags, dir_fd=directory)) as fd:
        yield fd


def _copy_file(name: str, source: int, target: int, status: os.stat_result) -> None:
    read = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    with (
        opened(read),
        opened(
            os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        ) as write,
    ):
        while os.sendfile(write, read, None, 1 << 20):
            pass
        _own(write, status)


def _own(fd: int, status: os.stat_result) -> None:
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))


def _mount_cgroups(target: int, options: MountOptions, sight: CgroupSight, config: Config) -> None:
    """Mount the hierarchies as the host has them: the one of v2, or a directory with one for each of v1."""
    attributes = options.set | CGROUP_ATTRIBUTES
    fresh = config.namespace("cgroup") is not None
    hierarchies = tuple(zip(sight.view.hierarchies, sight.own.directories, strict=True))
    if all(not h.name for h, _ in hierarchies):
        for h, directory in hierarchies:
            _attach_hierarchy(target, h, "" if fresh else directory, attributes)
        return
    with opened(detached_mounts.make("tmpfs", "cgroup", ["mode=755"], CGROUP_ATTRIBUTES)) as top:
        detached_mounts.attach(top, target, "cgroup")
        for h, directory in hierarchies:
            os.mkdir(h.name, dir_fd=top)
            with opened(os.open(h.name, os.O_PATH | os.O_CLOEXEC, dir_fd=top)) as place:
                _attach_hierarchy(place, h, "" if fresh else directory, attributes)
            for controller in h.controllers if h.version == 1 else ():
                if controller != h.name:
                    os.symlink(h.name, controller, dir_fd=top)
        if options.set & ATTR_RDONLY:
            detached_mounts.set_attributes(top, ATTR_RDONLY)


def _attach_hierarchy(target: int, hierarchy: Hierarchy, directory: str, attributes: int) -> None:
    with opened(_hierarchy(hierarchy, directory, attributes)) as fd:
        detached_mounts.attach(fd, target, hierarchy.name or "cgroup2")


def _hierarchy(hierarchy: Hierarchy, directory: str, attributes: int) -> int:
    """Return the hierarchy as this cgroup namespace shows it, or, without one, only the cgroup's own part."""
    if directory:
        fd = detached_mounts.clone(directory, recursive=False)
        detached_mounts.set_attributes(fd, attributes, propagation=PRIVATE)
        return fd
    if hierarchy.version == 2:
        return detached_mounts.make("cgroup2", "cgroup2", (), attributes)
    return detached_mounts.make("cgroup", "cgroup", hierarchy.controllers, attributes)


_ON_ROOT = Text(
    es="{path} es la raíz del contenedor: ahí no se monta nada; elige un directorio debajo",
    en="{path} is the container's root: nothing is mounted there; choose a directory below it",
)
_IN_PROC = Text(
    es="{path} está en /proc: ahí solo el kernel pone archivos; elige otro destino",
    en="{path} is in /proc: only the kernel puts files there; choose another destination",
)
