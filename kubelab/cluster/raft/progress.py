"""What a leader knows of one follower, and how much it may send it. Pure.

PROBE      it is not known where the two logs agree: one append at a time, then wait for its answer
REPLICATE  they agree up to `match`: appends follow one another without waiting, `max_inflight` at the most
SNAPSHOT   it needs entries that were dropped: a snapshot is on its way, nothing else until it is there

`next` is optimistic, `match` is certain. Whatever gets lost comes to light by a rejection: on a follower's
answer to a heartbeat the leader asks again with an append that may be empty.
Source: Ongaro's thesis, section 3.5 (nextIndex, matchIndex) and section 10.2.2 (pipelining); etcd/raft,
tracker/progress.go and inflights.go.
"""

from collections import deque
from enum import Enum


class ProgressState(Enum):
    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    __slots__ = (
        "acknowledged_round",
        "has_answered",
        "heard_at",
        "inflight",
        "is_leaving",
        "is_waiting",
        "match",
        "max_inflight",
        "next",
        "sent_commit",
        "snapshot_index",
        "snapshot_sent_at",
        "state",
    )

    def __init__(self, next_index: int, max_inflight: int, now: int) -> None:
        self.state = ProgressState.PROBE
        self.match = 0
        self.next = next_index
        self.max_inflight = max_inflight
        self.inflight: deque[int] = deque()
        self.is_waiting = False
        """A probe was sent, or an empty append while all of `max_inflight` are under way."""
        self.sent_commit = 0
        self.snapshot_index = self.snapshot_sent_at = 0
        self.heard_at = now
        self.has_answered = False
        self.acknowledged_round = 0
        self.is_leaving = False
        """It belongs no more, and shall hear that this is committed (so that it can stop)."""

    def is_full(self) -> bool:
        return len(self.inflight) >= self.max_inflight

    def sent(self, last_index: int, count: int, commit: int) -> None:
        """Note an append with *count* entries up to *last_index*."""
        self.sent_commit = max(self.sent_commit, min(commit, last_index))
        if self.state is ProgressState.PROBE:
            self.is_waiting = True
        elif count:
            self.next = last_index + 1
            self.inflight.append(last_index)

    def acknowledge(self, index: int) -> bool:
        """Note that the logs agree up to *index*. False: that was known."""
        self.next = max(self.next, index + 1)
        if index <= self.match:
            return False
        self.match = index
        self.is_waiting = False
        while self.inflight and self.inflight[0] <= index:
            self.inflight.popleft()
        return True

    def reject(self, rejected: int, hint: int) -> bool:
        """Go back to where the logs may agree. False: the rejection is an old one and says nothing new."""
        if self.state is ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.probe()
            return True
        if self.state is ProgressState.SNAPSHOT or self.next - 1 != rejected:
            return False  # In PROBE only one append is under way, and this is not it.
        self.next = max(min(rejected, hint + 1), self.match + 1)
        self.is_waiting = False
        return True

    def probe(self) -> None:
        """Ask where the logs agree; behind a snapshot, should it have arrived, and else behind `match`."""
        after = self.snapshot_index if self.state is ProgressState.SNAPSHOT else 0
        self._enter(ProgressState.PROBE)
        self.next = max(self.match, after) + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def replicate(self) -> None:
        self._enter(ProgressState.REPLICATE)
        self.next = self.match + 1

    def send_snapshot(self, index: int, now: int) -> None:
        self._enter(ProgressState.SNAPSHOT)
        self.snapshot_index, self.snapshot_sent_at = index, now
        self.next = index + 1
        self.sent_commit = index

    def _enter(self, state: ProgressState) -> None:
        self.state = state
        self.is_waiting = False
        self.snapshot_index = 0
        self.inflight.clear()
