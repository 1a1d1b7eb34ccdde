"""The phases of a lab's start-up, as they happen, for whoever watches."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kubelab.language import Text


@dataclass(frozen=True, slots=True)
class Phase:
    """Told twice: when it begins, and when it is `done` after `elapsed_s`."""

    name: Text
    done: bool = False
    elapsed_s: float = 0.0


class Phases:
    """A log that any number of readers follow from its beginning, until it is `finish`ed."""

    def __init__(self) -> None:
        self._log: list[Phase] = []
        self._finished = False
        self._changed = asyncio.Event()

    @contextmanager
    def phase(self, name: Text) -> Iterator[None]:
        begin = time.perf_counter()
        self._tell(Phase(name))
        yield
        self._tell(Phase(name, done=True, elapsed_s=time.perf_counter() - begin))

    def finish(self) -> None:
        self._finished = True
        self._wake()

    async def follow(self) -> AsyncIterator[Phase]:
        read = 0
        while True:
            while read < len(self._log):
                yield self._log[read]
                read += 1
            if self._finished:
                return
            await self._changed.wait()

    def _tell(self, phase: Phase) -> None:
        self._log.append(phase)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
