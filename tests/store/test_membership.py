"""A cluster's members become those of other masters, also when all are killed in the midst, at any step."""

import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from member_cluster import Members, store_members, surely

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.membership import drop_strangers, make_members
from kubelab.cluster.store.member import Member
from kubelab.cluster.store.requests import Put, Range
from kubelab.cluster.store.service import MemberState, MemberStatus, NoLeaderError
from kubelab.cluster.store.wal import has_log, identity_of

NAMES = ("master-1", "master-2", "master-3")


class KilledError(Exception):
    """Everything was killed right after a step."""


class Kill:
    """Raises `KilledError` after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    async def after(self, step: Awaitable[Any]) -> Any:
        done = await step
        self.left -= 1
        if self.left == 0:
            raise KilledError
        return done


@dataclass
class Masters:
    """The members as `membership` sees them, list and places; *kill* may end it all after a step."""

    cluster: Members
    kill: Kill

    def has_data(self, name: str) -> bool:
        return has_log(self.cluster.directory / name / "wal")

    async def start(self, name: str) -> None:
        identity = identity_of(self.cluster.directory / name / "wal")
        assert identity is not None
        base = self.cluster.config(self.cluster.founders[0].name)
        await self.cluster.start(name, replace(base, id=identity.member_id, name=name, is_new_cluster=False))

    async def join(self, name: str, own: MemberState, cluster_id: int, all_: Sequence[MemberState]) -> None:
        assert cluster_id == self.cluster.cluster_id
        await self.kill.after(self.cluster.join(name, own))

    async def end(self, name: str) -> None:
        if name in self.cluster.running:
            with suppress(LabError):  # Who has heard that it was removed has ended by itself.
                await self.cluster.kill(name)

    async def forget(self, name: str) -> None:
        shutil.rmtree(self.cluster.directory / name)

    @property
    def cluster_id(self) -> int:
        return self.cluster.cluster_id

    def _any(self, holds: Callable[[Member], bool] = lambda _: True) -> Member:
        found = [member for member in self.cluster.running.values() if holds(member)]
        if not found:
            raise NoLeaderError
        return max(found, key=lambda member: member.leads)

    async def members(self) -> Sequence[MemberState]:
        return await self._any().members()

    async def member_add(self, peer_urls: tuple[str, ...], *, is_learner: bool = False) -> MemberState:
        return await self.kill.after(self._any().member_add(peer_urls, is_learner=is_learner))

    async def member_remove(self, member: int) -> None:
        await self.kill.after(self._any().member_remove(member))

    async def member_promote(self, member: int) -> None:
        await self.kill.after(self._any().member_promote(member))

    async def status(self) -> MemberStatus:
        return await self._any().status()

    async def move_leader(self, target: int) -> None:
        await self.kill.after(self._any(lambda member: member.leads).move_leader(target))


async def _change(masters: Masters, target: Sequence[str]) -> None:
    going = [name for name in NAMES if name not in target]
    there = sorted(masters.cluster.running)
    await drop_strangers(masters, masters, there, SystemClock())
    await make_members(masters, masters, target, going, SystemClock())


async def _change_killed(cluster: Members, target: Sequence[str], after: int) -> None:
    """Change, kill all after so many steps, start those who have data, and go on."""
    try:
        await _change(Masters(cluster, Kill(after)), target)
    except KilledError:
        again = Masters(cluster, Kill(0))
        for name in tuple(cluster.running):
            await again.end(name)
        for path in sorted(cluster.directory.iterdir()):
            if again.has_data(path.name):
                await again.start(path.name)
        await _change(again, target)


async def _put(cluster: Members) -> None:
    """Leadership may move meanwhile, however short that is."""

    async def put() -> None:
        await (await cluster.leader()).put(Put(b"key", b"value"))

    await surely(put)


async def _check(cluster: Members, target: Sequence[str]) -> None:
    assert sorted(cluster.running) == sorted(target)
    leader = await cluster.leader()
    members = await leader.members()
    assert sorted(member.id for member in members) == sorted(m.member_id for m in cluster.running.values())
    assert not any(member.is_learner for member in members)
    found = await surely(lambda: leader.range(Range(b"key")))
    assert found.kvs[0].value == b"value"


@pytest.mark.parametrize("after", range(7))
async def test_one_becomes_three(tmp_path: Path, after: int) -> None:
    async with store_members(tmp_path, NAMES[:1]) as cluster:
        await _put(cluster)
        await _change_killed(cluster, NAMES, after)
        await _check(cluster, NAMES)
        await cluster.kill("master-1")  # Whose data all have by now.
        leader = await cluster.leader()
        assert (await surely(lambda: leader.range(Range(b"key")))).kvs


@pytest.mark.parametrize("after", range(5))
async def test_two_more_join_whom_one_leads_that_has_joined_itself(tmp_path: Path, after: int) -> None:
    """What they begin with is older than their leader's membership: without a word they would not answer."""
    async with store_members(tmp_path, NAMES[:1]) as cluster:
        first = await cluster.leader()
        await _put(cluster)
        await _change(Masters(cluster, Kill(0)), NAMES)
        await first.move_leader(cluster.running["master-2"].member_id)
        more = ("master-2", "master-3", "master-4", "master-5")
        await _change_killed(cluster, ("master-1", *more), after)
        await _check(cluster, ("master-1", *more))


@pytest.mark.parametrize("after", range(4))
async def test_three_become_one(tmp_path: Path, after: int) -> None:
    async with store_members(tmp_path, NAMES) as cluster:
        await _put(cluster)
        await _change_killed(cluster, NAMES[:1], after)
        await _check(cluster, NAMES[:1])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["master-1"]


async def test_who_is_a_member_already_stays_one(tmp_path: Path) -> None:
    async with store_members(tmp_path, NAMES) as cluster:
        await _put(cluster)
        ids = {member.member_id for member in cluster.running.values()}
        await _change(Masters(cluster, Kill(0)), NAMES)
        await _check(cluster, NAMES)
        assert {member.member_id for member in cluster.running.values()} == ids


@pytest.mark.parametrize("after", [1, 3])  # When it is removed, and when it has joined as a learner.
async def test_who_has_lost_its_disk_comes_again_as_somebody_else(tmp_path: Path, after: int) -> None:
    """As itself it might vote once more, and not for what it has acknowledged."""
    async with store_members(tmp_path, NAMES) as cluster:
        await _put(cluster)
        leader = await cluster.leader()
        lost = cluster.name(cluster.others(leader)[0])
        before = {name: member.member_id for name, member in cluster.running.items()}
        await cluster.kill(lost)
        shutil.rmtree(tmp_path / lost)
        await _change_killed(cluster, NAMES, after)
        await _check(cluster, NAMES)
        now = {name: member.member_id for name, member in cluster.running.items()}
        assert {name for name in NAMES if now[name] != before[name]} == {lost}
