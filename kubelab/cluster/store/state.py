"""What can be told of a store from outside, for those who explain it: one frozen picture. Pure.

Source: etcd, api/etcdserverpb/rpc.proto (StatusResponse, MemberListResponse).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreState:
    """`members` are all that belong to it, `alive` or not (None: all are). `term` is None where the store
    does not elect; `leader` is None then, and while there is none. `quorum`: it can commit writes.
    `compacted`: the revision of the last compaction, None where it cannot be seen."""

    members: tuple[str, ...]
    revision: int
    term: int | None = None
    leader: str | None = None
    alive: tuple[str, ...] | None = None
    quorum: bool = True
    compacted: int | None = None

    @property
    def elects(self) -> bool:
        return self.term is not None
