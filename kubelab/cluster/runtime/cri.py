"""What a kubelet asks of a container runtime, in the words of the Container Runtime Interface.

Source: kubernetes, staging/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto. `pods.PodRuntime` implements it
on one machine. All pids are those of the host's pid namespace; all sizes are bytes.
Left out: exec, attach, port-forward, statistics.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from kubelab.cluster.errors import LabError


class ImageError(LabError):
    """The image cannot be had. The kubelet reports it as ErrImagePull, then ImagePullBackOff."""


class StartError(LabError):
    """The container's process could not be started (no such command): reason StartError, exit code 128."""


@dataclass(frozen=True, slots=True)
class Limits:
    """cgroup-v2 words. None: not limited. `cpu_quota_us` is per `cpu_period_us`."""

    cpu_weight: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int = 100_000
    memory_max_bytes: int | None = None
    pids_max: int | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """Something at `destination` in the container: a host directory (`source`), or `files` (relative path
    to content, as a configMap volume has them), or neither: an empty directory shared under `volume` in the
    pod."""

    destination: str
    source: Path | None = None
    files: Mapping[str, bytes] | None = None
    volume: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    uid: str
    namespace: str
    name: str
    hostname: str
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running pod sandbox: its pause process holds the net, ipc and uts namespaces."""

    uid: str
    pid: int
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`argv` is command and args as Kubernetes combines them; empty means the image's own."""

    name: str
    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path  # CRI log format: `<RFC3339 nano> stdout|stderr F|P <line>`
    cwd: str = ""
    limits: Limits = field(default_factory=Limits)
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """`id` is unique for each start."""

    id: str
    sandbox_uid: str
    name: str
    image_id: str
    pid: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class ContainerExit:
    """`exit_code` is 128 + signal for a killed process, as a shell has it."""

    id: str
    exit_code: int
    oom_killed: bool
    finished_at: datetime


class Runtime(Protocol):
    """Each method may be called again after it failed; removing what is gone is not an error."""

    async def pull_image(self, image: str) -> str:
        """Return the image's id. Raises ImageError when it cannot be had."""

    async def run_sandbox(self, spec: SandboxSpec) -> Sandbox: ...

    async def remove_sandbox(self, uid: str) -> None:
        """Kill what still runs in it and take back its namespaces, cgroups and address."""

    async def start_container(self, sandbox_uid: str, spec: ContainerSpec) -> Container:
        """Raises StartError, ImageError."""

    async def stop_container(self, container_id: str, grace_period_s: float) -> None:
        """SIGTERM, then after the grace period SIGKILL to all of it. Returns when its exit was reported."""

    def exits(self) -> AbstractAsyncContextManager[AsyncIterator[ContainerExit]]:
        """Container exits from now on, as they happen."""
