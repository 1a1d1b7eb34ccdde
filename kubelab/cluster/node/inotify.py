"""Tells when a file grows or loses its name: inotify(7), so that to follow a log costs nothing while nobody
writes."""

import asyncio
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kubelab.cluster.errors import KernelError

IN_MODIFY = 0x00000002
IN_ATTRIB = 0x00000004  # The count of its links changes when another file takes its name.
_BUFFER_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def growing(file: BinaryIO, changed: asyncio.Event) -> Iterator[None]:
    """Set *changed* whenever *file* is written to or its names change, for the length of the block.

    Raises:
        KernelError: the kernel gives no watch (usually: fs.inotify.max_user_instances is used up).
    """
    # Its name may be another file's by now.
    path = Path(f"/proc/self/fd/{file.fileno()}")
    descriptor = _checked("inotify_init1", path, _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    loop = asyncio.get_running_loop()
    try:
        _checked(
            "inotify_add_watch", path, _libc.inotify_add_watch(descriptor, bytes(path), IN_MODIFY | IN_ATTRIB)
        )
        loop.add_reader(descriptor, _drain, descriptor, changed)
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _drain(descriptor: int, changed: asyncio.Event) -> None:
    with suppress(BlockingIOError):
        os.read(descriptor, _BUFFER_BYTES)
    changed.set()


def _checked(operation: str, path: Path, result: int) -> int:
    if result < 0:
        raise KernelError(operation, path, ctypes.get_errno())
    return result
