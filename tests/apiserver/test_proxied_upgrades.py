"""WebSockets through `…/proxy/…`: the server joins its client with who is behind, and passes bytes on."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from api_manifests import node
from served_cluster import Cluster, admin

from kubelab.cluster.apiserver import pki
from kubelab.cluster.apiserver.request_log import RequestRecord
from kubelab.cluster.objects import NODES

PROXY = "/api/v1/nodes/minion-1/proxy"


class Kubelet:
    """Says everything once more, in a WebSocket at /echo; keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[web.BaseRequest] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        if request.path != "/echo":
            return web.Response(status=404, text=f"no {request.path}")
        socket = web.WebSocketResponse(protocols=("v1.echo",))
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket


@pytest.fixture
async def kubelet(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kubelet]:
    kubelet = Kubelet()
    server = web.Server(kubelet.answer)
    pair = cluster.authority.kubelet_server("minion-1", [pki.LOOPBACK])
    tls = pki.server_context(cluster.authority.certificate_path, pair)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=tls)
    monkeypatch.setattr(
        "kubelab.cluster.apiserver.proxying.KUBELET_PORT", listener.sockets[0].getsockname()[1]
    )
    await cluster.api.create(NODES, node())
    try:
        yield kubelet
    finally:
        listener.close()
        await server.shutdown(0.1)


async def test_a_web_socket_goes_through(cluster: Cluster, kubelet: Kubelet) -> None:
    long = "x" * 300_000
    async with (
        admin(cluster) as session,
        session.ws_connect(f"{PROXY}/echo?a=1", protocols=("v1.echo",), headers={"X-Mine": "1"}) as socket,
    ):
        assert socket.protocol == "v1.echo"
        for text in ("one", long):
            await socket.send_str(text)
            assert await socket.receive_str() == text
    (asked,) = kubelet.asked
    assert (asked.path_qs, asked.headers["X-Mine"]) == ("/echo?a=1", "1")
    assert asked.headers["X-Forwarded-Uri"] == f"{PROXY}/echo"
    assert "Authorization" not in asked.headers


async def test_a_refusal_is_handed_on(cluster: Cluster, kubelet: Kubelet) -> None:
    async with admin(cluster) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{PROXY}/else")
    assert refused.value.status == 404


async def test_such_a_request_is_one_that_lasts(cluster: Cluster, kubelet: Kubelet) -> None:
    told: list[RequestRecord] = []
    with cluster.requests.listening(told.append):
        async with admin(cluster) as session, session.ws_connect(f"{PROXY}/echo"):
            pass
    assert (told[0].stage, told[0].code, told[0].subresource) == ("ResponseStarted", 101, "proxy")


async def test_who_is_not_there_is_told(cluster: Cluster) -> None:
    await cluster.api.create(NODES, node())
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    async with admin(cluster) as session, session.get(f"{PROXY}/echo", headers=headers) as response:
        told = (await response.json())["message"]
    assert (response.status, told[:44]) == (500, "error dialing backend: dial tcp 127.0.0.1:10")
