"""When leases end, as the leader's clock says: all others only know that they are there. Pure; time is given.

Which leases there are and which keys they end is in the replicated state (`Mvcc.leases`); here are the
deadlines, which a leader begins anew (`promote`): it cannot know when its predecessor heard a keep-alive.
A lease that is over is not gone until every member has applied its revocation: whoever drives this proposes
one for each that `expired` names, and is told again after a while if that came to nothing.

Source: etcd, server/lease/lessor.go.
Left out: checkpoints of what is left of long leases, so that a new leader lets them live for a whole time to
live; the smoothing of many leases that would end in the same second.
"""

import heapq
from collections.abc import Iterable
from math import ceil

from kubelab.cluster.store.requests import LeaseGrant, LeaseRevoke
from kubelab.cluster.store.service import LeaseNotFoundError

EXPIRED_RETRY_S = 3.0
EXPIRED_MAX = 500  # At once: half of etcd's 1,000 a second, asked for twice a second.


class Lessor:
    def __init__(self) -> None:
        self.is_primary = False
        self._ttls: dict[int, int] = {}
        self._deadlines: dict[int, float] = {}
        self._queue: list[tuple[float, int]] = []  # A heap; an entry that is not the lease's newest is stale.
        self._next_try: dict[int, float] = {}

    def promote(self, leases: Iterable[tuple[int, int]], now_s: float) -> None:
        """Lead from now on: all *leases*, as id and time to live in seconds, have their whole time again."""
        self.demote()
        self.is_primary = True
        for lease, ttl_s in leases:
            self._grant(lease, ttl_s, now_s)

    def demote(self) -> None:
        self.is_primary = False
        for table in (self._ttls, self._deadlines, self._next_try):
            table.clear()
        self._queue.clear()

    def applied(self, request: object, now_s: float, granted_ttl_s: int = 0) -> None:
        """Learn what has been granted (for *granted_ttl_s*) or revoked; any other request is nothing."""
        if isinstance(request, LeaseGrant) and self.is_primary:
            self._grant(request.id, granted_ttl_s or request.ttl_s, now_s)
        elif isinstance(request, LeaseRevoke):
            for table in (self._ttls, self._deadlines, self._next_try):
                table.pop(request.id, None)

    def renew(self, lease: int, now_s: float) -> int:
        """Begin the time of *lease* anew and return how long it is.

        Raises:
            LeaseNotFoundError: it is not there, or it is over and only waits for its revocation.
        """
        if self._deadlines.get(lease, now_s) <= now_s:
            raise LeaseNotFoundError
        self._grant(lease, self._ttls[lease], now_s)
        return self._ttls[lease]

    def remaining_s(self, lease: int, now_s: float) -> int:
        """Return what is left of *lease* in whole seconds, -1 if it is not there."""
        deadline_s = self._deadlines.get(lease)
        return -1 if deadline_s is None else max(0, ceil(deadline_s - now_s))

    def next_expiry_s(self) -> float | None:
        """Return when `expired` will have something to say, None for never."""
        self._drop_stale()
        return self._queue[0][0] if self._queue else None

    def expired(self, now_s: float) -> tuple[int, ...]:
        """Return the leases that are over and must be revoked, at most `EXPIRED_MAX`."""
        over: list[int] = []
        while len(over) < EXPIRED_MAX:
            self._drop_stale()
            if not self._queue or self._queue[0][0] > now_s:
                break
            lease = self._queue[0][1]
            self._try_at(lease, now_s + EXPIRED_RETRY_S)
            over.append(lease)
        return tuple(over)

    def _grant(self, lease: int, ttl_s: int, now_s: float) -> None:
        self._ttls[lease] = ttl_s
        self._deadlines[lease] = now_s + ttl_s
        self._try_at(lease, now_s + ttl_s)

    def _try_at(self, lease: int, time_s: float) -> None:
        self._next_try[lease] = time_s
        heapq.heappush(self._queue, (time_s, lease))

    def _drop_stale(self) -> None:
        while self._queue and self._next_try.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
