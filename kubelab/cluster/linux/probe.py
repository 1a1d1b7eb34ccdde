"""What this host can do for the lab: `kubelab doctor` prints it, a lesson's `needs` are looked up in it.

Each capability is tried, not guessed, in a thread whose namespaces end with it, or by a program; nothing
outside of them changes (the kernel may load a module, as it would for the lab). The whole takes about 0.1 s.
Asked by an ordinary user's process that has entered its user namespace, it tells what a rootless lab can do;
by one that has not, what he can do without any.
Left out: /dev/net/tun and other devices that the lab has no use for; vagrant.
"""
# ruff: noqa: PTH102 - paths of a stage are text

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import seccomp, syscalls, time_namespace, user_namespace
from kubelab.cluster.linux.capability import MEND_ROOT, Capability, absent, present, tried
from kubelab.cluster.linux.cgroup_probe import CONTROLLERS, probe_cgroups
from kubelab.cluster.linux.disk_probe import probe_disk
from kubelab.cluster.linux.host_programs import find_program
from kubelab.cluster.linux.mounts import make_private
from kubelab.cluster.linux.namespaces import (
    CLONE_FLAGS,
    NamespaceType,
    new_network_namespace,
    open_namespace,
)
from kubelab.cluster.linux.netlink import Netlink, add_bridge, add_veth
from kubelab.cluster.linux.user_probe import probe_users
from kubelab.language import Text

PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "ps": "procps",
    "nft": "nftables",
    "etcdctl": "etcd-client",
}
BROUGHT = ("etcdctl",)
_NAMESPACES: tuple[NamespaceType, ...] = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROC = ("/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "true")
_PROGRAM_TIMEOUT_S = 5.0


def names() -> tuple[str, ...]:
    """Return the name of each capability, without trying any."""
    return (
        "root",
        "host-root",
        "namespace.user",
        "users",
        *(f"namespace.{type_}" for type_ in _NAMESPACES),
        "namespace.time",
        "overlay",
        "bridge",
        "nftables",
        "seccomp",
        *(f"cgroup.{name}" for name in CONTROLLERS),
        "walls",
        "psi",
        "disk",
        *(f"program.{name}" for name in PROGRAMS),
    )


def probe() -> tuple[Capability, ...]:
    """Try everything."""
    return (
        *probe_users(),
        *(_pid_namespace() if type_ == "pid" else _namespace(type_) for type_ in _NAMESPACES),
        tried("namespace.time", _try_clocks, MEND_ROOT if os.geteuid() else _MEND_KERNEL),
        tried("overlay", _try_overlay, _MEND_MODULE.format(module="overlay")),
        tried("bridge", _try_links, _MEND_MODULE.format(module="bridge veth")),
        tried("nftables", _try_rules, _MEND_MODULE.format(module="nf_tables")),
        tried("seccomp", seccomp.install, MEND_ROOT if os.geteuid() else _MEND_KERNEL),
        *probe_cgroups(),
        probe_disk(),
        *(_program(name, package) for name, package in PROGRAMS.items()),
    )


def missing() -> Mapping[str, Text]:
    """Return what was found of each capability that is not there, and what to do about it."""
    return {each.name: Text(*map(": ".join, _told(each))) for each in probe() if not each.available}


def _told(capability: Capability) -> tuple[tuple[str, str], tuple[str, str]]:
    reason, mend = capability.reason, capability.mend
    return (reason.es, mend.es), (reason.en, mend.en)


def _namespace(type_: NamespaceType) -> Capability:
    mend = MEND_ROOT if os.geteuid() else _MEND_KERNEL
    return tried(f"namespace.{type_}", lambda: syscalls.unshare(CLONE_FLAGS[type_]), mend)


def _pid_namespace() -> Capability:
    """It takes a /proc of its own, which in a user namespace a masked one is a reason to refuse: containers
    of others have such."""
    if not user_namespace.is_nested():
        return _namespace("pid")
    return tried("namespace.pid", _try_proc, _MEND_PROC)


def _try_proc() -> None:
    done = subprocess.run(_PROC, capture_output=True, timeout=_PROGRAM_TIMEOUT_S, check=False)
    if done.returncode:
        raise KernelError("mount", "proc", _errno_of(done.stderr))


def _try_clocks() -> None:
    """Without the right to set its clocks a time namespace is of no use."""
    syscalls.unshare(CLONE_FLAGS["time"])
    offsets = time_namespace.TimeOffsets(boottime_ns=time_namespace.NS_PER_S)
    time_namespace.set_offsets(offsets, threading.get_native_id())


def _try_overlay() -> None:
    """As a machine's disk is made: in a user namespace, not of the host's whole root."""
    nested = user_namespace.is_nested()
    syscalls.unshare(syscalls.CLONE_NEWNS)
    make_private()
    stage = tempfile.gettempdir()
    syscalls.mount("none", stage, "tmpfs")
    for name in ("lower", "upper", "work", "root"):
        os.mkdir(f"{stage}/{name}")
    lower, more = (f"{stage}/lower", ",userxattr") if nested else ("/", "")
    options = f"lowerdir={lower},upperdir={stage}/upper,workdir={stage}/work{more}"
    syscalls.mount("overlay", f"{stage}/root", "overlay", 0, options)


def _try_links() -> None:
    os.close(new_network_namespace(_make_links))


def _make_links() -> None:
    netns_fd = open_namespace("thread-self", "net")
    try:
        with Netlink() as netlink:
            netlink.do(add_bridge("probe"), add_veth("left", "right", netns_fd))
    finally:
        os.close(netns_fd)


def _try_rules() -> None:
    """Where nft is missing, that is what there is to tell, and `program.nft` does."""
    program = shutil.which("nft", path=_PATH)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    if program is None:
        return
    command = [program, "add", "table", "inet", "probe"]
    done = subprocess.run(command, capture_output=True, timeout=_PROGRAM_TIMEOUT_S, check=False)
    if done.returncode:
        raise KernelError("nft add table", "inet probe", _errno_of(done.stderr))


def _errno_of(output: bytes) -> int:
    """Return the error that a program's last line names."""
    said = output.decode(errors="replace")
    return next((number for number in range(1, 134) if os.strerror(number) in said), 0)


def _program(name: str, package: str) -> Capability:
    """The machines have the system's programs, and some that are brought along for them."""
    path = shutil.which(name, path=_PATH) or (find_program(name) if name in BROUGHT else None)
    if path:
        return present(f"program.{name}", Text(str(path), str(path)))
    mend = _MEND_PROGRAM.format(package=package)
    return absent(f"program.{name}", _NO_PROGRAM.format(name=name), mend)


_MEND_KERNEL = Text(
    es="el kernel o el contenedor en que estás no lo permiten: usa un equipo o una máquina virtual propios",
    en="the kernel, or the container that you are in, does not allow it: use a host or a VM of your own",
)
_MEND_PROC = Text(
    es="el contenedor en que estás oculta partes de /proc: arráncalo con --security-opt "
    "systempaths=unconfined (podman: unmask=ALL), o usa sudo",
    en="the container that you are in masks parts of /proc: start it with --security-opt "
    "systempaths=unconfined (podman: unmask=ALL), or use sudo",
)
_MEND_MODULE = Text(
    es="carga el módulo: sudo modprobe -a {module}",
    en="load the module: sudo modprobe -a {module}",
)
_NO_PROGRAM = Text(es="no se encuentra el programa {name}", en="the program {name} is not there")
_MEND_PROGRAM = Text(es="sudo apt-get install -y {package}", en="sudo apt-get install -y {package}")
