"""A pod's container in the words of the OCI runtime specification. Pure.

Source: containerd, internal/cri/server/container_create_linux.go, pkg/oci/spec.go and spec_opts.go, internal/
cri/opts/spec_linux_opts.go; kubernetes, pkg/kubelet/kubelet_pods.go (/etc/hosts), pkg/kubelet/network/dns.
What a container shares with its pod (network, IPC, host name, on request processes and users) is of its
sandbox; cgroup and limits are the runtime's business, not the document's.
Left out: SELinux, AppArmor, `privileged` beyond the devices that every container has; with users of its own
a pod sees files of hostPath volumes as nobody's, for overlays cannot be idmapped.
"""
# ruff: noqa: SIM905

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any, Protocol

from kubelab.cluster.linux import capabilities
from kubelab.cluster.runtime.config import RUNTIME_DEFAULT, SANDBOX, SECCOMP_ANNOTATION
from kubelab.cluster.runtime.cri import ContainerSpec, Mount, SandboxSpec, Security

Document = dict[str, Any]
IDS_PER_POD = 65536

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Docker's and containerd's default, but for device nodes, which a machine lets nobody make.
CAPABILITIES = capabilities.DOCKER_DEFAULT - {"MKNOD"}
MASKED = tuple(
    (
        "/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats "
        "/proc/timer_list /proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware "
        "/sys/devices/virtual/powercap"
    ).split()
)
READ_ONLY = tuple("/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split())
_PROPAGATIONS = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
_VOLUMES = "/var/lib/kubelet/pods/"
_SEVERE = ("nosuid", "noexec", "nodev")


class ImageDefaults(Protocol):
    """What an image says that its containers run; `images.ImageConfig` is one."""

    @property
    def entrypoint(self) -> tuple[str, ...]: ...
    @property
    def cmd(self) -> tuple[str, ...]: ...
    @property
    def env(self) -> tuple[str, ...]: ...
    @property
    def working_dir(self) -> str: ...
    @property
    def user(self) -> str: ...


def container_config(
    spec: ContainerSpec,
    sandbox: SandboxSpec,
    image: ImageDefaults,
    *,
    image_mounts: Iterable[Document] = (),
    mounts: Iterable[Mount] | None = None,
    ids_from: int = 0,
) -> Document:
    """Return the document that describes the container.

    *image_mounts* are what the image itself asks for; *mounts* take the place of the spec's, for who has
    resolved their `sub_path`s; *ids_from* is the first id outside of a pod with a user namespace of its own.
    """
    security = spec.security
    shown = spec.mounts if mounts is None else mounts
    return {
        "ociVersion": "1.2.0",
        "process": _process(spec, sandbox, image),
        "root": {"path": "rootfs", "readonly": security.read_only_root},
        "mounts": [
            *_kernel_mounts(sandbox, security),
            *image_mounts,
            *(_mount(each, sandbox) for each in shown),
        ],
        "annotations": _annotations(security),
        "linux": {
            "namespaces": _namespaces(spec, sandbox),
            **_mappings(sandbox, ids_from),
            "devices": _devices(spec),
            "maskedPaths": [] if security.privileged or security.unmasked_proc else list(MASKED),
            "readonlyPaths": [] if security.privileged or security.unmasked_proc else list(READ_ONLY),
        },
    }


def argv_of(spec: ContainerSpec, image: ImageDefaults) -> tuple[str, ...]:
    """Return command and args as Kubernetes combines them with the image's own."""
    if spec.command:
        return (*spec.command, *spec.args)
    return (*image.entrypoint, *(spec.args or image.cmd))


def _process(spec: ContainerSpec, sandbox: SandboxSpec, image: ImageDefaults) -> Document:
    security = spec.security
    granted = [f"CAP_{name}" for name in sorted(capabilities_of(security))]
    return {
        "args": list(argv_of(spec, image)),
        "env": _environment(spec, sandbox, image),
        "cwd": spec.cwd or image.working_dir or "/",
        "user": _user(security, image),
        "terminal": spec.tty,
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), granted),
        "noNewPrivileges": security.no_new_privs,
        "oomScoreAdj": spec.oom_score_adj,
        "rlimits": [{"type": each.type, "soft": each.soft, "hard": each.hard} for each in spec.rlimits],
    }


def _environment(spec: ContainerSpec, sandbox: SandboxSpec, image: ImageDefaults) -> list[str]:
    """The image's stands above what every container has, the pod's above all."""
    env = {"PATH": PATH, "HOSTNAME": sandbox.hostname} | ({"TERM": "xterm"} if spec.tty else {})
    env |= {name: value for name, _, value in (each.partition("=") for each in image.env)}
    return [f"{name}={value}" for name, value in (env | dict(spec.env)).items()]


def _user(security: Security, image: ImageDefaults) -> Document:
    """An id is looked up in the image as well, for the group that it has there."""
    name = image.user if security.user is None else str(security.user)
    if security.group is not None:
        name = f"{name.partition(':')[0] or 0}:{security.group}"
    user: Document = {"uid": 0, "gid": 0, "additionalGids": list(security.groups)}
    return user | ({"username": name} if name else {})


def capabilities_of(security: Security) -> frozenset[str]:
    """Return what the container's root is granted.

    Source: containerd, internal/cri/opts/spec_linux_opts.go (WithCapabilities): first what is added, then
    what is dropped; ALL goes before the single ones.
    """
    if security.privileged:
        return frozenset(capabilities.NAMES)
    add, drop = _names(security.add_capabilities), _names(security.drop_capabilities)
    granted = frozenset(capabilities.NAMES) if "ALL" in add else CAPABILITIES
    if "ALL" in drop:
        granted = frozenset()
    return (granted | add - {"ALL"}) - drop


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.upper().removeprefix("CAP_") for name in names)


def _annotations(security: Security) -> dict[str, str]:
    confined = security.seccomp == "RuntimeDefault" and not security.privileged
    return {SECCOMP_ANNOTATION: RUNTIME_DEFAULT} if confined else {}


def _namespaces(spec: ContainerSpec, sandbox: SandboxSpec) -> list[Document]:
    """Those of the sandbox may be the machine's: that was settled when it was made. Whose processes are those
    of another container is settled when it is started."""
    shared = ["network", "ipc", "uts"] + ([] if sandbox.host_users else ["user"])
    own = ["mount", "cgroup"]
    if (sandbox.share_process_namespace or spec.processes_of) and not sandbox.host_pid:
        shared.append("pid")
    elif not sandbox.host_pid:
        own.append("pid")
    return [{"type": kind, "path": SANDBOX} for kind in shared] + [{"type": kind} for kind in own]


def _mappings(sandbox: SandboxSpec, ids_from: int) -> Document:
    if sandbox.host_users:
        return {}
    mappings = [{"containerID": 0, "hostID": ids_from, "size": IDS_PER_POD}]
    return {"uidMappings": mappings, "gidMappings": mappings}


def _devices(spec: ContainerSpec) -> list[Document]:
    """The machine's nodes are shown as they are: nobody on it may make any."""
    return [{"path": each.destination, "source": each.source, "type": "c"} for each in spec.devices]


def _kernel_mounts(sandbox: SandboxSpec, security: Security) -> list[Document]:
    access = "rw" if security.privileged else "ro"
    dev = ("nosuid", "strictatime", "mode=755", "size=65536k")
    pts = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    return [
        _kernel("/proc", "proc", _SEVERE),
        _kernel("/dev", "tmpfs", dev),
        _kernel("/dev/pts", "devpts", pts),
        _kernel("/dev/mqueue", "mqueue", _SEVERE),
        _kernel("/sys", "sysfs", (*_SEVERE, access)),
        _kernel("/sys/fs/cgroup", "cgroup", (*_SEVERE, "relatime", access)),
    ]


def _kernel(destination: str, kind: str, options: Sequence[str]) -> Document:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _mount(mount: Mount, sandbox: SandboxSpec) -> Document:
    """What is of the pod's own volumes has in it the owners that a pod without users of its own would see."""
    options = ["rbind", _PROPAGATIONS[mount.propagation], "ro" if mount.read_only else "rw"]
    if not sandbox.host_users and mount.source.startswith(_VOLUMES):
        options.append("idmap")
    return {"destination": mount.destination, "type": "bind", "source": mount.source, "options": options}


def pod_files(sandbox: SandboxSpec, address: IPv4Address, mounts: Iterable[Mount]) -> dict[str, str]:
    """Return the files that a kubelet and its runtime write for a container with *mounts*, by their paths.

    What a mount covers is left to it: written there it would be the volume's, perhaps the machine's own.
    Source: kubernetes, pkg/kubelet/kubelet_pods.go (makeMounts: shouldMountHostsFile).
    """
    files = {
        "/etc/hosts": _hosts(sandbox, address),
        "/etc/hostname": f"{sandbox.hostname}\n",
        "/etc/resolv.conf": _resolv_conf(sandbox),
    }
    covered = tuple(f"{posixpath.normpath(mount.destination)}/" for mount in mounts)
    return {path: content for path, content in files.items() if not f"{path}/".startswith(covered)}


def _hosts(sandbox: SandboxSpec, address: IPv4Address) -> str:
    """Source: kubernetes, pkg/kubelet/kubelet_pods.go (managedHostsFileContent)."""
    full = f"{sandbox.hostname}.{sandbox.domain}\t" if sandbox.domain else ""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        f"{address}\t{full}{sandbox.hostname}",
    ]
    aliases: Mapping[str, list[str]] = {each.address: [] for each in sandbox.host_aliases}
    for each in sandbox.host_aliases:
        aliases[each.address] += each.names
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join((address_, *names)) for address_, names in aliases.items()]
    return "\n".join(lines) + "\n"


def _resolv_conf(sandbox: SandboxSpec) -> str:
    dns = sandbox.dns
    lines = [f"nameserver {server}" for server in dns.servers]
    if dns.searches:
        lines.insert(0, f"search {' '.join(dns.searches)}")
    if dns.options:
        lines.append(f"options {' '.join(dns.options)}")
    return "".join(f"{line}\n" for line in lines)
