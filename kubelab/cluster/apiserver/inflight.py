"""How many requests may be worked on at once, so that a flood of them is refused before it drowns the rest.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/server/filters/maxinflight.go: 400 that read and 200 that
write; long-running ones (watches, logs that are followed, streams) do not count, nor do administrators'.
What production does instead: API priority and fairness shares the places out by flow.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kubelab.cluster.errors import ApiError

READING_MAX = 400
WRITING_MAX = 200
RETRY_AFTER_S = 1


class InFlight:
    def __init__(self, reading_max: int = READING_MAX, writing_max: int = WRITING_MAX) -> None:
        self._limits = {"readOnly": reading_max, "mutating": writing_max}
        self.now = {"readOnly": 0, "mutating": 0}
        self.long_running = 0

    def is_full(self, *, writes: bool) -> bool:
        kind = "mutating" if writes else "readOnly"
        return self.now[kind] >= self._limits[kind]

    @contextmanager
    def place(self, *, writes: bool, exempt: bool = False) -> Iterator[None]:
        """Take a place for the block.

        Raises:
            ApiError: 429, there is none.
        """
        if not exempt and self.is_full(writes=writes):
            raise _too_many()
        kind = "mutating" if writes else "readOnly"
        self.now[kind] += 1
        try:
            yield
        finally:
            self.now[kind] -= 1

    @contextmanager
    def long(self) -> Iterator[None]:
        self.long_running += 1
        try:
            yield
        finally:
            self.long_running -= 1


def _too_many() -> ApiError:
    message = "Too many requests, please try again later."
    return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": RETRY_AFTER_S})
