"""Terminals: pairs of a master and a slave, their sizes.

Source: pty(7), ioctl_tty(2).
"""

import array
import errno
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError


@dataclass(frozen=True, slots=True)
class WindowSize:
    rows: int = 24
    columns: int = 80


def resize(master: int, size: WindowSize) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", size.rows, size.columns, 0, 0))


def open_pair(size: Mapping[str, int] | None) -> tuple[int, int]:
    """Return master and slave of that size, of the devpts that is mounted; -1 and -1 without a size."""
    if size is None:
        return -1, -1
    master, slave = os.openpty()
    resize(master, WindowSize(size["rows"], size["columns"]))
    return master, slave


def receive_master(console: socket.socket) -> int:
    """Return the master that a container sent on its console socket.

    Source: opencontainers/runtime-spec, runc's docs/terminals.md.

    It has sent it before it executes its command: nobody waits for one that did not.

    Raises:
        KernelError: it sent none, or this process may have no more descriptors.
    """
    how = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
    try:
        _, ancillary, flags, _ = console.recvmsg(64, socket.CMSG_SPACE(4), how)
    except BlockingIOError as error:
        raise KernelError("receive", "terminal", error.errno or 0) from None
    fds = array.array("i")
    for _, kind, content in ancillary:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(content)
    if not fds:
        raise KernelError("receive", "terminal", errno.EMFILE if flags & socket.MSG_CTRUNC else errno.EIO)
    return fds[0]
