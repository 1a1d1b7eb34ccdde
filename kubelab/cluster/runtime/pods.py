"""Pods on one machine: the container runtime that a kubelet talks to. See `cri.Runtime`.

Source: kubernetes, cri-api; containerd, internal/cri/server (sandbox_run.go, container_start.go), whose
division of labour with its shim this follows: here is what must be remembered, in the machine's shim what
touches the kernel.
"""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from kubelab.cluster.errors import LabError
from kubelab.cluster.images.image import Image
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.background import background
from kubelab.cluster.runtime import log_rotation, pod_config, privileges, quick_json, statistics
from kubelab.cluster.runtime.address_pool import Lease, Leases
from kubelab.cluster.runtime.attachment import ContainerAttachment, Input, pipes
from kubelab.cluster.runtime.client import Exit, Shim, ShimProcess
from kubelab.cluster.runtime.cri import (
    Container,
    ContainerExit,
    ContainerSpec,
    ImageError,
    ImageStatus,
    Limits,
    Mount,
    Sandbox,
    SandboxSpec,
    StartError,
    Statistics,
    Volume,
    message_file,
)
from kubelab.cluster.runtime.executed_process import ExecutedProcess
from kubelab.cluster.runtime.shim_requests import (
    cgroup_fields,
    sandbox_request,
    sub_path_targets,
    volume_request,
)
from kubelab.cluster.runtime.terminal import WindowSize
from kubelab.language import Text

# A pod in its machine's network knows the machine's names.
MACHINE_FILES = ("/etc/hosts", "/etc/hostname")


@dataclass(slots=True)
class _Running:
    container: Container
    spec: ContainerSpec
    process: ShimProcess
    reported: "asyncio.Future[ContainerExit]"
    stop_signal: int
    input: Input | None = None
    is_paused: bool = False


@dataclass(slots=True)
class _Pod:
    sandbox: Sandbox
    spec: SandboxSpec
    pause: ShimProcess
    lease: Lease
    containers: dict[str, _Running] = field(default_factory=dict)


class PodRuntime:
    """See `cri.Runtime`; made by `start_pods`."""

    def __init__(self, shim: Shim, network: IPv4Network, images: ImageStore) -> None:
        self._shim = shim
        self._images = images
        self._leases = Leases(network)
        self._pods: dict[str, _Pod] = {}
        self._subscribers: set[asyncio.Queue[ContainerExit]] = set()
        self._full_logs: asyncio.Queue[str] = asyncio.Queue()
        shim.on_event("log_full", lambda event: self._full_logs.put_nowait(event["id"]))

    async def image_status(self, image: str) -> ImageStatus | None:
        try:
            found = await self._images.find(image)
        except ImageError:
            return None
        return ImageStatus(found.id, found.config.user, found.size_bytes)

    async def pull_image(self, image: str) -> str:
        return (await self._images.pull(image, "Always")).id

    # Pods

    async def set_up_volumes(self, uid: str, volumes: Sequence[Volume], group: int | None = None) -> None:
        requests = [volume_request(uid, volume, group) for volume in volumes]
        await self._shim.request("set_up_volumes", {"volumes": requests})

    async def run_sandbox(self, spec: SandboxSpec) -> Sandbox:
        known = self._pods.get(spec.uid)
        if known and not known.pause.exited.done():
            return known.sandbox
        if known:
            await self.remove_sandbox(spec.uid)
        host_address = spec.node_address if spec.host_network else None
        lease = self._leases.take(host_address, own_ids=not spec.host_users)
        try:
            pause = await self._start_pause(spec, lease)
        except BaseException:
            try:
                with contextlib.suppress(LabError):
                    await self._shim.request("remove_sandbox", {"uid": spec.uid})
            finally:  # Not before: the next pod may have the address at once.
                self._leases.give_back(lease)
            raise
        sandbox = Sandbox(spec.uid, pause.pid, lease.address)
        self._pods[spec.uid] = _Pod(sandbox, spec, pause, lease)
        return sandbox

    async def _start_pause(self, spec: SandboxSpec, lease: Lease) -> ShimProcess:
        peer = f"veth{secrets.token_hex(4)}"
        request = sandbox_request(spec, str(lease.address), peer, lease.ids_from)
        pause, _ = await self._shim.start("run_sandbox", request)
        return pause

    async def remove_sandbox(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod is None:
            return
        running = tuple(pod.containers.values())
        await asyncio.gather(*(self._resume(each) for each in running if each.is_paused))
        for process in (*(each.process for each in running), pod.pause):
            process.kill(signal.SIGKILL)
        await asyncio.gather(*(asyncio.shield(each.reported) for each in running), pod.pause.wait())
        await self._shim.request("remove_sandbox", {"uid": uid})
        if self._pods.pop(uid, None):
            self._leases.give_back(pod.lease)

    async def remove_all(self) -> None:
        """Remove every pod that can be; on a machine that is gone there is none left."""
        async with asyncio.TaskGroup() as group:
            for uid in tuple(self._pods):
                group.create_task(self._try_to_remove(uid))

    async def _try_to_remove(self, uid: str) -> None:
        with contextlib.suppress(LabError):
            await self.remove_sandbox(uid)

    def pids(self, uid: str) -> tuple[int, ...]:
        """Return the pids of the pod's processes as they were started, pause first; none for an unknown
        pod."""
        pod = self._pods.get(uid)
        if pod is None:
            return ()
        return (pod.sandbox.pid, *(running.container.pid for running in pod.containers.values()))

    # Containers

    async def start_container(self, sandbox_uid: str, spec: ContainerSpec) -> Container:
        pod = self._pods.get(sandbox_uid)
        if pod is None or pod.pause.exited.done():
            raise StartError(_NO_SANDBOX.format(uid=sandbox_uid))
        image = await self._images.find(spec.image)
        loan = await self._images.lend(image)
        id_ = secrets.token_hex(32)
        try:
            with log_rotation.opened(spec.log_path) as log_fd:
                request = _container_request(id_, pod, spec, image, loan.lowers)
                given = [log_fd, loan.fd] if loan.fd >= 0 else [log_fd]
                process, fds = await self._shim.start("start_container", request, given)
        except BaseException:
            loan.close()
            raise
        process.exited.add_done_callback(lambda _: loan.close())
        shown = image.repo_digest or image.id
        container = Container(id_, sandbox_uid, spec.name, shown, process.pid, datetime.now(UTC))
        input_ = Input(fds[0], once=spec.stdin_once, is_terminal=spec.tty) if fds else None
        reported: asyncio.Future[ContainerExit] = asyncio.get_running_loop().create_future()
        stop_signal = _signal_number(spec.stop_signal or image.config.stop_signal)
        running = _Running(container, spec, process, reported, stop_signal, input_)
        pod.containers[id_] = running
        process.exited.add_done_callback(lambda _: self._report_exit(pod, running))
        return container

    async def stop_container(self, container_id: str, grace_period_s: float) -> None:
        running = self._find(container_id)
        if running is None:
            return
        if running.is_paused:
            await self._resume(running)
        running.process.kill(running.stop_signal)
        try:
            async with asyncio.timeout(grace_period_s):
                await asyncio.shield(running.reported)
        except TimeoutError:
            running.process.kill(signal.SIGKILL)
            await asyncio.shield(running.reported)

    async def update_container(self, container_id: str, limits: Limits) -> None:
        await self._shim.request("update_container", {"id": container_id, "limits": cgroup_fields(limits)})

    async def pause_container(self, container_id: str) -> None:
        await self._shim.request("pause_container", {"id": self._running(container_id).container.id})
        self._running(container_id).is_paused = True

    async def resume_container(self, container_id: str) -> None:
        await self._resume(self._running(container_id))

    async def _resume(self, running: _Running) -> None:
        with contextlib.suppress(LabError):  # It has just ended.
            await self._shim.request("resume_container", {"id": running.container.id})
        running.is_paused = False

    async def exec(
        self,
        container_id: str,
        command: Sequence[str],
        *,
        terminal: WindowSize | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> ExecutedProcess:
        running = self._running(container_id)
        if running.is_paused:
            raise StartError(_PAUSED.format(id=container_id))
        request = {
            "id": container_id,
            "command": list(command),
            "terminal": asdict(terminal) if terminal else None,
            "stdin": stdin is not None,
            "stdout": stdout is not None,
            "stderr": stderr is not None,
        }
        streams = [fd for fd in (stdin, stdout, stderr) if fd is not None]
        process, fds = await self._shim.start("exec", request, streams)
        for fd in fds:
            os.set_blocking(fd, False)
        return ExecutedProcess(process, fds[0] if fds else -1)

    async def attach(self, container_id: str) -> ContainerAttachment:
        running = self._running(container_id)
        names = ("stdout",) if running.spec.tty else ("stdout", "stderr")
        with pipes(len(names)) as (read_ends, write_ends):
            await self._shim.request("attach", {"id": container_id, "streams": names}, write_ends)
        return ContainerAttachment(running.input, read_ends[0], -1 if running.spec.tty else read_ends[1])

    def resize_terminal(self, container_id: str, size: WindowSize) -> None:
        running = self._find(container_id)
        if running and running.input:
            running.input.resize(size)

    async def statistics(self) -> Statistics:
        files = await self._shim.request("statistics", {})
        return Statistics(
            pods={uid: statistics.usage(each) for uid, each in files["pods"].items()},
            containers={id_: statistics.usage(each) for id_, each in files["containers"].items()},
            machine=statistics.usage(files["machine"]),
        )

    @contextlib.asynccontextmanager
    async def exits(self) -> AsyncIterator[AsyncIterator[ContainerExit]]:
        queue: asyncio.Queue[ContainerExit] = asyncio.Queue()
        self._subscribers.add(queue)
        try:
            yield _Exits(queue)
        finally:
            self._subscribers.discard(queue)

    def _report_exit(self, pod: _Pod, running: _Running) -> None:
        report = _exit_report(running.container.id, running.process.exited.result())
        pod.containers.pop(running.container.id, None)
        if running.input:
            running.input.close()
        running.reported.set_result(report)
        for queue in self._subscribers:
            queue.put_nowait(report)

    async def rotate_logs(self) -> None:
        """Let each log that has become too long go on in a new file. Never returns."""
        while True:
            if running := self._find(await self._full_logs.get()):
                # It may end meanwhile, or the disk be full: then its log stays as it is.
                with contextlib.suppress(LabError, OSError):
                    await self._rotate_log(running.container.id, running.spec.log_path)

    async def _rotate_log(self, container_id: str, path: Path) -> None:
        with log_rotation.successor(path) as fd:
            await self._shim.request("reopen_log", {"id": container_id}, [fd])

    def _find(self, container_id: str) -> _Running | None:
        found = (pod.containers.get(container_id) for pod in self._pods.values())
        return next((running for running in found if running), None)

    def _running(self, container_id: str) -> _Running:
        """Raises StartError: it has ended."""
        running = self._find(container_id)
        if running is None:
            raise StartError(_NO_CONTAINER.format(id=container_id))
        return running


@contextlib.asynccontextmanager
async def start_pods(shim: Shim, network: IPv4Network, images: ImageStore) -> AsyncIterator[PodRuntime]:
    """Make the machine ready for pods on *network*, whose first address is its bridge's; end them at the
    end."""
    gateway = IPv4Interface((next(network.hosts()), network.prefixlen))
    await shim.request("ready_pods", {"gateway": str(gateway)})
    runtime = PodRuntime(shim, network, images)
    async with background(runtime.rotate_logs()):
        try:
            yield runtime
        finally:
            await runtime.remove_all()


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
    return ContainerExit(id_, end.exit_code, end.oom_killed, finished_at, end.message)


def _signal_number(name: str) -> int:
    """Return the signal of that name or number (SIGQUIT, QUIT, 3); SIGTERM if there is none.

    Source: containerd, pkg/oci (moby/sys/signal, ParseSignal).
    """
    if name.isdigit():
        return int(name)
    word = name.upper().removeprefix("SIG")
    return getattr(signal, f"SIG{word}", signal.SIGTERM) if word else signal.SIGTERM


def _container_request(
    id_: str, pod: _Pod, spec: ContainerSpec, image: Image, lowers: Sequence[str]
) -> dict[str, Any]:
    uid = pod.sandbox.uid
    targets = sub_path_targets(uid, spec, id_)
    mounts = [replace(mount, source=targets[mount]) if mount in targets else mount for mount in spec.mounts]
    message = message_file(uid, spec.name, id_) if spec.message_path else ""
    if message:
        mounts.append(Mount(spec.message_path, message))
    if pod.spec.host_network:
        mounts = [Mount(path, path, read_only=True) for path in MACHINE_FILES] + mounts
    document = pod_config.container_config(
        spec,
        pod.spec,
        image.config,
        image_mounts=image.mounts(),
        mounts=mounts,
        ids_from=pod.lease.ids_from,
    )
    # What differs from one container to the next of a kind goes beside the document, which is known then.
    process = document["process"]
    process["oomScoreAdj"] = privileges.permitted_oom_score(spec.oom_score_adj)
    own = {"args": process.pop("args"), "env": process.pop("env"), "sources": _take_sources(document, mounts)}
    return own | {
        "uid": uid,
        "id": id_,
        "config": quick_json.encode(document).decode(),
        "limits": cgroup_fields(spec.limits),
        "lowers": lowers,
        "files": {} if pod.spec.host_network else pod_config.pod_files(pod.spec, pod.lease.address, mounts),
        "sub_paths": [(mount.source, mount.sub_path, target) for mount, target in targets.items()],
        "stdin": spec.stdin,
        "processes_of": spec.processes_of,
        "message_file": message,
        "log_bytes_max": log_rotation.BYTES_MAX,
    }


def _take_sources(document: dict[str, Any], mounts: Sequence[Mount]) -> list[str]:
    """Take out where those *mounts*, the document's last, come from."""
    described = document["mounts"]
    return [each.pop("source") for each in described[len(described) - len(mounts) :]]


_NO_SANDBOX = Text(
    es="el sandbox {uid} no está en marcha",
    en="sandbox {uid} is not running",
)
_NO_CONTAINER = Text(
    es="el contenedor {id} no está en marcha",
    en="container {id} is not running",
)
_PAUSED = Text(
    es="el contenedor {id} está en pausa: reanúdalo antes de ejecutar algo en él",
    en="container {id} is paused: resume it before executing something in it",
)
