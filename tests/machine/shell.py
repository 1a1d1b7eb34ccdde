"""A real interactive shell on a machine, typed into through its terminal."""

import asyncio
import os
from collections.abc import Callable

from kubelab.cluster.machine.machine import WindowSize
from kubelab.cluster.machine.namespaced import NamespacedMachine

_PROMPT = b"\x1b[?2004h"  # Readline switches bracketed paste on when it begins to read a line,
_TYPED = b"\x1b[?2004l\r"  # and off when it has one.
PATIENCE_S = 40  # Of a busy machine's.


class Shell:
    def __init__(self, machine: NamespacedMachine) -> None:
        self.machine = machine

    async def __aenter__(self) -> "Shell":
        self._process = await self.machine.spawn(["bash", "-i"], terminal=WindowSize(24, 500))
        await self._until(lambda output: _PROMPT in output, PATIENCE_S)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._process.close()

    def send(self, line: str) -> None:
        os.write(self._process.fd, line.encode() + b"\n")

    async def run(self, line: str) -> str:
        """Type *line*; return what is printed, and its exit code in angle brackets."""
        self.send(f"{line}; echo \"<$?\"'>'")
        output = await self._until(lambda output: _PROMPT in output.partition(_TYPED)[2], PATIENCE_S)
        return output.partition(_TYPED)[2].partition(_PROMPT)[0].decode(errors="replace")

    async def ended(self) -> int:
        return await self._process.wait()

    async def _until(self, enough: Callable[[bytes], bool], timeout_s: float) -> bytes:
        output = b""
        async with asyncio.timeout(timeout_s):
            while not enough(output):
                output += await self._read()
        return output

    async def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._process.fd, 65536)
            except BlockingIOError:
                await asyncio.sleep(0.005)
