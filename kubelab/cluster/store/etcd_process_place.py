"""Where a real etcd runs: on a machine of the lab, or on this host's loopback (for tests and measurements).

On a machine it is in the machine's namespaces and cgroup and dies with the machine; its data directory lies
on the host and is handed over as an open descriptor, its standard input, so that nothing of the host need be
writable in the machine's file system. Its standard output is its log on the host.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kubelab.cluster.machine.namespaced import NamespacedMachine

DATA_ON_MACHINE = "/proc/self/fd/0"
CERTIFICATES_ON_MACHINE = "/etc/kubernetes/pki/etcd"


class Process(Protocol):
    @property
    def pid(self) -> int:
        """The host's."""

    async def wait(self) -> int:
        """Return the exit code; 128 + signal for a killed process."""

    def kill(self, signal: int) -> None:
        """Signal it; nothing happens if it is gone."""


class Place(Protocol):
    @property
    def has_own_loopback(self) -> bool:
        """Whether nobody else listens on 127.0.0.1 there."""

    def socket(self) -> socket.socket:
        """Return a non-blocking TCP socket of the network that the process is in."""

    def data_path(self, data: Path) -> str:
        """Return the path by which the process finds its data directory."""

    async def certificate_path(self, name: str, file: Path) -> str:
        """Return the path by which the process finds a PEM file of the host's; *name* it there."""

    def running(
        self, argv: Sequence[str], data: Path, log: Path
    ) -> contextlib.AbstractAsyncContextManager[Process]:
        """Run *argv* during the block, its output appended to *log*; it is dead at the end.

        Raises:
            LabError: it could not be started.
        """


class MachinePlace:
    has_own_loopback = True

    def __init__(self, machine: NamespacedMachine) -> None:
        self._machine = machine

    def socket(self) -> socket.socket:
        return self._machine.socket()

    def data_path(self, data: Path) -> str:
        return DATA_ON_MACHINE

    async def certificate_path(self, name: str, file: Path) -> str:
        path = f"{CERTIFICATES_ON_MACHINE}/{name}"
        await self._machine.write_file(path, file.read_bytes(), mode=0o600)
        return path

    @asynccontextmanager
    async def running(self, argv: Sequence[str], data: Path, log: Path) -> AsyncIterator[Process]:
        with _opened(data, log) as (data_fd, log_fd):
            process = await self._machine.spawn(
                [self._seen_there(argv[0]), *argv[1:]], cwd="/", stdin=data_fd, stdout=log_fd, component=True
            )
        try:
            yield process
        finally:
            process.kill(signal.SIGKILL)
            await process.wait()

    def _seen_there(self, program: str) -> str:
        """Return where the machine has the host's program: bound into it, or at the same path."""
        binds = self._machine.spec.binds.items()
        return next((path for path, source in binds if source == Path(program)), program)


class LoopbackPlace:
    has_own_loopback = False

    def socket(self) -> socket.socket:
        opened = socket.socket()
        opened.setblocking(False)
        return opened

    def data_path(self, data: Path) -> str:
        return str(data)

    async def certificate_path(self, name: str, file: Path) -> str:
        return str(file)

    @asynccontextmanager
    async def running(self, argv: Sequence[str], data: Path, log: Path) -> AsyncIterator[Process]:
        with _opened(data, log) as (data_fd, log_fd):
            # Who kills a test kills what it has started: PR_SET_PDEATHSIG, setpriv(1).
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", "--", *argv), stdin=data_fd, stdout=log_fd, stderr=log_fd
            )
        try:
            yield _Subprocess(process)
        finally:
            _Subprocess(process).kill(signal.SIGKILL)
            await process.wait()


@dataclass(frozen=True, slots=True)
class _Subprocess:
    _process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    def kill(self, signal: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal)


@contextlib.contextmanager
def _opened(data: Path, log: Path) -> Iterator[tuple[int, int]]:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_fd = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            yield data_fd, log_fd
        finally:
            os.close(log_fd)
    finally:
        os.close(data_fd)
