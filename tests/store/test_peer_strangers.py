"""Whoever comes to the peers' port without being a peer is turned away, and harms nobody else."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peer_members import CLUSTER, Member, Peers, dialled_from, introduce, until

from kubelab.cluster.apiserver.pki import client_context, server_context
from kubelab.cluster.raft.messages import Configuration, Message, MessageType, Snapshot
from kubelab.cluster.store.peer_connection import PeerTls
from kubelab.cluster.store.peer_frames import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    SNAPSHOT_BYTES_MAX,
    VERSION,
    Announcement,
    FrameError,
    FrameReader,
    Hello,
    Kind,
    announcement_frame,
    frame,
    hello_frame,
    messages_frame,
    read_announcement,
    read_hello,
    read_messages,
    read_numbered,
)

HEARTBEAT = Message(MessageType.HEARTBEAT, 2, 1, term=1)
TAKEN = Message(MessageType.SNAPSHOT, 2, 1, 1, snapshot=Snapshot(1, 1, Configuration((1, 2))))


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return Peers(tmp_path_factory.mktemp("pki"))


@contextlib.asynccontextmanager
async def pair(peers: Peers) -> AsyncIterator[tuple[Member, Member]]:
    async with peers.member(1) as one, peers.member(3) as other:
        introduce(one, other)
        one.network.set_peers({2: ("https://127.0.0.2:2380",), 3: (other.url,)})
        await connected_with(one, other)
        yield one, other
        # However badly the others behaved.
        other.network.send([Message(MessageType.HEARTBEAT, 3, 1, 1)])
        await until(lambda: bool(one.heard.messages) and one.heard.messages[-1].sender == 3)


async def connected_with(one: Member, other: Member) -> None:
    await until(lambda: other.network.connected == {1} and 3 in one.network.connected)


class Caller:
    """Somebody who speaks to a member's port as he likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, *frames: bytes | bytearray) -> None:
        self._writer.write(b"".join(frames))

    async def hung_up(self) -> bool:
        """Wait until the member hangs up; tell whether it had greeted before."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            return bool(await self._reader.read())
        return False

    async def greeted(self) -> None:
        assert await self._reader.read(1)


@contextlib.asynccontextmanager
async def calling(member: Member, tls: ssl.SSLContext, address: str = "127.0.0.2") -> AsyncIterator[Caller]:
    host, port = member.url.removeprefix("https://").split(":")
    with dialled_from(address)() as sock:
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=host)
        try:
            yield Caller(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


def hello(member: int = 2, receiver: int = 1, cluster: int = CLUSTER, version: int = VERSION) -> bytes:
    return hello_frame(Hello(version, cluster, member, receiver))


@pytest.mark.parametrize(
    "greeting",
    [
        hello(member=9),
        hello(member=3),
        hello(receiver=2),
        hello(cluster=1),
        hello(version=2),
        messages_frame([HEARTBEAT]),
        frame(Kind.PIECE, b"x"),
        frame(Kind.HELLO, b"\x93\x01"),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xff\xff\xff\x01",
        bytes(3) + b"\x01\x63x",
    ],
    ids=lambda greeting: bytes(greeting[:12]).hex(),
)
async def test_who_does_not_greet_as_a_peer_is_turned_away(peers: Peers, greeting: bytes) -> None:
    """As one that is none, as another than the certificate's, to another member, in another cluster."""
    async with pair(peers) as (one, _), calling(one, peers.tls("127.0.0.2").client) as caller:
        caller.say(greeting)
        assert not await caller.hung_up()
        assert one.heard.messages == []


@pytest.mark.parametrize(
    "words",
    [
        [messages_frame([Message(MessageType.HEARTBEAT, 3, 1, 1)])],
        [messages_frame([Message(MessageType.HEARTBEAT, 2, 3, 1)])],
        [frame(Kind.MESSAGES, b"\x91\x01")],
        [frame(Kind.MESSAGES, b"garbage")],
        [frame(Kind.QUESTION, b"short")],
        [frame(Kind.ANSWER, bytes(8))],
        [hello()],
        [frame(Kind.PIECE, b"x")],
        [announcement_frame(Announcement(HEARTBEAT, 1))],
        [announcement_frame(Announcement(TAKEN, SNAPSHOT_BYTES_MAX + 1))],
        [announcement_frame(Announcement(TAKEN, 3)), frame(Kind.PIECE, b"four")],
        [announcement_frame(Announcement(TAKEN, 3)), announcement_frame(Announcement(TAKEN, 3))],
        [(FRAME_BYTES_MAX + 1).to_bytes(4, "big") + b"\x02"],
    ],
    ids=range(13),
)
async def test_a_peer_that_says_what_it_may_not_is_hung_up_on(
    peers: Peers, words: list[bytes | bytearray]
) -> None:
    async with pair(peers) as (one, _), calling(one, peers.tls("127.0.0.2").client) as caller:
        caller.say(hello())
        await caller.greeted()
        caller.say(*words)
        await caller.hung_up()
        assert one.heard.messages == []


async def test_a_certificate_of_another_authority_or_none_is_no_way_in(peers: Peers, tmp_path: Path) -> None:
    stranger = Peers(tmp_path)
    trusting = client_context(peers.authority.certificate_path, stranger.certificate("127.0.0.2"))
    bare = ssl.create_default_context(cafile=str(peers.authority.certificate_path))
    async with pair(peers) as (one, _):
        for tls in (trusting, bare):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                async with calling(one, tls) as caller:
                    caller.say(hello(), messages_frame([HEARTBEAT]))
                    assert not await caller.hung_up()
        assert one.heard.messages == []


async def test_a_member_does_not_talk_to_who_is_not_the_peer_it_dialled(peers: Peers) -> None:
    """Neither at an address that the certificate is not for, nor to another member there."""
    async with (
        peers.member(1) as one,
        peers.member(2, names=("127.0.0.9",)) as elsewhere,
        peers.member(4, cluster=2) as other_cluster,
        peers.member(5) as five,
    ):
        every = (one, elsewhere, other_cluster, five)
        urls = {each.network.member: (each.url,) for each in every}
        for each in every:
            each.network.set_peers(urls)
        one.network.set_peers(urls | {6: (elsewhere.url,)})
        await until(lambda: 5 in one.network.connected)
        one.network.send([Message(MessageType.HEARTBEAT, 1, number, 1) for number in (2, 4, 6)])
        await until(lambda: sorted(one.heard.unreached) == [2, 4, 6])
        assert one.network.connected == {5}


async def test_peers_must_want_each_others_certificates(peers: Peers) -> None:
    pair_ = peers.certificate("127.0.0.2")
    trusted = peers.authority.certificate_path
    lax_server, lax_client = server_context(trusted, pair_, ssl.CERT_OPTIONAL), client_context(trusted, pair_)
    with pytest.raises(ValueError, match="certificate"):
        PeerTls(lax_server, lax_client)
    lax_client.check_hostname = False
    with pytest.raises(ValueError, match="host"):
        PeerTls(server_context(trusted, pair_), lax_client)


@given(st.lists(st.binary(max_size=64)))
def test_no_bytes_at_all_make_the_reader_fail_otherwise(chunks: list[bytes]) -> None:
    reader = FrameReader()
    with contextlib.suppress(FrameError):
        for chunk in chunks:
            for kind, payload in reader.feed(chunk):
                assert kind in Kind and len(payload) <= HELLO_BYTES_MAX


@given(st.binary(max_size=64))
def test_no_payload_makes_what_reads_it_fail_otherwise(payload: bytes) -> None:
    for read in (read_hello, read_messages, read_announcement, read_numbered):
        with contextlib.suppress(FrameError):
            read(payload)


@given(st.lists(st.binary(max_size=200)), st.integers(1, 50))
def test_frames_come_whole_however_the_bytes_are_cut(payloads: list[bytes], size: int) -> None:
    stream = b"".join(frame(Kind.PIECE, payload) for payload in payloads)
    reader = FrameReader()
    cut = [stream[start : start + size] for start in range(0, len(stream), size)]
    read = [each for chunk in cut for each in reader.feed(chunk)]
    assert read == [(Kind.PIECE, payload) for payload in payloads]
