"""Members that talk over real TLS on loopback, each with an address of its own (127.0.0.0/8)."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubelab.cluster.apiserver.pki import Authority, KeyPair, client_context, server_context
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.raft.messages import MemberId, Message
from kubelab.cluster.store.peer_connection import PeerTls
from kubelab.cluster.store.peers import PeerNetwork

CLUSTER = 0xC1
_USAGES = ("digital signature", "server auth", "client auth")


@dataclass
class Heard:
    """A receiver that keeps what it is told."""

    messages: list[Message] = field(default_factory=list)
    unreached: list[MemberId] = field(default_factory=list)
    snapshots: list[tuple[MemberId, bool]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    answers: Callable[[bytes], Awaitable[bytes]] | None = None

    def receive(self, messages: Sequence[Message]) -> None:
        self.messages += messages

    def unreachable(self, member: MemberId) -> None:
        self.unreached.append(member)

    def snapshot_sent(self, member: MemberId, *, is_delivered: bool) -> None:
        self.snapshots.append((member, is_delivered))

    async def answer(self, question: bytes) -> bytes:
        return await self.answers(question) if self.answers else b"re: " + question


@dataclass
class Member:
    network: PeerNetwork
    heard: Heard
    url: str


class Peers:
    """The authority of one cluster's members, and where they listen."""

    def __init__(self, place: Path) -> None:
        self.authority = Authority.create(place, datetime.now(UTC))
        self._place = place

    def tls(self, *names: str) -> PeerTls:
        pair = self.certificate(*names)
        trusted = self.authority.certificate_path
        return PeerTls(server_context(trusted, pair), client_context(trusted, pair))

    def certificate(self, *names: str) -> KeyPair:
        """Return a certificate for these addresses, good for both ends of a connection."""
        key = ec.generate_private_key(ec.SECP256R1())
        sans = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(name)) for name in names])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "etcd")])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject)
        signed = request.add_extension(sans, critical=False).sign(key, hashes.SHA256())
        pem = signed.public_bytes(serialization.Encoding.PEM)
        now = datetime.now(UTC)
        pair = KeyPair(self._place / f"{names[0]}.crt", self._place / f"{names[0]}.key")
        pair.certificate.write_bytes(self.authority.sign_request(pem, _USAGES, timedelta(days=1), now))
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        pair.key.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
        return pair

    @contextlib.asynccontextmanager
    async def member(
        self,
        id_: MemberId,
        *,
        names: tuple[str, ...] = (),
        cluster: int = CLUSTER,
        listener: socket.socket | None = None,
        dial: Callable[[], socket.socket] | None = None,
    ) -> AsyncIterator[Member]:
        """Run the member *id_* at 127.0.0.<id>, or where *listener* is; its peers are still to be told."""
        listening = listener or bound(f"127.0.0.{id_}")
        address = listening.getsockname()[0]
        tls = self.tls(*(names or (address,)))
        network = PeerNetwork(id_, cluster, tls, listening, dial or dialled_from(address), SystemClock())
        heard = Heard()
        async with network.open(heard):
            yield Member(network, heard, "https://{}:{}".format(*listening.getsockname()))


def bound(address: str, port: int = 0) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.setblocking(False)
    return listener


def dialled_from(address: str) -> Callable[[], socket.socket]:
    def dial() -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((address, 0))
        return sock

    return dial


def introduce(*members: Member) -> None:
    urls = {each.network.member: (each.url,) for each in members}
    for each in members:
        each.network.set_peers(urls)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what sockets will bring about."""
    async with asyncio.timeout(50):
        while not condition():  # noqa: ASYNC110 - there is no event in the kernel to wait for
            await asyncio.sleep(0.002)


async def connected(*members: Member) -> None:
    await until(lambda: all(len(each.network.connected) == len(members) - 1 for each in members))
