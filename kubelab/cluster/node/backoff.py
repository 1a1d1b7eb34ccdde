"""The back-off of restarts and image pulls: 10 s, doubling to 300 s, forgotten after 600 s without trouble.

Source: kubernetes, staging/src/k8s.io/client-go/util/flowcontrol/backoff.go and its two users,
pkg/kubelet/kuberuntime/kuberuntime_manager.go (doBackOff) and pkg/kubelet/images/image_manager.go.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

INITIAL_S = 10.0
MAX_S = 300.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """`updated_at` is when the last attempt was allowed (restarts) or failed (pulls)."""

    delay_s: float
    updated_at: datetime

    def expired(self, at: datetime) -> bool:
        return at - self.updated_at > timedelta(seconds=2 * MAX_S)


def wait_s(backoff: Backoff | None, event_at: datetime, now: datetime) -> float:
    """Return how much longer an attempt after the trouble at *event_at* has to wait; 0 if it may be made now.

    Nothing to wait for before the first trouble is on record: the first restart is immediate.
    """
    if backoff is None or backoff.expired(event_at):
        return 0.0
    return max(0.0, backoff.delay_s - (now - event_at).total_seconds())


def grown(backoff: Backoff | None, event_at: datetime, now: datetime) -> Backoff:
    if backoff is None or backoff.expired(event_at):
        return Backoff(INITIAL_S, now)
    return Backoff(min(backoff.delay_s * 2, MAX_S), now)
