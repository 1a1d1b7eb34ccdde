"""This program's own standard input and output, without ever holding the loop.

A terminal, a pipe, a file: each is read and written only when the kernel says that it is ready; a file, which
always is, cannot be waited for. None is made non-blocking, because others (the shell we came from) share it.
"""

import asyncio
import contextlib
import os
import re
import termios
import tty
from collections.abc import Callable, Iterable, Iterator
from typing import Any

READ_BYTES = 65536
WRITE_BYTES = 4096  # PIPE_BUF: a pipe that is ready takes so many at once (pipe(7)).


async def readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    await _when(fd, loop.add_reader, loop.remove_reader)


async def writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    await _when(fd, loop.add_writer, loop.remove_writer)


async def _when(fd: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    ready = asyncio.Event()
    try:
        add(fd, ready.set)
    except PermissionError:  # epoll_ctl(2): a regular file or /dev/null, which never makes anybody wait.
        await asyncio.sleep(0)
        return
    try:
        await ready.wait()
    finally:
        remove(fd)


class Input:
    """Standard input: bytes as they come, or whole lines; what was read ahead is kept for the next."""

    def __init__(self, fd: int = 0) -> None:
        self.fd = fd
        self._ahead = b""

    async def read(self) -> bytes:
        """Return the next bytes; b"" at the end."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        await readable(self.fd)
        try:
            return os.read(self.fd, READ_BYTES)
        except OSError:  # EIO: the terminal has gone away.
            return b""

    def keep(self, data: bytes) -> None:
        """Give back what was read too far."""
        self._ahead = data + self._ahead

    async def line(self) -> str | None:
        """Return the next line without its end; None when there is no more."""
        line = b""
        while b"\n" not in line:
            if not (data := await self.read()):
                return line.decode(errors="replace") if line else None
            line += data
        line, _, rest = line.partition(b"\n")
        self.keep(rest)
        return line.rstrip(b"\r").decode(errors="replace")


class Output:
    """Standard output. In raw mode lines end with CR LF; else with LF, those of the shell as well.

    Once nobody reads any more (EPIPE) `gone` is set, and the rest is dropped.
    """

    def __init__(self, fd: int = 1) -> None:
        self.fd = fd
        self.raw = False
        self.gone = False
        self._return = b""

    async def lines(self, lines: Iterable[str]) -> None:
        end = "\r\n" if self.raw else "\n"
        await self._write("".join(f"{line}{end}" for line in lines).encode())

    async def prompt(self, text: str) -> None:
        await self._write(text.encode())

    async def program(self, data: bytes) -> None:
        """Write a program's output as it is; off the terminal its line ends become plain ones."""
        if not self.raw:
            data, self._return = self._return + data, b""
            if data.endswith(b"\r"):
                data, self._return = data.rstrip(b"\r"), b"\r"
            data = re.sub(rb"\r+\n", b"\n", data)
        await self._write(data)

    async def _write(self, data: bytes) -> None:
        while data and not self.gone:
            await writable(self.fd)
            try:
                data = data[os.write(self.fd, data[:WRITE_BYTES]) :]
            except OSError:  # EPIPE, or EIO of a terminal that has gone.
                self.gone = True


@contextlib.contextmanager
def raw(source: Input, output: Output) -> Iterator[None]:
    """Hand all keys over as they are typed, Ctrl+C included."""
    before = termios.tcgetattr(source.fd)
    tty.setraw(source.fd, termios.TCSADRAIN)
    output.raw = True
    try:
        yield
    finally:
        output.raw = False
        termios.tcsetattr(source.fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def line_by_line(source: Input, output: Output) -> Iterator[None]:
    """Within `raw`: let the terminal edit a line, in which Ctrl+C is a character like any other."""
    before = termios.tcgetattr(source.fd)
    cooked = termios.tcgetattr(source.fd)
    cooked[0] |= termios.ICRNL
    cooked[1] |= termios.OPOST | termios.ONLCR
    cooked[3] |= termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK
    cooked[6][termios.VMIN], cooked[6][termios.VEOF] = 1, b"\x04"
    termios.tcsetattr(source.fd, termios.TCSADRAIN, cooked)
    output.raw = False
    try:
        yield
    finally:
        output.raw = True
        termios.tcsetattr(source.fd, termios.TCSADRAIN, before)
