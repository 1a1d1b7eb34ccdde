"""A container's log files: the one that is written, and the older ones beside it.

Source: kubernetes, pkg/kubelet/logs/container_log_manager.go: `<log>.<timestamp>`, at most
containerLogMaxFiles files with the newest. The new file takes the old one's place in one step, after the
writer has gone on to it:
who follows the log finds the old file complete as soon as there is a new one.
Left out: compression of the older files.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

BYTES_MAX = 10 * 1024 * 1024  # containerLogMaxSize
FILES_MAX = 5  # containerLogMaxFiles
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o640


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yield a descriptor to append to the log by."""
    try:
        fd = os.open(path, _FLAGS, _MODE)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, _FLAGS, _MODE)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def successor(path: Path, files_max: int = FILES_MAX) -> Iterator[int]:
    """Yield a descriptor of a new file, to which the writer is to be sent meanwhile; then it is the log."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        with opened(new) as fd:
            yield fd
        os.link(path, _old_name(path))
        new.rename(path)
    finally:
        new.unlink(missing_ok=True)
    for old in older(path)[files_max - 1 :]:
        old.unlink(missing_ok=True)


def older(path: Path) -> list[Path]:
    """Return the log's older files, the newest first."""
    found = (each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:2].isdigit())
    return sorted(found, key=lambda each: each.name, reverse=True)


def _old_name(path: Path) -> Path:
    now_ns = time.time_ns()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_ns // 10**9))
    # A container that floods its log fills several files in a second.
    return path.with_name(f"{path.name}.{stamp}.{now_ns % 10**9:09d}")
