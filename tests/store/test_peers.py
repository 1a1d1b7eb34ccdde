"""Members talk to each other over TLS, in order and without waiting; what cannot get through is dropped."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from peer_members import Member, Peers, bound, connected, introduce, until

from kubelab.cluster.raft.messages import Configuration, Entry, Message, MessageType, Snapshot
from kubelab.cluster.store.peer_frames import FRAME_BYTES_MAX
from kubelab.cluster.store.transport import PeerUnreachableError


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return Peers(tmp_path_factory.mktemp("pki"))


@contextlib.asynccontextmanager
async def three(peers: Peers) -> AsyncIterator[tuple[Member, Member, Member]]:
    async with peers.member(1) as one, peers.member(2) as two, peers.member(3) as three_:
        introduce(one, two, three_)
        await connected(one, two, three_)
        yield one, two, three_


def heartbeat(sender: int, receiver: int, number: int = 0) -> Message:
    return Message(MessageType.HEARTBEAT, sender, receiver, term=1, index=number)


def snapshot(sender: int, receiver: int, data: bytes) -> Message:
    state = Snapshot(7, 1, Configuration((1, 2, 3)), data)
    return Message(MessageType.SNAPSHOT, sender, receiver, term=1, snapshot=state)


async def test_messages_reach_whom_they_are_for_in_their_order(peers: Peers) -> None:
    async with three(peers) as (one, two, other):
        for_two = [heartbeat(1, 2, number) for number in range(200)]
        for_other = Message(MessageType.APPEND, 1, 3, 4, 5, 6, entries=(Entry(7, 4, b"\0\xff" * 900),))
        one.network.send([*for_two[:100], for_other])
        one.network.send(for_two[100:])
        await until(lambda: len(two.heard.messages) == 200 and len(other.heard.messages) == 1)
        assert two.heard.messages == for_two
        assert other.heard.messages == [for_other]
        assert one.heard.unreached == []


async def test_a_peer_that_is_not_there_is_told_of_at_once_and_found_when_it_comes(peers: Peers) -> None:
    listener = bound("127.0.0.2")  # It is his port from now on, but nobody listens there.
    port = listener.getsockname()[1]
    async with peers.member(1) as one:
        one.network.set_peers({1: (one.url,), 2: (f"https://127.0.0.2:{port}",)})
        one.network.send([heartbeat(1, 2)])
        assert one.heard.unreached == []  # Never in the midst of sending.
        await until(lambda: one.heard.unreached == [2])
        async with peers.member(2, listener=listener) as two:
            introduce(one, two)
            await connected(one, two)
            one.network.send([heartbeat(1, 2)])
            await until(lambda: two.heard.messages == [heartbeat(1, 2)])
        await until(lambda: one.heard.unreached == [2, 2])  # Something may have been on its way.
        await until(lambda: not one.network.connected and not one.network.heard)


async def test_nobody_hears_what_is_for_a_member_that_is_no_peer(peers: Peers) -> None:
    async with peers.member(1) as one:
        one.network.send([heartbeat(1, 9), snapshot(1, 9, b"")])
        await until(lambda: one.heard.unreached == [9])
        assert one.heard.snapshots == [(9, False)]
        with pytest.raises(PeerUnreachableError):
            await one.network.call(9, b"there?")


async def test_a_peer_that_was_taken_out_is_neither_heard_nor_reached(peers: Peers) -> None:
    async with three(peers) as (one, two, other):
        introduce(one, two)
        await until(lambda: not other.network.connected)
        await until(lambda: one.network.heard == one.network.connected == {2})
        other.network.send([heartbeat(3, 1)])
        await until(lambda: bool(other.heard.unreached))
        assert one.heard.messages == []


async def test_a_peer_with_other_urls_is_dialled_there(peers: Peers) -> None:
    async with peers.member(1) as one:
        async with peers.member(2) as two:
            introduce(one, two)
            await connected(one, two)
        async with peers.member(2) as moved:
            introduce(one, moved)
            await connected(one, moved)
            assert two.url != moved.url


async def test_of_several_urls_the_one_that_answers_is_found(peers: Peers) -> None:
    async with peers.member(1) as one, peers.member(2) as two:
        two.network.set_peers({1: (one.url,)})
        one.network.set_peers({2: ("https://127.0.0.2:1", "https://names.are.left.out:2380", two.url)})
        await connected(one, two)


async def test_calls_are_answered_each_by_its_own_answer(peers: Peers) -> None:
    async with three(peers) as (one, two, _):
        questions = [f"{number}".encode() for number in range(50)]
        answers = await asyncio.gather(*(one.network.call(2, question) for question in questions))
        assert answers == [b"re: " + question for question in questions]
        assert await two.network.call(1, b"") == b"re: "


async def test_a_call_fails_when_the_peer_ends_before_the_answer(peers: Peers) -> None:
    async with peers.member(1) as one:
        async with peers.member(2) as two:
            introduce(one, two)
            await connected(one, two)
            never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            asked = asyncio.Event()

            async def answer(_: bytes) -> bytes:
                asked.set()
                return await never

            two.heard.answers = answer
            call = asyncio.create_task(one.network.call(2, b"there?"))
            await asked.wait()
        with pytest.raises(PeerUnreachableError):
            await call
        with pytest.raises(PeerUnreachableError):
            await one.network.call(2, b"there?")


async def test_a_snapshot_comes_whole_on_its_own_way_and_is_reported(peers: Peers) -> None:
    async with three(peers) as (one, two, _):
        sent = snapshot(1, 2, bytes(range(256)) * 40_000)
        one.network.send([heartbeat(1, 2, 1), sent, heartbeat(1, 2, 2)])
        await until(lambda: one.heard.snapshots == [(2, True)])
        await until(lambda: len(two.heard.messages) == 3)
        assert sent in two.heard.messages
        assert [each for each in two.heard.messages if each != sent] == [
            heartbeat(1, 2, 1),
            heartbeat(1, 2, 2),
        ]


async def test_of_two_snapshots_at_once_the_second_is_dropped_and_later_ones_go(peers: Peers) -> None:
    async with three(peers) as (one, two, _):
        one.network.send([snapshot(1, 2, b"a"), snapshot(1, 2, b"b")])
        await until(lambda: len(one.heard.snapshots) == 2)
        assert one.heard.snapshots == [(2, False), (2, True)]
        one.network.send([snapshot(1, 2, b"")])
        await until(lambda: len(one.heard.snapshots) == 3)
        assert [each.snapshot and each.snapshot.data for each in two.heard.messages] == [b"a", b""]


async def test_what_a_slow_peer_does_not_read_is_dropped_at_a_bound(peers: Peers) -> None:
    async with three(peers) as (one, *_):
        entry = Entry(1, 1, bytes(100_000))
        flood = Message(MessageType.APPEND, 1, 2, 1, entries=(entry,))
        for _ in range(200):  # No round of the loop in between: nobody reads.
            one.network.send([flood])
        await until(lambda: 2 in one.heard.unreached)
        assert 3 in one.network.connected


async def test_what_is_longer_than_a_frame_goes_in_several(peers: Peers) -> None:
    async with three(peers) as (one, two, _):
        entry = Entry(1, 1, bytes(600_000))
        many = [Message(MessageType.APPEND, 1, 2, 1, number, entries=(entry,)) for number in range(30)]
        too_long = Message(MessageType.APPEND, 1, 2, 1, entries=(Entry(1, 1, bytes(FRAME_BYTES_MAX)),))
        one.network.send([too_long])
        await until(lambda: one.heard.unreached == [2])
        one.network.send(many)
        await until(lambda: len(one.heard.unreached) == 2)
        await until(lambda: bool(two.heard.messages))
        assert two.heard.messages == many[: len(two.heard.messages)]


async def test_who_stops_reading_a_greeting_is_given_up(peers: Peers) -> None:
    """A peer whose process is stopped takes connections, by its kernel, and says nothing."""
    with bound("127.0.0.2") as mute:
        mute.listen()
        async with peers.member(1) as one:
            one.network.set_peers({2: ("https://{}:{}".format(*mute.getsockname()),)})
            one.network.send([heartbeat(1, 2)])
            await until(lambda: one.heard.unreached == [2])
