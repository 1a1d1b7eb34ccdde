"""Which of the lab's bounds this host can set: controllers, and the walls around a machine.

In a user namespace cgroups are there if they are delegated, see `delegation`.
"""
# ruff: noqa: PTH123 - paths of /proc are text

import os

from kubelab.cluster.linux import cgroup_programs, cgroups, delegation, user_namespace
from kubelab.cluster.linux.capability import MEND_ROOT, Capability, absent, present, tried
from kubelab.language import Text

CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset", "freezer")
PRESSURE = "/proc/pressure/memory"


def probe_cgroups() -> tuple[Capability, ...]:
    if os.geteuid() == 0 and user_namespace.is_nested():
        tree = delegation.offered()
        controllers = tuple(_delegated(name, tree) for name in CONTROLLERS)
    else:
        tree = cgroups.detect()
        controllers = tuple(_controller(name, tree) for name in CONTROLLERS)
    return (*controllers, _walls(tree), _pressure())


def _controller(name: str, tree: cgroups.CgroupTree) -> Capability:
    label = f"cgroup.{name}"
    hierarchy = tree.hierarchy_of(name)
    if hierarchy is None:
        return absent(label, _NO_CONTROLLER, _MEND_CONTROLLER)
    where = {"path": hierarchy.base, "version": hierarchy.version}
    if os.access(hierarchy.base, os.W_OK):
        return present(label, _CONTROLLER.format(**where))
    return absent(label, _NOT_WRITABLE.format(**where), MEND_ROOT)


def _delegated(name: str, tree: cgroups.CgroupTree) -> Capability:
    label = f"cgroup.{name}"
    hierarchy = tree.hierarchy_of(name)
    if hierarchy is not None:
        return present(label, _CONTROLLER.format(path=hierarchy.base, version=hierarchy.version))
    if not delegation.has_only_v2():
        return absent(label, _NEVER_DELEGATED, _MEND_V1)
    if not tree.hierarchies:
        return absent(label, _NOT_DELEGATED, _MEND_DELEGATED if delegation.has_systemd() else MEND_ROOT)
    return absent(label, _PARTLY_DELEGATED, Text(*[_DELEGATE] * 2))


def _walls(tree: cgroups.CgroupTree) -> Capability:
    """As root the programs are loaded, and attached to nothing."""
    if os.geteuid() == 0 and user_namespace.is_nested():
        return present("walls", _WALLS_NOT_NEEDED)
    if tree.at("").directory("") is None:
        return absent("walls", _NO_V2, _MEND_WALLS)
    return tried("walls", cgroup_programs.load, MEND_ROOT if os.geteuid() else _MEND_WALLS)


def _pressure() -> Capability:
    """A kernel that has it switched off has the file but refuses to read it."""
    try:
        with open(PRESSURE, encoding="ascii") as file:
            file.read()
    except OSError:
        return absent("psi", _NO_PRESSURE, _MEND_PRESSURE)
    return present("psi", Text(PRESSURE, PRESSURE))


_CONTROLLER = Text(es="cgroup v{version} en {path}", en="cgroup v{version} at {path}")
_NO_CONTROLLER = Text(es="ninguna jerarquía montada lo tiene", en="no mounted hierarchy has it")
_MEND_CONTROLLER = Text(
    es="monta cgroup2 en /sys/fs/cgroup, o arranca con cgroup_enable=memory en la línea del kernel",
    en="mount cgroup2 at /sys/fs/cgroup, or boot with cgroup_enable=memory on the kernel's command line",
)
_NOT_WRITABLE = Text(
    es="cgroup v{version} en {path}, sin permiso de escritura",
    en="cgroup v{version} at {path}, not writable",
)
_NEVER_DELEGATED = Text(
    es="sin root: este host tiene cgroup v1, que es solo de root",
    en="rootless: this host has cgroup v1, which is root's alone",
)
_NOT_DELEGATED = Text(
    es="sin root: nadie te ha delegado un cgroup (systemd-run --user --scope -p Delegate=yes)",
    en="rootless: nobody has delegated a cgroup to you (systemd-run --user --scope -p Delegate=yes)",
)
# It starts the user's own systemd, which delegates to him whatever way he came in.
_MEND_DELEGATED = Text(*['sudo loginctl enable-linger "$USER"'] * 2)
_MEND_V1 = Text(
    es="sudo kubelab (o arranca el equipo con systemd.unified_cgroup_hierarchy=1 en la línea del kernel)",
    en="sudo kubelab (or boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line)",
)
_PARTLY_DELEGATED = Text(
    es="sin root: systemd no delega este controlador a los usuarios",
    en="rootless: systemd does not delegate this controller to users",
)
_DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && "
    "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload"
)
_WALLS_NOT_NEEDED = Text(
    es="sin root no hacen falta: root de una máquina no tiene derechos sobre dispositivos ni ajustes",
    en="not needed without root: a machine's root has no rights to devices and settings",
)
_NO_V2 = Text(
    es="root de una máquina alcanza dispositivos y ajustes del kernel: no hay ninguna jerarquía de cgroup v2",
    en="root on a machine reaches devices and settings of the kernel: there is no hierarchy of cgroup v2",
)
_MEND_WALLS = Text(
    es="usa un kernel con CONFIG_CGROUP_BPF y cgroup2 montado, o el laboratorio sin sudo",
    en="use a kernel with CONFIG_CGROUP_BPF and cgroup2 mounted, or the lab without sudo",
)
_NO_PRESSURE = Text(
    es=f"el kernel no mide la presión ({PRESSURE})",
    en=f"the kernel does not measure pressure ({PRESSURE})",
)
_MEND_PRESSURE = Text(
    es="arranca con psi=1 en la línea del kernel",
    en="boot with psi=1 on the kernel's command line",
)
