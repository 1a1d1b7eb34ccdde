"""How quick the API server is over HTTPS: creations, reads, lists of 1,000, watches (`kubelab bench api`).

The server runs alone in a process of its own, its clients in others, so its CPU time and memory are its own;
its store is in that process, too, and writes to the disk.
The peer is any other API server, named by a kubeconfig: the same clients ask it for the same in the same run.
"""

import asyncio
import contextlib
import json
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from kubelab.cli.api_client import Connection
from kubelab.cli.measurements import Figure, figure
from kubelab.cluster.client import kubeconfig
from kubelab.cluster.errors import LabError
from kubelab.cluster.objects import Object
from kubelab.language import Text

CLIENTS = (1, 8)
DURATION_S = 3.0
LISTED = 1000
LATENCIES = 100
IDLE_WATCHES, ACTIVE_WATCHES = 1000, 100
IDLE_S = 3.0
NAMESPACE = "kubelab-bench"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
CONFIGMAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


@dataclass(frozen=True, slots=True)
class Server:
    """`where` is how a client reaches it: server, ca, certificate and key."""

    where: dict[str, str]
    process: psutil.Process | None

    def cpu_s(self) -> float:
        if self.process is None:
            return 0.0
        times = self.process.cpu_times()
        return float(times.user + times.system)


Rows = list[tuple[str, str, float]]


async def measure(place: Path, runs: int, peer: Path | None = None) -> list[Figure]:
    """Return the figures of this server, beside those of the one that the kubeconfig *peer* names."""
    ours, theirs = _Values(), _Values()
    for run in range(runs):
        async with _served(place / str(run)) as server:
            ours.add(await _rows(server))
        if peer:
            theirs.add(await _rows(_peer(peer, place / "peer")))
    return [
        _figure(name, unit, values, str(peer or ""), theirs.of.get((name, unit), []))
        for (name, unit), values in ours.of.items()
    ]


class _Values:
    """What was measured in several runs, by name and unit."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], list[float]] = {}

    def add(self, rows: Rows) -> None:
        for name, unit, value in rows:
            self.of.setdefault((name, unit), []).append(value)


def _figure(name: str, unit: str, values: Sequence[float], peer: str, peers: Sequence[float]) -> Figure:
    made = figure(name, unit, values, peer, peers)
    return replace(made, worst=min(values)) if unit.startswith("/") else made


@asynccontextmanager
async def _served(place: Path) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kubelab.cli.api_server", str(place)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        where = json.loads(await process.stdout.readline())
        yield Server(where, psutil.Process(process.pid))
    finally:
        process.stdin.close()
        await process.wait()


def _peer(path: Path, place: Path) -> Server:
    """Return the server that the kubeconfig at *path* names; its certificates are written to *place*."""
    config = kubeconfig.read(path)
    place.mkdir(exist_ok=True)
    files = {"ca": config.ca_pem, "certificate": config.certificate_pem, "key": config.key_pem}
    for name, pem in files.items():
        (place / name).write_bytes(pem)
        (place / name).chmod(0o600)
    return Server({"server": config.server} | {name: str(place / name) for name in files}, None)


async def _rows(server: Server) -> Rows:
    """Measure everything once; what was made is gone afterwards."""
    await asyncio.to_thread(_prepare, server)
    try:
        rows: Rows = []
        for clients in CLIENTS:
            rows += await _throughput(server, "get a pod", "get", f"{PODS}/first", clients)
        for clients in CLIENTS:
            path = f"{CONFIGMAPS}?limit={LISTED}"
            rows += await _throughput(server, f"list {LISTED} ConfigMaps", "get", path, clients)
        rows += _memory(server, f"memory of the server with {LISTED} ConfigMaps")
        for clients in CLIENTS:
            rows += await _throughput(server, "create a pod", "create", PODS, clients)
        rows += _memory(server, "… and with the pods that were created")
        rows += await _latencies(server)
        return rows + await _watches(server)
    finally:
        await asyncio.to_thread(_tidy, server)


def _memory(server: Server, name: str) -> Rows:
    """Return what the server has for itself alone, its store included."""
    return [(name, "MiB", server.process.memory_full_info().uss / 2**20)] if server.process else []


def _prepare(server: Server) -> None:
    connection = Connection(server.where)
    _made(connection, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    _made(connection, f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
    _made(connection, PODS, _pod("first"))
    for number in range(LISTED):
        _made(connection, CONFIGMAPS, _configmap(f"settings-{number}"))


def _made(connection: Connection, path: str, body: Object) -> None:
    connection.send("POST", path, json.dumps(body).encode())
    status, answer = connection.receive()
    if status not in {201, 409, 404}:  # The account may be there, or its kind may not be served.
        raise LabError(f"{path}: {status}: {answer[:300].decode(errors='replace')}")


def _tidy(server: Server) -> None:
    connection = Connection(server.where)
    for path in (PODS, CONFIGMAPS):
        connection.send("DELETE", f"{path}?gracePeriodSeconds=0")
        connection.receive()
    connection.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    connection.receive()


async def _throughput(server: Server, what: str, act: str, path: str, clients: int) -> Rows:
    """Let *clients* do the same for `DURATION_S`; return how many a second, and how many a CPU second."""
    plans = [
        {
            "act": act,
            "path": path,
            "duration_s": DURATION_S,
            "prefix": f"c{clients}-{n}",
            "body": _pod("@NAME@"),
        }
        for n in range(clients)
    ]
    before_s = server.cpu_s()
    results = await _together(server, plans)
    cpu_s = server.cpu_s() - before_s
    done = sum(each["done"] for each in results)
    name = f"{what}, {clients} client{'s' if clients > 1 else ''}"
    rows: Rows = [(name, "/s", sum(each["done"] / each["took_s"] for each in results))]
    return rows + ([(f"{name}: per CPU second", "/s", done / cpu_s)] if server.process else [])


async def _latencies(server: Server) -> Rows:
    """Return how long after a creation was sent its event is at a watcher."""
    plan = {"act": "latency", "path": PODS, "body": _pod("@NAME@"), "prefix": "seen", "count": LATENCIES}
    (result,) = await _together(server, [plan | {"pause_s": 0.005, "revision": await _revision(server)}])
    times_ms = sorted(each * 1000 for each in result["latencies_s"])
    p99 = times_ms[int(len(times_ms) * 0.99) - 1]
    return [("request to watch event", "ms", statistics.median(times_ms)), ("… at p99", "ms", p99)]


async def _watches(server: Server) -> Rows:
    """Return what idle watches cost, and what an event costs that 100 watchers are told of."""
    if server.process is None:
        return []
    rows: Rows = []
    revision = await _revision(server)
    memory = server.process.memory_full_info().uss
    idle = {"act": "watch", "path": PODS, "revision": revision, "count": IDLE_WATCHES, "reads": False}
    async with _client(server, idle) as (go, _):
        go()
        await asyncio.sleep(0.5)
        before_s = server.cpu_s()
        await asyncio.sleep(IDLE_S)
        share = (server.cpu_s() - before_s) / IDLE_S * 100
        rows.append((f"{IDLE_WATCHES} idle watches: share of one core", "%", share))
        kib = (server.process.memory_full_info().uss - memory) / IDLE_WATCHES / 1024
        rows.append(("… memory of each, TLS connection included", "KiB", kib))
    active = idle | {"count": ACTIVE_WATCHES, "reads": True, "revision": await _revision(server)}
    plan = {"act": "create", "path": PODS, "duration_s": DURATION_S, "body": _pod("@NAME@"), "prefix": "w"}
    async with _client(server, active) as (go, _):
        go()
        before_s = server.cpu_s()
        (result,) = await _together(server, [plan])
        each_ms = (server.cpu_s() - before_s) / result["done"] * 1000
    return [*rows, (f"CPU of a creation that {ACTIVE_WATCHES} watch", "ms", each_ms)]


async def _revision(server: Server) -> str:
    def asked() -> str:
        connection = Connection(server.where)
        connection.send("GET", f"{PODS}?limit=1")
        _, body = connection.receive()
        return str(json.loads(body)["metadata"]["resourceVersion"])

    return await asyncio.to_thread(asked)


async def _together(server: Server, plans: Sequence[Object]) -> list[Object]:
    """Let a client carry out each of *plans*, all from the same moment on."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(_client(server, plan)) for plan in plans]
        for go, _ in clients:
            go()
        return [await result() for _, result in clients]


@asynccontextmanager
async def _client(
    server: Server, plan: Object
) -> AsyncIterator[tuple[Callable[[], None], Callable[[], Coroutine[Any, Any, Object]]]]:
    """Start a client with *plan*; yields what lets it begin, and what then waits for its result."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kubelab.cli.api_client"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    try:
        stdin.write(json.dumps(server.where | plan).encode() + b"\n")
        if (await stdout.readline()).strip() != b"ready":
            raise LabError(_CLIENT_FAILED)

        async def result() -> Object:
            if not (line := await stdout.readline()):
                raise LabError(_CLIENT_FAILED)
            answered: Object = json.loads(line)
            return answered

        yield lambda: stdin.write(b"go\n"), result
    finally:
        stdin.close()
        await process.wait()


def _pod(name: str) -> Object:
    """Return a pod of some 1.5 kB as it is stored, which no scheduler cares for."""
    container = {
        "name": "server",
        "image": "kubelab/web:1",
        "env": [{"name": f"SETTING_{n}", "value": "x" * 16} for n in range(6)],
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
    }
    spec = {"schedulerName": "nobody", "containers": [container]}
    metadata = {"name": name, "labels": {"app": "bench", "tier": "backend"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _configmap(name: str) -> Object:
    data = {f"setting-{n}": "x" * 64 for n in range(16)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


_CLIENT_FAILED = Text(
    es="Un cliente de la medición terminó con un error, que está arriba: repítela.",
    en="A client of the measurement ended with an error, which is above: try again.",
)
