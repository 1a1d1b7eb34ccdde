"""What this host can do for the lab: `kubelab doctor` prints it, a lesson's `needs` are looked up in it.

Each capability is tried, not guessed, in a thread whose namespaces end with it; nothing outside of them
changes (the kernel may load a module, as it would for the lab). The whole takes well under 0.1 s.
Left out: rootless labs, vagrant.
"""
# ruff: noqa: PTH102, PTH123 - paths of /proc and of a stage are text

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import cgroups, syscalls
from kubelab.cluster.linux.mounts import make_private
from kubelab.cluster.linux.namespaces import (
    CLONE_FLAGS,
    NamespaceType,
    call_in_thread,
    new_network_namespace,
    open_namespace,
)
from kubelab.cluster.linux.netlink import Netlink, add_bridge, add_veth
from kubelab.language import Text

PROGRAMS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "ps": "procps"}
_NAMESPACES: tuple[NamespaceType, ...] = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
_CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset", "freezer")
_PRESSURE = "/proc/pressure/memory"


@dataclass(frozen=True, slots=True)
class Capability:
    """`name` as lessons' `needs` have it: root, namespace.pid, overlay, cgroup.memory, bridge, program.ip and
    so on. `reason` says what was found; `mend` what to do about it, empty if it is available."""

    name: str
    available: bool
    reason: Text
    mend: Text


def names() -> tuple[str, ...]:
    """Return the name of each capability, without trying any."""
    return (
        "root",
        *(f"namespace.{type_}" for type_ in (*_NAMESPACES, "user")),
        "overlay",
        "bridge",
        *(f"cgroup.{name}" for name in _CONTROLLERS),
        "psi",
        *(f"program.{name}" for name in PROGRAMS),
    )


def probe() -> tuple[Capability, ...]:
    """Try everything."""
    return (
        _root(),
        *(_namespace(type_) for type_ in _NAMESPACES),
        _user_namespace(),
        _tried("overlay", _try_overlay, _MEND_MODULE.format(module="overlay")),
        _tried("bridge", _try_links, _MEND_MODULE.format(module="bridge veth")),
        *_controllers(),
        _pressure(),
        *(_program(name, package) for name, package in PROGRAMS.items()),
    )


def _root() -> Capability:
    if os.geteuid() == 0:
        return _available("root", _IS_ROOT)
    return Capability("root", available=False, reason=_NOT_ROOT, mend=_MEND_ROOT)


def _namespace(type_: NamespaceType) -> Capability:
    mend = _MEND_ROOT if os.geteuid() else _MEND_KERNEL
    return _tried(f"namespace.{type_}", lambda: syscalls.unshare(CLONE_FLAGS[type_]), mend)


def _user_namespace() -> Capability:
    """A process with threads may not unshare its user namespace; the kernel's own limit is asked instead."""
    try:
        with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
            count = int(file.read())
    except OSError:
        count = 0
    if count:
        return _available("namespace.user", _WORKS)
    return Capability(
        "namespace.user", available=False, reason=_NO_USER_NAMESPACES, mend=_MEND_USER_NAMESPACES
    )


def _tried(name: str, act: Callable[[], None], mend: Text) -> Capability:
    try:
        call_in_thread(act)
    except KernelError as error:
        return Capability(name, available=False, reason=_REFUSED.format(error=error), mend=mend)
    return _available(name, _WORKS)


def _try_overlay() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    make_private()
    stage = tempfile.gettempdir()
    syscalls.mount("none", stage, "tmpfs")
    for name in ("upper", "work", "root"):
        os.mkdir(f"{stage}/{name}")
    options = f"lowerdir=/,upperdir={stage}/upper,workdir={stage}/work"
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


def _controllers() -> tuple[Capability, ...]:
    tree = cgroups.detect()
    return tuple(_controller(name, tree) for name in _CONTROLLERS)


def _controller(name: str, tree: cgroups.CgroupTree) -> Capability:
    label = f"cgroup.{name}"
    hierarchy = tree.hierarchy_of(name)
    if hierarchy is None:
        return Capability(label, available=False, reason=_NO_CONTROLLER, mend=_MEND_CONTROLLER)
    where = {"path": hierarchy.base, "version": hierarchy.version}
    if os.access(hierarchy.base, os.W_OK):
        return _available(label, _CONTROLLER.format(**where))
    return Capability(label, available=False, reason=_NOT_WRITABLE.format(**where), mend=_MEND_ROOT)


def _pressure() -> Capability:
    """A kernel that has it switched off has the file but refuses to read it."""
    try:
        with open(_PRESSURE, encoding="ascii") as file:
            file.read()
    except OSError:
        return Capability("psi", available=False, reason=_NO_PRESSURE, mend=_MEND_PRESSURE)
    return _available("psi", Text(_PRESSURE, _PRESSURE))


def _program(name: str, package: str) -> Capability:
    path = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if path:
        return _available(f"program.{name}", Text(path, path))
    mend = _MEND_PROGRAM.format(package=package)
    return Capability(f"program.{name}", available=False, reason=_NO_PROGRAM.format(name=name), mend=mend)


def _available(name: str, reason: Text) -> Capability:
    return Capability(name, available=True, reason=reason, mend=Text("", ""))


_IS_ROOT = Text(es="se ejecuta como root", en="runs as root")
_NOT_ROOT = Text(es="se ejecuta como un usuario corriente", en="runs as an ordinary user")
_MEND_ROOT = Text(es="ejecútalo con sudo", en="run it with sudo")
_WORKS = Text(es="probado: funciona", en="tried: works")
_REFUSED = Text(es="probado: el kernel lo rechaza: {error}", en="tried: the kernel refuses it: {error}")
_MEND_KERNEL = Text(
    es="el kernel o el contenedor en que estás no lo permiten: usa un equipo o una máquina virtual propios",
    en="the kernel, or the container that you are in, does not allow it: use a host or a VM of your own",
)
_MEND_MODULE = Text(
    es="carga el módulo: sudo modprobe -a {module}",
    en="load the module: sudo modprobe -a {module}",
)
_NO_USER_NAMESPACES = Text(
    es="el kernel no permite espacios de nombres de usuario",
    en="the kernel allows no user namespaces",
)
_MEND_USER_NAMESPACES = Text(
    es="sudo sysctl user.max_user_namespaces=10000",
    en="sudo sysctl user.max_user_namespaces=10000",
)
_CONTROLLER = Text(es="cgroup v{version} en {path}", en="cgroup v{version} at {path}")
_NO_CONTROLLER = Text(es="ninguna jerarquía montada lo tiene", en="no mounted hierarchy has it")
_MEND_CONTROLLER = Text(
    es="monta cgroup2 en /sys/fs/cgroup, o arranca con cgroup_enable=memory en la línea del kernel",
    en="mount cgroup2 at /sys/fs/cgroup, or boot with cgroup_enable=memory on the kernel's command line",
)
_NO_PRESSURE = Text(
    es=f"el kernel no mide la presión ({_PRESSURE})",
    en=f"the kernel does not measure pressure ({_PRESSURE})",
)
_MEND_PRESSURE = Text(
    es="arranca con psi=1 en la línea del kernel",
    en="boot with psi=1 on the kernel's command line",
)
_NOT_WRITABLE = Text(
    es="cgroup v{version} en {path}, sin permiso de escritura",
    en="cgroup v{version} at {path}, not writable",
)
_NO_PROGRAM = Text(es="no se encuentra el programa {name}", en="the program {name} is not there")
_MEND_PROGRAM = Text(es="sudo apt-get install -y {package}", en="sudo apt-get install -y {package}")
