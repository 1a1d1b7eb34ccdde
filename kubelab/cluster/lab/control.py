"""The running lab's door for other terminals: a Unix socket that answers `status`, opens
shells, tells the API server's requests, carries out faults, and saves and restores the store.

While a lesson is open a shell is opened as the lesson's own are (`ShellOffer`): same environment, same
bounds, on the lesson's machine unless another is named.

One request a connection, as one JSON message (SOCK_SEQPACKET keeps messages whole). A shell's terminal is
handed over as a file descriptor (SCM_RIGHTS), so its bytes never pass through the lab.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord
from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.lab.descriptor_passing import MESSAGE_BYTES_MAX, receive
from kubelab.cluster.lab.faults import Fault, Faults, Order
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.machine import Machine, Process, WindowSize
from kubelab.language import Text

if TYPE_CHECKING:
    from kubelab.cluster.store.mvcc import Mvcc

STDIO = (0, 1, 2)
SHELL = ("bash", "-i")
HOME = "/root"


class Status(msgspec.Struct, frozen=True, tag_field="verb", tag="status"):
    """Asks for a snapshot."""


class Requests(msgspec.Struct, frozen=True, tag_field="verb", tag="requests"):
    """Asks for the API server's requests as they come, after the last `recent` ones."""

    recent: int


class Spawn(msgspec.Struct, frozen=True, tag_field="verb", tag="spawn"):
    """Asks for a program on a machine: in a terminal, or with the three descriptors that come along."""

    machine: str | None
    """None: the open lesson's."""
    argv: list[str]
    """Nothing: a shell."""
    env: dict[str, str]
    terminal: WindowSize | None


class SaveStore(msgspec.Struct, frozen=True, tag_field="verb", tag="save-store"):
    """Asks for a snapshot of the store, to be written to the descriptor that comes along."""


class RestoreStore(msgspec.Struct, frozen=True, tag_field="verb", tag="restore-store"):
    """Asks that the store be put back to the snapshot which is read from the descriptor that comes along."""

    check_hash: bool


@dataclass(frozen=True, slots=True)
class ShellOffer:
    """How a lesson opens its shells: on `machine` in `cwd`, if no other machine is asked for."""

    machine: str
    cwd: str
    environment: Mapping[str, str]


_Request = Status | Requests | Spawn | Order | SaveStore | RestoreStore


class RefusedError(LabError):
    """The lab answered that it cannot do what was asked."""


class ControlServer:
    """Answers on the lab's control socket, for as long as `serving` lasts."""

    def __init__(
        self,
        snapshot: Callable[[], LabSnapshot],
        machines: Callable[[], Mapping[str, Machine]],
        environment: Mapping[str, str],
        offered: Callable[[], ShellOffer | None] = lambda: None,
        requests: Callable[[], RequestLog | None] = lambda: None,
        faults: Faults | None = None,
        store_snapshot: Callable[[], AsyncIterator[bytes] | None] = lambda: None,
        restore: "Callable[[Mvcc], Awaitable[int]] | None" = None,
    ) -> None:
        self._snapshot = snapshot
        self._machines = machines
        self._environment = environment
        self._offered = offered
        self._requests = requests
        self._faults = faults
        self._store_snapshot = store_snapshot
        self._restore = restore

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as listener:
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen()
            async with asyncio.TaskGroup() as group:
                accepting = group.create_task(self._accept(listener, group))
                try:
                    yield
                finally:
                    accepting.cancel()
                    path.unlink(missing_ok=True)

    async def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        connections: set[asyncio.Task[None]] = set()
        try:
            while True:
                connection, _ = await loop.sock_accept(listener)
                task = group.create_task(self._answer(connection))
                connections.add(task)
                task.add_done_callback(connections.discard)
        finally:
            for task in connections:
                task.cancel()

    async def _answer(self, connection: socket.socket) -> None:
        # Suppressed: the other side is gone, or is not one of ours.
        with connection, suppress(ConnectionError, msgspec.DecodeError):
            try:
                await self._serve(connection)
            except LabError as error:
                await _send(connection, {"error": _both(error)})

    async def _serve(self, connection: socket.socket) -> None:
        payload, descriptors = await receive(connection, len(STDIO))
        try:
            match msgspec.json.decode(payload, type=_Request):
                case Status():
                    await self._status(connection)
                case Requests(recent):
                    await self._tell_requests(connection, recent)
                case Spawn() as request:
                    await self._spawn(connection, request, descriptors)
                case Order() as order:
                    await self._carry_out(connection, order)
                case SaveStore():
                    await self._save_store(connection, descriptors)
                case RestoreStore(check_hash):
                    await self._restore_store(connection, descriptors, check_hash=check_hash)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _status(self, connection: socket.socket) -> None:
        """A snapshot can be larger than a socket message may be: it travels in a memory file."""
        with os.fdopen(os.memfd_create("status"), "w+b") as memory:
            memory.write(msgspec.json.encode(self._snapshot()))
            memory.flush()
            await _send(connection, {}, [memory.fileno()])

    async def _tell_requests(self, connection: socket.socket, recent: int) -> None:
        """Send a message with each request, until the client goes away."""
        if (log := self._requests()) is None:
            raise RefusedError(_NO_API_SERVER)
        for record in list(log.recent)[len(log.recent) - recent :] if recent else ():
            await _send(connection, {"request": record})
        gone = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(connection, 1))
        telling = asyncio.ensure_future(_tell(connection, log))
        try:
            await asyncio.wait((gone, telling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in (gone, telling):
                future.cancel()
            await asyncio.gather(gone, telling, return_exceptions=True)

    async def _spawn(self, connection: socket.socket, request: Spawn, stdio: Sequence[int]) -> None:
        stdin, stdout, stderr = stdio if len(stdio) == len(STDIO) else (None, None, None)
        offer = self._offered()
        machine = self._machine(request.machine or (offer.machine if offer else ""))
        process = await machine.spawn(
            request.argv or SHELL,
            env={**self._environment, **(offer.environment if offer else {}), **request.env},
            cwd=offer.cwd if offer and offer.machine == machine.name else HOME,
            terminal=request.terminal,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            await _send(connection, {"pid": process.pid}, [process.fd] if request.terminal else ())
            await _until_end(connection, process)
        finally:
            await process.close()

    async def _carry_out(self, connection: socket.socket, order: Order) -> None:
        """Answer with the faults that are on then."""
        if self._faults is None:
            raise RefusedError(_NO_FAULTS)
        await self._faults.carry_out(order)
        await _send(connection, {"faults": self._faults.active()})

    async def _save_store(self, connection: socket.socket, descriptors: Sequence[int]) -> None:
        pieces = self._store_snapshot()
        if pieces is None or not descriptors:
            raise RefusedError(_NO_STORE)
        # It takes half of what a client of the socket takes to start, and clients come often.
        from kubelab.cluster.store.service import StoreError
        from kubelab.cluster.store.snapshot_file import write_pieces

        try:
            size_bytes = await write_pieces(pieces, descriptors[0])
        except OSError as error:
            raise KernelError("write", "store snapshot", error.errno or 0) from error
        except StoreError as error:  # A real etcd ended meanwhile, say.
            raise RefusedError(_NOT_WHOLE.format(why=error)) from error
        await _send(connection, {"bytes": size_bytes})

    async def _restore_store(
        self, connection: socket.socket, descriptors: Sequence[int], *, check_hash: bool
    ) -> None:
        if self._restore is None or not descriptors:
            raise RefusedError(_NO_STORE)
        from kubelab.cluster.store.snapshot_file import read_snapshot

        path = Path(f"/proc/self/fd/{descriptors[0]}")
        mvcc = await in_thread(lambda: read_snapshot(path, check_hash=check_hash))
        await _send(connection, {"revision": await self._restore(mvcc)})

    def _machine(self, name: str) -> Machine:
        machines = self._machines()
        try:
            return machines[name]
        except KeyError:
            refusal = _NO_MACHINE if name else _NO_LESSON
            raise RefusedError(refusal.format(name=name, names=", ".join(machines))) from None


async def _tell(connection: socket.socket, log: RequestLog) -> None:
    async for records, missed in log.records():
        for record in records:
            await _send(connection, {"request": record})
        if missed:
            await _send(connection, {"missed": missed})


async def _until_end(connection: socket.socket, process: Process) -> None:
    """Tell the client the exit code; give up when the client goes away first."""
    ended = asyncio.ensure_future(process.wait())
    gone = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(connection, 1))
    try:
        await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await _send(connection, {"exit": ended.result()})
    finally:
        for future in (ended, gone):
            future.cancel()
        await asyncio.gather(ended, gone, return_exceptions=True)


def _both(error: LabError) -> Mapping[str, str]:
    sentence = error.sentence
    return (
        {"es": sentence.es, "en": sentence.en}
        if isinstance(sentence, Text)
        else {"es": sentence, "en": sentence}
    )


async def _send(connection: socket.socket, message: object, descriptors: Sequence[int] = ()) -> None:
    payload = msgspec.json.encode(message)
    if descriptors:
        socket.send_fds(
            connection, [payload], descriptors
        )  # A small message on a fresh socket: never blocks.
    else:
        await asyncio.get_running_loop().sock_sendall(connection, payload)


class ControlClient:
    """The other side, for command-line tools: plain blocking calls."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, path: Path) -> "ControlClient":
        """Raises LabError when no lab is running, or it is not this user's."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            raise LabError(
                Text(
                    es="No hay ningún laboratorio en marcha: ábrelo con `kubelab` o `kubelab up`.",
                    en="No lab is running: start one with `kubelab` or `kubelab up`.",
                )
            ) from None
        except OSError as error:
            connection.close()
            raise KernelError("connect", path, error.errno or 0) from None
        return cls(connection)

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def status(self) -> LabSnapshot:
        self._ask(Status())
        _, (descriptor,) = self._answer()
        with os.fdopen(descriptor, "rb") as memory:
            memory.seek(0)
            return msgspec.json.decode(memory.read(), type=LabSnapshot)

    def spawn(
        self, machine: str | None, argv: Sequence[str], env: Mapping[str, str], terminal: WindowSize | None
    ) -> int | None:
        """Start *argv* (nothing: a shell) on *machine* (None: the open lesson's): with a terminal, return
        its descriptor; without, it has our stdio."""
        request = Spawn(machine, list(argv), dict(env), terminal)
        self._ask(request, () if terminal else STDIO)
        _, descriptors = self._answer()
        return descriptors[0] if terminal else None

    def requests(self, recent: int) -> Iterator[RequestRecord | int]:
        """Ask for the API server's requests and yield them, the last *recent* ones first, until the lab ends.

        A number says how many came that could not be told, because this side was too slow.
        """
        self._ask(Requests(recent))
        return self._requests()

    def _requests(self) -> Iterator[RequestRecord | int]:
        with suppress(ConnectionError):
            while True:
                answer, _ = self._answer()
                if "missed" in answer:
                    yield int(answer["missed"])
                else:
                    yield msgspec.convert(answer["request"], RequestRecord)

    def fault(self, order: Order) -> tuple[Fault, ...]:
        """Have the lab carry out *order*; return the faults that are on then. Raises LabError."""
        self._ask(order)
        return msgspec.convert(self._answer()[0]["faults"], tuple[Fault, ...])

    def save_store(self, descriptor: int) -> int:
        """Have a snapshot of the store written to *descriptor*; return its size. Raises LabError."""
        self._ask(SaveStore(), [descriptor])
        return int(self._answer()[0]["bytes"])

    def restore_store(self, descriptor: int, *, check_hash: bool = True) -> int:
        """Have the store put back to the snapshot in *descriptor*; return its revision. Raises LabError."""
        self._ask(RestoreStore(check_hash), [descriptor])
        return int(self._answer()[0]["revision"])

    def exit_code(self) -> int:
        """Wait for the end of what `spawn` started; 129 (SIGHUP) when the lab ended first."""
        try:
            return int(self._answer()[0]["exit"])
        except ConnectionError:
            return 129

    def fileno(self) -> int:
        return self._connection.fileno()

    def _ask(self, request: object, descriptors: Sequence[int] = ()) -> None:
        message = msgspec.json.encode(request)
        if descriptors:
            socket.send_fds(self._connection, [message], descriptors)
        else:
            self._connection.sendall(message)

    def _answer(self) -> tuple[dict[str, Any], list[int]]:
        payload, descriptors, _, _ = socket.recv_fds(self._connection, MESSAGE_BYTES_MAX, 1)
        if not payload:
            raise ConnectionResetError
        answer = msgspec.json.decode(payload)
        if error := answer.get("error"):
            raise RefusedError(Text(**error))
        return answer, descriptors


_NO_MACHINE = Text(
    es="No hay ninguna máquina {name}: elige una de {names}.",
    en="There is no machine {name}: choose one of {names}.",
)
_NO_API_SERVER = Text(
    es="El laboratorio aún no tiene API server: espera a que `kubelab status` muestre los nodos.",
    en="The lab has no API server yet: wait until `kubelab status` shows the nodes.",
)
_NO_FAULTS = Text(
    es="En este laboratorio no se puede romper nada: levanta uno con `kubelab up`.",
    en="Nothing can be broken in this lab: start one with `kubelab up`.",
)
_NO_STORE = Text(
    es="Ningún miembro del almacén responde ahora en los masters: espera a que el laboratorio esté en "
    "marcha; si su etcd está en otro sitio, usa `etcdctl snapshot save` allí.",
    en="No member of the store answers now on the masters: wait until the lab runs; if its etcd is "
    "elsewhere, use `etcdctl snapshot save` there.",
)
_NOT_WHOLE = Text(
    es="La copia del almacén se ha cortado ({why}): inténtalo otra vez.",
    en="The snapshot of the store was cut short ({why}): try again.",
)
_NO_LESSON = Text(
    es="No hay ninguna lección abierta: di en qué máquina, {names}.",
    en="No lesson is open: name a machine, {names}.",
)
