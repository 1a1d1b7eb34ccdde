"""Pods on one machine: the container runtime that a kubelet talks to. See `cri.Runtime`.

Source: kubernetes, cri-api; containerd, internal/cri/server (sandbox_run.go, container_start.go), whose
division of labour with its shim this follows: here is what must be remembered, in the machine's shim what
touches the kernel. A `Mount.source` is a path on the machine, as a hostPath volume means it. Logs are written
by the shim to the file that is opened here; at 10 MiB a log starts anew instead of being rotated.
Left out: pods that share the host's namespaces, seccomp, users, more images.
"""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.runtime import images
from kubelab.cluster.runtime.client import Exit, Shim, ShimProcess
from kubelab.cluster.runtime.cri import (
    Container,
    ContainerExit,
    ContainerSpec,
    Limits,
    Mount,
    Sandbox,
    SandboxSpec,
    StartError,
)
from kubelab.language import Text

VOLUMES = "/var/lib/kubelet/pods/{uid}/volumes"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class AddressPool:
    """The pod addresses of one node. The next free one after the last is taken, so that none is soon
    reused."""

    def __init__(self, network: IPv4Network) -> None:
        self._hosts = tuple(network.hosts())[1:]  # The first is the bridge's.
        self._used: set[IPv4Address] = set()
        self._next = 0

    def take(self) -> IPv4Address:
        """Raises LabError when all are in use."""
        for step in range(len(self._hosts)):
            at = (self._next + step) % len(self._hosts)
            if self._hosts[at] not in self._used:
                self._next = at + 1
                self._used.add(self._hosts[at])
                return self._hosts[at]
        raise LabError(_NO_ADDRESS.format(count=len(self._hosts)))

    def give_back(self, address: IPv4Address) -> None:
        self._used.discard(address)


@dataclass(slots=True)
class _Running:
    container: Container
    process: ShimProcess
    reported: "asyncio.Future[ContainerExit]"


@dataclass(slots=True)
class _Pod:
    sandbox: Sandbox
    hostname: str
    pause: ShimProcess
    containers: dict[str, _Running] = field(default_factory=dict)


class PodRuntime:
    """See `cri.Runtime`; made by `start_pods`."""

    def __init__(self, shim: Shim, network: IPv4Network) -> None:
        self._shim = shim
        self._addresses = AddressPool(network)
        self._pods: dict[str, _Pod] = {}
        self._subscribers: set[asyncio.Queue[ContainerExit]] = set()

    async def pull_image(self, image: str) -> str:
        return images.resolve(image).id

    async def run_sandbox(self, spec: SandboxSpec) -> Sandbox:
        known = self._pods.get(spec.uid)
        if known and not known.pause.exited.done():
            return known.sandbox
        if known:
            await self.remove_sandbox(spec.uid)
        address = self._addresses.take()
        try:
            pause = await self._start_pause(spec, address)
        except BaseException:
            self._addresses.give_back(address)
            with contextlib.suppress(LabError):
                await self._shim.request("remove_sandbox", {"uid": spec.uid})
            raise
        sandbox = Sandbox(spec.uid, pause.pid, address)
        self._pods[spec.uid] = _Pod(sandbox, spec.hostname, pause)
        return sandbox

    async def remove_sandbox(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod is None:
            return
        running = tuple(pod.containers.values())
        for process in (*(each.process for each in running), pod.pause):
            process.kill(signal.SIGKILL)
        await asyncio.gather(*(asyncio.shield(each.reported) for each in running), pod.pause.wait())
        await self._shim.request("remove_sandbox", {"uid": uid})
        if self._pods.pop(uid, None):
            self._addresses.give_back(pod.sandbox.address)

    async def start_container(self, sandbox_uid: str, spec: ContainerSpec) -> Container:
        pod = self._pods.get(sandbox_uid)
        if pod is None or pod.pause.exited.done():
            raise StartError(_NO_SANDBOX.format(uid=sandbox_uid))
        image = images.resolve(spec.image)
        id_ = secrets.token_hex(32)
        params = _container_params(id_, pod, spec, image)
        with _log_file(spec.log_path) as log_fd:
            process, _ = await self._shim.start("start_container", params, [log_fd])
        container = Container(id_, sandbox_uid, spec.name, image.id, process.pid, datetime.now(UTC))
        running = _Running(container, process, asyncio.get_running_loop().create_future())
        pod.containers[id_] = running
        process.exited.add_done_callback(lambda _: self._report_exit(pod, running))
        return container

    async def stop_container(self, container_id: str, grace_period_s: float) -> None:
        running = self._find(container_id)
        if running is None:
            return
        running.process.kill(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(running.reported), grace_period_s)
        except TimeoutError:
            running.process.kill(signal.SIGKILL)
            await asyncio.shield(running.reported)

    @contextlib.asynccontextmanager
    async def exits(self) -> AsyncIterator[AsyncIterator[ContainerExit]]:
        queue: asyncio.Queue[ContainerExit] = asyncio.Queue()
        self._subscribers.add(queue)
        try:
            yield _Exits(queue)
        finally:
            self._subscribers.discard(queue)

    def pids(self, uid: str) -> tuple[int, ...]:
        """Return the pids of the pod's processes as they were started, pause first; none for an unknown
        pod."""
        pod = self._pods.get(uid)
        if pod is None:
            return ()
        return (pod.sandbox.pid, *(running.container.pid for running in pod.containers.values()))

    async def remove_all(self) -> None:
        """Remove every pod; on a machine that is gone there is none left."""
        with contextlib.suppress(LabError):
            await asyncio.gather(*(self.remove_sandbox(uid) for uid in tuple(self._pods)))

    async def _start_pause(self, spec: SandboxSpec, address: IPv4Address) -> ShimProcess:
        params = {
            "uid": spec.uid,
            "hostname": spec.hostname,
            "address": str(address),
            "peer": f"veth{secrets.token_hex(4)}",
            "limits": cgroup_fields(spec.limits),
        }
        pause, _ = await self._shim.start("run_sandbox", params)
        return pause

    def _report_exit(self, pod: _Pod, running: _Running) -> None:
        report = _exit_report(running.container.id, running.process.exited.result())
        pod.containers.pop(running.container.id, None)
        running.reported.set_result(report)
        for queue in self._subscribers:
            queue.put_nowait(report)

    def _find(self, container_id: str) -> _Running | None:
        found = (pod.containers.get(container_id) for pod in self._pods.values())
        return next((running for running in found if running), None)


@contextlib.asynccontextmanager
async def start_pods(shim: Shim, network: IPv4Network) -> AsyncIterator[PodRuntime]:
    """Make the machine ready for pods on *network*, whose first address is its bridge's; end them at the
    end."""
    gateway = IPv4Interface((next(network.hosts()), network.prefixlen))
    await shim.request("ready_pods", {"gateway": str(gateway)})
    runtime = PodRuntime(shim, network)
    try:
        yield runtime
    finally:
        await runtime.remove_all()


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
    return found


class _Exits:
    """The exits in a subscriber's queue; it never ends by itself."""

    def __init__(self, queue: "asyncio.Queue[ContainerExit]") -> None:
        self._queue = queue

    def __aiter__(self) -> "_Exits":
        return self

    async def __anext__(self) -> ContainerExit:
        return await self._queue.get()


def _exit_report(id_: str, end: Exit) -> ContainerExit:
    finished_at = datetime.fromtimestamp(end.at_s, UTC) if end.at_s else datetime.now(UTC)
    return ContainerExit(id_, end.exit_code, end.oom_killed, finished_at)


def _container_params(id_: str, pod: _Pod, spec: ContainerSpec, image: images.Image) -> dict[str, object]:
    uid = pod.sandbox.uid
    volumes = {_source(uid, spec.name, mount): _hex(mount.files) for mount in spec.mounts if not mount.source}
    mounts = [
        {
            "destination": mount.destination,
            "source": _source(uid, spec.name, mount),
            "read_only": mount.read_only,
        }
        for mount in spec.mounts
    ]
    return {
        "uid": uid,
        "id": id_,
        "argv": list(spec.command + spec.args or image.argv),
        "env": {"PATH": PATH, "HOSTNAME": pod.hostname, "HOME": "/root"} | dict(spec.env),
        "cwd": spec.cwd,
        "hostname": pod.hostname,
        "address": str(pod.sandbox.address),
        "limits": cgroup_fields(spec.limits),
        "volumes": volumes,
        "mounts": mounts,
    }


def _source(uid: str, container: str, mount: Mount) -> str:
    """Return where on the machine the mounted directory is, as a kubelet lays it out."""
    if mount.source:
        return str(mount.source)
    plugin = "empty-dir" if mount.files is None else "configmap"
    name = mount.volume or f"{container}{mount.destination.replace('/', '-')}"
    return f"{VOLUMES.format(uid=uid)}/kubernetes.io~{plugin}/{name}"


def _hex(files: Mapping[str, bytes] | None) -> dict[str, str]:
    return {path: content.hex() for path, content in (files or {}).items()}


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        yield fd
    finally:
        os.close(fd)


_NO_ADDRESS = Text(
    es="las {count} direcciones de pod de este nodo están en uso: borra algún pod",
    en="all {count} pod addresses of this node are in use: delete a pod",
)
_NO_SANDBOX = Text(
    es="el sandbox {uid} no está en marcha",
    en="sandbox {uid} is not running",
)
