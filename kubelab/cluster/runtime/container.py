"""A container from within: namespaces, root, mounts, devices, and at last its command.

Runs in the child that its parent cloned with `container_namespaces.start_flags`, in the cgroup of v2 already.
`Start.config` is the whole description; pods' containers and those of `kubelab oci` are made alike.
Source: OCI runtime specification, config.md and config-linux.md; runc, libcontainer (rootfs_linux.go,
standard_init_linux.go).
Left out: see `config`; recursive pivots without privileges to pivot (`--no-pivot`).
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import detached_mounts
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree
from kubelab.cluster.linux.detached_mounts import PRIVATE, opened
from kubelab.cluster.linux.mounts import enter_root, make_private
from kubelab.cluster.runtime import (
    confinement,
    container_devices,
    container_mounts,
    container_namespaces,
    container_root,
    masked_paths,
)
from kubelab.cluster.runtime.config import SANDBOX, Config, ConfigError, Mount, Own, complete
from kubelab.cluster.runtime.container_root import ROOT as ROOT
from kubelab.cluster.runtime.container_root import Rootfs
from kubelab.cluster.runtime.execution import use_streams
from kubelab.cluster.runtime.mount_options import propagation_of
from kubelab.language import Text

_SYSCTLS_OF_IPC = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
_SYSCTLS_OF_UTS = ("kernel.hostname", "kernel.domainname")


def nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Start:
    """What the parent hands to the child. `streams`: stdin, stdout, stderr (-1: /dev/null). `console_fd`: a
    socket on which the master of the container's terminal is sent (-1: it has none). `files`: what it has of
    its own, by path. `shm`: the directory that is its /dev/shm ("": what the config mounts there).
    `userns_fd`: a user namespace to enter (-1: the sandbox's if the config says so, else none).
    `owns_sandbox`: what the sandbox holds was made for this container alone. `document`: what `config` is
    made of, as `config.parse_text` takes it ("": it is not known). `own`: what is not in `config`, since
    that describes others as well.
    `before_pivot` and `before_command` are called at those moments, for hooks and for who waits."""

    config: Config
    rootfs: Rootfs
    cgroup: Cgroup
    cgroup_view: CgroupTree
    sandbox_pidfd: int = -1
    files: Mapping[str, str] = field(default_factory=dict)
    shm: str = ""
    streams: tuple[int, int, int] = (-1, -1, -1)
    console_fd: int = -1
    userns_fd: int = -1
    owns_sandbox: bool = False
    preserved_fds: int = 0
    keyring: str = "kubelab"
    document: str = ""
    own: Own | None = None
    before_pivot: Callable[[], None] = nothing
    before_command: Callable[[], None] = nothing


def check(config: Config) -> None:
    """Raises ConfigError: the container cannot be made as it is described."""
    if config.process:
        confinement.check_command(config.process.args)
    check_kind(config)


def check_kind(config: Config) -> None:
    """Raises ConfigError: no container can be made as it is described, whatever its command is."""
    if config.process:
        confinement.check_labels(config.process)
    if config.namespace("mount") is None:
        raise ConfigError(_NO_MOUNT_NAMESPACE)
    if config.seccomp and config.seccomp.listener_path:
        raise ConfigError(_NO_LISTENER)
    for name in config.sysctl:
        if not _is_namespaced(name.replace("/", "."), config):
            raise ConfigError(_SYSCTL.format(name=name))


def run(start: Start) -> NoReturn:
    """Become the container's process.

    Raises:
        ConfigError: the container cannot be made as it is described.
        KernelError, OSError: the kernel refuses a step.
        CommandError: its command cannot be executed.
    """
    if start.own:
        start = replace(start, config=complete(start.config, start.own), own=None)
    config, process = start.config, start.config.process
    assert process is not None
    confinement.hide()
    start.cgroup.add_thread()
    container_namespaces.enter(config, start.sandbox_pidfd)
    if config.makes("network") or start.owns_sandbox:
        container_namespaces.loopback_up()
    os.setsid()
    userns_fd = _user_namespace(start)
    if userns_fd >= 0:
        container_namespaces.act_as_root_of(config.uid_mappings, config.gid_mappings)
    console = _make_root(start, userns_fd)
    _name_host(config)
    if console >= 0:
        _take_terminal(console)
    else:
        use_streams(*start.streams)
    confined = confinement.Confinement(
        config.seccomp, userns_fd, start.keyring, preserved_fds=start.preserved_fds
    )
    confinement.become(process, confined, start.before_command)


def _user_namespace(start: Start) -> int:
    namespace = start.config.namespace("user")
    if start.userns_fd >= 0 or namespace is None or namespace.path != SANDBOX:
        return start.userns_fd
    # A pidfd will do to enter, but ids are mapped by a descriptor of the namespace itself.
    with open(f"/proc/self/fdinfo/{start.sandbox_pidfd}", encoding="ascii") as info:
        pid = next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _make_root(start: Start, userns_fd: int) -> int:
    """Make the root with all that is mounted in it, and enter it; return the terminal's slave (-1: none)."""
    config = start.config
    prepared = container_mounts.prepare(_mounts(start), userns_fd)
    devices = container_devices.wanted(config)
    nodes = container_devices.sources(devices)
    make_private()
    covered = frozenset(each.mount.destination for each in prepared if each.tree >= 0)
    root = container_root.mount_root(start.rootfs, userns_fd, covered)
    slave = -1
    with opened(os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as root_fd:
        sight = container_mounts.CgroupSight(start.cgroup_view, start.cgroup)
        container_mounts.mount_all(root_fd, prepared, config, sight)
        container_devices.make_devices(root_fd, devices, nodes)
        if devices:
            container_devices.make_links(root_fd)
        container_root.write_files(root_fd, start.files)
        _make_working_directory(root_fd, config)
        if start.console_fd >= 0:
            slave = _open_console(root_fd, start)
    start.before_pivot()
    enter_root(root)
    _finish_root(config)
    return slave


def _mounts(start: Start) -> tuple[Mount, ...]:
    if not start.shm:
        return start.config.mounts
    return (*start.config.mounts, Mount("/dev/shm", "bind", start.shm, ("bind", "rw")))  # noqa: S108


def _make_working_directory(root_fd: int, config: Config) -> None:
    """As runc does. Where nothing can be made, entering it will tell."""
    if config.process:
        with contextlib.suppress(KernelError):
            os.close(detached_mounts.make_within(root_fd, config.process.cwd, directory=True))


def _open_console(root_fd: int, start: Start) -> int:
    process = start.config.process
    assert process is not None
    master, slave = container_devices.open_terminal(root_fd, process.console_size)
    container_devices.show_console(root_fd, slave)
    uid = container_namespaces.host_id(start.config.uid_mappings, process.user.uid)
    with contextlib.suppress(PermissionError):
        os.fchown(slave, uid, -1)
    container_devices.send_terminal(start.console_fd, master)
    os.close(start.console_fd)
    return slave


def _finish_root(config: Config) -> None:
    """What can be done only inside: the root is `/` now."""
    if config.rootfs_propagation:
        kind, recursive = propagation_of(config.rootfs_propagation)
        with opened(os.open("/", os.O_PATH | os.O_CLOEXEC)) as root:
            detached_mounts.set_attributes(root, propagation=kind or PRIVATE, recursive=recursive)
    _set_sysctls(config.sysctl)
    masked_paths.make_read_only(config.readonly_paths)
    masked_paths.mask(config.masked_paths)
    if config.root and config.root.readonly:
        container_root.make_read_only()


def _set_sysctls(sysctls: Mapping[str, str]) -> None:
    """Written in a proc file system that nobody else sees (CVE-2025-52881)."""
    if not sysctls:
        return
    with opened(detached_mounts.make("proc", "proc")) as proc:
        for name, value in sysctls.items():
            path = f"sys/{name if '/' in name else name.replace('.', '/')}"
            resolve = detached_mounts.RESOLVE_BENEATH | detached_mounts.RESOLVE_NO_SYMLINKS
            with opened(detached_mounts.open_within(proc, path, os.O_WRONLY, resolve)) as fd:
                try:
                    os.write(fd, value.encode())
                except OSError as error:
                    raise KernelError("write", path, error.errno or 0) from None


def _is_namespaced(name: str, config: Config) -> bool:
    """Source: runc, libcontainer/configs/validate/validator.go (sysctl)."""
    if name.startswith("net."):
        return config.namespace("network") is not None
    if name.startswith(_SYSCTLS_OF_IPC):
        return config.namespace("ipc") is not None
    return name in _SYSCTLS_OF_UTS and config.namespace("uts") is not None


def _name_host(config: Config) -> None:
    if config.namespace("uts") is None:
        return
    if config.hostname:
        socket.sethostname(config.hostname)
    if config.domainname:
        name = config.domainname.encode()
        libc = ctypes.PyDLL(None, use_errno=True)
        if libc.setdomainname(name, ctypes.c_size_t(len(name))):
            raise KernelError("setdomainname", config.domainname, ctypes.get_errno())


def _take_terminal(slave: int) -> None:
    try:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    except OSError as error:
        raise KernelError("TIOCSCTTY", "terminal", error.errno or errno.EIO) from None
    use_streams(slave, slave, slave)


_NO_MOUNT_NAMESPACE = Text(
    es="un contenedor sin espacio de nombres mount no tiene raíz propia: añádelo a linux.namespaces",
    en="a container without a mount namespace has no root of its own: add one to linux.namespaces",
)
_NO_LISTENER = Text(
    es="este runtime no avisa a nadie de llamadas al sistema: quita seccomp.listenerPath",
    en="this runtime notifies nobody of system calls: take out seccomp.listenerPath",
)
_SYSCTL = Text(
    es="{name} no es de ningún espacio de nombres propio del contenedor: cambiaría esta máquina entera",
    en="{name} is of no namespace that the container has to itself: it would change this whole machine",
)
