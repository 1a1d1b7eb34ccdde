"""The shell around Raft's core: carries its Readies out, with the disk, the peers and the clock.

Whatever happens (a tick, messages, a proposal, the disk has something) wakes it once; then all Readies that
there are are carried out together. Writes are pipelined: while the disk is busy Readies go on being taken,
and what they have for the disk shares its next fdatasync. The commit index alone is no reason to write: it is
a hint, and goes along with the next write. Nor do followers hear of it at once in a message of its own: those
whose writes it answers often write again right away, so it waits for one round of the loop, and goes along
with their entries.

Time: a member wakes when something may be due, for as many ticks at once as have passed, and counts those
before Raft hears or is asked anything in between. But a tick is never made up for: after the loop was held
up no more are counted than were to be slept through, and near an election they are slept through one by one.
The peers who share its loop or its machine do likewise, so that nobody is deposed for being slow together
with all others. A lease, which is counted in ticks, must not outlive real time through that: it is not
trusted until a round that was sent afterwards has been confirmed.
Source: etcd, server/etcdserver/raft.go; thesis, section 10.2.1; the contract is raft/ready.py.
"""

import asyncio
import random
import secrets
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import replace
from typing import Protocol

import msgspec

from kubelab.cluster.clock import Clock
from kubelab.cluster.raft.configuration_change import members
from kubelab.cluster.raft.messages import Entry, HardState, MemberId, Message, MessageType, Snapshot
from kubelab.cluster.raft.raft import Raft
from kubelab.cluster.raft.ready import ReadState, Ready
from kubelab.cluster.store.member_config import MemberConfig
from kubelab.cluster.store.member_disk import MemberDisk
from kubelab.cluster.store.transport import Transport
from kubelab.cluster.store.wal import Batch, Mark
from kubelab.cluster.store.wal_writer import WalWriter

NEVER, FOR_EVER = float("-inf"), float("inf")
STALL_TICKS = 2  # A tick that comes so long after the one before shows that the loop was held up.
ALONE_TICKS = 10
EARLY_TICKS = 0.01  # That much before its time, as clocks round it, a tick has come.
READIES_MAX = 4  # Then the loop's other tasks have their turn.


class StateMachine(Protocol):
    """What the driver feeds, on the loop."""

    def apply(self, entries: Sequence[Entry]) -> None:
        """Carry committed *entries* out."""

    def confirm(self, read: ReadState) -> None: ...

    def install(self, snapshot: Snapshot) -> None:
        """Become what *snapshot* is, which the disk has by now; `Driver.installed` is to be called then."""

    def ticked(self) -> None:
        """Time has passed."""

    @property
    def is_asking(self) -> bool:
        """Whether it waits for an answer that may have got lost: then time is to be told tick by tick."""

    def before_ready(self) -> None:
        """Hand over what is asked of Raft."""


class _Written(msgspec.Struct, frozen=True):
    """What may be done once the disk has a Ready. `last`: the last entry of it that was written."""

    last: Entry | None
    snapshot: Snapshot | None
    messages: tuple[Message, ...]


class Driver:
    def __init__(
        self,
        config: MemberConfig,
        disk: MemberDisk,
        transport: Transport,
        clock: Clock,
        machine: StateMachine,
    ) -> None:
        self.ticks = 0
        self.snapshot_index = disk.snapshot.index
        """Of the newest snapshot that was handed to the log."""
        self.clock = clock
        self._monotonic_s = clock.monotonic_s
        self.raft = Raft(
            replace(config.raft, life=secrets.randbits(64)),
            hard_state=disk.hard_state,
            snapshot=disk.snapshot,
            entries=disk.entries,
            applied=disk.snapshot.index,
            chance=random.SystemRandom(),
        )
        self.writer: WalWriter[_Written] = WalWriter(disk.wal, disk.snapshots, self._written)
        self._config = config
        self._transport = transport
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        # What it sets off is the member's own, whoever wakes it: he may be stopped (linux/suspension.py).
        self._context = copy_context()
        self._is_awake = False
        self._is_running = False
        self._is_stopped = False
        self._hard_state: HardState | None = None  # What the log lacks: a commit index.
        self._ticked_s = clock.monotonic_s()  # When the last tick was due.
        self._ticks_left = 1  # That are slept through now.
        self._stalled_at_ticks: int | None = None
        self.readable_until_s = NEVER
        """Found since it was last woken. FOR_EVER: by who is alone, and need not be asked again."""
        self._commits: dict[MemberId, Message] = {}  # That wait for entries to go along with.
        self._will_send_commits = False

    def wake(self) -> None:
        """Carry out, in the loop's next round, what Raft has to be done. To be called whenever it was told
        something."""
        self.readable_until_s = NEVER
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._run_readies, context=self._context)

    def wake_at_once(self) -> None:
        """Do so now, for what gains nothing from waiting for others: a single proposal, what a peer says."""
        if self._is_awake or self._is_running:
            self.wake()
        else:
            self.readable_until_s = NEVER
            self._context.run(self._run_readies)

    def stop(self) -> None:
        """From now on nothing is sent, written or applied."""
        self._is_stopped = True
        self.readable_until_s = NEVER

    def receive(self, messages: Sequence[Message]) -> None:
        if self._is_stopped:
            return
        self.catch_up()
        for message in messages:
            self.raft.step(message)
        self.wake_at_once()

    def is_readable(self, applied: int) -> bool:
        """Whether linearizable reads may be answered now by a state that has applied up to *applied*."""
        if self._monotonic_s() <= self.readable_until_s:
            return True
        if self._is_stopped or self._stalled_at_ticks is not None:
            return False
        self.catch_up()
        index = self.raft.read_at_once()
        if index is None or index > applied:
            return False
        until_s = FOR_EVER if self._is_alone else self._ticked_s + STALL_TICKS * self._config.tick_s
        if not self._is_awake:
            self.readable_until_s = until_s
        return self._monotonic_s() <= until_s

    def confirmed(self, asked_at_ticks: int) -> None:
        """A round was confirmed that this leader sent after that many ticks."""
        if self._stalled_at_ticks is not None and asked_at_ticks >= self._stalled_at_ticks:
            self._stalled_at_ticks = None

    @property
    def _is_alone(self) -> bool:
        return self.raft.configuration.voters == (self._config.id,)

    async def run_ticks(self) -> None:
        """Tick until cancelled."""
        tick_s = self._config.tick_s
        self._hurry_if_alone()
        self._ticked_s = self._monotonic_s()
        while True:
            self._ticks_left = self._ticks_until_due
            await self.clock.sleep(self._ticked_s + self._ticks_left * tick_s - self._monotonic_s())
            self._tick()

    @property
    def _ticks_until_due(self) -> int:
        """Where there is nobody to hear from, nothing is due soon. Learners are somebody: what they have
        missed is sent again by the tick."""
        if members(self.raft.configuration) == {self._config.id}:
            return ALONE_TICKS
        return 1 if self._machine.is_asking else self.raft.ticks_until_due

    def _tick(self) -> None:
        """Count what is left of the ticks that were slept through."""
        now_s = self._monotonic_s()
        count = min(self._passed_ticks(now_s), self._ticks_left)
        if now_s - self._ticked_s > (count - 1 + STALL_TICKS) * self._config.tick_s:
            self._stalled_at_ticks = None if self._is_alone else self.ticks + 1
            self._ticked_s = now_s - count * self._config.tick_s
        self._count(count)
        self._machine.ticked()
        self.wake_at_once()

    def catch_up(self) -> None:
        """Count the ticks that have passed, but for the last that is slept through: it may do something, and
        `run_ticks` is about to count it, behind all that has come from peers."""
        if self._ticks_left > 1:
            self._count(min(self._passed_ticks(self._monotonic_s()), self._ticks_left - 1))

    def _passed_ticks(self, now_s: float) -> int:
        return int((now_s - self._ticked_s) / self._config.tick_s + EARLY_TICKS)

    def _count(self, count: int) -> None:
        self._ticks_left -= count
        self._ticked_s += count * self._config.tick_s
        for _ in range(count):
            self.ticks += 1
            self.raft.tick()

    def _hurry_if_alone(self) -> None:
        """Nobody else leads, and nobody was promised anything: no need to wait for an election time-out."""
        if self._is_alone:
            for _ in range(2 * self._config.election_ticks):
                self.raft.tick()
            self.wake()

    def _run_readies(self) -> None:
        self._is_awake = False
        if self._is_stopped:
            return
        self._is_running = True
        try:
            self._machine.before_ready()
            for _ in range(READIES_MAX):
                if not self.raft.has_ready:
                    return
                self._carry_out(self.raft.ready())
            if self.raft.has_ready:
                self.wake()
        finally:
            self._is_running = False

    def _carry_out(self, ready: Ready) -> None:
        if ready.messages:
            self._send(ready.messages)
        self._write(ready)
        if ready.committed:
            self._machine.apply(ready.committed)
            self.raft.applied(ready.committed[-1].index)
        for read in ready.read_states:
            self._machine.confirm(read)
        if self._commits and not self._will_send_commits:
            self._will_send_commits = True
            # Behind all that were answered just now.
            self._loop.call_soon(self._send_commits, context=self._context)

    def _send(self, messages: Sequence[Message]) -> None:
        """Send *messages*, appends without entries only in the next round of the loop, and then only if no
        other append stands for them: one that comes later asks the same and says the same commit, or more."""
        now = []
        for message in messages:
            if message.type is not MessageType.APPEND:
                now.append(message)
            elif message.entries:
                self._commits.pop(message.receiver, None)
                now.append(message)
            else:
                self._commits[message.receiver] = message
        if now:
            self._transport.send(now)

    def _send_commits(self) -> None:
        self._will_send_commits = False
        if self._is_awake and not self._is_stopped:
            self._run_readies()  # Something was proposed.
        messages, self._commits = tuple(self._commits.values()), {}
        if messages and not self._is_stopped:
            self._transport.send(messages)

    def _write(self, ready: Ready) -> None:
        self._hard_state = ready.hard_state or self._hard_state
        if ready.must_sync:
            snapshot = ready.snapshot
            self.snapshot_index = snapshot.index if snapshot else self.snapshot_index
            mark = Mark(snapshot.index, snapshot.term) if snapshot else None
            batch = Batch(self._hard_state, mark, ready.entries, is_installed=snapshot is not None)
            self._hard_state = None
            last = ready.entries[-1] if ready.entries else None
            self.writer.write(
                batch, _Written(last, snapshot, ready.messages_after_persisting), snapshot=snapshot
            )
        elif not ready.messages_after_persisting:
            return
        elif self.writer.is_idle:
            self._transport.send(ready.messages_after_persisting)
        else:
            self.writer.write(Batch(), _Written(None, None, ready.messages_after_persisting))

    def _written(self, writes: Sequence[_Written]) -> None:
        if self._is_stopped:
            return
        for write in writes:
            if write.snapshot is not None:
                self._machine.install(write.snapshot)
        last = next((write.last for write in reversed(writes) if write.last is not None), None)
        if last is not None:
            self.raft.persisted(last.index, last.term)
        messages = [message for write in writes for message in write.messages]
        if messages:
            self._transport.send(messages)
        self._run_readies()

    def installed(self, snapshot: Snapshot) -> None:
        self.raft.persisted_snapshot(snapshot.index)
        self.writer.release(Mark(snapshot.index, snapshot.term))
        self.wake()

    def note(self, mark: Mark) -> None:
        """Name in the log a snapshot that this member has made, and drop what it stands for."""
        if not self._is_stopped:
            self.snapshot_index = mark.index
            self.writer.write(Batch(snapshot=mark), _Written(None, None, ()))
            self.writer.release(mark)

    async def drained(self) -> None:
        """Wait until the disk has everything, the commit index too. Raises LabError."""
        if self._hard_state is not None:
            self.writer.write(Batch(self._hard_state), _Written(None, None, ()))
            self._hard_state = None
        await self.writer.drained()
