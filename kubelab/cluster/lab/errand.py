"""`kubelab` typed on a machine: the lab runs the command for it, with the caller's terminal as its own.

So a lesson can have faults typed where everything else is. Only commands that read and write no files are
run: they act for the machine's user, who is root there and nobody outside. From a machine of the cluster
there is a way to the others besides (`shell`), also where its cable is cut; from a scratch machine there is
none.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kubelab.cluster.lab import errand_program
from kubelab.cluster.lab.descriptor_passing import receive
from kubelab.cluster.linux.background import background
from kubelab.cluster.machine.machine import Machine
from kubelab.language import Text, preferred

ERRANDS = (("fault",), ("status",), ("api", "watch"))
ERRANDS_IN_CLUSTER = (*ERRANDS, ("shell",))
STDIO_COUNT = 3
REFUSED = 2


class Errand(msgspec.Struct, frozen=True):
    argv: list[str]
    env: dict[str, str]


def install(path: Path) -> None:
    """Write the machines' `kubelab` to *path*, for all machines to have it bound."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_bytes(Path(errand_program.__file__).read_bytes())
    path.chmod(0o755)


@asynccontextmanager
async def running_errands(
    machine: Machine, command: Sequence[str], environment: Mapping[str, str]
) -> AsyncIterator[None]:
    """Run *command* with what is typed after `kubelab` on *machine*, in *environment*."""
    with await machine.open_socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(errand_program.ADDRESS)
        listener.listen()
        errands = ERRANDS if machine.role == "scratch" else ERRANDS_IN_CLUSTER
        async with background(_accept(listener, _Service(tuple(command), environment, errands))):
            yield


@dataclass(frozen=True, slots=True)
class _Service:
    """What is run, in what environment, and after which words."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    errands: tuple[tuple[str, ...], ...]

    def takes(self, argv: Sequence[str]) -> bool:
        return any(tuple(argv[: len(words)]) == words for words in self.errands)


async def _accept(listener: socket.socket, service: _Service) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            connection, _ = await loop.sock_accept(listener)
            group.create_task(_answer(connection, service))


async def _answer(connection: socket.socket, service: _Service) -> None:
    # Suppressed: whoever asked is gone, or is not one of ours.
    with connection, suppress(ConnectionError, msgspec.DecodeError, BlockingIOError):
        connection.setblocking(False)
        errand, stdio = await _received(connection)
        try:
            code = await _done(connection, errand, stdio, service)
        finally:
            for descriptor in stdio:
                os.close(descriptor)
        await asyncio.get_running_loop().sock_sendall(connection, b"%d" % code)


async def _received(connection: socket.socket) -> tuple[Errand, list[int]]:
    payload, descriptors = await receive(connection, STDIO_COUNT)
    try:
        return msgspec.json.decode(payload, type=Errand), descriptors
    except msgspec.DecodeError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


async def _done(connection: socket.socket, errand: Errand, stdio: Sequence[int], service: _Service) -> int:
    if len(stdio) != STDIO_COUNT:
        return REFUSED
    passed = {name: errand.env[name] for name in errand_program.PASSED_ON if name in errand.env}
    if not service.takes(errand.argv):
        allowed = ", ".join(f"`kubelab {' '.join(words)}`" for words in service.errands)
        sentence = _NOT_HERE.format(allowed=allowed).in_(preferred(passed))
        os.write(stdio[2], f"kubelab: {sentence}\n".encode())
        return REFUSED
    argv, env = [*service.command, *errand.argv], dict(service.environment) | passed
    return await _run(argv, env, stdio, connection)


async def _run(
    argv: Sequence[str], env: Mapping[str, str], stdio: Sequence[int], connection: socket.socket
) -> int:
    """Run it until its end; it is interrupted when its caller is, and ended when its caller is gone."""
    stdin, stdout, stderr = stdio
    # A session of its own: what is typed at the lab's terminal is not for it.
    process = await asyncio.create_subprocess_exec(
        *argv, env=env, cwd="/", stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )
    try:
        async with background(_pass_on_interrupts(connection, process)):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def _pass_on_interrupts(connection: socket.socket, process: asyncio.subprocess.Process) -> None:
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, len(errand_program.INTERRUPT)) == errand_program.INTERRUPT:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    with suppress(ProcessLookupError):
        process.terminate()


_NOT_HERE = Text(
    es="en esta máquina puedes usar {allowed}; lo demás, en un terminal de tu ordenador.",
    en="on this machine you can use {allowed}; for the rest, open a terminal on your computer.",
)
