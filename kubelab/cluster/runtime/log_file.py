"""A container's log file: whole records are appended, and somebody is told when it has become too long.

Source: kubernetes, pkg/kubelet/logs/container_log_manager.go: the kubelet renames the file and lets the
runtime go on with a new one (`reopen`). Until it does the old one grows on, so that no line is lost. On a
full disk records are dropped whole, and those that come when there is room again are kept.
"""

import contextlib
import os
from collections.abc import Callable


class LogFile:
    def __init__(self, fd: int, bytes_max: int, on_full: Callable[[], None]) -> None:
        self._fd = fd
        self._bytes_max = bytes_max
        self._on_full = on_full
        self._size = os.fstat(fd).st_size
        self._told = False

    def write(self, records: bytes) -> None:
        """Append *records*; they may be missing afterwards, but not in part."""
        written = 0
        try:
            while written < len(records):
                written += os.write(self._fd, memoryview(records)[written:])
        except OSError:
            with contextlib.suppress(OSError):
                written = records.rfind(b"\n", 0, written) + 1
                os.ftruncate(self._fd, self._size + written)
        self._size += written
        if self._size > self._bytes_max and not self._told:
            self._told = True
            self._on_full()

    def reopen(self, fd: int) -> None:
        """Go on in another file."""
        os.close(self._fd)
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._told = False

    def close(self) -> None:
        os.close(self._fd)
