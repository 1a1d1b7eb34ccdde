"""A whole cluster of Raft in one thread without a clock: everything follows from a seed.

Members with disks, clocks of their own rates, a network that drops, delays, duplicates and reorders, cuts in
either direction, crashes that tear what was not synced, members that stand still, changes of who belongs,
snapshots, and clients that write and read: what befalls it, and when, is raft_nemesis.py's. `Invariants` and
`History` judge each step. At the end all heals, and the cluster must come to rest: one leader, all logs
applied, a last write answered.

Source: TigerBeetle, docs/internals/testing.md (seeds, a simulator of clock, network and disk);
etcd, tests/robustness, whose faults these are.
"""

import heapq
import random
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from raft_disk import Disk, founding
from raft_faults import Faults, draw
from raft_invariants import History, Invariants, ViolationError
from raft_nemesis import CrashPoint, Nemesis
from raft_transcript import describe

from kubelab.cluster.raft.configuration_change import members
from kubelab.cluster.raft.messages import (
    Configuration,
    EntryType,
    MemberId,
    Message,
    MessageType,
)
from kubelab.cluster.raft.raft import ProposalDroppedError, Raft
from kubelab.cluster.raft.ready import Ready
from kubelab.cluster.raft.states import Role

PATIENCE_TIMEOUTS = 60
"""Within how many election time-outs a healed cluster must come to rest."""


class Register:
    """The state machine: the ids of all writes in their order, each once (section 6.3)."""

    def __init__(self, data: bytes = b"") -> None:
        self.order = array("q", data)
        self.position = {write: at for at, write in enumerate(self.order, 1)}

    def write(self, write: int) -> int | None:
        """Return the position of a new write, None for a repeated one."""
        if write in self.position:
            return None
        self.order.append(write)
        self.position[write] = len(self.order)
        return len(self.order)

    def dump(self) -> bytes:
        return self.order.tobytes()


class Member:
    """A driver as kubelab.cluster.raft.ready asks for it: writes are pipelined, one sync for many Readies."""

    def __init__(self, world: "World", member: MemberId, disk: Disk) -> None:
        self.world, self.id, self.disk = world, member, disk
        self.epoch = 0  # Counts the crashes: what was under way before one is void.
        self.stalled_until = 0.0
        self.is_stopped = False
        self.start()

    def start(self) -> None:
        chance, disk = self.world.chance, self.disk
        self.epoch += 1
        self.is_up = True
        self.period = chance.uniform(*self.world.faults.skew)
        self.owed_ticks = 0
        self.register = Register(disk.snapshot.data)
        self.applied = disk.snapshot.index
        self.raft = self.world.raft_class(
            replace(self.world.faults.config(self.id), life=self.epoch),
            hard_state=disk.hard_state,
            snapshot=disk.snapshot,
            entries=disk.entries(),
            applied=self.applied,
            chance=chance,
        )
        self.batches: deque[tuple[int, Ready]] = deque()
        self.is_syncing = False
        self.role = Role.FOLLOWER
        self.writes: dict[int, int] = {}  # By write: what it must see.
        self.reads: dict[bytes, int] = {}  # By context: what it must see.
        self.due_reads: list[tuple[int, int, str]] = []
        self.world.after(chance.random() * self.period, self.tick, self.epoch)
        self.pump()

    @property
    def is_still(self) -> bool:
        return self.stalled_until > self.world.now

    def crash(self) -> None:
        self.is_up = False
        self.disk.crash(self.world.chance)
        self.world.note(f"{self.id} crashes, log on disk ends at {self.disk.last_index}")

    # Events

    def _is_away(self, epoch: int, again: Callable[..., None], *arguments: Any) -> bool:
        """Whether the member is down, or stands still and does this later."""
        if not self.is_up or epoch != self.epoch:
            return True
        if self.is_still:
            self.world.after(self.stalled_until - self.world.now, again, *arguments, epoch)
            return True
        return False

    def tick(self, epoch: int) -> None:
        if not self.is_up or epoch != self.epoch:
            return
        self.world.after(self.period, self.tick, epoch)
        self.owed_ticks += 1
        if not self.is_still:
            self.catch_up()
            self.pump()

    def catch_up(self) -> None:
        """Tick for all the time that has passed, before anything else (the lease is counted in ticks)."""
        while self.owed_ticks:
            self.owed_ticks -= 1
            self.raft.tick()
            self.world.invariants.after_step(self.raft)

    def receive(self, message: Message, epoch: int) -> None:
        if self._is_away(epoch, self.receive, message):
            return
        self.catch_up()
        if self.world.is_traced:
            self.world.note(f"  {describe(message)}")
        self.raft.step(message)
        self.pump()

    # What the driver does with a Ready

    def pump(self) -> None:
        if self.raft.role is not self.role:
            self.role = self.raft.role
            if self.role in {Role.CANDIDATE, Role.LEADER}:
                self.world.nemesis.challenged_by(self)
        while self.raft.has_ready:
            self._take(self.raft.ready())
        self.world.invariants.after_step(self.raft)
        self._answer_reads()
        if self.raft.is_removed and self.world.stops_removed:
            self.is_up, self.is_stopped = False, True
            self.world.note(f"{self.id} was removed and stops")

    def _take(self, ready: Ready) -> None:
        self.world.invariants.appended(self.raft, ready.entries)
        self._write(ready)
        if ready.committed and self.role is Role.LEADER:
            self.world.nemesis.leader_commits(self)
        for message in ready.messages:
            self.world.send(message)
        for entry in ready.committed:
            self.world.invariants.committed(self.raft, entry)
            if entry.index != self.applied + 1:
                raise ViolationError(f"member {self.id} applies {entry.index} after {self.applied}")
            self.applied = entry.index
            if entry.type is EntryType.NORMAL and entry.data:
                self._apply_write(int.from_bytes(entry.data, "big"))
        self.raft.applied(self.applied)
        for state in ready.read_states:
            must_see = self.reads.pop(state.context, None)
            if must_see is not None:
                self.due_reads.append((state.index, must_see, "read index"))

    def _apply_write(self, write: int) -> None:
        position = self.register.write(write)
        must_see = self.writes.pop(write, None)
        if must_see is not None:
            position = position or self.register.position[write]
            self.world.history.write_answered(write, position, must_see)
            self.world.read_elsewhere(self)

    def _write(self, ready: Ready) -> None:
        records = [
            *([ready.hard_state] if ready.hard_state else []),
            *([ready.snapshot] if ready.snapshot else []),
            *ready.entries,
        ]
        if not (records or ready.messages_after_persisting):
            return
        if not (ready.must_sync or self.batches):
            self.disk.unsynced.extend(records)
            self._persisted(ready)
            return
        self.disk.unsynced.extend(records)
        self.batches.append((len(self.disk.unsynced), ready))
        self._start_sync()

    def _start_sync(self) -> None:
        if self.is_syncing or not self.batches:
            return
        self.is_syncing = True
        busy = 0.1 if self.world.is_healed else self.world.faults.sync_ticks
        ticks = self.world.chance.uniform(0.2, 1) * busy
        self.world.after(ticks, self._synced, len(self.batches), len(self.disk.unsynced), self.epoch)

    def _synced(self, batches: int, records: int, epoch: int) -> None:
        if self._is_away(epoch, self._synced, batches, records):
            return
        self.catch_up()
        self.is_syncing = False
        crash_point = self.world.nemesis.crash_point()
        if crash_point is CrashPoint.BEFORE_SYNC:
            self.world.nemesis.kill(self)
            return
        self.disk.sync(records)
        if crash_point is CrashPoint.BEFORE_ANSWERS:
            self.world.nemesis.kill(self)
            return
        for _ in range(batches):
            self._persisted(self.batches.popleft()[1])
        if crash_point is CrashPoint.AFTER_ANSWERS:
            self.world.nemesis.kill(self)
            return
        self._start_sync()
        self.pump()

    def _persisted(self, ready: Ready) -> None:
        if ready.snapshot is not None and ready.snapshot.index > self.applied:
            self.register = Register(ready.snapshot.data)
            self.applied = ready.snapshot.index
        if ready.snapshot is not None:
            self.raft.persisted_snapshot(ready.snapshot.index)
        if ready.entries:
            self.raft.persisted(ready.entries[-1].index, ready.entries[-1].term)
        for message in ready.messages_after_persisting:
            self.world.send(message)

    def compact(self) -> None:
        if (
            self.disk.unsynced
            or self.applied <= self.disk.snapshot.index
            or self.applied > self.disk.last_index
        ):
            return
        snapshot = self.raft.snapshot_at(self.applied, self.register.dump())
        self.disk.compact(snapshot)
        self.raft.compact(snapshot)
        self.world.note(f"{self.id} keeps a snapshot of {self.applied}")

    # Clients

    def write(self, write: int) -> None:
        data = write.to_bytes(8, "big")
        try:
            self.raft.propose(data)
        except ProposalDroppedError:
            return
        self.world.invariants.proposed(self.raft, data)
        self.writes[write] = self.world.history.invoke()
        self.pump()

    def read(self, number: int) -> None:
        must_see = self.world.history.invoke()
        at_once = self.raft.read_at_once()
        if at_once is not None and number % 2:
            self.due_reads.append((at_once, must_see, "lease"))
        else:
            context = number.to_bytes(8, "big")
            self.reads[context] = must_see
            try:
                self.raft.read_index(context)
            except ProposalDroppedError:
                del self.reads[context]
        self.pump()

    def read_at_once(self) -> None:
        at_once = self.raft.read_at_once()
        if at_once is not None and at_once <= self.applied:
            self.world.history.read_answered(len(self.register.order), self.world.history.invoke(), "lease")

    def _answer_reads(self) -> None:
        if not self.due_reads:
            return
        waiting = []
        for index, must_see, kind in self.due_reads:
            if index <= self.applied:
                self.world.history.read_answered(len(self.register.order), must_see, kind)
            else:
                waiting.append((index, must_see, kind))
        self.due_reads = waiting


class World:
    """All members, what is between them, and what befalls them."""

    def __init__(
        self,
        seed: int,
        *,
        faults: Faults | None = None,
        raft_class: type[Raft] = Raft,
        transcript: list[str] | None = None,
    ) -> None:
        self.chance = random.Random(seed)
        self.faults = draw(self.chance) if faults is None else faults
        self.raft_class = raft_class
        self.transcript = transcript
        self.is_traced = transcript is not None
        self.now = 0.0
        self.invariants, self.history = Invariants(), History()
        self.steps = 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._cut: set[tuple[MemberId, MemberId]] = set()
        self._writes = self._reads = 0
        self.is_healed = False
        self.stops_removed = True
        self.members: dict[MemberId, Member] = {}
        self.nemesis = Nemesis(self, self.faults)
        configuration = Configuration(tuple(range(1, self.faults.members + 1)))
        for member in configuration.voters:
            self.add(member, founding(configuration))

    # Time

    def after(self, ticks: float, act: Callable[..., None], *arguments: Any) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (self.now + ticks, self._sequence, act, arguments))

    def run(self) -> None:
        """Run to the end; raises ViolationError."""
        self._run_until(self.faults.ticks)
        self._heal_everything()
        patience = PATIENCE_TIMEOUTS * self.faults.election_ticks
        end = self.now + patience
        while not self._is_at_rest():
            if self.now > end:
                raise ViolationError(
                    f"liveness: no rest within {patience} ticks of healing: {self._standing()}"
                )
            self._run_until(self.now + 2)

    def _run_until(self, end: float) -> None:
        events = self._events
        while events and events[0][0] <= end:
            self.now, _, act, arguments = heapq.heappop(events)
            self.steps += 1
            act(*arguments)
        self.now = end

    def note(self, line: str) -> None:
        if self.transcript is not None:
            self.transcript.append(f"{self.now:8.2f} {line}")

    # The network

    def send(self, message: Message) -> None:
        self.invariants.sent(message)
        receiver = self.members.get(message.receiver)
        faults, chance = self.faults, self.chance
        if receiver is None or (message.sender, message.receiver) in self._cut:
            self._lost(message)
            return
        if not self.is_healed:
            if faults.drop and chance.random() < faults.drop:
                self._lost(message)
                return
            if faults.duplicate and chance.random() < faults.duplicate:
                self.after(self._delay(), receiver.receive, message, receiver.epoch)
        self.after(self._delay(), receiver.receive, message, receiver.epoch)

    def _delay(self) -> float:
        if self.is_healed:
            return 0.1
        delay = self.chance.random() * self.faults.delay_ticks
        return delay * 10 if self.chance.random() < self.faults.straggle else delay

    def _lost(self, message: Message) -> None:
        """A transport sometimes notices."""
        if self.chance.random() < 0.5 and message.sender in self.members:
            raft = self.members[message.sender].raft
            if message.type is MessageType.SNAPSHOT:
                raft.report_snapshot(message.receiver, ok=False)
            else:
                raft.report_unreachable(message.receiver)

    @property
    def is_cut(self) -> bool:
        return bool(self._cut)

    def cut(self, cut: set[tuple[MemberId, MemberId]], ticks: float) -> None:
        """Lose all that goes from one to the other of each pair in *cut*."""
        if self.is_healed:
            return
        self._cut |= cut
        self.note(f"cut: {sorted(cut)}")
        if ticks < float("inf"):
            self.after(ticks, self.heal, cut)

    def heal(self, cut: set[tuple[MemberId, MemberId]]) -> None:
        self._cut -= cut
        self.note(f"healed: {sorted(cut)}")

    # Members

    def add(self, member: MemberId, disk: Disk) -> None:
        if member not in self.members:
            self.members[member] = Member(self, member, disk)

    def restart(self, member: Member) -> None:
        if not (member.is_up or member.is_stopped):
            self.note(f"{member.id} starts")
            member.start()

    def one(self) -> Member | None:
        up = [member for member in self.members.values() if member.is_up and not member.is_still]
        if not up:
            return None
        member = self.chance.choice(up)
        member.catch_up()
        return member

    def leader(self) -> Member | None:
        leaders = [
            member for member in self.members.values() if member.is_up and member.raft.role is Role.LEADER
        ]
        return max(leaders, key=lambda member: member.raft.term, default=None)

    # Clients

    def write(self) -> None:
        self.write_at(self.one())

    def write_at(self, member: Member | None) -> None:
        self._writes += 1
        if member is not None:
            member.write(self._writes)

    def read(self) -> None:
        self.read_at(self.one())

    def read_at(self, member: Member | None) -> None:
        self._reads += 1
        if member is not None:
            member.read(self._reads)

    def read_elsewhere(self, answered: Member) -> None:
        """Right after a write was answered, ask all others who think that they lead."""
        for member in tuple(self.members.values()):
            if member is answered or not member.is_up or member.is_still:
                continue
            if member.raft.role is Role.LEADER:
                member.catch_up()
                member.read_at_once()
                self.read_at(member)

    # The end

    def _heal_everything(self) -> None:
        self.note("everything heals")
        self.is_healed = True
        self._cut.clear()
        for member in list(self.members.values()):
            member.stalled_until = min(member.stalled_until, self.now)
            self.restart(member)

    def _is_at_rest(self) -> bool:
        leader = self.leader()
        if leader is None:
            return False
        last = leader.raft._log.last_index
        belong = members(leader.raft.configuration)
        if leader.raft.configuration.outgoing or any(
            self.members[member].applied != last or self.members[member].raft.leader != leader.id
            for member in belong
        ):
            return False
        lost = self.history.writes - set(leader.register.order)
        if lost:
            raise ViolationError(f"durability: the answered writes {sorted(lost)} are lost")
        if self._last_write is None:
            self.write_at(leader)
            self._last_write = self._writes
            return False
        if self._last_write not in self.history.writes:
            self._last_write = None  # Dropped: its leader was just handing over.
            return False
        return True

    _last_write: int | None = None

    def _standing(self) -> str:
        return "; ".join(
            f"{member.id} {'up' if member.is_up else 'down'} {member.raft.role.value} of {member.raft.term}, "
            f"commit {member.raft._log.commit}/{member.raft._log.last_index}, {member.raft.configuration}"
            for member in self.members.values()
        )
