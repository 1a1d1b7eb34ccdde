"""Who of several candidates leads, by one Lease that all of them read and write: what each may do. Pure.

A candidate goes by when *it* saw the Lease change, never by the times that are written there: so clocks may
differ, if only they run about as fast. Nothing fences a leader that has lost the Lease and does not know yet:
therefore it gives up (`renew_deadline_s`) before anybody else may take over (`lease_s`).
Source: kubernetes, staging/src/k8s.io/client-go/tools/leaderelection/{leaderelection,
resourcelock/leaselock}.go.
Beyond upstream: a Lease that is held under a candidate's own host is that of a predecessor which has ended,
for a host runs one of each component; so whoever is started again need not wait for itself.
Left out: coordinated elections (KEP-4355), the watchdog.
"""

from dataclasses import dataclass
from datetime import datetime

from kubelab.cluster.clock import rfc3339_micro
from kubelab.cluster.objects import Object

JITTER_FACTOR = 1.2
NAMESPACE = "kube-system"
RELEASED_LEASE_S = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """The defaults of upstream's components (--leader-elect-lease-duration and so on)."""

    lease_s: int = 15
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.lease_s > self.renew_deadline_s > self.retry_s * JITTER_FACTOR:
            raise ValueError(f"{self}: the lease must outlast the deadline, and that some attempts")


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says of an election. `holder` is empty when it was given up."""

    holder: str
    lease_s: int
    acquired: str
    renewed: str
    transitions: int

    @classmethod
    def of(cls, lease: Object) -> "Record":
        spec = lease.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            lease_s=spec.get("leaseDurationSeconds") or 0,
            acquired=spec.get("acquireTime") or "",
            renewed=spec.get("renewTime") or "",
            transitions=spec.get("leaseTransitions") or 0,
        )

    def spec(self) -> Object:
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.lease_s,
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        }


NOTHING = Record("", 0, "", "", 0)


def host_of(identity: str) -> str:
    """Return the host in `host_uuid`, as upstream's components call themselves."""
    return identity.rpartition("_")[0]


class Election:
    """What one candidate knows. Seconds are of its own monotonic clock."""

    def __init__(self, identity: str, timing: Timing) -> None:
        self.identity = identity
        self.timing = timing
        self._seen = NOTHING
        self._seen_s = 0.0

    @property
    def leader(self) -> str:
        return self._seen.holder

    @property
    def is_ours(self) -> bool:
        return self._seen.holder == self.identity

    def see(self, record: Record, now_s: float) -> None:
        """Take in what the Lease says; only a change tells that its holder lives."""
        if record != self._seen:
            self.wrote(record, now_s)

    def wrote(self, record: Record, now_s: float) -> None:
        """Take in what this candidate itself has written."""
        self._seen, self._seen_s = record, now_s

    def leads(self, now_s: float) -> bool:
        return self.is_ours and self._is_valid(now_s)

    def may_write(self, now_s: float) -> bool:
        """Tell whether the Lease is this candidate's to take or to renew."""
        holder = self._seen.holder
        return holder in ("", self.identity) or self._is_predecessor(holder) or not self._is_valid(now_s)

    def claim(self, now: datetime, *, is_first: bool = False) -> Record:
        """Return what to write in order to lead, or to go on leading; *is_first*: there is no Lease yet."""
        moment, seen = rfc3339_micro(now), self._seen
        if self.is_ours:
            return Record(self.identity, self.timing.lease_s, seen.acquired, moment, seen.transitions)
        transitions = 0 if is_first else seen.transitions + 1
        return Record(self.identity, self.timing.lease_s, moment, moment, transitions)

    def resignation(self, now: datetime) -> Record:
        """Return what to write so that others need not wait."""
        moment = rfc3339_micro(now)
        return Record("", RELEASED_LEASE_S, moment, moment, self._seen.transitions)

    def _is_valid(self, now_s: float) -> bool:
        return now_s < self._seen_s + self._seen.lease_s

    def _is_predecessor(self, holder: str) -> bool:
        host = host_of(self.identity)
        return bool(host) and host_of(holder) == host
