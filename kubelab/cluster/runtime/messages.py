"""Messages between the lab and a machine's shim: JSON over a Unix SEQPACKET socket, with file descriptors.

Source: unix(7). A message that is too long for a packet travels in a memfd, and of it only its number in the
packet. Each message carries the pid that the sender names (its own by default), which the kernel translates
into the receiver's pid namespace: so the lab learns host pids from a shim that cannot see them.
Requests: {"id", "method", "params"}; answers: {"id", "result"} or {"id", "error"}; events: {"event", ...}.
"""

import array
import contextlib
import errno
import json
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kubelab.cluster.errors import KernelError

PACKET_BYTES_MAX = 32_768
FDS_MAX = 8
_IN_MEMORY = b"memfd"
_CREDENTIALS = struct.Struct("3i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE((FDS_MAX + 1) * 4)


@dataclass(frozen=True, slots=True)
class Message:
    """`pid` is that of the process which the sender named, in this process's pid namespace."""

    body: dict[str, Any]
    fds: tuple[int, ...]
    pid: int


class LostError(KernelError):
    """A message's descriptors are lost, for this process may have no more (EMFILE). `body` is what came; of a
    long message that is its number."""

    def __init__(self, body: dict[str, Any], pid: int) -> None:
        super().__init__("receive", "file descriptors", errno.EMFILE)
        self.body = body
        self.pid = pid


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the lab's end and the shim's."""
    lab, shim = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lab.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return lab, shim


def send(sock: socket.socket, body: dict[str, Any], fds: Iterable[int] = (), pid: int = 0) -> None:
    """Send one message. *pid* names another process than the sender (needs CAP_SYS_ADMIN)."""
    with packed(body, fds, pid) as packet:
        packet.send(sock)


def encoded(body: object) -> bytes:
    return json.dumps(body).encode()


class Packet:
    """A message as it is sent, which may take several attempts. Made by `packed`."""

    def __init__(
        self, body: dict[str, Any], fds: Iterable[int], pid: int, encode: Callable[[object], bytes]
    ) -> None:
        self._payload = encode(body)
        self._memfd = -1
        passed = list(fds)
        if len(self._payload) > PACKET_BYTES_MAX:
            self._memfd = _in_memory(self._payload)
            passed.append(self._memfd)
            self._payload = _IN_MEMORY + json.dumps({"id": body.get("id")}).encode()
        self._ancillary: list[tuple[int, int, bytes]] = []
        if passed:
            rights = array.array("i", passed).tobytes()
            self._ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, rights))
        if pid:
            credentials = _CREDENTIALS.pack(pid, os.getuid(), os.getgid())
            self._ancillary.append((socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials))

    def send(self, sock: socket.socket) -> None:
        """Raises BlockingIOError: the socket does not block, and has no room."""
        sock.sendmsg([self._payload], self._ancillary)

    def close(self) -> None:
        if self._memfd >= 0:
            os.close(self._memfd)


@contextlib.contextmanager
def packed(
    body: dict[str, Any],
    fds: Iterable[int] = (),
    pid: int = 0,
    encode: Callable[[object], bytes] = encoded,
) -> Iterator[Packet]:
    """Yield the message. *encode* is for who has a quicker one than the standard library's."""
    packet = Packet(body, fds, pid, encode)
    try:
        yield packet
    finally:
        packet.close()


def receive(sock: socket.socket) -> Message | None:
    """Return the next message, or None when the other side is gone.

    Raises:
        BlockingIOError: the socket does not block, and there is none.
        LostError: there is one, but not all of it could be taken.
    """
    payload, ancillary, flags, _ = sock.recvmsg(PACKET_BYTES_MAX, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    if not payload:
        return None
    fds, pid = _read_ancillary(ancillary)
    body = json.loads(payload.removeprefix(_IN_MEMORY))
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise LostError(body, pid)
    if payload.startswith(_IN_MEMORY):
        body = json.loads(_read_all(fds.pop()))
    return Message(body, tuple(fds), pid)


def _read_ancillary(ancillary: Iterable[tuple[int, int, bytes]]) -> tuple[list[int], int]:
    fds: list[int] = []
    pid = 0
    for _, type_, content in ancillary:
        if type_ == socket.SCM_RIGHTS:
            fds = array.array("i", content[: len(content) // 4 * 4]).tolist()
        elif type_ == socket.SCM_CREDENTIALS:
            pid = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
    return fds, pid


def _in_memory(payload: bytes) -> int:
    fd = os.memfd_create("message")
    view = memoryview(payload)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _read_all(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()
