"""A container from within: cgroup, namespaces, root file system, capabilities, and at last its command.

Runs in the child that the shim cloned with new pid and mount namespaces.
Source: OCI runtime specification, config.md and config-linux.md; masked and read-only paths as in moby,
oci/defaults.go; capabilities are Docker's default set without MKNOD.
Left out: seccomp, user namespaces, users other than root, rlimits, read-only roots.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH123, PTH211, SIM905

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import capabilities, syscalls
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree
from kubelab.cluster.linux.mounts import bind, enter_root, make_private
from kubelab.cluster.linux.syscalls import (
    MS_NODEV,
    MS_RDONLY,
    mount,
    set_mount_attributes,
)
from kubelab.cluster.runtime.execution import default_signals, execute, use_streams
from kubelab.cluster.runtime.machine_root import NO_ACCESS, PRISTINE_DEVICES, make_dev, mount_cgroups

ROOT = "/run/kubelab/root"
CAPABILITIES = capabilities.DOCKER_DEFAULT - {"MKNOD"}
_MASKED = (
    "/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/scsi "
    "/proc/sched_debug /proc/timer_list /proc/timer_stats /sys/firmware /sys/devices/virtual/powercap"
).split()
_READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()
_DIRECTORIES = "dev etc home mnt opt proc root run srv sys tmp usr var var/log var/tmp".split()
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs of /usr need of /etc: their alternatives (vi, awk), the loader's cache, certificates,
# terminals.
_SHOWN_OF_ETC = ("alternatives", "ld.so.cache", "ssl/certs", "terminfo", "protocols", "services")
_USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"


@dataclass(frozen=True, slots=True)
class Start:
    """What the shim hands to the child. `streams` are stdout and stderr; `mounts` destination, source,
    read_only."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    hostname: str
    address: str
    shm: str
    mounts: tuple[tuple[str, str, bool], ...]
    disk_bytes: int
    cgroup: Cgroup
    cgroup_view: CgroupTree
    sandbox_pidfd: int
    streams: tuple[int, int]


def run(start: Start) -> NoReturn:
    """Become the container's process.

    Raises:
        KernelError, OSError: the container could not be made.
        CommandError: its command cannot be executed.
    """
    start.cgroup.add_thread()
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    pod = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
    syscalls.setns(start.sandbox_pidfd, pod)
    os.setsid()
    make_private()
    _make_root(start)
    enter_root(ROOT)
    os.umask(0o022)
    _change_directory(start.cwd)
    use_streams(-1, *start.streams)
    default_signals()
    capabilities.keep_only(CAPABILITIES)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    execute(start.argv, start.env)


def _make_root(start: Start) -> None:
    mount("kubelab/shell", ROOT, "tmpfs", MS_NODEV, f"mode=0755,size={start.disk_bytes}")
    for directory in _DIRECTORIES:
        os.mkdir(f"{ROOT}/{directory}")
    for directory in ("tmp", "var/tmp"):
        os.chmod(f"{ROOT}/{directory}", 0o1777)  # noqa: S103 - as on every system
    os.chmod(f"{ROOT}/root", 0o700)
    os.symlink("/run", f"{ROOT}/var/run")
    bind("/usr", f"{ROOT}/usr", read_only=True)
    _show_merged_directories()
    _make_etc(start)
    _mount_kernel_file_systems(start)
    for destination, source, read_only in start.mounts:
        _mount_volume(destination, source, read_only)


def _show_merged_directories() -> None:
    for name in _MERGED:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{ROOT}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{ROOT}/{name}")
            bind(f"/{name}", f"{ROOT}/{name}", read_only=True)


def _make_etc(start: Start) -> None:
    hosts = f"127.0.0.1\tlocalhost\n{start.address}\t{start.hostname}\n"
    files = {"passwd": _USERS, "group": _GROUP, "hostname": f"{start.hostname}\n", "hosts": hosts}
    for name, content in (files | {"nsswitch.conf": "hosts: files dns\n", "resolv.conf": ""}).items():
        with open(f"{ROOT}/etc/{name}", "w", encoding="utf-8") as file:
            file.write(content)
    for name in _SHOWN_OF_ETC:
        if os.path.exists(f"/etc/{name}"):
            _bind_at(f"/etc/{name}", f"{ROOT}/etc/{name}", read_only=True)


def _mount_kernel_file_systems(start: Start) -> None:
    mount("proc", f"{ROOT}/proc", "proc", NO_ACCESS)
    mount("sysfs", f"{ROOT}/sys", "sysfs", NO_ACCESS | MS_RDONLY)
    mount_cgroups(ROOT, start.cgroup_view, MS_RDONLY)
    make_dev(f"{ROOT}/dev", PRISTINE_DEVICES)
    bind(start.shm, f"{ROOT}/dev/shm")  # noqa: S108
    for path in _READ_ONLY:
        if os.path.exists(ROOT + path):
            bind(ROOT + path, ROOT + path, read_only=True)
    for path in _MASKED:
        _mask(ROOT + path)


def _mask(path: str) -> None:
    if os.path.isdir(path):
        mount("tmpfs", path, "tmpfs", MS_RDONLY | NO_ACCESS, "size=0")
    elif os.path.exists(path):
        bind(f"{ROOT}/dev/null", path)


def _mount_volume(destination: str, source: str, read_only: bool) -> None:
    target = os.path.normpath(f"{ROOT}/{destination}")
    if not target.startswith(f"{ROOT}/"):
        raise KernelError("mount", destination, 22)
    if not os.path.exists(source):
        raise KernelError("mount", source, 2)
    _bind_at(source, target, read_only=read_only)


def _bind_at(source: str, target: str, *, read_only: bool) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "ab"):
            pass
    bind(source, target)
    if read_only:
        set_mount_attributes(target, syscalls.MOUNT_ATTR_RDONLY)


def _change_directory(path: str) -> None:
    os.makedirs(path or "/", exist_ok=True)
    os.chdir(path or "/")


def parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Start` that come in the request as they are."""
    names = ("env", "cwd", "hostname", "address")
    fields = {name: params[name] for name in names}
    mounts = tuple((m["destination"], m["source"], bool(m["read_only"])) for m in params["mounts"])
    return fields | {"argv": tuple(params["argv"]), "mounts": mounts}
