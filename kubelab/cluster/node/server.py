"""The kubelet's own HTTPS server: logs, streams (see `streaming`), its pods and what they use, its health.

Source: kubernetes, pkg/kubelet/server/server.go (getContainerLogs) and
pkg/kubelet/kubelet_pods.go (validateContainerLogStatus: the words of the refusals).
Left out: the summary of statistics; authorization beyond a valid client certificate.
"""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from aiohttp import web

from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import forever
from kubelab.cluster.linux.listening import Listening, taking_in
from kubelab.cluster.node import resource_metrics
from kubelab.cluster.node.logs import LogOptions, read_log
from kubelab.cluster.node.record import ContainerRecord, PodRecord, Running, Terminated, Waiting
from kubelab.cluster.node.streaming import Streaming
from kubelab.cluster.node.worker import PodWorker
from kubelab.cluster.objects import Key, Object
from kubelab.cluster.runtime.cri import Runtime

SHUTDOWN_S = 0.1


class Node(Protocol):
    """What the server needs of its kubelet."""

    @property
    def runtime(self) -> Runtime: ...

    def worker(self, key: Key) -> PodWorker | None: ...

    def pods(self) -> list[Object]: ...

    def records(self) -> list[tuple[Object, PodRecord]]: ...

    def now(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class _Log:
    """One start's log file. `is_live`: more may be written to it."""

    path: Path
    restart_count: int


async def serve(listening: socket.socket, tls: ssl.SSLContext | None, node: Node) -> None:
    """Serve until cancelled; *listening* is taken over."""
    server = _Server(node)
    application = web.Application()
    application.router.add_get("/healthz", server.health)
    application.router.add_get("/pods", server.pods)
    application.router.add_get("/metrics/resource", server.resource_metrics)
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", server.logs)
    Streaming(node).add_routes(application.router)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    assert runner.server is not None
    with Listening(listening) as taken:
        try:
            async with taking_in(runner.server, [taken], tls):
                await forever()
        finally:
            await runner.cleanup()
            taken.hang_up()  # On those who have not even said who they are.


class _Server:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def pods(self, _request: web.Request) -> web.Response:
        items = self._node.pods()
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def resource_metrics(self, _request: web.Request) -> web.Response:
        node = self._node
        text = resource_metrics.exposition(node.records(), await node.runtime.statistics(), node.now())
        return web.Response(body=text.encode(), headers={"Content-Type": resource_metrics.CONTENT_TYPE})

    async def logs(self, request: web.Request) -> web.StreamResponse:
        try:
            options = log_options(request.query, self._node.now())
            worker, name = self._container(request)
            log = find_log(worker, name, previous=_flag(request.query, "previous"))
        except ApiError as refusal:
            return web.Response(text=refusal.message, status=refusal.code)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await _send(response, worker, name, log, options)
        return response

    def _container(self, request: web.Request) -> tuple[PodWorker, str]:
        place = request.match_info
        worker = self._node.worker(Key(place["namespace"], place["pod"]))
        if worker is None:
            raise ApiError(404, "NotFound", f'pod "{place["namespace"]}/{place["pod"]}" does not exist here')
        if place["container"] not in worker.record.containers:
            message = f"container {place['container']} is not valid for pod {place['pod']}"
            raise ApiError(400, "BadRequest", message)
        return worker, place["container"]


async def _send(
    response: web.StreamResponse, worker: PodWorker, name: str, log: _Log, options: LogOptions
) -> None:
    def is_over() -> bool:
        container = worker.record.containers[name]
        return container.restart_count != log.restart_count or not isinstance(container.state, Running)

    async with worker.changes() as changed:
        try:
            async for shown in read_log(log.path, options, changed, is_over):
                await response.write(shown)
            await response.write_eof()
        except FileNotFoundError:
            await response.write_eof()
        except ConnectionError:
            return  # The reader went away.


def find_log(worker: PodWorker, name: str, *, previous: bool) -> _Log:
    """Return the log of the current start, or of the one before.

    Raises:
        ApiError: there is none yet, in upstream's words.
    """
    container = worker.record.containers[name]
    pod = worker.pod["metadata"]["name"]
    count = _previous_count(container) if previous else _current_count(container)
    if count is not None:
        return _Log(worker.log_path(name, count), count)
    if previous:
        message = f'previous terminated container "{name}" in pod "{pod}" not found'
    else:
        message = f'container "{name}" in pod "{pod}" is waiting to start: {_waits_for(container)}'
    raise ApiError(400, "BadRequest", message)


def _current_count(container: ContainerRecord) -> int | None:
    """While a container waits for its next start, its last one's log is the current one."""
    started = not isinstance(container.state, Waiting) or container.last is not None
    return container.restart_count if started else None


def _previous_count(container: ContainerRecord) -> int | None:
    if isinstance(container.state, Waiting) and isinstance(container.last, Terminated):
        return container.restart_count
    return container.restart_count - 1 if container.last is not None else None


def _waits_for(container: ContainerRecord) -> str:
    reason = container.state.reason if isinstance(container.state, Waiting) else ""
    return "trying and failing to pull image" if "Pull" in reason else reason or "ContainerCreating"


def log_options(query: Mapping[str, str], now: datetime) -> LogOptions:
    """Read the query as PodLogOptions.

    Raises:
        ApiError: a number is none.
    """
    since_s, since_time = _number(query, "sinceSeconds"), query.get("sinceTime")
    since = now - timedelta(seconds=since_s) if since_s is not None else None
    try:
        since = datetime.fromisoformat(since_time) if since_time else since
    except ValueError as error:
        raise ApiError(400, "BadRequest", f"sinceTime: {error}") from error
    if since is not None and since.tzinfo is None:
        raise ApiError(400, "BadRequest", f"sinceTime: {since_time!r} has no time zone")
    return LogOptions(
        follow=_flag(query, "follow"),
        tail_lines=_number(query, "tailLines"),
        since=since,
        timestamps=_flag(query, "timestamps"),
        limit_bytes=_number(query, "limitBytes"),
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not text.isdecimal():
        raise ApiError(400, "BadRequest", f"{name}: {text!r} is not a number of 0 or more")
    return int(text)
