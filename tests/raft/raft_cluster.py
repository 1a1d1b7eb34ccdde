"""A few members of Raft in one place, whose network and disks do what a test says, and a transcript of it.

Messages arrive in the order they were sent, and disks are quick unless `hold_disk`. Election time-outs are
not by chance: member n waits n - 1 ticks longer than the least.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import dedent

from raft_transcript import describe

from kubelab.cluster.raft.config import Config
from kubelab.cluster.raft.messages import (
    Configuration,
    Entry,
    EntryType,
    HardState,
    MemberId,
    Message,
    MessageType,
    Snapshot,
)
from kubelab.cluster.raft.raft import Raft
from kubelab.cluster.raft.ready import ReadState, Ready
from kubelab.cluster.raft.states import Role

ELECTION_TICKS = 10
_QUIET = frozenset({MessageType.HEARTBEAT, MessageType.HEARTBEAT_ANSWER})


class Steady(random.Random):
    """Election time-outs that a reader can count."""

    def __init__(self, extra_ticks: int) -> None:
        super().__init__()
        self._extra_ticks = extra_ticks

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return start + self._extra_ticks


class Cluster:
    def __init__(
        self,
        voters: int = 3,
        *,
        logs: dict[MemberId, Sequence[int]] | None = None,
        raft_class: type[Raft] = Raft,
        **options: object,
    ) -> None:
        """*logs*: the terms of the entries that a member starts with, all of them on its disk."""
        self.options, self.raft_class = options, raft_class
        self.configuration = Configuration(tuple(range(1, voters + 1)))
        self.members: dict[MemberId, Raft] = {}
        self.applied: dict[MemberId, list[bytes]] = {}
        self.reads: dict[MemberId, list[ReadState]] = {}
        self.lines: list[str] = []
        self._disks: dict[MemberId, tuple[HardState, Snapshot, list[Entry]]] = {}
        self._network: deque[Message] = deque()
        self._cut: set[tuple[MemberId, MemberId]] = set()
        self._held: dict[MemberId, list[Ready]] = {}
        self._leaders: set[tuple[int, MemberId]] = set()
        self._lost: Callable[[Message], bool] = lambda message: False
        for member in self.configuration.voters:
            self.add(member, self.configuration, (logs or {}).get(member, ()))

    def add(self, member: MemberId, configuration: Configuration, terms: Sequence[int] = ()) -> None:
        """Start a member that has nothing, or a log with entries of *terms*."""
        entries = [Entry(index, term, b"%d" % index) for index, term in enumerate(terms, 1)]
        hard_state = HardState(term=max(terms, default=0))
        self._disks[member] = (hard_state, Snapshot(0, 0, configuration), entries)
        self.start(member)

    def start(self, member: MemberId) -> None:
        """Start *member*, or start it again with what its disk has."""
        hard_state, snapshot, entries = self._disks[member]
        config = Config(member, **{"election_ticks": ELECTION_TICKS, **self.options})  # type: ignore[arg-type]
        self.members[member] = self.raft_class(
            config,
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            applied=snapshot.index,
            chance=Steady(member - 1),
        )
        self.applied[member] = snapshot.data.split() if snapshot.data else []
        self.reads[member] = []

    def __getitem__(self, member: MemberId) -> Raft:
        return self.members[member]

    # The world

    def cut(self, *members: MemberId) -> None:
        """Cut *members* off from everybody else; among them they still reach one another."""
        self._cut |= {
            pair
            for one in members
            for other in self.members
            if other not in members
            for pair in ((one, other), (other, one))
        }

    def cut_cable(self, one: MemberId, other: MemberId) -> None:
        self._cut |= {(one, other), (other, one)}

    def heal(self) -> None:
        self._cut.clear()

    def stop(self, member: MemberId) -> None:
        del self.members[member]

    @contextmanager
    def losing(self, lost: Callable[[Message], bool]) -> Iterator[None]:
        before, self._lost = self._lost, lost
        yield
        self._lost = before

    def hold_disk(self, member: MemberId) -> None:
        self._held[member] = []

    def release_disk(self, member: MemberId) -> None:
        for ready in self._held.pop(member):
            self._persist(member, ready)
        self.settle()

    def tick(self, ticks: int = 1, *, only: Sequence[MemberId] = ()) -> None:
        for _ in range(ticks):
            for member, raft in tuple(self.members.items()):
                if not only or member in only:
                    raft.tick()
            self.settle()

    def elect(self, member: MemberId) -> None:
        """Have the time-out of *member* run out, and all others forget the leader that they hear."""
        for other in self.members.values():
            other._leader_elapsed = ELECTION_TICKS
        self.tick(ELECTION_TICKS + member, only=(member,))

    def propose(self, member: MemberId, data: bytes) -> None:
        self[member].propose(data)
        self.settle()

    def settle(self) -> None:
        """Deliver everything until nobody has anything more to say."""
        while True:
            for member in tuple(self.members):
                self._drive(member)
            if not self._network:
                return
            self._deliver(self._network.popleft())

    def _drive(self, member: MemberId) -> None:
        raft = self.members[member]
        while raft.has_ready:
            ready = raft.ready()
            self._network.extend(ready.messages)
            if member in self._held:
                self._held[member].append(ready)
            else:
                self._persist(member, ready)
            for entry in ready.committed:
                if entry.type is EntryType.NORMAL and entry.data:
                    self.applied[member].append(entry.data)
                raft.applied(entry.index)
            self.reads[member].extend(ready.read_states)
        self._note_role(raft)

    def _persist(self, member: MemberId, ready: Ready) -> None:
        raft, (hard_state, snapshot, entries) = self.members[member], self._disks[member]
        if ready.snapshot is not None:
            snapshot, entries = ready.snapshot, []
        if ready.entries:
            entries = [entry for entry in entries if entry.index < ready.entries[0].index] + [*ready.entries]
        self._disks[member] = (ready.hard_state or hard_state, snapshot, entries)
        if ready.snapshot is not None:
            self.applied[member] = ready.snapshot.data.split()
            raft.persisted_snapshot(ready.snapshot.index)
        if ready.entries:
            raft.persisted(ready.entries[-1].index, ready.entries[-1].term)
        self._network.extend(ready.messages_after_persisting)

    def _deliver(self, message: Message) -> None:
        is_lost = (
            (message.sender, message.receiver) in self._cut
            or message.receiver not in self.members
            or self._lost(message)
        )
        if message.type not in _QUIET:
            self.lines.append(describe(message) + (" LOST" if is_lost else ""))
        if not is_lost:
            self.members[message.receiver].step(message)
            self._note_role(self.members[message.receiver])

    def _note_role(self, raft: Raft) -> None:
        key = (raft.term, raft.id)
        if raft.role is Role.LEADER and key not in self._leaders:
            self._leaders.add(key)
            self.lines.append(f"{raft.id} leads in term {raft.term}")

    # What tests ask

    def compact(self, member: MemberId) -> None:
        raft = self[member]
        index = raft.status().applied
        snapshot = raft.snapshot_at(index, b" ".join(self.applied[member]))
        hard_state, _, entries = self._disks[member]
        self._disks[member] = (hard_state, snapshot, [entry for entry in entries if entry.index > index])
        raft.compact(snapshot)

    @property
    def leader(self) -> MemberId:
        """The leader of the latest term, 0 for none."""
        leaders = [raft for raft in self.members.values() if raft.role is Role.LEADER]
        return max(leaders, key=lambda raft: raft.term).id if leaders else 0

    def terms(self, member: MemberId) -> list[int]:
        """The terms of all entries in the log of *member*."""
        log = self[member]._log
        return [entry.term for entry in log.between(log.first_index - 1, log.last_index)]

    def transcript(self) -> str:
        """Return what happened since this was asked last, without heartbeats."""
        lines, self.lines = self.lines, []
        return "\n".join(lines)


def script(text: str) -> str:
    return dedent(text).strip()
