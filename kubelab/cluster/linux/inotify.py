"""Tells of what happens in directories and to files: inotify(7).

A watch on a directory also tells of writes to the files in it. For cgroups that covers all there is to tell:
writes from any mount of the hierarchy, directories made and removed, and what the kernel itself announces
there (cgroup.events, memory.events: fs/kernfs/file.c, kernfs_notify).
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from kubelab.cluster.errors import KernelError

_MODIFY, _ATTRIB, _CREATE, _DELETE = 0x2, 0x4, 0x100, 0x200
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ONLY_DIRECTORY, _IS_DIRECTORY = 0x01000000, 0x40000000
_HEADER = struct.Struct("iIII")
_BUFFER_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Event:
    """`watch` is 0 when events were lost: anything may have happened. `name` is "" when the directory itself
    is gone, and its watch with it. `is_tree`: a directory was made or removed in it."""

    watch: int
    name: str
    is_tree: bool


class Inotify:
    """`fileno` becomes readable when something happened; `events` then says what."""

    def __init__(self) -> None:
        """Raises KernelError when the kernel gives none (usually fs.inotify.max_user_instances)."""
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise KernelError("inotify_init1", "", ctypes.get_errno())

    def __enter__(self) -> "Inotify":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def watch(self, directory: str) -> int:
        """Return the number of the watch. Raises KernelError: it is not there, or there are too many."""
        return self._add(directory, _MODIFY | _CREATE | _DELETE | _ONLY_DIRECTORY)

    def watch_file(self, path: str) -> int:
        """Watch what is written to the file, and whether its names change. Raises as `watch`."""
        return self._add(path, _MODIFY | _ATTRIB)

    def _add(self, path: str, mask: int) -> int:
        number: int = _libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask))
        if number < 0:
            raise KernelError("inotify_add_watch", path, ctypes.get_errno())
        return number

    def forget(self, watch: int) -> None:
        if _libc.inotify_rm_watch(self._fd, watch) and ctypes.get_errno() != errno.EINVAL:
            raise KernelError("inotify_rm_watch", watch, ctypes.get_errno())

    def events(self) -> Iterator[Event]:
        """Yield what is known by now."""
        while True:
            try:
                content = os.read(self._fd, _BUFFER_BYTES)
            except BlockingIOError:
                return
            yield from _parse(content)


def _parse(content: bytes) -> Iterator[Event]:
    offset = 0
    while offset < len(content):
        watch, mask, _, length = _HEADER.unpack_from(content, offset)
        offset += _HEADER.size
        name = os.fsdecode(content[offset : offset + length].rstrip(b"\0"))
        offset += length
        if mask & _OVERFLOW:
            yield Event(0, "", is_tree=True)
        elif mask & _IGNORED:
            yield Event(watch, "", is_tree=True)
        else:
            yield Event(watch, name, is_tree=bool(mask & _IS_DIRECTORY))
