"""What the shim waits for: descriptors, each with what is to be done when it can be read or written.

Source: poll(2). One thread; who is called must not block.
"""

import select
from collections.abc import Callable

READ, WRITE = select.POLLIN, select.POLLOUT


class Poller:
    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, event: int, call: Callable[[], None]) -> None:
        self._calls[fd] = call
        self._poll.register(fd, event)

    def forget(self, fd: int) -> None:
        """Nothing happens if it is not watched."""
        if self._calls.pop(fd, None):
            self._poll.unregister(fd)

    def has(self, fd: int) -> bool:
        """Has something happened to *fd* already?"""
        return any(fd == each for each, _ in self._poll.poll(0))

    def wait(self) -> None:
        """Wait for what comes next, and do it."""
        for fd, _ in self._poll.poll():
            # A call before this one may have closed it.
            if call := self._calls.get(fd):
                call()
