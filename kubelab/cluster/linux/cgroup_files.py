"""The files of a cgroup: their reading and writing, and their two formats with keys.

Source: Documentation/admin-guide/cgroup-v2.rst, Format: "flat keyed" (memory.events, cpu.stat) and "nested
keyed" (io.max, io.stat, the pressure files). Bare system calls, for `open` costs four times as much.
"""

import errno
import os

from kubelab.cluster.errors import KernelError

_READ_BYTES = 65536


def read(path: str) -> str:
    """Raises KernelError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = b""
            while chunk := os.read(fd, _READ_BYTES):
                content += chunk
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError("read", path, error.errno or 0) from None
    return content.decode("ascii")


def read_if_there(path: str) -> str | None:
    """Return None if there is no such file. Raises KernelError: it cannot be read."""
    try:
        return read(path)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def read_quietly(path: str) -> str:
    """Return "" if it cannot be read."""
    try:
        return read(path)
    except KernelError:
        return ""


def write(path: str, content: str) -> None:
    """Write all at once. Raises KernelError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(fd, content.encode("ascii") or b"\n")  # Of nothing at all the kernel hears nothing.
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError("write", f"{content!r} to {path}", error.errno or 0) from None


def flat(text: str) -> dict[str, int]:
    """Parse a flat-keyed file; a value that is no number (`max`) is left out."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def nested(text: str) -> dict[str, dict[str, str]]:
    """Parse a nested-keyed file."""
    lines = (line.split() for line in text.splitlines())
    return {words[0]: dict(_pair(word) for word in words[1:]) for words in lines if words}


def _pair(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value
