"""Opens a path inside a root directory and never outside of it, whatever symbolic links say.

Source: openat2(2) with RESOLVE_IN_ROOT, which this does step by step, for it is not on every kernel and some
sandboxes refuse it: path_resolution(7). Each step opens one name without following it (O_PATH | O_NOFOLLOW),
which blocks on no fifo and wakes no device; a link's text is resolved from the root that was given, so that
the kernel's magic links (/proc/<pid>/root) lead nowhere but to what their text names inside.
"""

import errno
import os
import stat

LINKS_MAX = 40  # As the kernel has it: MAXSYMLINKS.


def open_beneath(root_fd: int, path: str, *, follow: bool) -> int:
    """Return an O_PATH descriptor of *path* below *root_fd*; without *follow*, of a link at its end itself.

    Raises:
        OSError: there is no such file (ENOENT, ENOTDIR), or its links go in circles (ELOOP).
    """
    trail: list[int] = []
    names = path.split("/")[::-1]
    links = 0
    try:
        while names:
            name = names.pop()
            if name in ("", ".", ".."):
                _climb(trail, name == "..", path)
                continue
            above = trail[-1] if trail else root_fd
            trail.append(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above))
            if _is_link(trail[-1]) and (names or follow):
                links += 1
                if links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                names += _target(trail).split("/")[::-1]
        return trail.pop() if trail else os.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=root_fd)
    finally:
        _close(trail)


def _is_link(fd: int) -> bool:
    return stat.S_ISLNK(os.fstat(fd).st_mode)


def _target(trail: list[int]) -> str:
    """Leave the link at the end of the trail, for the root if that is where it leads; return what it says."""
    fd = trail.pop()
    try:
        target = os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
    if target.startswith("/"):
        _close(trail)
    return target


def _climb(trail: list[int], up: bool, path: str) -> None:
    """Go up one directory, but not above the root; or stay, which only a directory allows as well."""
    if not trail:
        return
    if not stat.S_ISDIR(os.fstat(trail[-1]).st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if up:
        os.close(trail.pop())


def _close(trail: list[int]) -> None:
    while trail:
        os.close(trail.pop())
