"""The process events connector: the kernel tells of every exec and exit on the host.

Source: linux/cn_proc.h, linux/connector.h, drivers/connector/cn_proc.c; socket(7) on SO_ATTACH_FILTER,
bpf(4) for its words. A filter in the kernel drops what nobody here wants (threads, sessions, ptrace, a fork
before it is an exec), so that only events of whole processes arrive. It is had only in the host's own user,
pid and network namespaces and with CAP_NET_ADMIN; where the kernel answers nothing to the wish to listen, it
does not grant it.
Left out: forks, exit codes.
"""

import contextlib
import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator

from kubelab.cluster.errors import KernelError

_NETLINK_CONNECTOR = 11
_CN_IDX_PROC, _CN_VAL_PROC = 1, 1
_MCAST_LISTEN = 1
_NONE, _EXEC, _UID, _COMM, _EXIT = 0x0, 0x2, 0x4, 0x200, 0x80000000
_NLMSG_DONE = 3
_SO_ATTACH_FILTER = 26
_BUFFER_BYTES = 1 << 20
_MESSAGE_BYTES = 128

# struct nlmsghdr (16), cn_msg (20), proc_event: what (4), cpu (4), timestamp (8), data.
_WHAT, _DATA = 36, 52
_PID, _TGID = _DATA, _DATA + 4

_LOAD, _TO_X, _JUMP_IF, _JUMP_IF_X, _RETURN = 0x20, 0x07, 0x15, 0x1D, 0x06
_ALL = 0xFFFFFFFF


class ProcConnector:
    """`fileno` becomes readable when something happened; `events` then says what."""

    def __init__(self) -> None:
        """Raises KernelError where the kernel does not grant it."""
        self._socket = _open()
        try:
            self._listen()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> "ProcConnector":
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def events(self, count_max: int) -> Iterator[int]:
        """Yield the host's pid of each process that made itself another program, 0 for every other event;
        no more than *count_max* of them. Events were lost when there were too many: that is one, too."""
        for _ in range(count_max):
            try:
                message = self._socket.recv(_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError("read", "proc connector", error.errno or 0) from None
                yield 0
            else:
                what, pid = struct.unpack_from("I", message, _WHAT)[0], _number(message, _TGID)
                yield pid if what == _EXEC else 0

    def _listen(self) -> None:
        wish = struct.pack("I", _MCAST_LISTEN)
        content = struct.pack("IIIIHH", _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(wish), 0) + wish
        header = struct.pack("IHHII", 16 + len(content), _NLMSG_DONE, 0, 0, os.getpid())
        try:
            self._socket.send(header + content)
            # The kernel answers within `send`. Where this process is in namespaces of its own it does not.
            answer = self._socket.recv(_MESSAGE_BYTES)
        except OSError as error:
            raise KernelError("listen", "proc connector", error.errno or 0) from None
        if struct.unpack_from("I", answer, _WHAT)[0] == _NONE and (refusal := _number(answer, _DATA)):
            raise KernelError("listen", "proc connector", refusal)


def _open() -> socket.socket:
    sock: socket.socket | None = None
    try:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        sock = socket.socket(socket.AF_NETLINK, kind, _NETLINK_CONNECTOR)
        _attach_filter(sock)
        with contextlib.suppress(PermissionError):  # Only asked for to lose fewer.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        sock.bind((0, _CN_IDX_PROC))
    except OSError as error:
        if sock is not None:
            sock.close()
        raise KernelError("open", "proc connector", error.errno or 0) from None
    return sock


def _number(message: bytes, offset: int) -> int:
    return int(struct.unpack_from("I", message, offset)[0]) if len(message) >= offset + 4 else 0


def _attach_filter(sock: socket.socket) -> None:
    program = ctypes.create_string_buffer(_filter())
    # struct sock_fprog: the number of instructions and their address.
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(program))
    )


def _filter() -> bytes:
    """Return the instructions; a jump goes to the one of that number if true, or false."""
    exit_, take, drop = 6, 10, 11
    instructions = [
        (_LOAD, 0, 0, _WHAT),
        _jump(1, take, 2, _NONE),
        _jump(2, take, 3, _EXEC),
        _jump(3, take, 4, _UID),
        _jump(4, take, 5, _COMM),
        _jump(5, exit_, drop, _EXIT),
        (_LOAD, 0, 0, _PID),
        (_TO_X, 0, 0, 0),
        (_LOAD, 0, 0, _TGID),
        (_JUMP_IF_X, take - 10, drop - 10, 0),
        (_RETURN, 0, 0, _ALL),
        (_RETURN, 0, 0, 0),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


def _jump(here: int, if_equal: int, if_not: int, number: int) -> tuple[int, int, int, int]:
    """Compare with *number*, as the filter sees it, which takes every word for one in the network's order."""
    return _JUMP_IF, if_equal - here - 1, if_not - here - 1, socket.htonl(number)
