"""Tells when a file grows or loses its name: inotify(7), so that to follow a log costs nothing while nobody
writes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from kubelab.cluster.linux.inotify import Inotify


@contextmanager
def growing(file: BinaryIO, changed: asyncio.Event) -> Iterator[None]:
    """Set *changed* whenever *file* is written to or its names change, for the length of the block.

    Raises:
        KernelError: the kernel gives no watch (usually: fs.inotify.max_user_instances is used up).
    """
    loop = asyncio.get_running_loop()
    with Inotify() as inotify:
        # By the descriptor, for its name may be another file's by now.
        inotify.watch_file(f"/proc/self/fd/{file.fileno()}")
        loop.add_reader(inotify.fileno(), _drain, inotify, changed)
        try:
            yield
        finally:
            loop.remove_reader(inotify.fileno())


def _drain(inotify: Inotify, changed: asyncio.Event) -> None:
    for _ in inotify.events():
        pass
    changed.set()
