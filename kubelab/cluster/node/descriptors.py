"""Non-blocking descriptors of pipes and terminals, read and written on the loop."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

CHUNK_BYTES = 64 * 1024


async def read_some(fd: int) -> bytes:
    """Return what there is, as soon as there is something; b"" at the end."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            await _when(fd, loop.add_reader, loop.remove_reader)
        except OSError:  # EIO: nobody has the terminal open any more.
            return b""


async def write_all(fd: int, data: bytes) -> bool:
    """Write *data* as fast as it is read; return whether somebody reads it at all."""
    loop = asyncio.get_running_loop()
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            await _when(fd, loop.add_writer, loop.remove_writer)
        except OSError:  # EPIPE, or EIO of a terminal.
            return False
    return True


async def _when(fd: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    ready = asyncio.Event()
    add(fd, ready.set)
    try:
        await ready.wait()
    finally:
        remove(fd)


class Pipes:
    """Pipes to a program: its ends are closed when it has been started, ours one by one or at the end."""

    def __init__(self) -> None:
        self._ours: set[int] = set()
        self._theirs: set[int] = set()

    def to_program(self) -> tuple[int, int]:
        """Return its end and ours, to write to."""
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        return self._keep(theirs, ours)

    def from_program(self) -> tuple[int, int]:
        """Return its end and ours, to read from."""
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        return self._keep(theirs, ours)

    def _keep(self, theirs: int, ours: int) -> tuple[int, int]:
        os.set_blocking(ours, False)
        self._theirs.add(theirs)
        self._ours.add(ours)
        return theirs, ours

    def close(self, fd: int) -> None:
        """Close one of ours, if it is open."""
        if fd in self._ours:
            self._ours.remove(fd)
            os.close(fd)

    def close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def close_all(self) -> None:
        self.close_theirs()
        for fd in tuple(self._ours):
            self.close(fd)


@contextlib.contextmanager
def pipes() -> Iterator[Pipes]:
    opened = Pipes()
    try:
        yield opened
    finally:
        opened.close_all()
