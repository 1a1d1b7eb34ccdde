"""What a kubelet asks of a container runtime, in the words of the Container Runtime Interface.

Source: kubernetes, staging/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto. `pods.PodRuntime` implements it
on one machine. All pids are those of the host's pid namespace; all sizes are bytes; `source` paths are the
machine's. Volumes are the kubelet's business upstream; here the runtime lays them out, for it is what reaches
the machine's files.
Left out: port-forward (a socket in the pod's network is `linux.namespaces`' work), SELinux, AppArmor.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal, Protocol

from kubelab.cluster.errors import LabError
from kubelab.cluster.images.image import ImageError as ImageError
from kubelab.cluster.runtime.terminal import WindowSize


class VolumeError(LabError):
    """A volume cannot be had: the sentence is upstream's. The kubelet reports FailedMount and tries again."""


class StartError(LabError):
    """The container's process could not be started (no such command): reason StartError, exit code 128."""


@dataclass(frozen=True, slots=True)
class Limits:
    """cgroup-v2 words. None: not limited. `cpu_quota_us` is per `cpu_period_us`. `memory_oom_group`: who is
    killed for want of memory takes all others with him, where the kernel can (v2)."""

    cpu_weight: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int = 100_000
    memory_max_bytes: int | None = None
    memory_oom_group: bool = False
    pids_max: int | None = None


@dataclass(frozen=True, slots=True)
class EmptyDir:
    """A directory that is the pod's, in memory or not; it is a file system of its own if it has a size."""

    name: str
    in_memory: bool = False
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path of the machine's; `type` as Kubernetes has it (DirectoryOrCreate, Socket ...), or empty."""

    name: str
    path: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class VolumeFile:
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class FilesVolume:
    """Files by their relative paths, all of which change at once. `plugin`: configmap, secret, projected or
    downward-api."""

    name: str
    plugin: str
    files: Mapping[str, VolumeFile]


Volume = EmptyDir | HostPath | FilesVolume


def message_file(uid: str, container: str, id_: str) -> str:
    """Return where on the machine a container's message is, as a kubelet lays it out."""
    return f"/var/lib/kubelet/pods/{uid}/containers/{container}/{id_[:8]}"


def volume_path(uid: str, volume: Volume) -> str:
    """Return where on the machine the pod's volume is, as a kubelet lays it out."""
    if isinstance(volume, HostPath):
        return volume.path
    plugin = volume.plugin if isinstance(volume, FilesVolume) else "empty-dir"
    return f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~{plugin}/{volume.name}"


Propagation = Literal["None", "HostToContainer", "Bidirectional"]


@dataclass(frozen=True, slots=True)
class Mount:
    """What is at `source` on the machine, or below it at `sub_path`, at `destination` in the container."""

    destination: str
    source: str
    sub_path: str = ""
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
    `host_*` namespaces are the machine's; with its network the pod's address is `node_address`. With
    `host_users` false the pod has a user namespace of its own."""

    uid: str
    namespace: str
    name: str
    hostname: str
    limits: Limits = field(default_factory=Limits)
    host_network: bool = False
    node_address: IPv4Address | None = None
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
    input is open for `attach`; with `tty` all three streams are a terminal. `processes_of`: the id of a
    running container whose process namespace it joins. `message_path`: the file in which it may leave why it
    has ended."""

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
    processes_of: str = ""
    message_path: str = ""


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
    """`exit_code` is 128 + signal for a killed process, as a shell has it. `reason`: Completed, Error or
    OOMKilled. `message`: the beginning of what it has left at its `message_path`."""

    id: str
    exit_code: int
    oom_killed: bool
    finished_at: datetime
    message: str = ""

    @property
    def reason(self) -> str:
        clean = "Completed" if self.exit_code == 0 else "Error"
        return "OOMKilled" if self.oom_killed else clean


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cgroup has used (the times and the bytes of disks, since it was made) or uses now. The working
    set is the memory that the kernel cannot easily take back."""

    cpu_us: int = 0
    memory_bytes: int = 0
    memory_working_set_bytes: int = 0
    pids: int = 0
    disk_read_bytes: int = 0
    disk_written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """`pods` by uid, `containers` by id; `machine`: all that runs on it, pods included."""

    pods: Mapping[str, Usage]
    containers: Mapping[str, Usage]
    machine: Usage


class Process(Protocol):
    """A program that was started in a container; the same words as `machine.Process`, but that it ends with
    its container. `fd` is the master of its terminal, non-blocking, and belongs to the holder; -1 without."""

    @property
    def pid(self) -> int: ...

    @property
    def fd(self) -> int: ...

    async def wait(self) -> int:
        """Return the exit code; 128 + signal for a killed process."""

    def resize(self, size: WindowSize) -> None: ...

    def kill(self, signal: int) -> None:
        """Signal it; nothing happens if it is gone."""

    def hang_up(self) -> None:
        """Close `fd`: who has the terminal gets SIGHUP. Nothing happens without one."""

    async def close(self) -> None:
        """Kill it, if it still runs, and close `fd`."""


class Attachment(Protocol):
    """A running container's streams. All descriptors are non-blocking and belong to the holder, but only
    until `close`. `stdin`: to write to, -1 if the container has none; `stdout` and `stderr`: to read what is
    written from now on, which end when the container's do; with a terminal all comes by `stdout`."""

    @property
    def stdin(self) -> int: ...

    @property
    def stdout(self) -> int: ...

    @property
    def stderr(self) -> int: ...

    def close_stdin(self) -> None:
        """The container reads end-of-file if it has `stdin_once`; others may attach and write on."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """An image that is on the machine. `user` is whom it runs as, as its config has it: empty for root."""

    id: str
    user: str = ""
    size_bytes: int = 0


class Runtime(Protocol):
    """Each method may be called again after it failed; removing what is gone is not an error."""

    async def image_status(self, image: str) -> ImageStatus | None:
        """Return what is known of an image that is here; None for one that is not."""

    async def pull_image(self, image: str) -> str:
        """Return the image's id. Raises ImageError when it cannot be had."""

    async def set_up_volumes(self, uid: str, volumes: Sequence[Volume], group: int | None = None) -> None:
        """Make the pod's volumes, owned by *group* (fsGroup) if there is one, or bring them up to date.

        Raises:
            VolumeError, KernelError: one cannot be had.
        """

    async def run_sandbox(self, spec: SandboxSpec) -> Sandbox: ...

    async def remove_sandbox(self, uid: str) -> None:
        """Kill what still runs in it and take back its namespaces, cgroups, address and volumes."""

    async def start_container(self, sandbox_uid: str, spec: ContainerSpec) -> Container:
        """Raises StartError, ImageError."""

    async def stop_container(self, container_id: str, grace_period_s: float) -> None:
        """The stop signal (SIGTERM), then after the grace period SIGKILL to all of it. Returns when its exit
        was reported."""

    async def update_container(self, container_id: str, limits: Limits) -> None:
        """Give a running container other limits; what is None stays as it is."""

    async def pause_container(self, container_id: str) -> None:
        """Freeze it until `resume_container`, or until it is stopped."""

    async def resume_container(self, container_id: str) -> None: ...

    async def exec(
        self,
        container_id: str,
        command: Sequence[str],
        *,
        terminal: WindowSize | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Process:
        """Start *command* in the container as its own process was: its user, environment and working
        directory. Descriptors stay the caller's; one that is None is /dev/null, but stderr where stdout is.

        Raises:
            StartError: there is no such command, or no such container.
        """

    async def attach(self, container_id: str) -> Attachment:
        """Raises StartError: there is no such container."""

    def resize_terminal(self, container_id: str, size: WindowSize) -> None:
        """Tell a container with a terminal its new size; nothing happens without one."""

    async def statistics(self) -> Statistics: ...

    def exits(self) -> AbstractAsyncContextManager[AsyncIterator[ContainerExit]]:
        """Container exits from now on, as they happen."""
