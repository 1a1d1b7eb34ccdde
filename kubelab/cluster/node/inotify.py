"""Tells when a file grows: inotify(7), so that following a log costs nothing while nothing is written."""

import asyncio
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kubelab.cluster.errors import KernelError

IN_MODIFY = 0x00000002
_BUFFER_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def growing(path: Path, changed: asyncio.Event) -> Iterator[None]:
    """Set *changed* whenever the file at *path* is written to, for the length of the block.

    Raises:
        KernelError: the kernel gives no watch (usually: fs.inotify.max_user_instances is used up).
    """
    descriptor = _checked("inotify_init1", path, _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    loop = asyncio.get_running_loop()
    try:
        _checked("inotify_add_watch", path, _libc.inotify_add_watch(descriptor, bytes(path), IN_MODIFY))
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
