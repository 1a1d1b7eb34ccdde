"""Which of several API servers to ask: the one that answered last, and another when it does not. Pure.

All of them serve the same cluster, so any will do. A server that failed rests for a while, longer each time
in a row, and then has its turn again; when all of them rest, the one that has rested longest is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kubelab.cluster.client.backoff import Backoff

REST = Backoff(first_s=1.0, max_s=30.0)


@dataclass(slots=True)
class _Health:
    failures: int = 0
    failed_s: float = 0.0
    rests_until_s: float = 0.0


class Servers:
    """Times are of a monotonic clock."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._health = {url: _Health() for url in urls}
        self._current = urls[0]

    @property
    def current(self) -> str:
        return self._current

    def candidates(self, now_s: float) -> list[str]:
        """Return all servers in the order in which to try them."""
        urls = list(self._health)
        start = urls.index(self._current)
        in_turn = urls[start:] + urls[:start]
        rested = [url for url in in_turn if self._health[url].rests_until_s <= now_s]
        resting = [url for url in in_turn if self._health[url].rests_until_s > now_s]
        return rested + sorted(resting, key=lambda url: self._health[url].failed_s)

    def must_be_checked(self, url: str) -> bool:
        """Tell whether *url* failed the last time: then it should say that it is ready before it is used."""
        return len(self._health) > 1 and self._health[url].failures > 0

    def failed(self, url: str, now_s: float) -> None:
        health = self._health[url]
        health.failures += 1
        health.failed_s = now_s
        health.rests_until_s = now_s + REST.delay_s(health.failures)

    def answered(self, url: str) -> None:
        self._health[url] = _Health()
        self._current = url
