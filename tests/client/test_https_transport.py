"""What `HttpsApi` makes of servers that are no API server: every trouble on the way is a ConnectionError."""

import asyncio
import fcntl
import gc
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from kubelab.cluster.apiserver.pki import Authority, KeyPair, server_context
from kubelab.cluster.client import https
from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.namespaces import call_in_network, new_network_namespace, open_socket_in
from kubelab.cluster.objects import PODS

IFF_UP = 1

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("pki"), datetime.now(UTC))


def config_of(authority: Authority, port: int, pair: KeyPair | None = None) -> ClientConfig:
    pair = pair or authority.admin()
    return ClientConfig(
        f"https://127.0.0.1:{port}",
        authority.certificate_path.read_bytes(),
        pair.certificate.read_bytes(),
        pair.key.read_bytes(),
    )


@asynccontextmanager
async def serving(
    authority: Authority, answer: Answer, listener: socket.socket | None = None
) -> AsyncIterator[int]:
    """Answer every connection with *answer*, over TLS; yield the port."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    context = server_context(authority.certificate_path, authority.apiserver())
    server = await asyncio.start_server(handle, sock=listener, ssl=context)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for writer in writers:
                writer.transport.abort()


def saying(status: str, body: bytes, length: int | None = None) -> Answer:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


async def keep_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never end it, as a watch without events."""
    await saying("200 OK", b"", length=100)(reader, writer)
    await reader.read()


async def test_an_answer_comes_although_somebody_looked_at_it_before(authority: Authority) -> None:
    asked, looked = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await looked.wait()
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"kind": "A"}')

    async with (
        serving(authority, answer) as port,
        HttpsApi.connect(config_of(authority, port)) as api,
        asyncio.TaskGroup() as group,
    ):
        got = group.create_task(api.get(PODS, "default", "a"))
        await asked.wait()
        waited_for = [each for each in gc.get_objects() if isinstance(each, aiohttp.ClientResponse)]
        shown = "".join(map(repr, waited_for))
        looked.set()
        assert await got == {"kind": "A"}
    assert f"GET https://127.0.0.1:{port}" in shown


async def test_nothing_listens(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with HttpsApi.connect(config_of(authority, port)) as api:
        with pytest.raises(ConnectionError, match=f"https://127.0.0.1:{port}"):
            await api.list(PODS)


async def test_a_server_of_another_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path, datetime.now(UTC))
    async with (
        serving(other, saying("200 OK", b"{}")) as port,
        HttpsApi.connect(config_of(authority, port)) as api,
    ):
        with pytest.raises(ConnectionError, match="certificate"):
            await api.get(PODS, "default", "a")


async def test_a_server_with_another_name_is_not_trusted_unless_that_name_is_wanted(
    authority: Authority,
) -> None:
    async with serving(authority, saying("200 OK", b"{}")) as port:
        config = config_of(authority, port)
        async with HttpsApi.connect(replace(config, tls_server_name="elsewhere")) as api:
            with pytest.raises(ConnectionError, match="elsewhere"):
                await api.get(PODS, "default", "a")
        async with HttpsApi.connect(replace(config, tls_server_name="kubernetes.default")) as api:
            assert await api.get(PODS, "default", "a") == {}


async def test_the_connection_breaks_before_and_within_an_answer(authority: Authority) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    for answer in (hang_up, saying("200 OK", b'{"kind": ', length=100)):
        async with serving(authority, answer) as port, HttpsApi.connect(config_of(authority, port)) as api:
            with pytest.raises(ConnectionError):
                await api.get(PODS, "default", "a")


async def test_a_watch_breaks_in_the_middle_of_an_event(authority: Authority) -> None:
    events = b'{"type": "ADDED", "object": {"kind": "Pod"}}\n{"type": "ADDED", "obj'
    async with (
        serving(authority, saying("200 OK", events, length=10_000)) as port,
        HttpsApi.connect(config_of(authority, port)) as api,
        api.watch(PODS, resource_version="1") as watched,
    ):
        assert (await anext(watched)).object == {"kind": "Pod"}
        with pytest.raises(ConnectionError):
            await anext(watched)


async def test_what_is_no_json_is_no_answer_and_a_proxy_s_refusal_is_told_as_it_is(
    authority: Authority,
) -> None:
    async with (
        serving(authority, saying("200 OK", b"<html>")) as port,
        HttpsApi.connect(config_of(authority, port)) as api,
    ):
        with pytest.raises(ConnectionError, match="not an answer of an API server"):
            await api.get(PODS, "default", "a")
    async with (
        serving(authority, saying("502 Bad Gateway", b"no upstream\n")) as port,
        HttpsApi.connect(config_of(authority, port)) as api,
    ):
        with pytest.raises(ApiError, match="no upstream") as error:
            await api.get(PODS, "default", "a")
    assert error.value.code == 502


async def test_sockets_are_opened_by_the_given_function_and_proxies_are_ignored(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    opened = []

    def open_socket(family: int, type_: int, protocol: int) -> socket.socket:
        opened.append(socket.socket(family, type_, protocol))
        return opened[-1]

    async with (
        serving(authority, saying("200 OK", b"{}")) as port,
        HttpsApi.connect(config_of(authority, port), open_socket=open_socket) as api,
    ):
        await api.get(PODS, "default", "a")
        assert opened[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
    assert len(opened) == 1


@contextmanager
def network_namespace() -> Iterator[int]:
    """A network namespace with nothing but loopback, as long as its file descriptor is open."""
    descriptor = new_network_namespace(lambda: set_loopback(up=True))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def set_loopback(*, up: bool) -> None:
    """Switch `lo` of the calling thread's network namespace (netdevice(7), SIOCSIFFLAGS)."""
    with socket.socket() as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", IFF_UP if up else 0))


@pytest.mark.root
async def test_a_cut_cable_ends_an_idle_watch_and_a_request(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own timers notice it, so this takes real time: a second instead of the usual five."""
    monkeypatch.setattr(https, "DEAD_PEER_S", 1)
    monkeypatch.setattr(https, "PROBE_AFTER_S", 1)
    with network_namespace() as netns:
        listener = open_socket_in(netns)
        listener.bind(("127.0.0.1", 0))
        async with (
            serving(authority, keep_open, listener) as port,
            HttpsApi.connect(config_of(authority, port), open_socket=partial(open_socket_in, netns)) as api,
            api.watch(PODS, resource_version="1") as events,
        ):
            call_in_network(netns, lambda: set_loopback(up=False))
            with pytest.raises(ConnectionError):
                await anext(events)
            with pytest.raises(ConnectionError):
                await api.list(PODS)
