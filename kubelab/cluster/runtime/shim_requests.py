"""What the shim is asked for, from what the CRI says. Pure.

Source: containerd, internal/cri/server/container_create_linux.go, sandbox_run_linux.go.
"""

from collections.abc import Mapping
from typing import Any

from kubelab.cluster.runtime.cri import (
    ContainerSpec,
    EmptyDir,
    FilesVolume,
    HostPath,
    Limits,
    Mount,
    SandboxSpec,
    Volume,
    volume_path,
)

# As containerd leaves them (enable_unprivileged_ports, enable_unprivileged_icmp): a user other than root may
# serve port 80 and ping.
POD_SYSCTLS: Mapping[str, str] = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


def cgroup_fields(limits: Limits) -> dict[str, str]:
    """Return the limits as cgroup-v2 fields."""
    fields = {
        "cpu.weight": limits.cpu_weight,
        "memory.max": limits.memory_max_bytes,
        "pids.max": limits.pids_max,
    }
    found = {name: str(value) for name, value in fields.items() if value is not None}
    if limits.cpu_quota_us is not None:
        found["cpu.max"] = f"{limits.cpu_quota_us} {limits.cpu_period_us}"
    if limits.memory_oom_group:
        found["memory.oom.group"] = "1"
    return found


def sandbox_request(spec: SandboxSpec, address: str, peer: str, ids_from: int) -> dict[str, Any]:
    sysctls = dict(spec.sysctls) if spec.host_network else {**POD_SYSCTLS, **spec.sysctls}
    return {
        "uid": spec.uid,
        "hostname": spec.hostname,
        "address": address,
        "peer": peer,
        "limits": cgroup_fields(spec.limits),
        "host_network": spec.host_network,
        "host_pid": spec.host_pid,
        "host_ipc": spec.host_ipc,
        "ids_from": ids_from,
        "sysctls": sysctls,
    }


def volume_request(uid: str, volume: Volume, group: int | None) -> dict[str, Any]:
    path = volume_path(uid, volume)
    match volume:
        case EmptyDir():
            empty = {"memory": volume.in_memory, "size": volume.size_bytes, "group": group}
            return {"kind": "empty", "path": path, **empty}
        case HostPath():
            return {"kind": "host", "path": path, "type": volume.type}
        case FilesVolume():
            files = {name: {"content": f.content.hex(), "mode": f.mode} for name, f in volume.files.items()}
            return {"kind": "files", "path": path, "files": files, "group": group}


def sub_path_targets(uid: str, spec: ContainerSpec, id_: str) -> dict[Mount, str]:
    """Return the mounts of parts of volumes, and where on the machine each is shown for the container."""
    parts = [mount for mount in spec.mounts if mount.sub_path]
    if not parts:
        return {}
    top = f"/var/lib/kubelet/pods/{uid}/volume-subpaths/{spec.name}/{id_[:12]}"
    return {mount: f"{top}/{number}" for number, mount in enumerate(parts)}
