"""A machine made of namespaces on this host: the shim is its init, an overlay its disk, a veth its cable.

Its cgroup has the machine's bounds; the cgroup that is the root of its cgroup namespace lies in that one, so
that no root on the machine can reach the bounds. What it may not besides: see `runtime.privileges`.
In a user namespace there are cgroups only where they are delegated; without them nothing is bounded but by
what the user may, and the programs of `cgroup_programs`, which are the host's root's, are not needed: whom
they keep from devices and sysctls has no right to them.
Left out: virtual machines.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux import cgroup_programs, delegation, namespaces, user_namespace
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree, detect
from kubelab.cluster.linux.journal import Journal
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine import bashrc
from kubelab.cluster.machine.limits import LAB_CPU_WEIGHT, MachineLimits
from kubelab.cluster.machine.machine import Process, Role, WindowSize
from kubelab.cluster.machine.network import PhysicalNetwork
from kubelab.cluster.runtime import terminal
from kubelab.cluster.runtime.client import MachineGoneError, Shim, ShimProcess, start_shim
from kubelab.language import Text

HANGUP_TIMEOUT_S = 0.3
EXAMINATION_TIMEOUT_S = 10.0  # On a busy host the least of programs has been seen to take half a second.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACE_ROOT = "machine"

logger = logging.getLogger(__name__)


def host_limits() -> MachineLimits:
    """Return the bounds of a machine on this host."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return MachineLimits.of_host(memory_bytes, int(Path("/proc/sys/kernel/pid_max").read_text("ascii")))


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """`pods`: the network of its pods, if it is to run any. `hosts`: names that its /etc/hosts knows.
    `binds`: read-only, path on the machine to path on the host. `environment`: what programs find there, on
    top of what they find on every machine."""

    name: str
    role: Role
    interface: IPv4Interface
    pods: IPv4Network | None = None
    hosts: Mapping[str, IPv4Address] = field(default_factory=dict)
    binds: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: MachineLimits = field(default_factory=host_limits)


class MachineProcess:
    """See `machine.Process`."""

    def __init__(self, shim: Shim, process: ShimProcess, fd: int) -> None:
        self._shim = shim
        self._process = process
        self._fd = fd

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def fd(self) -> int:
        return self._fd

    async def wait(self) -> int:
        return (await self._process.wait()).exit_code

    def resize(self, size: WindowSize) -> None:
        if self._fd >= 0:
            terminal.resize(self._fd, size)

    def kill(self, signal: int) -> None:
        self._process.kill(signal)

    async def close(self) -> None:
        # Closing the terminal hangs up its foreground processes; the rest of the session is told as well.
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with contextlib.suppress(MachineGoneError):
            await self._end_session()
        await self._process.wait()

    async def _end_session(self) -> None:
        if await self._signal_session(signal.SIGHUP):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HANGUP_TIMEOUT_S):
                    await self._process.wait()
        while await self._signal_session(signal.SIGKILL):  # noqa: ASYNC110 - no event tells of a session's end
            await asyncio.sleep(0.005)

    async def _signal_session(self, number: int) -> int:
        params = {"session": self._process.local_pid, "signal": number}
        count: int = (await self._shim.request("signal_session", params))["count"]
        return count


class NamespacedMachine:
    """See `machine.Machine`. `shim` is what a `PodRuntime` runs on; `pods` the network of its pods."""

    def __init__(
        self,
        spec: MachineSpec,
        shim: Shim,
        netns_fd: int,
        cgroups: CgroupTree,
        network: PhysicalNetwork,
    ) -> None:
        self.spec = spec
        self.shim = shim
        self.cgroups = cgroups
        self._netns_fd = netns_fd
        self._network = network

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def role(self) -> Role:
        return self.spec.role

    @property
    def address(self) -> IPv4Address:
        return self.spec.interface.ip

    @property
    def pods(self) -> IPv4Network | None:
        return self.spec.pods

    @property
    def pid(self) -> int:
        return self.shim.pid

    def kill(self) -> None:
        """Cut its power: everything on it ends at once."""
        self.shim.kill()

    async def gone(self) -> None:
        """Wait until the machine has ended: its init was killed, or the lab takes it down."""
        await self.shim.gone.wait()

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
        terminal: WindowSize | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        component: bool = False,
    ) -> Process:
        """See `machine.Machine`. A *component* is the cluster's own and none of the machine's user's:
        `end_programs` leaves it running."""
        params = {
            "argv": list(argv),
            "env": dict(env or {}),
            "cwd": cwd,
            "terminal": asdict(terminal) if terminal else None,
            "stdin": stdin is not None,
            "stdout": stdout is not None,
            "stderr": stderr is not None,
            "component": component,
        }
        streams = [fd for fd in (stdin, stdout, stderr) if fd is not None]
        process, fds = await self.shim.start("spawn", params, streams)
        for fd in fds:
            os.set_blocking(fd, False)
        return MachineProcess(self.shim, process, fds[0] if fds else -1)

    async def open_socket(
        self, family: int = socket.AF_INET, type_: int = socket.SOCK_STREAM
    ) -> socket.socket:
        return self.socket(family, type_)

    def socket(
        self, family: int = socket.AF_INET, type_: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        """As `open_socket`, for callbacks that cannot await."""
        sock = namespaces.open_socket_in(self._netns_fd, family, type_, protocol)
        sock.setblocking(False)
        return sock

    async def end_programs(self) -> None:
        answer = await self.shim.request("end_programs", {})
        if answer["count"]:
            raise LabError(_STILL_RUNNING.format(name=self.name, count=answer["count"]))

    async def examine(self) -> tuple[str, ...]:
        damages: list[str] = (await self.shim.request("examine", {}))["damages"]
        damages += await self._network.damages(self.name)
        return tuple(damages) or await self._obstacles()

    async def _obstacles(self) -> tuple[str, ...]:
        """Return why the least of programs cannot be run, if so."""
        try:
            async with asyncio.timeout(EXAMINATION_TIMEOUT_S):
                exit_code = await (await self.spawn(["true"])).wait()
        except TimeoutError:
            return ("no program comes to an end",)
        except LabError as error:
            return (str(error),)
        return (f"programs end with exit code {exit_code}",) if exit_code else ()

    async def write_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        await self.shim.request("write_file", {"path": path, "content": content.hex(), "mode": mode})


@contextlib.asynccontextmanager
async def start_cgroups(journal: Journal) -> AsyncIterator[CgroupTree]:
    """Make the lab's own cgroup; yield the tree below it, for `start_machine`.

    Raises:
        KernelError: this process may not make cgroups.
    """
    outside = await in_thread(delegation.delegated) if user_namespace.is_nested() else detect()
    cgroup = outside.at(f"kubelab-{journal.token}")
    journal.cgroup(cgroup)
    await in_thread(cgroup.create)
    try:
        cgroup.limit("cpu.weight", str(LAB_CPU_WEIGHT))
        yield outside.below(cgroup.path)
    finally:
        await in_thread(cgroup.remove)


@contextlib.asynccontextmanager
async def start_machine(
    spec: MachineSpec, network: PhysicalNetwork, cgroups: CgroupTree, journal: Journal
) -> AsyncIterator[NamespacedMachine]:
    """Start a machine and plug it in. *cgroups* is the lab's tree; the machine's cgroup is `spec.name` in it.

    Raises:
        KernelError: the kernel refused a part of it.
    """
    cgroup = cgroups.at(spec.name)
    journal.cgroup(cgroup)
    await in_thread(_create_bounded, cgroup, spec.limits)
    try:
        inside = cgroups.below(f"{spec.name}/{_NAMESPACE_ROOT}")
        async with _started(spec, network, inside, journal) as machine:
            yield machine
    finally:
        await in_thread(cgroup.remove)


def _create_bounded(cgroup: Cgroup, limits: MachineLimits) -> None:
    cgroup.create()
    for name, value in limits.machine_fields().items():
        cgroup.limit(name, value)
    directory = cgroup.directory("")
    if not user_namespace.is_nested() and not (directory and cgroup_programs.attach(directory)):
        logger.warning("%s: this kernel cannot keep a machine from devices and sysctls", cgroup.path)
    cgroup.below(_NAMESPACE_ROOT).create()


@contextlib.asynccontextmanager
async def _started(
    spec: MachineSpec, network: PhysicalNetwork, cgroups: CgroupTree, journal: Journal
) -> AsyncIterator[NamespacedMachine]:
    async with start_shim(spec.name, cgroups, journal) as shim:
        netns_fd = namespaces.open_namespace(shim.pid, "net")
        try:
            await shim.request("build", _build_params(spec, cgroups))
            async with network.plugged(spec.name, netns_fd, spec.interface):
                if spec.pods:
                    await network.route_pods(spec.pods, spec.interface.ip)
                yield NamespacedMachine(spec, shim, netns_fd, cgroups, network)
            if spec.role == "scratch":
                await network.cables.forget(spec.name)
        finally:
            os.close(netns_fd)


def _build_params(spec: MachineSpec, cgroups: CgroupTree) -> dict[str, object]:
    return {
        "name": spec.name,
        "cgroups": cgroups.to_json(),
        "files": {
            "/etc/hostname": f"{spec.name}\n",
            "/etc/hosts": _hosts(spec),
            bashrc.PATH: bashrc.CONTENT,
        },
        "binds": {path: str(source.absolute()) for path, source in spec.binds.items()},
        "env": _environment(spec),
        "sizes": spec.limits.sizes(),
        "limits": {"programs": spec.limits.programs_fields(), "pods": spec.limits.pods_fields()},
    }


def _hosts(spec: MachineSpec) -> str:
    names = {spec.name: spec.interface.ip} | dict(spec.hosts)
    return "127.0.0.1\tlocalhost\n" + "".join(f"{address}\t{name}\n" for name, address in names.items())


def _environment(spec: MachineSpec) -> dict[str, str]:
    return {
        "PATH": _PATH,
        "HOME": "/root",
        "USER": "root",
        "SHELL": "/bin/bash",
        "TERM": "xterm-256color",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "HOSTNAME": spec.name,
        **spec.environment,
    }


_STILL_RUNNING = Text(
    es="en {name} siguen {count} programas que no se dejan terminar: reinicia la máquina",
    en="{count} programs on {name} cannot be ended: restart the machine",
)
