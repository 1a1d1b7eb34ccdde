"""Cgroups for an ordinary user: those that systemd delegates, which only cgroup v2 allows safely.

A user may limit what runs below a cgroup that is his own, if nothing but the lab is in it: processes and
controllers passed on do not go together (cgroup-v2.rst, "No Internal Process Constraint"). A scope of the
user's systemd is such a cgroup; `scope_command` is how this program gets one, by being executed anew in it.
Who has not come by a login of his own (su, a container's shell) is not told where his systemd is, but has one
if he lingers (loginctl(1)) or has logged in elsewhere: pam_systemd(8) says where it is.
Source: https://systemd.io/CGROUP_DELEGATION; systemd-run(1).
Left out: v1, whose hierarchies belong to root; other ways to get a cgroup than systemd.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroups import V2_CONTROLLERS, CgroupTree, Hierarchy
from kubelab.cluster.linux.mounts import MountEntry, mount_table

TRIAL_TIMEOUT_S = 5.0
_TOP = "/sys/fs/cgroup"
_LAB = "kubelab-lab"
_ENV = "/usr/bin/env"
_RUNTIME_DIRECTORY = "XDG_RUNTIME_DIR"
_FILES = ("cgroup.procs", "cgroup.subtree_control")


def has_only_v2(table: Iterable[MountEntry] | None = None) -> bool:
    """Return whether the host's controllers can be delegated at all."""
    entries = mount_table() if table is None else table
    return any(entry.kind == "cgroup2" and entry.target == _TOP for entry in entries)


def own_cgroup(membership: str | None = None) -> Path | None:
    """Return the directory of this process's cgroup of v2, None if it is a host of v1."""
    text = membership if membership is not None else Path("/proc/self/cgroup").read_text("ascii")
    paths = [line.removeprefix("0::") for line in text.splitlines() if line.startswith("0::")]
    return Path(_TOP, paths[0].lstrip("/")) if paths and has_only_v2() else None


def is_delegated(cgroup: Path) -> bool:
    """Return whether this process may make cgroups with controllers below *cgroup*, where it is alone."""
    if not all(os.access(cgroup / name, os.W_OK) for name in _FILES) or not os.access(cgroup, os.W_OK):
        return False
    return set(_read(cgroup / "cgroup.procs").split()) <= {str(os.getpid())} and bool(_controllers(cgroup))


def delegated() -> CgroupTree:
    """Return the tree that this process may make cgroups in, once it has made room there; else an empty one,
    with which nothing is limited.

    Raises:
        KernelError: the cgroup is this user's, but the kernel does not let him use it.
    """
    cgroup = own_cgroup()
    if cgroup is None:
        return CgroupTree(())
    if cgroup.name == _LAB:  # An earlier lab of this process has made room already.
        return _tree(cgroup.parent)
    if not is_delegated(cgroup):
        return CgroupTree(())
    _make_room(cgroup)
    return _tree(cgroup)


def offered() -> CgroupTree:
    """As `delegated`, without making room."""
    cgroup = own_cgroup()
    if cgroup is not None and cgroup.name == _LAB:
        return _tree(cgroup.parent)
    return _tree(cgroup) if cgroup is not None and is_delegated(cgroup) else CgroupTree(())


def scope_command() -> tuple[str, ...]:
    """Return the words that, put before a command, have it run in a delegated cgroup; none where that does
    not work, which is tried."""
    systemd_run = shutil.which("systemd-run")
    if systemd_run is None or not has_only_v2():
        return ()
    words = scope_words(systemd_run, _untold_runtime_directory())
    return words if _works((*words, "true")) else ()


def scope_words(systemd_run: str, runtime_directory: str = "") -> tuple[str, ...]:
    """Return the words for a scope. *runtime_directory*: where the user's systemd is, if that is to be told
    to systemd-run, and to nobody else."""
    words = (systemd_run, "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--")
    if not runtime_directory:
        return words
    return (_ENV, f"{_RUNTIME_DIRECTORY}={runtime_directory}", *words, _ENV, "-u", _RUNTIME_DIRECTORY)


def _untold_runtime_directory() -> str:
    directory = Path(f"/run/user/{os.geteuid()}")
    told = _RUNTIME_DIRECTORY in os.environ or "DBUS_SESSION_BUS_ADDRESS" in os.environ
    return "" if told or not (directory / "systemd/private").exists() else str(directory)


def has_systemd() -> bool:
    """Return whether systemd runs this host: sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def _works(command: Sequence[str]) -> bool:
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=TRIAL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _make_room(cgroup: Path) -> None:
    """Move this process, the only one, further down."""
    try:
        (cgroup / _LAB).mkdir(exist_ok=True)
        (cgroup / _LAB / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    except OSError as error:
        raise KernelError("move this process to", cgroup / _LAB, error.errno or 0) from None


def _tree(cgroup: Path) -> CgroupTree:
    return CgroupTree((Hierarchy("", str(cgroup), 2, _controllers(cgroup)),))


def _controllers(cgroup: Path) -> tuple[str, ...]:
    offered = _read(cgroup / "cgroup.controllers").split()
    return tuple(name for name in V2_CONTROLLERS if name in offered)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
