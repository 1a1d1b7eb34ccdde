"""The shim: one small process for each machine, its init (pid 1) and the one who starts what runs there.

Started as a program by `client.start_shim`, with the socket's file descriptor as its argument, after it those
to close, and with nothing but the standard library and the lab's lowest layer. It clones itself into the
machine's namespaces as the lab's own child (CLONE_PARENT), so that the first process can go; it dies when the
lab does (PR_SET_PDEATHSIG) and as pid 1 takes everything on the machine with it. Python runs in one thread of
it, which does not stand still while pods' processes are made (see `starts`); any other request waits until
they are. Source of the idea: containerd's runtime shim; prctl(2), pid_namespaces(7).
What it does is in its parts: `machine_init`, `programs`, `pod_sandboxes`, `pod_containers`.
"""
# ruff: noqa: PTH100

import contextlib
import errno
import gc
import os
import sys

if __name__ == "__main__":
    # Behind the standard library: where the lab is installed there may be anything.
    sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)))

import signal
import socket
from collections.abc import Callable
from typing import Any, NoReturn

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.program_launcher import ProgramLauncher
from kubelab.cluster.runtime import messages, privileges
from kubelab.cluster.runtime.answers import Answer, Pending
from kubelab.cluster.runtime.children import ChildError, Children
from kubelab.cluster.runtime.config import ConfigError
from kubelab.cluster.runtime.machine_init import MachineInit
from kubelab.cluster.runtime.pod_containers import PodContainers
from kubelab.cluster.runtime.pod_sandboxes import PodSandboxes
from kubelab.cluster.runtime.pod_volumes import VolumeTypeError
from kubelab.cluster.runtime.poller import READ, Poller
from kubelab.cluster.runtime.programs import Programs
from kubelab.cluster.runtime.starts import Starts
from kubelab.language import Text

NAMESPACES = (
    syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWCGROUP
)
READ_BYTES = 65536
# What is done for one pod while another one's processes are made.
BESIDE_STARTS = frozenset({"run_sandbox", "start_container", "set_up_volumes"})


class Shim:
    """Takes the lab's requests to the part whose they are, and sends back what came out."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._poller = Poller()
        self._hung_up = False
        self._launcher = ProgramLauncher()
        starts = Starts(self._launcher, lambda: self._poller.has(sock.fileno()))
        self._children = Children(self._tell, self._launcher)
        machine = MachineInit()
        sandboxes = PodSandboxes(machine, self._children, starts)
        self._methods = (
            machine.methods()
            | Programs(machine, self._children).methods()
            | sandboxes.methods()
            | PodContainers(machine, sandboxes, self._children, starts, self._poller, self._tell).methods()
        )

    def serve(self) -> None:
        """Answer the lab until it hangs up."""
        sigchld_fd = _on_sigchld()
        self._poller.watch(self._socket.fileno(), READ, self._receive)
        self._poller.watch(sigchld_fd, READ, lambda: self._reap(sigchld_fd))
        self._poller.watch(self._launcher.fileno(), READ, self._launcher.finish)
        while not self._hung_up:
            self._poller.wait()

    def _receive(self) -> None:
        try:
            message = messages.receive(self._socket)
        except messages.LostError as error:
            messages.send(self._socket, {"id": error.body["id"], "error": _report_of(error, "receive")})
            return
        if message is None:
            self._hung_up = True
            return
        try:
            self._handle(message)
        finally:
            for fd in message.fds:
                with contextlib.suppress(OSError):
                    os.close(fd)

    def _handle(self, message: messages.Message) -> None:
        number, name = message.body["id"], message.body["method"]
        if name not in BESIDE_STARTS:
            self._launcher.drain()
        method, params = self._methods[name], message.body["params"]
        self._answer(number, name, lambda: method(params, message.fds))

    def _answer(self, number: int, name: str, make: Callable[[], Answer | Pending]) -> None:
        try:
            answer = make()
            if isinstance(answer, Pending):
                answer.then = lambda made: self._answer_later(number, name, made)
                return
            self._send(number, {"result": answer.result}, answer)
        # Who asks for a path with a zero in it, or one that is no Unicode, is told so by Python.
        except (ChildError, VolumeTypeError, LabError, OSError, ValueError) as error:
            self._send(number, {"error": _report_of(error, name)})
        else:
            answer.close()

    def _answer_later(self, number: int, name: str, make: Callable[[], Answer]) -> None:
        self._answer(number, name, make)
        self._children.reap()  # It may have ended before it could be told of.

    def _send(self, number: int, body: dict[str, Any], answer: Answer | None = None) -> None:
        fds, pid = (answer.passed, answer.pid) if answer else ((), 0)
        messages.send(self._socket, {"id": number} | body, fds, pid)

    def _tell(self, event: dict[str, Any]) -> None:
        messages.send(self._socket, event)

    def _reap(self, fd: int) -> None:
        _discard(fd)
        self._children.reap()


def _report_of(error: Exception, method: str) -> dict[str, Any]:
    """Return what the lab is told of why *method* failed."""
    if isinstance(error, ChildError):
        return error.report
    if isinstance(error, KernelError):
        return _report(error.operation, error.target, error.errno)
    if isinstance(error, OSError):
        return _report(method, error.filename, error.errno or 0)
    if isinstance(error, LabError):
        kind = "config" if isinstance(error, ConfigError) else "lab"
        return {"kind": kind, "sentence": _translations(error.sentence)}
    if isinstance(error, ValueError):
        return _report(method, repr(str(error)), errno.EINVAL)
    return {"kind": "volume", "sentence": str(error)}


def _translations(sentence: Text | str) -> dict[str, str] | str:
    return {"es": sentence.in_("es"), "en": sentence.in_("en")} if isinstance(sentence, Text) else sentence


def _report(operation: str, target: object, errno_: int) -> dict[str, Any]:
    return {"kind": "kernel", "operation": operation, "target": str(target), "errno": errno_}


def _on_sigchld() -> int:
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return read_end


def _discard(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, READ_BYTES):
            pass


def _enter_namespaces(sock: socket.socket) -> None:
    """Leave a clone of this process in the machine's namespaces, as the lab's child, and end."""
    message = messages.receive(sock)
    if message is None:
        sys.exit(0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    # The lab may have died before the line above; then somebody else is the parent by now.
    if os.getppid() != message.body["parent"]:
        sys.exit(0)
    CgroupTree.from_json(message.body["cgroups"]).at("").add_self()
    privileges.shield_from_oom()
    pid, _ = syscalls.clone(NAMESPACES | syscalls.CLONE_PARENT)
    if pid:
        os._exit(0)
    # clone(2): the signal on the parent's death is not passed on. The lab is outside of this pid namespace,
    # so getppid() is 0 either way; if it is dead already, the socket says so.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.set_process_name("kubelab-init")
    syscalls.set_command_line(f"kubelab-init {message.body['name']}")
    messages.send(sock, {"event": "ready"})


def main() -> NoReturn:
    gc.disable()
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    for fd in map(int, sys.argv[2:]):  # By which this program was executed.
        os.close(fd)
    try:
        _enter_namespaces(sock)
    except KernelError as error:
        messages.send(sock, {"event": "failed", "error": _report(error.operation, error.target, error.errno)})
        sys.exit(1)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Shim(sock).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
