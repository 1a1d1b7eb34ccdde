"""Members of a replicated store: what one has acknowledged all have, whoever dies."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from member_cluster import Members, store_members, surely

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.errors import LabError
from kubelab.cluster.store.member import Member, start_member
from kubelab.cluster.store.requests import (
    Alarm,
    AlarmAction,
    AlarmType,
    Compaction,
    Compare,
    CompareResult,
    CompareTarget,
    LeaseGrant,
    Put,
    Range,
    Txn,
    prefix_end,
)
from kubelab.cluster.store.service import (
    LeaseNotFoundError,
    MemberError,
    NoLeaderError,
    NoSpaceError,
    StoreTimeoutError,
)
from kubelab.cluster.store.transport import MemoryNetwork


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Members]:
    async with store_members(tmp_path) as cluster:
        yield cluster


async def _value(member: Member, key: bytes, *, serializable: bool = False) -> bytes | None:
    found = await member.range(Range(key, serializable=serializable))
    return found.kvs[0].value if found.kvs else None


async def _promote(member: Member, learner: int) -> None:
    """Ask until the leader has heard how far *learner* is."""
    while True:
        try:
            return await member.member_promote(learner)
        except MemberError as error:
            if "in sync" not in str(error):
                raise
            await asyncio.sleep(0.02)


# Writes and reads


async def test_any_member_takes_writes_and_reads_what_any_other_was_told(three: Members) -> None:
    for number, writer in enumerate(three.running.values()):
        await writer.put(Put(b"key", b"%d" % number))
        for reader in three.running.values():
            assert await _value(reader, b"key") == b"%d" % number


async def test_a_leader_under_lease_answers_reads_without_waiting(three: Members) -> None:
    leader = await three.leader()
    await leader.put(Put(b"key", b"value"))
    while leader.range_now(Range(b"key")) is None:  # The loop was held up: a round restores its lease.
        await leader.range(Range(b"key"))
    follower = three.others(leader)[0]
    assert follower.range_now(Range(b"key")) is None
    assert follower.range_now(Range(b"key", serializable=True)) is not None


async def test_a_refused_request_is_told_to_whoever_asked_and_does_no_harm(three: Members) -> None:
    for member in three.running.values():
        with pytest.raises(LeaseNotFoundError):
            await member.put(Put(b"key", lease=77))
    assert await _value(await three.leader(), b"key") is None


async def test_a_transaction_is_decided_where_it_is_applied(three: Members) -> None:
    """All members try to create the same key at once: one of them does."""
    absent = Compare(b"key", CompareTarget.CREATE, CompareResult.EQUAL, 0)
    asked = [
        member.txn(Txn((absent,), (Put(b"key", name.encode()),), (Range(b"key"),)))
        for name, member in three.running.items()
    ]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.succeeded for answer in answers) == [False, False, True]


async def test_a_watch_on_any_member_sees_every_revision_once(three: Members) -> None:
    leader = await three.leader()
    follower = three.others(leader)[0]
    async with follower.watch(b"a", b"b") as watch:
        for number in range(20):
            await leader.put(Put(b"a%d" % number))
        events = aiter(watch)
        keys = [batch[0].kv.key for batch in [await anext(events) for _ in range(20)]]
    assert keys == [b"a%d" % number for number in range(20)]


async def test_all_members_come_to_the_same(three: Members) -> None:
    leader = await three.leader()
    for number in range(30):
        await leader.put(Put(b"key%d" % (number % 7), b"%d" % number))
    await leader.compact(Compaction(15))
    await three.caught_up()
    assert len({await member.hash_kv() for member in three.running.values()}) == 1


# Leaders come and go


async def test_another_leads_when_the_leader_dies_and_nothing_acknowledged_is_lost(three: Members) -> None:
    leader = await three.leader()
    for number in range(20):
        await leader.put(Put(b"key%d" % number))
    await three.kill(three.name(leader))
    follower = three.others()[0]
    await surely(lambda: follower.put(Put(b"after")))
    found = await follower.range(Range(b"key", prefix_end(b"key")))
    assert found.count == 20


def _create(key: bytes) -> Txn:
    """Done twice, it fails the second time."""
    is_new = Compare(key, CompareTarget.VERSION, CompareResult.EQUAL, 0)
    return Txn((is_new,), (Put(key),))


async def test_a_write_that_a_dying_leader_took_with_it_is_done_by_the_next_once(three: Members) -> None:
    leader = await three.leader()
    followers = three.others(leader)
    leader.kill()
    written = [each.txn(_create(b"by %d" % each.member_id)) for each in followers]
    assert [answer.succeeded for answer in await asyncio.gather(*written)] == [True, True]
    await three.kill(three.name(leader))


async def test_a_leader_that_was_cut_off_has_its_writes_done_by_the_next_once(three: Members) -> None:
    leader = await three.leader()
    three.network.isolate(leader.member_id)
    written = asyncio.create_task(leader.txn(_create(b"key")))
    follower = three.others(leader)[0]
    await follower.put(Put(b"other"))
    three.network.heal()
    assert (await written).succeeded
    assert (await follower.range(Range(b"key"))).kvs[0].version == 1


async def test_what_nobody_waits_for_any_more_is_not_proposed_to_the_next_leader(three: Members) -> None:
    leader = await three.leader()
    three.network.isolate(leader.member_id)
    written = asyncio.create_task(leader.put(Put(b"key")))
    follower = three.others(leader)[0]
    await follower.put(Put(b"other"))
    written.cancel()
    await asyncio.wait([written])
    three.network.heal()
    await leader.put(Put(b"another"))
    assert await _value(leader, b"key") is None


async def test_a_write_that_got_lost_on_its_way_to_the_leader_is_sent_again(three: Members) -> None:
    leader = await three.leader()
    follower = three.others(leader)[0]
    three.network.cut(follower.member_id, leader.member_id)
    written = asyncio.create_task(follower.txn(_create(b"key")))
    for _ in range(10):
        await leader.put(Put(b"other"))
    three.network.heal()
    assert (await written).succeeded


async def test_of_a_write_that_a_snapshot_may_hold_nobody_knows(tmp_path: Path) -> None:
    async with store_members(tmp_path, snapshot_entries=20, catch_up_entries=5) as three:
        leader = await three.leader()
        behind = three.others(leader)[0]
        three.network.cut(leader.member_id, behind.member_id)
        written = asyncio.create_task(behind.put(Put(b"key")))
        await three.until(lambda: leader.view().raft.last_index > behind.view().raft.last_index)
        for number in range(100):
            await surely(lambda number=number: leader.put(Put(b"%d" % number)))
        await three.until(lambda: leader.view().raft.first_index > 50)
        three.network.heal()
        with pytest.raises(StoreTimeoutError):
            await written
        assert await surely(lambda: _value(behind, b"key")) == b""


async def test_a_leader_without_a_majority_answers_nothing_that_must_be_new(tmp_path: Path) -> None:
    async with store_members(tmp_path, request_timeout_s=1.0) as three:
        leader = await three.leader()
        await leader.put(Put(b"key", b"old"))
        three.network.isolate(leader.member_id)
        follower = three.others(leader)[0]
        await surely(lambda: follower.put(Put(b"key", b"new")))
        assert leader.range_now(Range(b"key")) is None
        with pytest.raises((NoLeaderError, StoreTimeoutError)):
            await leader.range(Range(b"key"))
        with pytest.raises((NoLeaderError, StoreTimeoutError)):
            await leader.put(Put(b"key", b"lost"))
        assert await _value(leader, b"key", serializable=True) == b"old"
        three.network.heal()
        assert await surely(lambda: _value(leader, b"key")) == b"new"


async def test_without_a_majority_nobody_leads_and_requests_say_so(tmp_path: Path) -> None:
    async with store_members(tmp_path, request_timeout_s=0.5) as three:
        leader = await three.leader()
        one, other = three.others(leader)
        await three.kill(three.name(leader))
        await three.kill(three.name(one))
        await three.until(lambda: other.view().raft.leader == 0)
        with pytest.raises(NoLeaderError):
            await other.put(Put(b"key"))
        assert "no leader" in (await other.status()).errors[0]


async def test_leadership_is_handed_over(three: Members) -> None:
    leader = await three.leader()
    heir = three.others(leader)[0]
    with pytest.raises(MemberError, match="not leader"):
        await heir.move_leader(heir.member_id)
    await leader.move_leader(heir.member_id)
    assert await three.leader() is heir
    await leader.put(Put(b"key"))


async def test_who_cannot_take_over_is_given_up_soon_and_the_leader_goes_on(three: Members) -> None:
    leader = await three.leader()
    heir = three.others(leader)[0]
    three.network.cut(leader.member_id, heir.member_id)
    moved = asyncio.create_task(leader.move_leader(heir.member_id))
    await three.until(lambda: leader.view().raft.transferee != 0)
    written = asyncio.create_task(leader.put(Put(b"key")))
    with pytest.raises(MemberError, match="leader transfer took too long"):
        await moved
    await written


async def test_a_leader_that_is_stopped_hands_over_first(tmp_path: Path) -> None:
    async with store_members(tmp_path, hands_over=True) as three:
        leader = await three.leader()
        followers = three.others(leader)
        term = leader.raft_term
        await three.stop(three.name(leader))
        assert await three.leader() in followers
        assert followers[0].raft_term == term + 1


# What is on disk


async def test_everything_is_there_after_all_were_killed(three: Members) -> None:
    leader = await three.leader()
    granted = await leader.lease_grant(LeaseGrant(600, 0))
    await leader.put(Put(b"leased", lease=granted.id))
    for number in range(50):
        await leader.put(Put(b"key", b"%d" % number))
    revision = leader.revision
    for name in tuple(three.running):
        await three.kill(name)
    for founder in three.founders:
        await three.start(founder.name)
    again = await three.leader()
    assert await _value(again, b"key") == b"49"
    assert again.revision == revision
    assert await again.leases() == (granted.id,)
    assert {member.name for member in await again.members()} == {"one", "two", "three"}


async def test_a_member_alone_goes_on_where_it_was(tmp_path: Path) -> None:
    async with store_members(tmp_path, ("alone",), snapshot_entries=10) as cluster:
        for life in range(3):
            alone = await cluster.leader()
            for number in range(25):
                await alone.put(Put(b"key%d-%d" % (life, number)))
            await cluster.kill("alone")
            await cluster.start("alone")
        found = await (await cluster.leader()).range(Range(b"key", prefix_end(b"key")))
        assert found.count == 75
    # The one that the log names, the one before until the next write has gone through, and one that the kill
    # has met before the log named it.
    assert len(list((tmp_path / "alone" / "snap").glob("*.snap"))) <= 3


async def test_a_follower_that_was_away_too_long_gets_a_snapshot(tmp_path: Path) -> None:
    async with store_members(tmp_path, snapshot_entries=20, catch_up_entries=5) as three:
        leader = await three.leader()
        behind = three.others(leader)[0]
        name, identity = three.name(behind), behind.member_id
        async with behind.watch(b"key") as watch:
            three.network.isolate(identity)
            for number in range(100):
                await surely(lambda number=number: leader.put(Put(b"key", b"%d" % number)))
            await three.until(lambda: leader.view().raft.first_index > 50)
            three.network.heal()
            await three.caught_up()
            assert behind.view().raft.snapshot_index >= 50
            assert await _value(behind, b"key") == b"99"
            events = aiter(watch)
            seen = [batch[0].kv.value for batch in [await anext(events) for _ in range(100)]]
            assert seen == [b"%d" % number for number in range(100)]
        await three.kill(name)
        again = await three.start(name)
        assert await surely(lambda: _value(again, b"key")) == b"99"


async def test_the_directory_of_another_member_is_refused(three: Members) -> None:
    await three.kill("one")
    await three.kill("two")
    one = three.config("one")
    with pytest.raises(LabError, match="two"):
        async with start_member(
            one, three.directory / "two", MemoryNetwork().transport(one.id), SystemClock()
        ):
            pass


# Leases


async def test_a_lease_ends_its_keys_unless_it_is_kept_alive(three: Members) -> None:
    follower = three.others(await three.leader())[0]
    kept = await follower.lease_grant(LeaseGrant(30, 0))
    lost = await follower.lease_grant(LeaseGrant(3, 0))
    await follower.put(Put(b"kept", lease=kept.id))
    async with follower.watch(b"lost") as watch:
        await follower.put(Put(b"lost", lease=lost.id))
        events = aiter(watch)
        assert [(await anext(events))[0].type for _ in range(2)] == ["PUT", "DELETE"]
    # Three seconds less are left of it now; when it is kept alive it has all of them again, for a moment.
    while (await follower.lease_time_to_live(kept.id)).ttl_s < 29:
        assert await follower.lease_keep_alive(kept.id) == 30
    assert await _value(follower, b"kept") is not None
    with pytest.raises(LeaseNotFoundError):
        await follower.lease_keep_alive(lost.id)
    assert (await follower.lease_time_to_live(lost.id)).ttl_s == -1
    state = await follower.lease_time_to_live(kept.id, keys=True)
    assert (state.granted_ttl_s, state.keys) == (30, (b"kept",))


async def test_a_new_leader_lets_leases_begin_anew(three: Members) -> None:
    leader = await three.leader()
    granted = await leader.lease_grant(LeaseGrant(600, 0))
    await three.kill(three.name(leader))
    follower = three.others()[0]
    assert (await surely(lambda: follower.lease_time_to_live(granted.id))).ttl_s > 540  # Of a busy machine's.
    assert await surely(lambda: follower.lease_keep_alive(granted.id)) == 600
    await surely(lambda: follower.lease_revoke(granted.id))
    assert await follower.leases() == ()


# Room


async def test_a_full_store_refuses_what_takes_room_until_its_alarm_is_off(tmp_path: Path) -> None:
    async with store_members(tmp_path, ("alone",), quota_bytes=200_000) as cluster:
        alone = cluster.running["alone"]
        with pytest.raises(NoSpaceError):
            for number in range(50):
                await alone.put(Put(b"key%d" % number, bytes(10_000)))
        await cluster.until(lambda: bool(alone.view().db_size_bytes))
        alarms = await alone.alarm(Alarm(AlarmAction.GET))
        while not alarms:
            alarms = await alone.alarm(Alarm(AlarmAction.GET))
            await asyncio.sleep(0)
        assert (alarms[0].member, alarms[0].alarm) == (alone.member_id, AlarmType.NOSPACE)
        with pytest.raises(NoSpaceError):
            await alone.put(Put(b"small"))


# Who belongs


async def test_a_learner_joins_catches_up_and_votes(three: Members) -> None:
    leader = await three.leader()
    for number in range(20):
        await leader.put(Put(b"key%d" % number))
    follower = three.others(leader)[0]
    added = await follower.member_add(("https://192.0.2.9:2380",), is_learner=True)
    with pytest.raises(MemberError, match="already exist"):
        await follower.member_add(("https://192.0.2.9:2380",))
    four = await three.join("four", added)
    await three.caught_up()
    assert (await four.status()).is_learner
    assert (await four.range(Range(b"key", prefix_end(b"key")))).count == 20
    await _promote(four, added.id)
    await three.until(lambda: added.id in leader.view().raft.configuration.voters)
    await three.until(lambda: "four" in {member.name for member in leader.view().members})


async def test_a_learner_that_has_not_caught_up_is_not_promoted(three: Members) -> None:
    leader = await three.leader()
    added = await leader.member_add(("https://192.0.2.9:2380",), is_learner=True)
    with pytest.raises(MemberError, match="in sync"):
        await leader.member_promote(added.id)
    with pytest.raises(MemberError, match="only promote a learner"):
        await leader.member_promote(leader.member_id)


async def test_a_member_that_is_removed_ends_and_the_others_go_on(three: Members) -> None:
    leader = await three.leader()
    gone, stays = three.others(leader)
    await gone.put(Put(b"key"))
    await stays.member_remove(gone.member_id)
    assert len(await stays.members()) == 2
    with pytest.raises(MemberError, match="not found"):
        await stays.member_remove(gone.member_id)
    with pytest.raises(LabError, match="etcdctl member add"):
        await three.ended(gone)
    await stays.put(Put(b"key"))


async def test_a_leader_can_be_removed(three: Members) -> None:
    leader = await three.leader()
    others = three.others(leader)
    await others[0].member_remove(leader.member_id)
    with pytest.raises(LabError, match="etcdctl member add"):
        await three.ended(leader)
    await three.leader()
    assert leader.member_id not in {member.id for member in await surely(others[0].members)}
    await surely(lambda: others[1].put(Put(b"key")))


async def test_addresses_are_told_to_all(three: Members) -> None:
    leader = await three.leader()
    await leader.member_update(leader.member_id, ("https://192.0.2.77:2380",))
    for member in three.running.values():
        known = next(each for each in await member.members() if each.id == leader.member_id)
        assert known.peer_urls == ("https://192.0.2.77:2380",)
