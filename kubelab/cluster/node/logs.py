"""Reads a container's log: the last lines, the lines since a moment, and then what is still to come.

Source: kubernetes, staging/src/k8s.io/cri-client/pkg/logs/logs.go. Who follows goes on from file to file when
the log is rotated, and misses none; who does not sees the newest, as there.
Left out: separate streams.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from kubelab.cluster.node.inotify import growing
from kubelab.cluster.runtime.log_rotation import older

BLOCK_BYTES = 16 * 1024  # Hundreds of lines: a few milliseconds.
_SECONDS = len("2026-01-01T00:00:00")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """As PodLogOptions. `tail_lines` None: all."""

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


@dataclass(slots=True)
class _Printer:
    """Turns log lines into what a person sees, until the limit is reached."""

    options: LogOptions
    left_bytes: int | None = None
    rest: bytes = b""
    at_line_start: bool = field(default=True)

    def feed(self, chunk: bytes) -> bytes:
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return self._limited(b"".join(map(self._shown, lines)))

    @property
    def full(self) -> bool:
        return self.left_bytes == 0

    def _shown(self, line: bytes) -> bytes:
        parts = line.split(b" ", 3)
        if len(parts) < 4 or self._too_old(parts[0]):
            return b""
        stamp, _, tag, text = parts
        prefix = stamp + b" " if self.options.timestamps and self.at_line_start else b""
        self.at_line_start = tag == b"F"
        return prefix + text + (b"\n" if self.at_line_start else b"")

    def _too_old(self, stamp: bytes) -> bool:
        since = self.options.since
        return since is not None and _moment(stamp) < since

    def _limited(self, text: bytes) -> bytes:
        if self.left_bytes is None:
            return text
        text = text[: self.left_bytes]
        self.left_bytes -= len(text)
        return text


def _moment(stamp: bytes) -> datetime:
    """Parse a timestamp with nanoseconds; those below a microsecond are cut off."""
    text = stamp.decode()
    seconds, fraction = text[:_SECONDS], text[_SECONDS:].rstrip("Z").lstrip(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6].ljust(6, '0')}+00:00")


def tail_offset(file: BinaryIO, lines: int, block_bytes: int = BLOCK_BYTES) -> int:
    """Return where the last *lines* lines of *file* begin, reading it from the end."""
    end = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end
    position, found = end, 0
    while position > 0:
        start = max(0, position - block_bytes)
        file.seek(start)
        block = file.read(position - start)
        index = len(block) if position < end else len(block) - 1  # The last newline of all begins no line.
        count = block.count(b"\n", 0, index)
        if found + count < lines:
            found, index = found + count, 0
        while (index := block.rfind(b"\n", 0, index)) >= 0:
            found += 1
            if found == lines:
                return start + index + 1
        position = start
    return 0


async def read_log(
    path: Path, options: LogOptions, changed: asyncio.Event, is_over: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Yield what is to be shown, in pieces. With `follow`, go on until *is_over* says that no more will come;
    it is asked again when *changed* is set."""
    printer = _Printer(options, options.limit_bytes)
    with path.open("rb") as file:
        file.seek(0 if options.tail_lines is None else tail_offset(file, options.tail_lines))
        if options.follow:
            async for shown in _followed(path, file, printer, changed, is_over):
                yield shown
        else:
            async for shown in _rest(file, printer):
                yield shown


async def _followed(
    path: Path, file: BinaryIO, printer: _Printer, changed: asyncio.Event, is_over: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Yield the rest of *file*, and of the files that come after it."""
    with ExitStack() as open_files:
        following: Path | None = None
        while True:
            with growing(file, changed):
                while not printer.full:
                    over = is_over()  # Asked before reading: what was written before the end is shown.
                    changed.clear()
                    following = _following(path, file)
                    async for shown in _rest(file, printer):
                        yield shown
                    if over or following:
                        break
                    await changed.wait()
            if printer.full or following is None:
                return
            open_files.close()
            file = open_files.enter_context(following.open("rb"))


def _following(path: Path, file: BinaryIO) -> Path | None:
    """Return the log's next file, if *file* is written no more."""
    own = os.fstat(file.fileno()).st_ino
    if _inode(path) in (own, 0):
        return None
    files = [*reversed(older(path)), path]
    inodes = [_inode(each) for each in files]
    return files[inodes.index(own) + 1] if own in inodes else files[0]


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


async def _rest(file: BinaryIO, printer: _Printer) -> AsyncIterator[bytes]:
    while not printer.full and (chunk := file.read(BLOCK_BYTES)):
        if shown := printer.feed(chunk):
            yield shown
        await asyncio.sleep(0)  # A long log must not hold up everybody else, even if none of it is shown.
