"""A running container's own streams, from outside: what is written to it, what it writes. See
`cri.Attachment`."""

import contextlib
import os
from collections.abc import Iterator

from kubelab.cluster.runtime import terminal
from kubelab.cluster.runtime.terminal import WindowSize


class Input:
    """A running container's standard input, or its terminal: what is written to `fd`, it reads. With `once`
    the first who closes ends it."""

    def __init__(self, fd: int, *, once: bool, is_terminal: bool) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._once = once
        self._is_terminal = is_terminal

    def duplicate(self) -> int:
        """Return a descriptor of one's own; -1 when it has ended."""
        return os.dup(self._fd) if self._fd >= 0 else -1

    def resize(self, size: WindowSize) -> None:
        if self._is_terminal and self._fd >= 0:
            terminal.resize(self._fd, size)

    def closed_by_one(self) -> None:
        if self._once and not self._is_terminal:
            self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ContainerAttachment:
    def __init__(self, input_: Input | None, stdout: int, stderr: int) -> None:
        self._input = input_
        self._stdin = input_.duplicate() if input_ else -1
        self._stdout, self._stderr = stdout, stderr

    @property
    def stdin(self) -> int:
        return self._stdin

    @property
    def stdout(self) -> int:
        return self._stdout

    @property
    def stderr(self) -> int:
        return self._stderr

    def close_stdin(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
            if self._input:
                self._input.closed_by_one()

    def close(self) -> None:
        self.close_stdin()
        for fd in (self._stdout, self._stderr):
            if fd >= 0:
                os.close(fd)
        self._stdout = self._stderr = -1


@contextlib.contextmanager
def pipes(count: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the read ends, non-blocking, and the write ends of new pipes.

    The write ends are closed afterwards; after an error the read ends as well.
    """
    made = [os.pipe2(os.O_CLOEXEC) for _ in range(count)]
    read_ends, write_ends = [pipe[0] for pipe in made], [pipe[1] for pipe in made]
    try:
        for fd in read_ends:
            os.set_blocking(fd, False)
        yield read_ends, write_ends
    except BaseException:
        for fd in read_ends:
            os.close(fd)
        raise
    finally:
        for fd in write_ends:
            os.close(fd)
