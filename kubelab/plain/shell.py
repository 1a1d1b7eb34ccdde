"""The lesson's shell as plain mode holds it: its pty, its marks, and whether somebody reads from it."""

import contextlib
import os
import platform
import termios
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kubelab.cluster.machine.machine import Process, WindowSize
from kubelab.lessons.session import Session
from kubelab.plain.kept import Kept
from kubelab.plain.marks import Marks, Place, bashrc
from kubelab.plain.streams import READ_BYTES, readable, writable

INTERRUPT = b"\x03"
_READ_CALL = {"x86_64": "0"}.get(platform.machine(), "63")  # read(2), as proc_pid_syscall(5) has it.


class Shell:
    """Owned by whoever starts it: `close` it before the session resets or ends. `kept` is what it printed
    while another was in front; `typed_at` the number of the prompt at which a key was typed last."""

    def __init__(self, process: Process, machine: str, number: int) -> None:
        self.process = process
        self.machine = machine
        self.number = number
        self.marks = Marks()
        self.kept = Kept()
        self.typed_at = -1
        self._unsent = b""

    @classmethod
    async def start(
        cls,
        session: Session,
        machine: str,
        number: int,
        size: WindowSize,
        names: tuple[str, ...],
        term: str,
    ) -> "Shell":
        return cls(await session.shell(size, machine, bashrc(names, term)), machine, number)

    async def read(self) -> bytes:
        """Return what it prints next; b"" when it has ended."""
        await readable(self.process.fd)
        try:
            return os.read(self.process.fd, READ_BYTES)
        except OSError:  # EIO: the last process has closed its terminal.
            return b""

    def write(self, data: bytes) -> None:
        """Send *data*, as far as it is taken now; `flush` the rest."""
        self._unsent += data
        try:
            self._unsent = self._unsent[os.write(self.process.fd, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # EIO: nobody is left to read it.
            self._unsent = b""

    @property
    def clogged(self) -> bool:
        return bool(self._unsent)

    async def flush(self) -> None:
        await writable(self.process.fd)
        self.write(b"")

    def send(self, line: str) -> None:
        """Type a whole line. A tab in it is meant as a tab, and not to complete a name."""
        if self.marks.place is not Place.RUNNING:
            line = line.replace("\t", "\x16\t")
        self.marks.sent()
        self.write(f"{line}\n".encode())

    async def close(self) -> None:
        await self.process.close()

    def resize(self, size: WindowSize) -> None:
        self.process.resize(size)

    def draw_again(self, size: WindowSize) -> None:
        """Make a full-screen program draw itself anew: it does so when it is told of another size."""
        if self.marks.place is Place.RUNNING and not self.takes_lines:
            self.resize(replace(size, rows=max(size.rows - 1, 1)))
            self.resize(size)

    @property
    def has_news(self) -> bool:
        """Whether more was kept than the prompt that it has come to."""
        prompt = self.marks.prompt if self.marks.place is Place.PROMPT else b""
        return self.kept.text.strip() not in (b"", prompt.strip())

    @property
    def takes_lines(self) -> bool:
        """Whether the program in the foreground reads whole lines, as the terminal edits them."""
        return bool(termios.tcgetattr(self.process.fd)[3] & termios.ICANON)

    @property
    def is_read(self) -> bool:
        """Whether somebody waits for keys, or sleeps in a read of the terminal."""
        try:
            foreground = os.tcgetpgrp(self.process.fd)
        except OSError:  # The shell is about to go.
            return False
        return not self.takes_lines or any(_reads_terminal(thread) for thread in _threads(foreground))


def _threads(pid: int) -> Iterator[Path]:
    """Yield the threads of a process and of those that it started."""
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        yield thread
        with contextlib.suppress(OSError):
            for child in (thread / "children").read_text().split():
                yield from _threads(int(child))


def _reads_terminal(thread: Path) -> bool:
    try:
        call, fd, *_ = (thread / "syscall").read_text().split()
        return call == _READ_CALL and str((thread / "fd" / str(int(fd, 16))).readlink()).startswith("/dev/")
    except (OSError, ValueError):  # It is gone, or "running".
        return False
