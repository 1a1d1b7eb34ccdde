"""What a real etcd's members say of themselves is asked for calmly, and at once when something happens."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from real_etcd import loopback_specs, running

from kubelab.cluster.clock import SystemClock, VirtualClock
from kubelab.cluster.linux.background import background
from kubelab.cluster.store.engine import EtcdElsewhere
from kubelab.cluster.store.etcd_status import CALM_S, HURRIED_S, HURRY_LASTS_S, EtcdStatuses, Standing
from kubelab.cluster.store.service import MemberStatus


class Told:
    """Says how members are, and counts who asks."""

    def __init__(self, *standings: Standing) -> None:
        self.standings = standings
        self.times = 0

    async def __call__(self) -> Sequence[Standing]:
        self.times += 1
        return self.standings


def led_by(leader: int, *, index: int = 1) -> Standing:
    return Standing("one", MemberStatus(1, "3.5.16", 4096, 4096, leader, 2, index, index), is_there=True)


async def test_members_are_asked_seldom_while_nothing_changes_but_what_is_written() -> None:
    clock, told = VirtualClock(), Told(led_by(1))
    statuses = EtcdStatuses(told, clock)
    async with background(statuses.keep_looking()):
        await clock.advance(2 * HURRY_LASTS_S)  # That they are there at all was news.
        before = told.times
        told.standings = (led_by(1, index=9),)
        await clock.advance(10 * CALM_S)
        assert told.times - before <= 11
        assert statuses.standings == told.standings


async def test_they_are_asked_at_once_and_often_when_something_has_happened() -> None:
    clock, told = VirtualClock(), Told(led_by(1))
    statuses = EtcdStatuses(told, clock)
    async with background(statuses.keep_looking()):
        await clock.advance(2 * HURRY_LASTS_S)
        before = told.times
        statuses.look_soon()
        await clock.advance(0)
        assert told.times == before + 1
        await clock.advance(HURRY_LASTS_S)
        assert told.times - before >= HURRY_LASTS_S / HURRIED_S - 1


async def test_an_election_is_news_and_followed_closely() -> None:
    clock, told = VirtualClock(), Told(led_by(1))
    statuses = EtcdStatuses(told, clock)
    async with background(statuses.keep_looking()):
        await clock.advance(2 * HURRY_LASTS_S)
        told.standings = (led_by(0),)
        await clock.advance(CALM_S)
        before = told.times
        await clock.advance(10 * HURRIED_S)
        assert told.times - before >= 9


async def test_all_members_are_found_by_one_and_who_is_dead_does_not_answer(tmp_path: Path) -> None:
    specs = loopback_specs(tmp_path, 3, heartbeat_ms=20)
    elsewhere = EtcdElsewhere([specs[0].client_url])
    async with running(specs) as members, elsewhere.asking():
        await elsewhere.standings()  # Which learns of the others.
        found = await _led(elsewhere, 3)
        leaders = {each.status.leader for each in found if each.status}
        assert [each.name for each in found] == [spec.name for spec in specs]
        leading = next(each.name for each in found if each.status and each.status.member in leaders)
        dead = next(member for member in members if member.spec.name == leading)
        dead.hold_down()
        await dead.gone()
        found = await _led(elsewhere, 2)
        assert next(each for each in found if each.name == leading).status is None
        assert leaders.isdisjoint({each.status.leader for each in found if each.status})


async def _led(elsewhere: EtcdElsewhere, number: int) -> tuple[Standing, ...]:
    """Ask until so many follow one living leader; the test's own time-out ends it."""
    while True:
        found = await elsewhere.standings()
        said = [each.status for each in found if each.status]
        leaders = {each.leader for each in said}
        if len(said) == number and len(leaders) == 1 and leaders <= {each.member for each in said}:
            return found
        await SystemClock().sleep(0.05)


def test_a_url_that_is_none_of_an_etcd_is_not_asked() -> None:
    elsewhere = EtcdElsewhere(["ftp://127.0.0.1"])
    assert asyncio.run(elsewhere.standings()) == ()
