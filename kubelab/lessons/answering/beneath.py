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
    names = _names(path)
    links = 0
    try:
        while names:
            name = names.pop()
            if name == "..":
                if trail:
                    os.close(trail.pop())
                continue
            fd = os.open(
                name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=trail[-1] if trail else root_fd
            )
            trail.append(fd)
            if stat.S_ISLNK(os.fstat(fd).st_mode) and (names or follow):
                target = os.readlink("", dir_fd=fd)
                os.close(trail.pop())
                links += 1
                if links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    _close(trail)
                names += _names(target)
        return trail.pop() if trail else os.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=root_fd)
    finally:
        _close(trail)


def _names(path: str) -> list[str]:
    """Return the names on the way, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _close(trail: list[int]) -> None:
    while trail:
        os.close(trail.pop())
