"""What befalls a simulated cluster: some of it at any time, some right when it hurts.

At any time: crashes, cuts, members that stand still, changes of who belongs, snapshots, transfers, clients.
When it hurts, as the profile of the run has it (raft_faults.py):
- a member crashes between writing and answering (`crash_point`), a leader right after it has committed;
- each leader is cut off before it can tell anything, or when it has committed, and the one before is back
  (`relay`): logs that differ in every way, the paper's figure 8 among them;
- a follower that its leader has lost sight of campaigns while the others start again (`besiege`), so that
  only their promise holds it back;
- who belongs changes on one side of a cut (`cut_changes`).

Source: W. Wilson, *Testing Distributed Systems w/ Deterministic Simulation* (2014): FoundationDB's
"buggify", faults at the very places where they may matter; Jepsen, nemesis.clj; etcd, tests/robustness
(failpoints such as raftBeforeSave and raftAfterSave).
"""

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from raft_disk import blank
from raft_faults import Faults

from kubelab.cluster.raft.configuration_change import ConfigurationChange, ConfigurationChangeError
from kubelab.cluster.raft.messages import Configuration, MemberId
from kubelab.cluster.raft.raft import ProposalDroppedError
from kubelab.cluster.raft.states import Role

if TYPE_CHECKING:
    from raft_simulation import Member, World

QUICK = 0.05
"""In ticks: how soon a member that was killed on purpose is back, or a client asks a new leader."""


class CrashPoint(Enum):
    """Around a sync of the disk."""

    BEFORE_SYNC = auto()
    BEFORE_ANSWERS = auto()
    AFTER_ANSWERS = auto()


class Nemesis:
    def __init__(self, world: "World", faults: Faults) -> None:
        self.world, self.faults, self.chance = world, faults, world.chance
        self.members = world.members
        self._terms_with_commits: set[int] = set()
        self._outcasts: deque[set[tuple[MemberId, MemberId]]] = deque()
        world.after(2 * faults.election_ticks, self._befall)  # Let them elect one first.

    def _befall(self) -> None:
        """What happens within a tick, besides what members do by themselves."""
        if self.world.is_healed:
            return
        self.world.after(1, self._befall)
        faults = self.faults
        for rate, act in (
            (faults.crash_rate, self._crash),
            (faults.partition_rate, self._partition),
            (faults.strand_rate, self._strand),
            (faults.siege_rate, self._besiege),
            (faults.stall_rate, self._stall),
            (faults.compact_rate, self._compact),
            (faults.change_rate, self._change),
            (faults.transfer_rate, self._transfer),
            (faults.write_rate, self.world.write),
            (faults.read_rate, self.world.read),
        ):
            times = int(rate) + (self.chance.random() < rate % 1)
            for _ in range(times):
                act()

    # What members tell

    def challenged_by(self, member: "Member") -> None:
        """*member* became a candidate or leader, and nobody has heard of it yet."""
        if self.world.is_healed:
            return
        if self.faults.spite:
            self._spite(member)
        if member.role is not Role.LEADER:
            return
        if self.faults.relay and self.chance.random() < 0.5:
            self._cast_out(member)
        if self.faults.eager:
            self.world.after(self.chance.random() * QUICK, self._ask, member, member.epoch)

    def leader_commits(self, member: "Member") -> None:
        """*member* has committed something, and nobody has heard of it yet."""
        if self.world.is_healed:
            return
        is_first = member.raft.term not in self._terms_with_commits
        self._terms_with_commits.add(member.raft.term)
        chance = self.chance.random()
        if self.faults.spite and is_first and chance < 0.3:
            self._cut_off(member)
        elif self.faults.relay and chance < 0.5:
            self._cast_out(member if chance < 0.25 else self.chance.choice(list(self.members.values())))
        if chance < self.faults.crash_at_commit:
            self.world.after(0, self._kill, member, member.epoch)
            self._cast_out(self.chance.choice(list(self.members.values())))

    def crash_point(self) -> CrashPoint | None:
        """Return where the member whose disk is done now shall crash."""
        if self.world.is_healed or self.chance.random() >= self.faults.crash_at_sync:
            return None
        return self.chance.choice(tuple(CrashPoint))

    # At any time

    def _crash(self) -> None:
        """One, often a leader, or all at once: then what only memory knew is gone."""
        up = [member for member in self.members.values() if member.is_up]
        leader = self.world.leader()
        if not up:
            return
        kind = self.chance.random()
        for member in up if kind < 0.1 else [leader] if leader and kind < 0.5 else [self.chance.choice(up)]:
            self._crash_one(member)

    def _crash_one(self, member: "Member") -> None:
        if member.is_up and not self.world.is_healed:
            member.crash()
            self.world.after(self.chance.random() ** 3 * 40, self.world.restart, member)

    def _kill(self, member: "Member", epoch: int) -> None:
        if epoch == member.epoch:
            self.kill(member)

    def kill(self, member: "Member") -> None:
        """Crash it, to be back at once or before long."""
        if member.is_up and not self.world.is_healed:
            member.crash()
            self.world.after(self.chance.choice((QUICK, QUICK, 5)), self.world.restart, member)

    def _partition(self) -> None:
        """Cut some from the rest, often the leader, alone or with others; or one cable."""
        if self.world.is_cut and self.chance.random() < 0.7:
            return  # Where all is cut nothing happens.
        chance, ids, leader = self.chance, sorted(self.members), self.world.leader()
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
        self.world.cut(cut, self.chance.random() * 6 * self.faults.election_ticks)

    def _strand(self) -> None:
        """Cut a leader off and have it write what nobody hears; it may crash, too."""
        leader = self.world.leader()
        if leader is None or leader.is_still:
            return
        self.world.cut(
            {(leader.id, other) for other in self.members if other != leader.id},
            self.chance.random() * 4 * self.faults.election_ticks,
        )
        leader.catch_up()
        for _ in range(self.chance.randint(1, 3)):
            self.world.write_at(leader)
        if self.chance.random() < 0.3:
            self.world.after(self.chance.random() * 2, self._crash_one, leader)

    def _stall(self) -> None:
        member = self.world.one()
        if member is not None:
            member.stalled_until = self.world.now + self.chance.random() * 4 * self.faults.election_ticks
            self.world.note(f"{member.id} stands still until {member.stalled_until:.2f}")

    def _compact(self) -> None:
        member = self.world.one()
        if member is not None:
            member.compact()

    def _transfer(self) -> None:
        leader = self.world.leader()
        if leader is None or leader.is_still:
            return
        target = self.chance.choice(leader.raft.configuration.voters)
        try:
            leader.raft.transfer_leadership(target)
            self.world.note(f"{leader.id} hands over to {target}")
        except ProposalDroppedError:
            return
        leader.pump()

    # When it hurts

    def _spite(self, member: "Member") -> None:
        """Cut a leader off before it hears of a candidate or another leader; or that one later."""
        for other in self.members.values():
            if other is not member and other.is_up and other.raft.role is Role.LEADER:
                self._cut_off(other)
        if member.role is Role.LEADER and not self.faults.eager and self.chance.random() < 0.5:
            self.world.after(self.chance.choice((0, 1, 3)) * self.chance.random(), self._cut_off, member)

    def _around(self, member: "Member") -> set[tuple[MemberId, MemberId]]:
        return {(member.id, peer) for peer in self.members} | {(peer, member.id) for peer in self.members}

    def _cut_off(self, member: "Member") -> None:
        ticks = (0.5 + self.chance.random()) * 2 * self.faults.election_ticks
        self.world.cut(self._around(member), ticks)

    def _cast_out(self, member: "Member") -> None:
        """Cut *member* off until so many others were that the rest would be no majority."""
        cut = self._around(member)
        if cut in self._outcasts:
            return
        while len(self._outcasts) >= max(1, (self.faults.members - 1) // 2):
            self.world.heal(self._outcasts.popleft())
        self._outcasts.append(cut)
        self.world.cut(cut, float("inf"))

    def _ask(self, member: "Member", epoch: int) -> None:
        """Clients ask a new leader while it still finds out what is committed."""
        if member.is_up and epoch == member.epoch and not member.is_still:
            member.catch_up()
            self.world.write_at(member)
            self.world.read_at(member)

    def _besiege(self) -> None:
        """Cut the cable between a leader and a follower, until that owes it nothing any more."""
        leader = self.world.leader()
        others = [member for member in self.members.values() if member is not leader]
        if leader is None or not others:
            return
        rival, election_ticks = self.chance.choice(others), self.faults.election_ticks
        cut = {(leader.id, rival.id), (rival.id, leader.id)}
        self.world.cut(cut, 3 * election_ticks)
        self.world.after((1 + self.chance.random() / 2) * election_ticks, self._storm, leader, rival)

    def _storm(self, leader: "Member", rival: "Member") -> None:
        """In one moment: the leader is cut off, others start again, and who can campaigns."""
        if self.world.is_healed:
            return
        self._cut_off(leader)
        rivals = [rival]
        for member in self.members.values():
            if member in (leader, rival) or not member.is_up:
                continue
            kind = self.chance.random()
            if kind < 0.5:
                member.crash()
                self.world.restart(member)
            elif kind < 0.7:
                rivals.append(member)
        for member in rivals:
            if member.is_up and not member.is_still:
                member.catch_up()
                member.raft.campaign()
                member.pump()

    # Who belongs

    def _change(self) -> None:
        member = self.world.leader() if self.chance.random() < 0.7 else self.world.one()
        if member is None or member.is_still:
            return
        before = set(member.raft.configuration.voters)
        if self.faults.cut_changes and member.raft.role is Role.LEADER and self.chance.random() < 0.7:
            self._change_behind_a_cut(member, before)
            return
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            change = self._propose_change(member)
            member.pump()
            if change is not None and self.chance.random() < 0.5:
                side = {member.id, *change.voters} if self.chance.random() < 0.7 else set(change.voters)
                self.world.after(self.chance.random() * 3, self._cut_between, side, before - side)

    def _change_behind_a_cut(self, leader: "Member", before: set[MemberId]) -> None:
        """Several times, of which only the new voters hear."""
        side = {leader.id}
        for _ in range(self.chance.randint(1, 3)):
            change = self._propose_change(leader, exchanges=True)
            side |= set(change.voters) if change else set()
        pairs = {(one, other) for one in side for other in before - side}
        self.world.cut(pairs | {(other, one) for one, other in pairs}, 4 * self.faults.election_ticks)
        leader.pump()

    def _propose_change(self, member: "Member", *, exchanges: bool = False) -> ConfigurationChange | None:
        member.catch_up()
        change = self._draw_change(member.raft.configuration, exchanges=exchanges)
        if member.raft.role is not Role.LEADER:
            # What it knows may be old: to demote a member that was removed would have it come back.
            change = ConfigurationChange(learners=(max(self.members) + 1,))
        try:
            member.raft.propose_configuration(change)
        except (ProposalDroppedError, ConfigurationChangeError):
            return None
        self.world.note(f"{member.id} proposes {change}")
        for new in (*change.voters, *change.learners):
            self.world.add(new, blank())
        return change

    def _draw_change(self, configuration: Configuration, *, exchanges: bool) -> ConfigurationChange:
        """Return a change of one or several; ids of members that left never come back. *exchanges*: of who
        votes, at once."""
        chance = self.chance
        voters, learners = list(configuration.voters), list(configuration.learners)
        new = max(self.members) + 1
        kind = chance.uniform(0.5 if exchanges else 0, 1)
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
