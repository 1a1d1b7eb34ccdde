"""fdatasync without a thread: the kernel's own workers do it, and a descriptor tells when it is done.

The worker belongs to the processor that asked, and takes it from the event loop, or waits until that has
nothing to do: where the file system can, `DirectWrite` is better.
Source: linux, fs/aio.c (aio_fsync; IOCB_CMD_FDSYNC, since 4.18).
"""

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.async_io import AsyncIo

_FDSYNC = 3


class DiskSync:
    """One sync at a time: `begin`, wait until `fileno` is readable, `finish`."""

    def __init__(self) -> None:
        """Raises KernelError: the kernel has no such thing, or its owner forbids it."""
        self._io = AsyncIo(_FDSYNC)
        self.fileno, self.close = self._io.fileno, self._io.close

    def begin(self, descriptor: int) -> None:
        """Raises KernelError: the file's system cannot; nothing has begun."""
        self._io.iocb.descriptor = descriptor
        self._io.submit()

    def finish(self) -> None:
        """Raises KernelError: the disk has refused. What of the file it has is unknown."""
        result = self._io.result()
        if result < 0:
            raise KernelError("fdatasync", self._io.iocb.descriptor, -result)
