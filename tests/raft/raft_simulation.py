"""A whole cluster of Raft in one thread without a clock: everything follows from a seed.

Members with disks, clocks of their own rates, a network that drops, delays, duplicates and reorders, cuts in
either direction, crashes that tear what was not synced, members that stand still, changes of who belongs,
snapshots, and clients that write and read. `Invariants` and `History` judge each step. At the end all heals,
and the cluster must come to rest: one leader, all logs applied, a last write answered.

Source: TigerBeetle, docs/internals/testing.md (seeds, a simulator of clock, network and disk);
etcd, tests/robustness, whose faults these are.
"""

import heapq
import random
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any

from raft_disk import Disk, blank
from raft_faults import Faults, draw
from raft_invariants import History, Invariants, ViolationError
from raft_transcript import describe

from kubelab.cluster.raft.configuration_change import ConfigurationChange, ConfigurationChangeError, members
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
            self.world.faults.config(self.id),
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

    def crash(self) -> None:
        self.is_up = False
        self.disk.crash(self.world.chance)
        self.world.note(f"{self.id} crashes, log on disk ends at {self.disk.last_index}")

    # Events

    def _is_away(self, epoch: int, again: Callable[..., None], *arguments: Any) -> bool:
        """Whether the member is down, or stands still and does this later."""
        if not self.is_up or epoch != self.epoch:
            return True
        if self.stalled_until > self.world.now:
            self.world.after(self.stalled_until - self.world.now, again, *arguments, epoch)
            return True
        return False

    def tick(self, epoch: int) -> None:
        if not self.is_up or epoch != self.epoch:
            return
        self.world.after(self.period, self.tick, epoch)
        self.owed_ticks += 1
        if self.stalled_until <= self.world.now:
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
                self.world.challenged_by(self)
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
            self.world.leader_commits(self)
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
        self.disk.sync(records)
        for _ in range(batches):
            self._persisted(self.batches.popleft()[1])
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
        try:
            self.raft.propose(write.to_bytes(8, "big"))
        except ProposalDroppedError:
            return
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
        self._terms_with_commits: set[int] = set()
        self._writes = self._reads = 0
        self.is_healed = False
        self.stops_removed = True
        self.members: dict[MemberId, Member] = {}
        configuration = Configuration(tuple(range(1, self.faults.members + 1)))
        for member in configuration.voters:
            self.members[member] = Member(self, member, blank(configuration))
        self.after(2 * self.faults.election_ticks, self._befall)  # Let them elect one first.

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

    # Faults

    def _befall(self) -> None:
        """What happens within a tick, besides what members do by themselves."""
        if self.is_healed:
            return
        self.after(1, self._befall)
        faults = self.faults
        for rate, act in (
            (faults.crash_rate, self._crash),
            (faults.partition_rate, self._partition),
            (faults.strand_rate, self._strand),
            (faults.stall_rate, self._stall),
            (faults.compact_rate, self._compact),
            (faults.change_rate, self._change),
            (faults.transfer_rate, self._transfer),
            (faults.write_rate, self._write),
            (faults.read_rate, self._read),
        ):
            times = int(rate) + (self.chance.random() < rate % 1)
            for _ in range(times):
                act()

    def _one(self) -> Member | None:
        up = [member for member in self.members.values() if member.is_up and member.stalled_until <= self.now]
        if not up:
            return None
        member = self.chance.choice(up)
        member.catch_up()
        return member

    def _leader(self) -> Member | None:
        leaders = [
            member for member in self.members.values() if member.is_up and member.raft.role is Role.LEADER
        ]
        return max(leaders, key=lambda member: member.raft.term, default=None)

    def _crash(self) -> None:
        """One, often a leader, or all at once: then what only memory knew is gone."""
        up = [member for member in self.members.values() if member.is_up]
        leader = self._leader()
        if not up:
            return
        kind = self.chance.random()
        for member in up if kind < 0.1 else [leader] if leader and kind < 0.5 else [self.chance.choice(up)]:
            self._crash_one(member)

    def _crash_one(self, member: Member) -> None:
        if member.is_up and not self.is_healed:
            member.crash()
            self.after(self.chance.random() ** 3 * 40, self._restart, member)

    def _restart(self, member: Member) -> None:
        if not (member.is_up or member.is_stopped):
            self.note(f"{member.id} starts")
            member.start()

    def _partition(self) -> None:
        """Cut some from the rest, often the leader, alone or with others; or one cable."""
        if self._cut and self.chance.random() < 0.7:
            return  # Where all is cut nothing happens.
        chance, ids, leader = self.chance, sorted(self.members), self._leader()
        side = set(chance.sample(ids, chance.randint(1, max(1, len(ids) - 1))))
        others = set(ids) - side
        kind = chance.random()
        if kind < 0.6 and leader is not None:
            side = {leader.id, *chance.sample(ids, chance.randint(0, (len(ids) - 1) // 2))}
            others = set(ids) - side
        if kind < 0.3 and leader is not None and len(ids) > 1:
            side, others = {leader.id}, {chance.choice([member for member in ids if member != leader.id])}
        self._cut_between(side, others)

    def _cut_between(self, side: set[MemberId], others: set[MemberId]) -> None:
        """Cut for a while, sometimes in one direction only."""
        cut = {(one, other) for one in side for other in others}
        back = {(other, one) for one, other in cut}
        kind = self.chance.random()
        cut = cut | back if kind < 0.7 else cut if kind < 0.85 else back
        self._cut_for(cut, self.chance.random() * 6 * self.faults.election_ticks)

    def _cut_for(self, cut: set[tuple[MemberId, MemberId]], ticks: float) -> None:
        if self.is_healed:
            return
        self._cut |= cut
        self.note(f"cut: {sorted(cut)}")
        self.after(ticks, self._heal, cut)

    def _heal(self, cut: set[tuple[MemberId, MemberId]]) -> None:
        self._cut -= cut
        self.note(f"healed: {sorted(cut)}")

    def _strand(self) -> None:
        """Cut a leader off and have it write what nobody hears; it may crash, too."""
        leader = self._leader()
        if leader is None or leader.stalled_until > self.now:
            return
        self._cut_for(
            {(leader.id, other) for other in self.members if other != leader.id},
            self.chance.random() * 4 * self.faults.election_ticks,
        )
        leader.catch_up()
        for _ in range(self.chance.randint(1, 3)):
            self._writes += 1
            leader.write(self._writes)
        if self.chance.random() < 0.3:
            self.after(self.chance.random() * 2, self._crash_one, leader)

    def challenged_by(self, member: Member) -> None:
        """In spite, cut a leader off before it hears of a candidate or another leader; or that one later."""
        if not self.faults.spite or self.is_healed:
            return
        for other in self.members.values():
            if other is not member and other.is_up and other.raft.role is Role.LEADER:
                self._cut_off(other)
        if member.role is Role.LEADER and self.chance.random() < 0.5:
            self.after(self.chance.choice((0, 1, 3)) * self.chance.random(), self._cut_off, member)

    def leader_commits(self, member: Member) -> None:
        """In spite, cut a new leader off the moment it has committed something, before it can say so."""
        if self.faults.spite and member.raft.term not in self._terms_with_commits:
            self._terms_with_commits.add(member.raft.term)
            if self.chance.random() < 0.3:
                self._cut_off(member)

    def _cut_off(self, member: Member) -> None:
        cut = {(member.id, peer) for peer in self.members} | {(peer, member.id) for peer in self.members}
        self._cut_for(cut, (0.5 + self.chance.random()) * 2 * self.faults.election_ticks)

    def _stall(self) -> None:
        member = self._one()
        if member is not None:
            member.stalled_until = self.now + self.chance.random() * 4 * self.faults.election_ticks
            self.note(f"{member.id} stands still until {member.stalled_until:.2f}")

    def _compact(self) -> None:
        member = self._one()
        if member is not None:
            member.compact()

    def _transfer(self) -> None:
        leader = self._leader()
        if leader is None or leader.stalled_until > self.now:
            return
        target = self.chance.choice(leader.raft.configuration.voters)
        try:
            leader.raft.transfer_leadership(target)
            self.note(f"{leader.id} hands over to {target}")
        except ProposalDroppedError:
            return
        leader.pump()

    def _change(self) -> None:
        member = self._leader() if self.chance.random() < 0.7 else self._one()
        if member is None or member.stalled_until > self.now:
            return
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            self._change_at(member)

    def _change_at(self, member: Member) -> None:
        member.catch_up()
        change = self._draw_change(member.raft.configuration)
        if member.raft.role is not Role.LEADER:
            # What it knows may be old: to demote a member that was removed would have it come back.
            change = ConfigurationChange(learners=(max(self.members) + 1,))
        try:
            member.raft.propose_configuration(change)
        except (ProposalDroppedError, ConfigurationChangeError):
            return
        self.note(f"{member.id} proposes {change}")
        for new in (*change.voters, *change.learners):
            if new not in self.members:
                self.members[new] = Member(self, new, blank(Configuration(())))
        before = set(member.raft.configuration.voters)
        member.pump()
        if self.chance.random() < 0.5:
            after = set(change.voters) | {member.id} if self.chance.random() < 0.7 else set(change.voters)
            self.after(self.chance.random() * 3, self._cut_between, after, before - after)

    def _draw_change(self, configuration: Configuration) -> ConfigurationChange:
        """Return a change of one or several; ids of members that left never come back."""
        chance = self.chance
        voters, learners = list(configuration.voters), list(configuration.learners)
        new = max(self.members) + 1
        kind = chance.random()
        if kind < 0.25 and learners:
            return ConfigurationChange(voters=(chance.choice(learners),))
        if kind < 0.5 and len(voters) + len(learners) < 7:
            return ConfigurationChange(learners=(new,))
        if kind < 0.6 and len(voters) < 6:
            return ConfigurationChange(voters=(new,))
        removed = tuple(chance.sample(voters, min(len(voters), chance.randint(1, (len(voters) + 2) // 2))))
        if kind < 0.8 and len(voters) > len(removed):
            demotes = chance.random() < 0.3
            return ConfigurationChange(
                learners=removed if demotes else (), removed=() if demotes else removed
            )
        return ConfigurationChange(voters=tuple(range(new, new + len(removed))), removed=removed)

    # Clients

    def _write(self) -> None:
        member = self._one()
        self._writes += 1
        if member is not None:
            member.write(self._writes)

    def _read(self) -> None:
        member = self._one()
        self._reads += 1
        if member is not None:
            member.read(self._reads)

    def read_elsewhere(self, answered: Member) -> None:
        """Right after a write was answered, ask all others who think that they lead."""
        for member in self.members.values():
            if member is answered or not member.is_up or member.stalled_until > self.now:
                continue
            if member.raft.role is Role.LEADER:
                member.catch_up()
                member.read_at_once()

    # The end

    def _heal_everything(self) -> None:
        self.note("everything heals")
        self.is_healed = True
        self._cut.clear()
        for member in list(self.members.values()):
            member.stalled_until = min(member.stalled_until, self.now)
            self._restart(member)

    def _is_at_rest(self) -> bool:
        leader = self._leader()
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
            self._writes += 1
            self._last_write = self._writes
            leader.write(self._writes)
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
