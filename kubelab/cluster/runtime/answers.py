"""What the shim's methods are given, and what they answer with."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """`pid` is a process that was started, `pidfd` its; `fds` are handed over, to be kept here no longer."""

    result: Mapping[str, Any] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    pidfd: int = -1
    pid: int = 0

    @property
    def passed(self) -> tuple[int, ...]:
        return (self.pidfd, *self.fds) if self.pidfd >= 0 else self.fds

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


class Pending:
    """An answer that comes later, when others may have been answered: `then` is called with what returns it,
    or raises as a method does."""

    __slots__ = ("then",)

    def __init__(self) -> None:
        self.then: Callable[[Callable[[], Answer]], None] = _nobody


def _nobody(answer: Callable[[], Answer]) -> None:
    raise AssertionError("a pending answer came before anybody waited for it")


Method = Callable[[Params, tuple[int, ...]], Answer | Pending]
"""Takes the parameters and the descriptors that came with them, which are closed when it has returned."""


def started(pid: int, pidfd: int, fds: tuple[int, ...] = ()) -> Answer:
    return Answer({"pid": pid}, fds, pidfd, pid)
