"""The file in which a container may leave why it has ended: laid out before its start, read at its end.

Source: kubernetes, pkg/kubelet/kuberuntime/kuberuntime_container.go (makeMounts: mode 0666, for whomever it
runs as), pkg/kubelet/container/runtime.go (MaxContainerTerminationMessageLength).
"""
# ruff: noqa: PTH103, PTH108, PTH123 - the shim imports this, and pathlib is slow to

import contextlib
import os

MESSAGE_BYTES_MAX = 4096


def lay_out(path: str) -> None:
    """Make the empty file, and the directories that lead to it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    os.fchmod(fd, 0o666)  # Whatever the umask.
    os.close(fd)


def take(path: str) -> str:
    """Return the beginning of the file, and remove it; "" where there is none."""
    with contextlib.suppress(OSError):
        # Whoever has put a pipe there lets nobody wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            message = file.read(MESSAGE_BYTES_MAX) or b""
        os.unlink(path)
        return message.decode(errors="replace")
    return ""
