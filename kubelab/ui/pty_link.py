"""Bytes to and from a pty that somebody else opened: never blocking, in bites, with back-pressure.

A program that floods its terminal (`yes`) fills the pty and waits, as on a slow terminal: no more is read
within one frame than the emulator parses in a few milliseconds, so keys and clicks keep their turn on the
loop.
"""

import asyncio
import os
from collections.abc import Callable

READ_BYTES_MAX = 64 * 1024
FRAME_BYTES_MAX = 256 * 1024  # 4 ms of libghostty-vt's parser.


class PtyLink:
    """Reads *fd* until its end; `next_frame` allows another frame's worth. Does not own *fd*."""

    def __init__(self, fd: int, on_output: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._fd = fd
        self._on_output = on_output
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._frame_bytes = 0
        self._open = True
        self._loop.add_reader(fd, self._readable)

    def write(self, data: bytes) -> None:
        """Send *data*, later if the program does not read just now."""
        if not self._open or not data:
            return
        self._unsent += data
        self._writable()

    @property
    def flooded(self) -> bool:
        """Whether this frame has had all it may have."""
        return self._frame_bytes >= FRAME_BYTES_MAX

    def next_frame(self) -> None:
        if self._open and self.flooded:
            self._loop.add_reader(self._fd, self._readable)
        self._frame_bytes = 0

    def drain(self) -> None:
        """Read what a program left behind when it ended."""
        while self._open and self._read():
            pass

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)

    def _readable(self) -> None:
        self._read()
        if self._open and self.flooded:
            self._loop.remove_reader(self._fd)

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, READ_BYTES_MAX)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the last program closed its side.
            data = b""
        if not data:
            self.close()
            self._on_end()
            return False
        self._frame_bytes += len(data)
        self._on_output(data)
        return True

    def _writable(self) -> None:
        try:
            sent = os.write(self._fd, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:  # EIO: nobody is left to read it.
            sent = len(self._unsent)
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)
