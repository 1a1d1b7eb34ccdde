"""Docker swarm as a peer of the lab: engines of Docker's own package on network namespaces, joined by a wire.

Each engine has its own mount, pid and network namespace, so that it ends with all it made when its first
process does. Its image is one static program that sleeps, the same as our pods' pause.
Source: docs.docker.com, engine/swarm/swarm-tutorial; dockerd(8).
"""

import asyncio
import contextlib
import io
import os
import shutil
import tarfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.cgroups import remove_directory
from kubelab.cluster.linux.namespaces import new_network_namespace
from kubelab.cluster.linux.netlink import Netlink, set_link
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.network import PhysicalNetwork
from kubelab.cluster.runtime import pause
from kubelab.language import Text

PROGRAMS = ("docker", "dockerd", "containerd", "runc", "iptables", "nsenter", "unshare")
READY_TIMEOUT_S = 60.0
_IMAGE = "bench/pause:1"
_LOOPBACK = 1
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Engine:
    socket: Path

    async def docker(self, *arguments: str, stdin: bytes = b"") -> str:
        """Return what the client printed.

        Raises:
            LabError: it failed.
        """
        process = await asyncio.create_subprocess_exec(
            *("docker", "--host", f"unix://{self.socket}", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, words = await process.communicate(stdin)
        if process.returncode:
            raise LabError(_FAILED.format(words=words.decode(errors="replace").strip()))
        return out.decode().strip()

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while True:
                with contextlib.suppress(LabError):
                    await self.docker("version")
                    return
                await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Swarm:
    engines: tuple[Engine, ...]

    async def run_ms(self, replicas: int) -> float:
        """Create a service of so many replicas; return how long it takes until all run."""
        begin = time.perf_counter()
        options = ("--quiet", "--no-resolve-image", "--stop-grace-period", "0s", "--name", "bench")
        await self.engines[0].docker("service", "create", *options, f"--replicas={replicas}", _IMAGE)
        return (time.perf_counter() - begin) * 1000

    async def remove_ms(self) -> float:
        """Remove the service; return how long it takes until no container is left."""
        begin = time.perf_counter()
        await self.engines[0].docker("service", "rm", "bench")
        for engine in self.engines:
            while await engine.docker("ps", "--quiet"):  # noqa: ASYNC110 - its own events come too early
                await asyncio.sleep(0.05)
        return (time.perf_counter() - begin) * 1000


def missing() -> tuple[str, ...]:
    """Return the programs that it takes and that are not here."""
    return tuple(name for name in PROGRAMS if not shutil.which(name))


@contextlib.asynccontextmanager
async def start_swarm(place: Path, network: PhysicalNetwork, count: int) -> AsyncIterator[Swarm]:
    """Start *count* engines and join them."""
    async with contextlib.AsyncExitStack() as stack:
        interfaces = [network.plan.machine("scratch", 50 + index) for index in range(count)]
        engines = [
            await stack.enter_async_context(_engine(place / f"engine-{index}", network, interface))
            for index, interface in enumerate(interfaces)
        ]
        await asyncio.gather(*(_prepare(engine) for engine in engines))
        await _join(engines, interfaces)
        yield Swarm(tuple(engines))


async def _prepare(engine: Engine) -> None:
    await engine.ready()
    await engine.docker("import", "--change", 'CMD ["/pause"]', "-", _IMAGE, stdin=_root())


async def _join(engines: list[Engine], interfaces: list[IPv4Interface]) -> None:
    first, first_address = engines[0], interfaces[0].ip
    await first.docker("swarm", "init", "--advertise-addr", str(first_address))
    token = await first.docker("swarm", "join-token", "--quiet", "worker")
    for engine, interface in zip(engines[1:], interfaces[1:], strict=True):
        join = ("swarm", "join", "--advertise-addr", str(interface.ip), "--token", token)
        await engine.docker(*join, f"{first_address}:2377")


@contextlib.asynccontextmanager
async def _engine(place: Path, network: PhysicalNetwork, interface: IPv4Interface) -> AsyncIterator[Engine]:
    await in_thread(place.mkdir)
    netns_fd = await in_thread(new_network_namespace, _raise_loopback)
    cgroup = f"kubelab-{place.name}-{os.getpid()}"
    try:
        async with network.plugged(place.name, netns_fd, interface), _daemon(place, netns_fd, cgroup):
            yield Engine(place / "socket")
    finally:
        os.close(netns_fd)
        await in_thread(_remove_cgroups, cgroup)


@contextlib.asynccontextmanager
async def _daemon(place: Path, netns_fd: int, cgroup: str) -> AsyncIterator[None]:
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    where = (
        *("--data-root", f"{place}/data", "--exec-root", f"{place}/run", "--pidfile", f"{place}/pid"),
        *("--host", f"unix://{place}/socket", "--cgroup-parent", f"/{cgroup}"),
    )
    with (place / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("nsenter", f"--net=/proc/self/fd/{netns_fd}", *apart, "dockerd", *where),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(netns_fd,),
        )
    try:
        yield
    finally:
        # unshare(1) takes the first process of the pid namespace with it, and that takes all the others.
        process.kill()
        await process.wait()


def _remove_cgroups(name: str) -> None:
    """Docker leaves its parent cgroup in each hierarchy, at the top."""
    for directory in (_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")):
        remove_directory(str(directory))


def _raise_loopback() -> None:
    with Netlink() as netlink:
        netlink.do(set_link(_LOOPBACK, up=True))


def _root() -> bytes:
    """Return the image: a tar archive with the one program in it."""
    program, archive = pause.program(), io.BytesIO()
    entry = tarfile.TarInfo("pause")
    entry.size, entry.mode = len(program), 0o755
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(program))
    return archive.getvalue()


_FAILED = Text(es="docker falló: {words}", en="docker failed: {words}")
