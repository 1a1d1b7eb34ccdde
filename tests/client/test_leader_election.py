"""Leader election by client-go's rules, on virtual time: one leads, others wait, nobody trusts a clock."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.election import JITTER_FACTOR, NAMESPACE, NOTHING, Election, Record, Timing
from kubelab.cluster.client.leader_election import LeaderElector, LeaseLostError
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.linux.background import background, forever
from kubelab.cluster.objects import EVENTS, LEASES

NAME = "kube-scheduler"
RETRY_S_MAX = Timing().retry_s * (1 + JITTER_FACTOR)


class OutOfReach:
    """The cluster behind a cable that can be cut."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.is_cut = False

    def __getattr__(self, name: str) -> Callable[..., object]:
        async def call(*arguments: object, **options: object) -> object:
            if self.is_cut:
                raise ConnectionError("cut")
            return await getattr(self._api, name)(*arguments, **options)

        return call


class Candidate:
    def __init__(self, api: Api, clock: VirtualClock, identity: str) -> None:
        self.link = OutOfReach(api)
        self.elector = LeaderElector(
            self.link, clock, name=NAME, identity=identity, component=NAME, chance=random.Random(1)
        )
        self.works = False

    async def work(self) -> None:
        self.works = True
        try:
            await forever()
        finally:
            self.works = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Candidate"]:
        async with background(self.elector.lead(self.work)):
            yield self


@pytest.fixture
def candidate(api: Api, clock: VirtualClock) -> Callable[[str], Candidate]:
    return lambda identity: Candidate(api, clock, identity)


async def record(api: Api) -> Record:
    return Record.of(await api.get(LEASES, NAMESPACE, NAME))


async def test_the_first_leads_at_once_and_says_so(api, clock, candidate):
    async with candidate("master-1_a").running() as first:
        await clock.advance(0)
        assert first.works
        events = (await api.list(EVENTS, NAMESPACE)).items
        assert [(e["reason"], e["message"]) for e in events] == [
            ("LeaderElection", "master-1_a became leader")
        ]
        lease = await record(api)
        assert (lease.holder, lease.lease_s, lease.transitions) == ("master-1_a", 15, 0)


async def test_it_renews_every_two_seconds_and_keeps_when_it_was_acquired(api, clock, candidate):
    async with candidate("master-1_a").running():
        await clock.advance(0)
        first = await record(api)
        await clock.advance(2)
        second = await record(api)
        assert second.renewed > first.renewed
        assert second.acquired == first.acquired


async def test_another_waits_for_as_long_as_the_leader_renews(api, clock, candidate):
    async with candidate("master-1_a").running(), candidate("master-2_b").running() as second:
        await clock.advance(300)
        assert not second.works
        assert second.elector.leader == "master-1_a"


async def test_a_killed_leader_is_followed_after_its_lease_and_not_before(api, clock, candidate):
    async with candidate("master-2_b").running() as second:
        second.link.is_cut = True
        async with candidate("master-1_a").running():
            await clock.advance(1)
            second.link.is_cut = False
            await clock.advance(RETRY_S_MAX)
        await clock.advance(15 - RETRY_S_MAX - 2)
        assert not second.works
        await clock.advance(2 * RETRY_S_MAX + 2)
        assert second.works
        assert (await record(api)).transitions == 1


async def test_a_released_lease_is_taken_at_the_next_look(api, clock, candidate):
    async with candidate("master-1_a").running() as first:
        await clock.advance(1)
    async with candidate("master-2_b").running() as second:
        await clock.advance(0)
        assert not second.works
        await first.elector.release()
        released = await record(api)
        assert (released.holder, released.lease_s) == ("", 1)
        await clock.advance(RETRY_S_MAX)
        assert second.works


async def test_it_is_released_though_the_last_renewal_was_cancelled_under_way(api, clock, candidate):
    async with candidate("master-1_a").running() as first:
        await clock.advance(1)
    lease = await api.get(LEASES, NAMESPACE, NAME)
    await api.update(LEASES, lease | {"spec": lease["spec"] | {"renewTime": "2026-01-01T00:00:59.000000Z"}})
    await first.elector.release()
    assert (await record(api)).holder == ""


async def test_only_the_leader_releases(api, clock, candidate):
    async with candidate("master-1_a").running(), candidate("master-2_b").running() as second:
        await clock.advance(1)
        await second.elector.release()
        assert (await record(api)).holder == "master-1_a"


async def test_a_leader_out_of_reach_gives_up_before_another_takes_over(api, clock, candidate):
    async with candidate("master-2_b").running() as second:
        second.link.is_cut = True
        with pytest.raises(LeaseLostError, match="kube-scheduler"):
            async with candidate("master-1_a").running() as first:
                await clock.advance(4)
                second.link.is_cut = False
                first.link.is_cut = True
                await clock.advance(9)
                assert first.works
                await clock.advance(3.5)
                await asyncio.sleep(0)
                assert not first.works
        assert not second.works
        await clock.advance(15)
        assert second.works


async def test_a_short_outage_changes_nothing(api, clock, candidate):
    async with candidate("master-1_a").running() as first:
        await clock.advance(1)
        first.link.is_cut = True
        await clock.advance(8)
        first.link.is_cut = False
        await clock.advance(30)
        assert first.works
        assert (await record(api)).transitions == 0


async def test_whoever_is_started_again_on_its_host_does_not_wait_for_itself(api, clock, candidate):
    async with candidate("master-1_a").running():
        await clock.advance(1)
    async with candidate("master-1_b").running() as again:
        await clock.advance(0)
        assert again.works
        assert (await record(api)).transitions == 1


async def test_a_leader_finds_out_when_someone_else_wrote_the_lease(api, clock, candidate):
    with pytest.raises(LeaseLostError):
        async with candidate("master-1_a").running():
            await clock.advance(1)
            lease = await api.get(LEASES, NAMESPACE, NAME)
            thief = replace(Record.of(lease), holder="thief", transitions=7)
            await api.update(LEASES, lease | {"spec": thief.spec()})
            await clock.advance(20)
    assert (await record(api)).holder == "thief"


def test_the_lease_must_outlast_the_deadline_and_that_an_attempt() -> None:
    for wrong in ({"lease_s": 10}, {"renew_deadline_s": 2.4}):
        with pytest.raises(ValueError, match="outlast"):
            Timing(**wrong)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 30), st.booleans()),
        max_size=60,
    )
)
def test_two_never_hold_a_valid_lease_on_perfect_clocks(acts: list[tuple[str, float, bool]]) -> None:
    """Whoever may write, does, or its write is lost; each sees the lease before it decides."""
    timing = Timing()
    elections = {name: Election(f"{name}_1", timing) for name in "abc"}
    lease, now_s = NOTHING, 0.0
    for name, pause_s, is_lost in acts:
        now_s += pause_s
        election = elections[name]
        election.see(lease, now_s)
        if election.may_write(now_s) and not is_lost:
            lease = replace(lease, holder=election.identity, lease_s=15, renewed=str(now_s))
            election.wrote(lease, now_s)
        leaders = [each for each in elections.values() if each.leads(now_s)]
        assert len(leaders) <= 1
