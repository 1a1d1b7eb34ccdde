"""A simulated member's disk: what was synced stays, of the rest a crash leaves a part, cut off anywhere."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from kubelab.cluster.raft.messages import Configuration, Entry, HardState, Snapshot

Record = HardState | Snapshot | Entry


@dataclass(slots=True)
class Disk:
    """`unsynced` records are in the order of writing, as in one file."""

    snapshot: Snapshot
    hard_state: HardState = field(default_factory=HardState)
    log: dict[int, Entry] = field(default_factory=dict)
    last_index: int = 0
    unsynced: list[Record] = field(default_factory=list)

    def sync(self, count: int) -> None:
        """Make the first *count* of the unsynced records durable."""
        for record in self.unsynced[:count]:
            self._keep(record)
        del self.unsynced[:count]

    def crash(self, chance: random.Random) -> None:
        self.sync(chance.randint(0, len(self.unsynced)))
        self.unsynced.clear()

    def _keep(self, record: Record) -> None:
        if isinstance(record, HardState):
            self.hard_state = record
        elif isinstance(record, Snapshot):
            self.snapshot, self.log, self.last_index = record, {}, record.index
        else:
            self.log[record.index] = record
            self.last_index = record.index  # What was behind it is void.

    def compact(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.last_index = max(self.last_index, snapshot.index)

    def entries(self) -> Sequence[Entry]:
        return [self.log[index] for index in range(self.snapshot.index + 1, self.last_index + 1)]


def founding(configuration: Configuration) -> Disk:
    """Return where each founder begins: who joins later has no such index, and is sent a whole snapshot, in
    which are all the members."""
    return Disk(Snapshot(1, 1, configuration), last_index=1)


def blank() -> Disk:
    """Return where those who join begin."""
    return Disk(Snapshot(0, 0, Configuration(())))
