"""What this runtime can, and a config to begin with.

Source: OCI runtime specification, features.md; runc, libcontainer/specconv/example.go.
"""

import os
from typing import Any

from kubelab.cluster.linux import capabilities
from kubelab.cluster.linux.syscall_numbers import MACHINES
from kubelab.cluster.runtime.config import NAMESPACES
from kubelab.cluster.runtime.oci.container_state import OCI_VERSION
from kubelab.cluster.runtime.pod_config import MASKED, READ_ONLY

_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_OPTIONS = (
    "async atime bind defaults dev diratime exec idmap noatime nodev nodiratime noexec norelatime "
    "nostrictatime nosuid nosymfollow private rbind relatime ridmap ro rprivate rro rrw rshared rslave "
    "runbindable rw shared slave strictatime suid symfollow tmpcopyup unbindable"
)
_ACTIONS = ("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "TRACE", "TRAP")
_OPERATORS = ("EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE")
_GRANTED = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")


def features() -> dict[str, Any]:
    """Return the document of `features`."""
    no = {"enabled": False}
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": list(_HOOKS),
        "mountOptions": _OPTIONS.split(),
        "linux": {
            "namespaces": sorted(NAMESPACES),
            "capabilities": [f"CAP_{name}" for name in capabilities.NAMES],
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": False},
            "seccomp": {
                "enabled": os.uname().machine in MACHINES,
                "actions": [f"SCMP_ACT_{name}" for name in _ACTIONS],
                "operators": [f"SCMP_CMP_{name}" for name in _OPERATORS],
                "archs": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            },
            "apparmor": no,
            "selinux": no,
            "intelRdt": no,
            "mountExtensions": {"idmap": {"enabled": True}},
        },
    }


def default_config(*, rootless: bool = False) -> dict[str, Any]:
    """Return a config.json for a shell in `rootfs`; for one user's ids only if *rootless*."""
    kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup", *(["user"] if rootless else [])]
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: list(_GRANTED) for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "kubelab",
        "mounts": _mounts(rootless=rootless),
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
            **(_mappings() if rootless else {}),
        },
    }


def _mounts(*, rootless: bool) -> list[dict[str, Any]]:
    severe = ["nosuid", "noexec", "nodev"]
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *([] if rootless else ["gid=5"])]
    return [
        _mount("/proc", "proc", []),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", pts),
        _mount("/dev/shm", "tmpfs", [*severe, "mode=1777", "size=65536k"]),  # noqa: S108
        _mount("/dev/mqueue", "mqueue", severe),
        _mount("/sys", "sysfs", [*severe, "ro"]),
        _mount("/sys/fs/cgroup", "cgroup", [*severe, "relatime", "ro"]),
    ]


def _mount(destination: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": options}


def _mappings() -> dict[str, Any]:
    def one(id_: int) -> list[dict[str, int]]:
        return [{"containerID": 0, "hostID": id_, "size": 1}]

    return {"uidMappings": one(os.geteuid()), "gidMappings": one(os.getegid())}
