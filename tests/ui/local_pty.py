"""Real programs on real ptys of this machine, as the `Process` that the terminal is given."""

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence

from kubelab.cluster.machine.machine import WindowSize

PLAIN_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "TERM": "xterm-256color",
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "PS1": "$ ",
    "LESSHISTFILE": "-",
}


class LocalProcess:
    """`asyncio`'s own subprocesses are not used: their end takes turns of a loop that may be gone by then."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self._process = process
        self._fd = fd
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._end)

    @classmethod
    async def spawn(
        cls, argv: Sequence[str], size: WindowSize, environment: Mapping[str, str] = PLAIN_ENVIRONMENT
    ) -> "LocalProcess":
        master, slave = pty.openpty()
        _set_size(master, size)
        process = _start(argv, slave, environment)
        os.close(slave)
        os.set_blocking(master, False)
        return cls(process, master)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def fd(self) -> int:
        return self._fd

    async def wait(self) -> int:
        await self._ended.wait()
        return self._process.wait()

    def resize(self, size: WindowSize) -> None:
        _set_size(self._fd, size)

    def kill(self, signal: int) -> None:
        self._process.send_signal(signal)

    async def close(self) -> None:
        self._process.kill()
        self._process.wait()  # It has no choice: this takes no time.
        self._end()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _end(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self._ended.set()


def _start(argv: Sequence[str], terminal: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=dict(environment),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )


def _set_size(fd: int, size: WindowSize) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))
