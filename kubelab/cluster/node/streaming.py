"""exec, attach and port-forward in the kubelet's HTTPS server: what is asked for, and in which protocol.

A command's streams come by WebSocket (v5.channel.k8s.io and its elders) or by SPDY/3.1; forwarded connections
by SPDY/3.1, bare or through a WebSocket (KEP-4006), or by the WebSocket's channels.
Source: kubernetes, pkg/kubelet/server/server.go (getExec, getAttach, getPortForward) and
pkg/kubelet/kubelet_pods.go (GetExec, GetAttach, GetPortForward: the words of the refusals).
Different from upstream: there the container runtime serves the streams, and the kubelet passes them on.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from kubelab.cluster.errors import ApiError
from kubelab.cluster.node import port_forwarding, remote_commands
from kubelab.cluster.node.record import Running
from kubelab.cluster.node.worker import PodWorker
from kubelab.cluster.objects import Key, uid_of
from kubelab.cluster.runtime.cri import Runtime
from kubelab.cluster.streams import channels, spdy_streams, websocket_streams
from kubelab.cluster.streams.channels import COMMAND_SUBPROTOCOLS, PORT_SUBPROTOCOLS
from kubelab.cluster.streams.hijack import Finished
from kubelab.cluster.streams.remote_command import CommandStreams, Status, StreamOptions, stream_options
from kubelab.cluster.streams.websocket_streams import ChannelSocket, WebSocketBytes

Command = Callable[[CommandStreams], Coroutine[Any, Any, Status | None]]


class Node(Protocol):
    """What the streams need of their kubelet."""

    @property
    def runtime(self) -> Runtime: ...

    def worker(self, key: Key) -> PodWorker | None: ...


class Streaming:
    def __init__(self, node: Node) -> None:
        self._node = node

    def add_routes(self, router: web.UrlDispatcher) -> None:
        for method in ("GET", "POST"):
            router.add_route(method, "/exec/{namespace}/{pod}/{container}", self.exec)
            router.add_route(method, "/attach/{namespace}/{pod}/{container}", self.attach)
            router.add_route(method, "/portForward/{namespace}/{pod}", self.port_forward)

    async def exec(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["container"]
        try:
            options = stream_options(request.query)
            container_id = _running_id(self._worker(request), name)
            if container_id is None:
                raise ApiError(500, "InternalError", f'container not found ("{name}")')
        except ApiError as refusal:
            return _refusal(refusal)
        command = request.query.getall("command", [])
        run = partial(remote_commands.execute, self._node.runtime, container_id, command, options)
        return await _serve_command(request, options, run)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["container"]
        try:
            options = stream_options(request.query)
            worker = self._worker(request)
            container_id = _running_id(worker, name)
            if container_id is None:
                raise ApiError(
                    500, "InternalError", f"container {name} not found in pod {_full_name(worker)}"
                )
        except ApiError as refusal:
            return _refusal(refusal)
        run = partial(remote_commands.attach, self._node.runtime, container_id, options)
        return await _serve_command(request, options, run)

    async def port_forward(self, request: web.Request) -> web.StreamResponse:
        try:
            worker = self._worker(request)
            if (sandbox := worker.record.sandbox) is None:
                raise ApiError(500, "InternalError", f'pod not found ("{_full_name(worker)}")')
            connect = partial(port_forwarding.connect_in_pod, sandbox.pid)
            if websocket_streams.is_websocket(request):
                return await _forward_by_websocket(request, connect, uid_of(worker.pod))
        except ApiError as refusal:
            return _refusal(refusal)
        protocol = _spdy_protocol(request, (port_forwarding.PROTOCOL,))
        if isinstance(protocol, web.Response):
            return protocol
        channel = await spdy_streams.hijack(request, protocol)
        await port_forwarding.serve_spdy(channel, connect, uid_of(worker.pod))
        return Finished()

    def _worker(self, request: web.Request) -> PodWorker:
        place = request.match_info
        worker = self._node.worker(Key(place["namespace"], place["pod"]))
        if worker is None:
            raise ApiError(404, "NotFound", "pod does not exist")
        return worker


def _running_id(worker: PodWorker, name: str) -> str | None:
    container = worker.record.containers.get(name)
    state = container.state if container else None
    return state.id if isinstance(state, Running) else None


def _full_name(worker: PodWorker) -> str:
    metadata = worker.pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}"


def _refusal(refusal: ApiError) -> web.Response:
    return web.Response(text=refusal.message, status=refusal.code)


async def _serve_command(request: web.Request, options: StreamOptions, run: Command) -> web.StreamResponse:
    if websocket_streams.is_websocket(request):
        return await _by_websocket(request, options, run)
    protocol = _spdy_protocol(request, spdy_streams.COMMAND_PROTOCOLS)
    if isinstance(protocol, web.Response):
        return protocol
    async with spdy_streams.command_streams(request, protocol, options) as streams:
        if streams is not None and (status := await run(streams)) is not None:
            await streams.finish(status)
    return Finished()


async def _by_websocket(request: web.Request, options: StreamOptions, run: Command) -> web.StreamResponse:
    asked = websocket_streams.asked_subprotocols(request)
    protocol = channels.chosen(asked, COMMAND_SUBPROTOCOLS)
    if protocol is None:
        return web.Response(text=channels.refusal(asked, COMMAND_SUBPROTOCOLS), status=403)
    async with websocket_streams.command_streams(request, protocol, options) as (response, streams):
        if (status := await run(streams)) is not None:
            await streams.finish(status)
    return response


def _spdy_protocol(request: web.Request, offered: tuple[str, ...]) -> str | web.Response:
    """Return the protocol to speak, or the refusal."""
    if not spdy_streams.is_spdy(request):
        return web.Response(text="unable to upgrade: missing upgrade headers in request", status=400)
    asked = spdy_streams.asked_protocols(request)
    if not asked:
        return web.Response(text=f"unable to upgrade: {spdy_streams.PROTOCOL_HEADER} is required", status=400)
    return spdy_streams.chosen(asked, offered) or spdy_streams.refusal(asked, offered)


async def _forward_by_websocket(
    request: web.Request, connect: port_forwarding.Connect, pod_uid: str
) -> web.StreamResponse:
    """Raises ApiError: the query names no ports, where it must."""
    asked = websocket_streams.asked_subprotocols(request)
    if tunnel := channels.tunnelled(asked, port_forwarding.PROTOCOL):
        response = await websocket_streams.open_websocket(request, tunnel)
        await port_forwarding.serve_spdy(WebSocketBytes(request, response), connect, pod_uid)
        await response.close()
        return response
    protocol = channels.chosen(asked, PORT_SUBPROTOCOLS)
    if protocol is None:
        return web.Response(text=channels.refusal(asked, PORT_SUBPROTOCOLS), status=403)
    ports = port_forwarding.ports_of(request.query.getall("port", []))
    response = await websocket_streams.open_websocket(request, protocol.name)
    await port_forwarding.serve_channels(ChannelSocket(request, response, protocol), ports, connect, pod_uid)
    await response.close()
    return response
