"""Exponential back-off: how long to wait after the n-th failure in a row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first_s`, doubled with every further failure, up to `max_s`.

    Left out: jitter. It spreads a thousand clients of one server; a lab has a dozen, and what a learner sees
    should come in the same order every time.
    """

    first_s: float
    max_s: float

    def delay_s(self, failures: int) -> float:
        """Return the wait after that many *failures* in a row; 0 after none."""
        if failures <= 0:
            return 0.0
        return min(self.first_s * 2.0 ** min(failures - 1, 64), self.max_s)
