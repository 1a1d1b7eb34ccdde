"""The lab's side of a shim: starts it, sends requests, hears of exits.

Everything here runs on the loop and never waits for the kernel longer than one small write. A shim that is
gone answers with `LabError`. The process must be started from the main thread, for PR_SET_PDEATHSIG is about
the parent *thread*.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux import own_executable, read_only_mounts
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.journal import Journal
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.runtime import messages, quick_json
from kubelab.cluster.runtime.cri import StartError, VolumeError
from kubelab.language import Text

_PROGRAM = Path(__file__).with_name("shim.py")


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process that the shim started. `exit_code` is 128 + signal for a killed one."""

    exit_code: int
    oom_killed: bool
    at_s: float
    message: str = ""


class MachineGoneError(LabError):
    """The shim has ended, and with it everything on its machine."""


class ShimProcess:
    """A process that the shim started. `pid` is the host's, `local_pid` the machine's."""

    def __init__(self, pid: int, local_pid: int, pidfd: int) -> None:
        self.pid = pid
        self.local_pid = local_pid
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._pidfd = pidfd

    def kill(self, number: int) -> None:
        """Signal it; nothing happens if it is gone."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def wait(self) -> Exit:
        return await asyncio.shield(self.exited)

    def end(self, end: Exit) -> None:
        self.close()
        if not self.exited.done():
            self.exited.set_result(end)

    def close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class Shim:
    """A connection to a machine's shim. `pid` is its pid on the host; `gone` is set when it has ended."""

    def __init__(self, name: str, sock: socket.socket, errors_fd: int) -> None:
        self.name = name
        self._errors_fd = errors_fd
        self._last_words = ""
        self.pid = 0
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}
        self._processes: dict[int, ShimProcess] = {}
        self._ready: asyncio.Future[messages.Message] = self._loop.create_future()
        self._sending = asyncio.Lock()
        self._has_room: asyncio.Future[None] = self._loop.create_future()
        self._listeners: dict[str, Callable[[Mapping[str, Any]], None]] = {}
        self._last_id = 0
        self.gone = asyncio.Event()
        sock.setblocking(False)
        self._loop.add_reader(sock, self._receive)

    async def ready(self) -> None:
        """Wait until the machine's init is in its namespaces.

        Raises:
            KernelError: the kernel refused them.
            LabError: the shim died.
        """
        message = await self._ready
        if "error" in message.body:
            raise _error(message.body["error"])

    def on_event(self, name: str, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Call *listener* with each event of that name from now on."""
        self._listeners[name] = listener

    async def request(
        self, method: str, params: Mapping[str, Any], fds: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Let the shim carry out *method*.

        Raises:
            KernelError: the kernel refused a part of it.
            LabError: the shim is gone.
        """
        return (await self._send(method, params, fds)).result

    async def start(
        self, method: str, params: Mapping[str, Any], fds: Sequence[int] = ()
    ) -> tuple[ShimProcess, tuple[int, ...]]:
        """Let the shim start a process; return it, and the descriptors that came with it.

        Raises:
            StartError: there is no such command.
            KernelError, LabError: as for `request`.
        """
        answer = await self._send(method, params, fds)
        assert answer.process is not None
        return answer.process, answer.fds

    async def _send(self, method: str, params: Mapping[str, Any], fds: Sequence[int]) -> "_Answer":
        self._last_id += 1
        number = self._last_id
        body = {"id": number, "method": method, "params": params}
        answer: asyncio.Future[_Answer] = self._loop.create_future()
        self._waiting[number] = answer
        try:
            await self._transmit(body, fds)
            return await answer
        except asyncio.CancelledError:
            # It may have come already, just before we were told to stop waiting.
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                answer.result().give_up()
            raise
        finally:
            self._waiting.pop(number, None)

    async def _transmit(self, body: dict[str, Any], fds: Sequence[int]) -> None:
        with messages.packed(body, fds, encode=quick_json.encode) as packet:
            async with self._sending:
                while not self._sent(packet):
                    # Dozens of requests wait in the socket; the shim takes them one by one.
                    await self._room()

    def _sent(self, packet: messages.Packet) -> bool:
        if self.gone.is_set():  # We may have hung up before it has ended: it would take what nobody answers.
            raise self._gone()
        try:
            packet.send(self._socket)
        except BlockingIOError:
            return False
        except OSError:
            raise self._gone() from None
        return True

    async def _room(self) -> None:
        """Wait until there may be room in the socket."""
        self._has_room = self._loop.create_future()
        self._loop.add_writer(self._socket, _settle_once, self._has_room)
        try:
            await self._has_room
        finally:
            self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        while True:
            try:
                message = messages.receive(self._socket)
            except BlockingIOError:
                return
            except messages.LostError as lost:
                self._lose_answer(lost)
                continue
            except OSError:
                message = None
            if message is None:
                self._lose()
                return
            self._dispatch(message)

    def _dispatch(self, message: messages.Message) -> None:
        body = message.body
        if body.get("event") == "exit":
            process = self._processes.pop(body["pid"], None)
            if process:
                process.end(_exit(body))
        elif body.get("event") in self._listeners:
            self._listeners[body["event"]](body)
        elif "event" in body:
            self._take_ready(message)
        else:
            self._settle(message)

    def _take_ready(self, message: messages.Message) -> None:
        if message.body["event"] == "ready":
            self.pid = message.pid
        if not self._ready.done():
            self._ready.set_result(message)

    def _settle(self, message: messages.Message) -> None:
        future = self._waiting.pop(message.body["id"], None)
        waited_for = future is not None and not future.done()
        if "error" in message.body:
            if future and waited_for:
                future.set_exception(_error(message.body["error"]))
            return
        answer = self._read_answer(message)
        if future and waited_for:
            future.set_result(answer)
        else:
            answer.give_up()

    def _lose_answer(self, lost: messages.LostError) -> None:
        """A process whose pidfd is lost is nobody's: it ends."""
        if "pid" in lost.body.get("result", {}):
            with contextlib.suppress(ProcessLookupError):
                os.kill(lost.pid, signal.SIGKILL)
        if future := self._waiting.pop(lost.body["id"], None):
            _fail(future, lost)

    def _read_answer(self, message: messages.Message) -> "_Answer":
        result = message.body["result"]
        if "pid" not in result:
            return _Answer(result, None, message.fds)
        pidfd, *fds = message.fds
        process = ShimProcess(message.pid, result["pid"], pidfd)
        # Here and not where the answer is awaited: the exit may be the very next message.
        self._processes[process.local_pid] = process
        return _Answer(result, process, tuple(fds))

    def _gone(self) -> MachineGoneError:
        """Return the error; its last words are in there, should it have died of a bug."""
        if self._errors_fd >= 0:
            lines = os.pread(self._errors_fd, 65536, 0).decode(errors="replace").splitlines() or [""]
            self._last_words = f" ({lines[-1]})" if lines[-1] else ""
        return MachineGoneError(_GONE.format(name=self.name, words=self._last_words))

    def _lose(self) -> None:
        """The shim is dead, and with it all that ran on its machine."""
        self._loop.remove_reader(self._socket)
        self.gone.set()
        _fail(self._ready, self._gone())
        _settle_once(self._has_room)
        for future in self._waiting.values():
            _fail(future, self._gone())
        for process in self._processes.values():
            process.end(Exit(128 + signal.SIGKILL, oom_killed=False, at_s=0.0))
        self._processes.clear()

    def kill(self) -> None:
        """End it, and with it everything on its machine."""
        os.kill(self.pid, signal.SIGKILL)  # Our own child until `start_shim` waits for it: the pid is its.

    def hang_up(self) -> None:
        """Answer nobody any more."""
        if not self.gone.is_set():
            self._lose()

    def late_pid(self) -> int:
        """Return the pid of an init that was made after we had hung up, 0 if none was. Blocks until its maker
        and it have told or ended."""
        self._socket.setblocking(True)
        with contextlib.suppress(ConnectionResetError):  # It ended before it had read what it was sent.
            while message := messages.receive(self._socket):
                if message.body.get("event") == "ready":
                    return message.pid
        return 0

    def close(self) -> None:
        self._socket.close()
        os.close(self._errors_fd)
        self._errors_fd = -1


@dataclass(frozen=True, slots=True)
class _Answer:
    result: dict[str, Any]
    process: ShimProcess | None
    fds: tuple[int, ...]

    def give_up(self) -> None:
        """Nobody waits for it any more: a process that was started in vain ends."""
        for fd in self.fds:
            os.close(fd)
        if self.process:
            self.process.kill(signal.SIGKILL)


@contextlib.asynccontextmanager
async def start_shim(name: str, cgroups: CgroupTree, journal: Journal) -> AsyncIterator[Shim]:
    """Start a machine's shim in new namespaces and in the cgroup that is the *cgroups*' base.

    Everything in it has ended when this context is left. Call it on the main thread.
    """
    python = sys.executable or shutil.which("python3") or "python3"
    with await in_thread(_protect, python) as protection:
        ours, theirs = messages.pair()
        journal.intent(f"shim {name}")
        errors_fd = os.memfd_create("errors")
        with theirs:
            program = _spawn(python, protection, theirs.fileno(), errors_fd)
    journal.process(program.pid)
    shim = Shim(name, ours, errors_fd)
    try:
        messages.send(ours, {"name": name, "parent": os.getpid(), "cgroups": cgroups.to_json()})
        await shim.ready()
        journal.process(shim.pid)
        await in_thread(program.wait)
        yield shim
    finally:
        shim.hang_up()
        await in_thread(_reap, program, shim)
        shim.close()


@dataclass(frozen=True, slots=True)
class _Protection:
    """What to execute instead of python itself, words before its command, the descriptor that this takes."""

    executable: str
    words: tuple[str, ...] = ()
    fds: tuple[int, ...] = ()

    def __enter__(self) -> "_Protection":
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self.fds:
            os.close(fd)


def _protect(python: str) -> _Protection:
    """Who is root on the machine, or a container's process on its way there, finds the shim's program through
    /proc/<pid>/exe and its libraries through map_files: let neither be writable there."""
    nsenter = shutil.which("nsenter", path=f"{os.defpath}:/usr/sbin:/sbin")
    try:
        if nsenter:
            fd = read_only_mounts.open_read_only()
            return _Protection(nsenter, ("nsenter", f"--mount=/proc/self/fd/{fd}"), (fd,))
        fd = own_executable.open_protected(python)
    except KernelError:  # Who may not mount may not overwrite the host's files either.
        return _Protection(python)
    return _Protection(f"/proc/self/fd/{fd}", fds=(fd,))


def _spawn(python: str, protection: _Protection, fd: int, errors_fd: int) -> subprocess.Popen[bytes]:
    fds = (fd, *protection.fds)
    return subprocess.Popen(
        [*protection.words, python, "-I", "-S", str(_PROGRAM), *map(str, fds)],
        executable=protection.executable,
        pass_fds=fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors_fd,
        env={"PATH": os.defpath},
        start_new_session=True,
    )


def _reap(program: "subprocess.Popen[bytes]", shim: Shim) -> None:
    """End the machine with its init, which is our child until it is waited for here."""
    program.wait()
    if init_pid := shim.pid or shim.late_pid():
        os.kill(init_pid, signal.SIGKILL)
        os.waitpid(init_pid, 0)


def _exit(event: Mapping[str, Any]) -> Exit:
    return Exit(event["exit_code"], event.get("oom_killed", False), event["at_s"], event.get("message", ""))


def _settle_once(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: "asyncio.Future[Any]", error: LabError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # Somebody may have stopped waiting for it.


def _error(report: Mapping[str, Any]) -> Exception:
    if report["kind"] == "command":
        return StartError(f"unable to start container process: {report['sentence']}")
    if report["kind"] == "kernel":
        return KernelError(report["operation"], report["target"], report["errno"])
    if report["kind"] in _KINDS:
        told = report["sentence"]
        return _KINDS[report["kind"]](told if isinstance(told, str) else Text(es=told["es"], en=told["en"]))
    return RuntimeError(report["sentence"])


_KINDS: Mapping[str, type[LabError]] = {"config": StartError, "volume": VolumeError, "lab": LabError}
_GONE = Text(
    es="la máquina {name} ya no existe: su proceso init terminó{words}",
    en="the machine {name} is gone: its init process has ended{words}",
)
