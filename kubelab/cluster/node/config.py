"""What a kubelet is told when it starts, and what it finds out about its host."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType

from kubelab import __version__

PODS_MAX = 110
PORT = 10250
VERSION = f"v1.32.0+kubelab-{__version__}"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class KubeletConfig:
    """`log_directory` is where container logs go, one directory a pod. `cpus` and `memory_bytes` are the
    machine's; `cluster_dns` is the address of the DNS service, if there is one; `labels` come on top of those
    that every node has; `version` is the Kubernetes that it claims to be."""

    node_name: str
    address: IPv4Address
    pod_cidr: IPv4Network
    log_directory: Path
    cpus: int
    memory_bytes: int
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    version: str = VERSION
    pods_max: int = PODS_MAX
    port: int = PORT
    cluster_dns: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    machine_id: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str


def host_facts() -> HostFacts:
    """Read what a node tells about itself in status.nodeInfo."""
    machine = platform.machine()
    return HostFacts(
        machine_id=_read("/etc/machine-id"),
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        kernel=os.uname().release,
        os_image=os_image(_read("/etc/os-release")),
        architecture=_ARCHITECTURES.get(machine, machine),
    )


def host_cpus() -> int:
    return os.cpu_count() or 1


def host_memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def os_image(os_release: str) -> str:
    """Return PRETTY_NAME of the text of /etc/os-release; "Linux" if it has none."""
    for line in os_release.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip("\"'")
    return "Linux"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
