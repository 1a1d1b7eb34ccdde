"""A write that the disk has when it is done: past the page cache, and the event loop goes on meanwhile.

The data goes to the disk's queue within io_submit(2) itself; of what an fdatasync needs (a worker that looks
for the dirty pages, and writes them) only the disk's own cache is left to be flushed, and not even that where
the disk can write through it (FUA). Offsets and lengths are of whole blocks.
Source: open(2), O_DIRECT and O_DSYNC; linux, fs/iomap/direct-io.c (IOMAP_DIO_NEED_SYNC); io_submit(2).
"""

import ctypes
import errno
import mmap
import os
from pathlib import Path

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.async_io import AsyncIo

BLOCK_BYTES = 4096  # No disk's are larger, nor are those that the kernel maps memory by smaller.
_PWRITE = 1

# Of these it is known that io_submit does not wait until an overwrite is done.
_FILE_SYSTEMS = frozenset({"ext4", "xfs"})


class DirectWrite:
    """One write at a time: `begin`, wait until `fileno` is readable, `finish`."""

    def __init__(self, bytes_max: int) -> None:
        """Raises KernelError: the kernel has no such thing, or its owner forbids it."""
        self._io = AsyncIo(_PWRITE)
        self._memory = mmap.mmap(-1, _whole_blocks(bytes_max))
        self._io.iocb.buffer = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.fileno, self.close = self._io.fileno, self._io.close

    def begin(self, descriptor: int, data: bytes, offset_bytes: int) -> None:
        """Write *data* and zeros up to the end of its last block. *descriptor* is of `open_direct`.

        Raises:
            KernelError: the file's system cannot; nothing has begun.
        """
        iocb = self._io.iocb
        size_bytes = _whole_blocks(len(data))
        self._memory[: len(data)] = data
        self._memory[len(data) : size_bytes] = bytes(size_bytes - len(data))
        iocb.descriptor, iocb.offset, iocb.bytes = descriptor, offset_bytes, size_bytes
        self._io.submit()

    def finish(self) -> None:
        """Raises KernelError: the disk has refused. What of the data it has is unknown."""
        result = self._io.result()
        if result != self._io.iocb.bytes:
            raise KernelError("write", self._io.iocb.descriptor, -result if result < 0 else errno.EIO)


def open_direct(path: Path) -> int | None:
    """Open a file for `DirectWrite`; None where that cannot be, or might hold up the caller."""
    try:
        if _file_system(path) not in _FILE_SYSTEMS:
            return None
        return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
    except OSError:
        return None


def _file_system(path: Path) -> str | None:
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            return after.split()[0]
    return None


def _whole_blocks(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
