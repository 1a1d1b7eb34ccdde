"""Real programs on real ptys of this machine, as the `Process` that the terminal is given."""

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
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
    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self._process = process
        self._fd = fd

    @classmethod
    async def spawn(
        cls, argv: Sequence[str], size: WindowSize, environment: Mapping[str, str] = PLAIN_ENVIRONMENT
    ) -> "LocalProcess":
        master, slave = pty.openpty()
        _set_size(master, size)
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
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
        return await self._process.wait()

    def resize(self, size: WindowSize) -> None:
        _set_size(self._fd, size)

    def kill(self, signal: int) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # It has just ended.
                os.kill(self.pid, signal)

    async def close(self) -> None:
        self.kill(signal.SIGKILL)
        await self._process.wait()
        os.close(self._fd)


def _set_size(fd: int, size: WindowSize) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))
