"""What a kubelet asks of a container runtime, in the words of the Container Runtime Interface.

Source: kubernetes, staging/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto. `pods.PodRuntime` implements it
on one machine. All pids are those of the host's pid namespace; all sizes are bytes; `source` paths are the
machine's. Volumes are the kubelet's business upstream; here the runtime lays them out, for it is what reaches
the machine's files.
Left out: port-forward (a socket in the pod's network is `linux.namespaces`' work), SELinux, AppArmor.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal, Protocol

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


Propagation = Literal["None", "HostToContainer", "Bidirectional"]


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
    propagation: Propagation = "None"


@dataclass(frozen=True, slots=True)
class Dns:
    """What /etc/resolv.conf says. All empty: nothing, names are not resolved."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostAlias:
    """A line of /etc/hosts."""

    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """`domain` makes the pod's name a full one in /etc/hosts: subdomain.namespace.svc.cluster.local. The
    `host_*` namespaces are the machine's. With `host_users` false the pod has a user namespace of its own."""

    uid: str
    namespace: str
    name: str
    hostname: str
    limits: Limits = field(default_factory=Limits)
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    host_users: bool = True
    share_process_namespace: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    domain: str = ""
    dns: Dns = field(default_factory=Dns)
    host_aliases: tuple[HostAlias, ...] = ()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running pod sandbox: its pause process holds the net, ipc and uts namespaces."""

    uid: str
    pid: int
    address: IPv4Address


Seccomp = Literal["RuntimeDefault", "Unconfined"]


@dataclass(frozen=True, slots=True)
class Security:
    """A container's securityContext, completed by its pod's. `user` and `group` None: the image's own.
    `groups`: the supplemental ones, fsGroup among them. Capabilities are named without CAP_; ALL is one.
    The default profile is in force where none is named, as with a kubelet's seccompDefault."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privs: bool = False
    seccomp: Seccomp = "RuntimeDefault"
    unmasked_proc: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A device node of the machine's, shown at `destination`; `access` are letters of r, w and m."""

    source: str
    destination: str
    access: str = "rwm"


@dataclass(frozen=True, slots=True)
class Rlimit:
    """`type` as getrlimit(2) has it: RLIMIT_NOFILE."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`command` takes the place of the image's entrypoint, `args` that of its cmd (which goes unused as well
    when there is a `command`). `cwd` and `stop_signal` empty: the image's own. With `stdin` its standard
    input is open for `attach`; with `tty` all three streams are a terminal."""

    name: str
    image: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path  # CRI log format: `<RFC3339 nano> stdout|stderr F|P <line>`
    args: tuple[str, ...] = ()
    cwd: str = ""
    limits: Limits = field(default_factory=Limits)
    mounts: tuple[Mount, ...] = ()
    security: Security = field(default_factory=Security)
    devices: tuple[Device, ...] = ()
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    stop_signal: str = ""


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
