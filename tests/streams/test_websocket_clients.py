"""Streams as Python's clients ask for them: v4 channels, text or base64, and what the server refuses."""

import asyncio
import base64
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohappyeyeballs import AddrInfoType
from lab_program import RunningLab
from stream_lab import until

from kubelab.cluster.client import kubeconfig

pytestmark = pytest.mark.root
STDOUT, ERROR = 1, 3


@pytest.fixture
async def pods(lab: RunningLab, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of the administrator's at the default namespace's pods."""
    config = kubeconfig.read(lab.place / "admin.conf")
    tls = ssl.create_default_context(cadata=config.ca_pem.decode())
    (tmp_path / "admin.pem").write_bytes(config.certificate_pem + b"\n" + config.key_pem)
    tls.load_cert_chain(tmp_path / "admin.pem")
    opened: list[socket.socket] = []

    def open_socket(address: AddrInfoType) -> socket.socket:
        opened.append(socket.socket(address[0], address[1]))
        return opened[-1]

    connector = aiohttp.TCPConnector(ssl=tls, socket_factory=open_socket)
    base = f"{config.server}/api/v1/namespaces/default/pods/"
    async with aiohttp.ClientSession(base, connector=connector) as session:
        yield session
    # TLS says farewell after the session was closed.
    await asyncio.to_thread(until, lambda: all(each.fileno() < 0 for each in opened))


def path(pod: str, subresource: str, *query: tuple[str, str]) -> str:
    return f"{pod}/{subresource}?{urlencode(query)}"


def exec_path(script: str, *streams: str) -> str:
    words = [("command", word) for word in ("sh", "-c", script)]
    return path("shell", "exec", *words, *((name, "True") for name in streams))


async def test_text_messages_of_v4_are_input(pods: aiohttp.ClientSession) -> None:
    url = exec_path("read line; echo $line $line; exit 4", "stdin", "stdout", "stderr")
    async with pods.ws_connect(url, protocols=["v4.channel.k8s.io"]) as stream:
        assert stream.protocol == "v4.channel.k8s.io"
        assert await stream.receive_bytes() == bytes([STDOUT])
        await stream.send_str("\0ñu\n")
        assert await stream.receive_bytes() == bytes([STDOUT]) + "ñu ñu\n".encode()
        told = await stream.receive_bytes()
        assert (await stream.receive()).type is aiohttp.WSMsgType.CLOSE
    status = json.loads(told[1:])
    assert (told[0], status["reason"]) == (ERROR, "NonZeroExitCode")
    assert status["details"] == {"causes": [{"reason": "ExitCode", "message": "4"}]}
    assert status["message"].endswith("exit code 4")


async def test_v5_closes_the_input(pods: aiohttp.ClientSession) -> None:
    url = exec_path("cat", "stdin", "stdout")
    async with pods.ws_connect(url, protocols=["v5.channel.k8s.io"]) as stream:
        await stream.receive_bytes()
        await stream.send_bytes(b"\0all")
        await stream.send_bytes(b"\xff\0")
        assert await stream.receive_bytes() == b"\1all"
        assert json.loads((await stream.receive_bytes())[1:]) == {"metadata": {}, "status": "Success"}


async def test_base64_in_both_directions(pods: aiohttp.ClientSession) -> None:
    url = exec_path("head -c 2", "stdin", "stdout")
    async with pods.ws_connect(url, protocols=["v4.base64.channel.k8s.io"]) as stream:
        assert await stream.receive_str() == "1"
        await stream.send_str("0" + base64.b64encode(b"\xff\0").decode())
        assert await stream.receive_str() == "1" + base64.b64encode(b"\xff\0").decode()
        assert json.loads(base64.b64decode((await stream.receive_str())[1:]))["status"] == "Success"


async def test_who_asks_for_no_protocol_is_told_of_failures_in_words(pods: aiohttp.ClientSession) -> None:
    async with pods.ws_connect(exec_path("exit 1", "stdout")) as stream:
        assert stream.protocol is None
        await stream.receive_bytes()
        told = await stream.receive_bytes()
    assert told[:1] == bytes([ERROR])
    assert told[1:].startswith(b"command terminated with non-zero exit code")


async def test_ports_on_channels(pods: aiohttp.ClientSession) -> None:
    url = path("web", "portforward", ("ports", "8000,8001"))
    async with pods.ws_connect(url, protocols=["v4.channel.k8s.io"]) as stream:
        greetings = [await stream.receive_bytes() for _ in range(4)]
        assert greetings == [
            bytes([channel]) + struct.pack("<H", port)
            for channel, port in ((0, 8000), (1, 8000), (2, 8001), (3, 8001))
        ]
        refused = await stream.receive_bytes()
        assert refused[:1] == b"\3"
        assert b"connection refused" in refused
        await stream.send_bytes(b"\0GET /nothing HTTP/1.0\r\n\r\n")
        assert (await stream.receive_bytes()).startswith(b"\0HTTP/1.0 404")


@pytest.mark.parametrize("ports", ["", "0", "70000", "http"])
async def test_ports_that_are_none(pods: aiohttp.ClientSession, ports: str) -> None:
    url = path("web", "portforward", *([("ports", ports)] if ports else []))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await pods.ws_connect(url, protocols=["v4.channel.k8s.io"])
    assert refusal.value.status == 400


async def test_streams_begin_with_an_upgrade(pods: aiohttp.ClientSession) -> None:
    async with pods.get(exec_path("true", "stdout")) as response:
        assert response.status == 400
        assert (await response.json())["message"] == "Upgrade request required"


async def test_an_unknown_protocol_is_refused(pods: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await pods.ws_connect(exec_path("true", "stdout"), protocols=["v9.channel.k8s.io"])
    assert refusal.value.status == 403


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            path("web", "exec", ("command", "ls"), ("container", "no")),
            "container no is not valid for pod web",
        ),
        (
            path("web", "exec", ("command", "ls")),
            "a container name must be specified for pod web, choose one",
        ),
        (path("nobody", "exec", ("command", "ls")), 'pods "nobody" not found'),
    ],
)
async def test_a_container_that_is_none(pods: aiohttp.ClientSession, url: str, why: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    async with pods.post(url, headers=upgrade) as response:
        assert why in (await response.json())["message"]


async def test_no_stream_at_all(pods: aiohttp.ClientSession) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    upgrade |= {"X-Stream-Protocol-Version": "v4.channel.k8s.io"}
    async with pods.post(exec_path("true"), headers=upgrade) as response:
        assert (response.status, await response.text()) == (
            400,
            "you must specify at least 1 of stdin, stdout, stderr",
        )


@pytest.mark.parametrize("protocol", ["binary.k8s.io", "base64.binary.k8s.io", ""])
async def test_a_log_may_be_read_by_a_websocket(pods: aiohttp.ClientSession, protocol: str) -> None:
    """Upstream's end-to-end tests read one so; the first message is empty."""
    url, told = path("talker", "log"), b""
    async with pods.get(path("talker", "log", ("follow", "true"))) as answer:
        assert await answer.content.readline() == b"hello\n"
    async with pods.ws_connect(url, protocols=[protocol] if protocol else []) as stream:
        async for message in stream:
            told += base64.b64decode(message.data) if protocol.startswith("base64") else message.data
    assert (told, stream.close_code) == (b"hello\n", aiohttp.WSCloseCode.OK)


async def test_who_leaves_a_log_that_goes_on_is_let_go(pods: aiohttp.ClientSession) -> None:
    async with pods.ws_connect(path("shell", "log", ("follow", "true"))) as stream:
        assert await stream.receive_bytes() == b""
    assert stream.close_code == aiohttp.WSCloseCode.OK


async def test_a_log_in_a_protocol_of_others_is_refused(pods: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await pods.ws_connect(path("talker", "log"), protocols=["v9.binary.k8s.io"])
    assert refused.value.status == 400
