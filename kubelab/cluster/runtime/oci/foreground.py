"""Wait for a container's process in the foreground: signals are passed on, and so is a terminal.

Source: runc, signals.go, tty.go. The exit code is the process's, 128 + signal if it was killed.
"""

import array
import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import tty
from collections.abc import Iterator
from typing import Any

_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
)
_READ_BYTES = 65536


def receive_terminal(link: socket.socket) -> int:
    """Return the master that the container's process has sent."""
    size = array.array("i", [0]).itemsize
    _, control, _, _ = link.recvmsg(64, socket.CMSG_SPACE(size))
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            return array.array("i", data[:size])[0]
    return -1


class Relay:
    """Passes signals on to a process; those that come before it is known are kept for it."""

    def __init__(self) -> None:
        self._pidfd = -1
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Relay":
        self._before = {number: signal.signal(number, self._pass_on) for number in _PASSED_ON}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def lead_to(self, pidfd: int) -> None:
        self._pidfd = pidfd
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            self._pass_on(number, None)

    def _pass_on(self, number: int, _: object) -> None:
        if self._pidfd < 0:
            self._waiting.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)


def wait(pid: int, pidfd: int, relay: Relay, master: int = -1) -> int:
    """Return the process's exit code, when it has ended."""
    relay.lead_to(pidfd)
    if master >= 0:
        signal.signal(signal.SIGWINCH, lambda *_: _resize(master))
        _resize(master)
        with _raw_terminal(), contextlib.suppress(OSError):
            _copy(master, pidfd)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _resize(master: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, struct.pack("4H", 0, 0, 0, 0))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _copy(master: int, pidfd: int) -> None:
    """Copy both ways until the process has ended and its terminal is empty."""
    poll = select.poll()
    for fd in (0, master, pidfd):
        poll.register(fd, select.POLLIN)
    ended = False
    while True:
        ready = dict(poll.poll(0 if ended else None))
        if master in ready and not _pass(master, 1):
            return
        if ended and master not in ready:
            return
        if 0 in ready and not _pass(0, master):
            poll.unregister(0)
        ended = ended or pidfd in ready


def _pass(source: int, target: int) -> bool:
    try:
        chunk = os.read(source, _READ_BYTES)
    except OSError as error:
        if error.errno == errno.EIO:  # All slaves are closed.
            return False
        raise
    while chunk:
        written = os.write(target, chunk)
        chunk = chunk[written:]
        if not chunk:
            return True
    return False
