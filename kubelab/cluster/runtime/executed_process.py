"""A program that was executed in a container, as whoever asked for it holds it. See `cri.Process`."""

import os
import signal

from kubelab.cluster.runtime import terminal
from kubelab.cluster.runtime.client import ShimProcess
from kubelab.cluster.runtime.terminal import WindowSize


class ExecutedProcess:
    def __init__(self, process: ShimProcess, fd: int) -> None:
        self._process = process
        self._fd = fd

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def fd(self) -> int:
        return self._fd

    async def wait(self) -> int:
        return (await self._process.wait()).exit_code

    def resize(self, size: WindowSize) -> None:
        if self._fd >= 0:
            terminal.resize(self._fd, size)

    def kill(self, signal: int) -> None:
        self._process.kill(signal)

    def hang_up(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def close(self) -> None:
        self.hang_up()
        self._process.kill(signal.SIGKILL)
        await self._process.wait()
