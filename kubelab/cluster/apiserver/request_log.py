"""The requests that reach the server, as they come: what `kubelab api watch`, the audit log and metrics tell.

The names of stages and fields are those of upstream's audit events (audit.k8s.io/v1): a watch is told of
when it begins (ResponseStarted) and when it ends (ResponseComplete), any other request when it is done.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Stage = Literal["ResponseStarted", "ResponseComplete"]
REQUESTS_KEPT = 256
_WAITING_MAX = 1024


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request. `resource` is "" for a path that names none; `impersonated` is whom it was made for.

    `received` is when its head had been read; `duration_s` until the answer's last byte was handed to the
    kernel (of a watch that has only begun: until its first). `bytes_sent` is the size of the body;
    `revision` was the store's when the request came.
    """

    id: str
    stage: Stage
    received: datetime
    duration_s: float
    verb: str
    uri: str
    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: str
    groups: tuple[str, ...]
    impersonated: str
    user_agent: str
    source: str
    code: int
    reason: str = ""
    bytes_sent: int = 0
    revision: int = 0


class RequestLog:
    """The last requests, and whoever wants to hear of each one; a slow listener misses some."""

    def __init__(self) -> None:
        self.recent: deque[RequestRecord] = deque(maxlen=REQUESTS_KEPT)
        self._listeners: list[Callable[[RequestRecord], None]] = []

    def add(self, record: RequestRecord) -> None:
        self.recent.append(record)
        for listener in self._listeners:
            listener(record)

    @contextmanager
    def listening(self, listener: Callable[[RequestRecord], None]) -> Iterator[None]:
        """Call *listener* with each record during the block; it must neither wait nor raise."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def records(self) -> AsyncIterator[tuple[tuple[RequestRecord, ...], int]]:
        """Yield what came since the last time, and how many more there were that nobody waited for."""
        waiting: deque[RequestRecord] = deque(maxlen=_WAITING_MAX)
        came, missed = asyncio.Event(), 0

        def note(record: RequestRecord) -> None:
            nonlocal missed
            missed += len(waiting) == _WAITING_MAX
            waiting.append(record)
            came.set()

        with self.listening(note):
            while True:
                await came.wait()
                came.clear()
                batch, lost = tuple(waiting), missed
                waiting.clear()
                missed = 0
                yield batch, lost
