"""When members wake: seldom while nothing happens, and in time when their leader is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.store.member import Member, start_member
from kubelab.cluster.store.member_config import MemberConfig, found_cluster
from kubelab.cluster.store.requests import Range
from kubelab.cluster.store.transport import MemoryNetwork

CONFIG = MemberConfig(1, "any", 1, ())
TICK_S, HEARTBEAT_TICKS, ELECTION_TICKS = CONFIG.tick_s, CONFIG.heartbeat_ticks, CONFIG.election_ticks


class LoopClock(VirtualClock):
    """Counts how often somebody goes to sleep; the loop can be held up, so that nobody wakes in time."""

    sleeps = 0
    held_up_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.held_up_s

    async def sleep(self, delay_s: float) -> None:
        self.sleeps += 1
        await super().sleep(delay_s)


@asynccontextmanager
async def _members(directory: Path, clock: VirtualClock, count: int) -> AsyncIterator[list[Member]]:
    """Run members whose time passes by *clock*, until the block ends."""
    network = MemoryNetwork()
    urls = {f"member-{number}": f"https://192.0.2.{number}:2380" for number in range(1, count + 1)}
    cluster_id, founders = found_cluster("ticks", urls)
    async with AsyncExitStack() as stack:
        started = []
        for founder in founders:
            config = MemberConfig(founder.id, founder.name, cluster_id, founders, hands_over=False)
            transport = network.transport(founder.id)
            member = start_member(config, directory / founder.name, transport, clock)
            started.append(await stack.enter_async_context(member))
        await _tick_until(started, clock, lambda: _leader(started) is not None)
        await clock.advance(HEARTBEAT_TICKS * TICK_S)
        yield started


def _leader(members: list[Member]) -> Member | None:
    """Return who leads in earnest: all have all of its log, which the disks have, and have applied it."""
    views = [member.view() for member in members]
    if len({(view.raft.leader, view.raft.last_index) for view in views}) > 1:
        return None
    if any(view.raft.last_index > min(view.applied_index, view.raft.persisted) for view in views):
        return None
    return next((member for member in members if member.leads), None)


async def _tick_until(members: Sequence[Member], clock: VirtualClock, holds: Callable[[], bool]) -> None:
    """Let time pass until *holds*; before each tick the disks get done, which would be late for votes."""
    while not holds():
        await clock.advance(TICK_S)
        while not all(member._driver.writer.is_idle for member in members):
            await asyncio.sleep(0.001)
            await clock.advance(0)


async def test_members_that_are_left_alone_wake_with_each_heartbeat(tmp_path: Path) -> None:
    clock = LoopClock()
    async with _members(tmp_path, clock, 3) as members:
        leader, term = _leader(members), members[0].raft_term
        clock.sleeps, heartbeats = 0, 100
        await clock.advance(heartbeats * HEARTBEAT_TICKS * TICK_S)
        assert clock.sleeps <= (heartbeats + 1) * len(members)
        assert _leader(members) is leader
        assert [member.raft_term for member in members] == [term] * len(members)


async def test_a_leader_that_slept_still_has_its_lease(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with _members(tmp_path, clock, 3) as members:
        leader = _leader(members)
        assert leader is not None
        for _ in range(5 * HEARTBEAT_TICKS):
            await clock.advance(TICK_S)
            assert leader.range_now(Range(b"key")) is not None


async def test_a_lease_ends_while_its_leader_sleeps(tmp_path: Path) -> None:
    """Nobody answers any more: reads are refused before anybody else can have been elected."""
    clock = VirtualClock()
    async with _members(tmp_path, clock, 3) as members:
        leader = _leader(members)
        assert leader is not None
        for member in members:
            if member is not leader:
                member.kill()
        await clock.advance((ELECTION_TICKS - 1) * TICK_S)
        assert leader.range_now(Range(b"key")) is None


async def test_a_leader_that_is_gone_is_missed_as_soon_as_ever(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with _members(tmp_path, clock, 3) as members:
        leader = _leader(members)
        assert leader is not None
        leader.kill()
        others = [member for member in members if member is not leader]
        await clock.advance((ELECTION_TICKS - HEARTBEAT_TICKS - 1) * TICK_S)
        assert {member.view().raft.leader for member in others} == {leader.member_id}
        await _tick_until(members, clock, lambda: any(member.leads for member in others))


async def test_a_loop_that_was_held_up_deposes_nobody(tmp_path: Path) -> None:
    """Much time passes at once, for all of them: who leads goes on, though without its lease at first."""
    clock = LoopClock()
    async with _members(tmp_path, clock, 3) as members:
        leader, term = _leader(members), members[0].raft_term
        assert leader is not None
        for _ in range(20):
            clock.held_up_s += 3 * ELECTION_TICKS * TICK_S
            assert leader.range_now(Range(b"key")) is None
            await clock.advance(HEARTBEAT_TICKS * TICK_S)
        read = asyncio.ensure_future(leader.range(Range(b"key")))
        await _tick_until(members, clock, read.done)
        assert not read.result().kvs
        assert leader.range_now(Range(b"key")) is not None
        assert [member.raft_term for member in members] == [term] * len(members)
