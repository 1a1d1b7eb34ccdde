"""From readings of kubelets to what `kubectl top` shows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
from aiohttp import web
from api_manifests import node, on, pod
from served_cluster import Cluster, admin, serving

from kubelab.cluster.apiserver import pki, protobuf, usage
from kubelab.cluster.apiserver.negotiation import PROTOBUF
from kubelab.cluster.apiserver.usage import Point, Reading
from kubelab.cluster.node.record import ContainerRecord, PodRecord, Running
from kubelab.cluster.node.resource_metrics import exposition
from kubelab.cluster.objects import NODES, PODS, Object
from kubelab.cluster.runtime.cri import Statistics, Usage

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
WEB: Object = {"metadata": {"name": "web", "namespace": "default", "uid": "u"}}
RECORD = PodRecord(MappingProxyType({"shell": ContainerRecord(Running("c", BEGAN))}), BEGAN)


def told(after_s: float) -> str:
    """Return what a kubelet says *after_s*: a container that uses a tenth of a core on a node at a half."""

    def used(cores: float, mebibytes: int) -> Usage:
        return Usage(cpu_us=round(after_s * cores * 1e6), memory_working_set_bytes=mebibytes << 20)

    statistics = Statistics({"u": used(0.2, 3)}, {"c": used(0.1, 2)}, used(0.5, 64))
    return exposition([(WEB, RECORD)], statistics, BEGAN + timedelta(seconds=after_s))


def running(*names: str) -> Object:
    statuses = [{"name": name, "state": {"running": {}}} for name in names]
    return WEB | {"status": {"containerStatuses": statuses}}


NOW = BEGAN + timedelta(seconds=40)
TWO = (usage.read(told(20)), usage.read(told(35)))


def test_a_pods_containers_are_measured_between_two_readings() -> None:
    assert usage.pod_metrics(running("shell"), TWO, NOW) == {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:40Z"},
        "timestamp": "2026-01-01T00:00:35Z",
        "window": "15.000s",
        "containers": [{"name": "shell", "usage": {"cpu": "100000000n", "memory": "2048Ki"}}],
    }


def test_a_node_is_measured_as_a_whole() -> None:
    measured = usage.node_metrics({"metadata": {"name": "minion-1"}}, TWO, NOW)
    assert measured
    assert measured["usage"] == {"cpu": "500000000n", "memory": "65536Ki"}


@pytest.mark.parametrize(
    "readings", [(Reading(), TWO[1]), (TWO[1], TWO[1]), (TWO[1], TWO[0]), (TWO[0], Reading())]
)
def test_without_two_readings_nothing_is_told(readings: tuple[Reading, Reading]) -> None:
    assert usage.pod_metrics(running("shell"), readings, NOW) is None
    assert usage.node_metrics({"metadata": {"name": "minion-1"}}, readings, NOW) is None


def test_a_pod_is_told_of_when_all_of_it_was_measured() -> None:
    assert usage.pod_metrics(running("shell", "beside"), TWO, NOW) is None


@pytest.mark.parametrize(("started_s", "cores"), [(100.0, 0.2), (112.0, None)])
def test_a_container_that_began_meanwhile_is_measured_from_its_start(
    started_s: float, cores: float | None
) -> None:
    later = Point(at_s=115.0, cpu_s=3.0, memory_bytes=1.0, started_s=started_s)
    found = usage.between(Point(99.0, 7.0, 1.0, 5.0), later, last_reading_s=99.0)
    assert (found.cpu_cores if found else None) == cores


class StandIn:
    """A kubelet whose time stands still until `passes`: then 10 s go by with each reading."""

    def __init__(self) -> None:
        self.passes = False
        self.has_passed = asyncio.Event()
        self._now_s = 10.0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.path == "/metrics/resource"
        self._now_s += 10.0 if self.passes else 0
        if self._now_s > 40:  # Who asks once more has the two readings before.
            self.has_passed.set()
        return web.Response(text=told(self._now_s))


@asynccontextmanager
async def measured(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Cluster, StandIn]]:
    monkeypatch.setattr("kubelab.cluster.apiserver.metrics_api.SCRAPE_EVERY_S", 0.05)
    async with serving(home, measures=True) as cluster:
        kubelet = StandIn()
        server = web.Server(kubelet.answer)
        pair = cluster.authority.kubelet_server("minion-1", [pki.LOOPBACK])
        tls = pki.server_context(cluster.authority.certificate_path, pair)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=tls)
        port = listener.sockets[0].getsockname()[1]
        monkeypatch.setattr("kubelab.cluster.apiserver.logs.KUBELET_PORT", port)
        await fill(cluster)
        try:
            yield cluster, kubelet
        finally:
            listener.close()
            await server.shutdown(0.1)


async def fill(cluster: Cluster) -> None:
    here = node()
    here["status"] |= {
        "allocatable": {"cpu": "2", "memory": "1Gi"},
        "capacity": {"cpu": "2", "memory": "1Gi"},
    }
    await cluster.api.create(NODES, here)
    made = await cluster.api.create(PODS, pod())
    await cluster.api.create(PODS, on("minion-1"), subresource="binding")
    made = await cluster.api.get(PODS, "default", "web")
    status = {
        "containerStatuses": [{"name": "shell", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]
    }
    status["containerStatuses"][0] |= {"image": "a", "imageID": "", "ready": True, "restartCount": 0}
    await cluster.api.update(PODS, made | {"status": made["status"] | status}, subresource="status")


async def test_kubectl_top_prints_what_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with measured(tmp_path, monkeypatch) as (cluster, kubelet):
        assert await cluster.refused("top", "node") == "error: metrics not available yet"
        assert await cluster.refused("top", "pod", "web") == (
            'Error from server (NotFound): podmetrics.metrics.k8s.io "default/web" not found'
        )
        kubelet.passes = True
        await kubelet.has_passed.wait()
        printed = {
            what: await cluster.ok("top", *what.split()) for what in ("node", "pod", "pod --containers")
        }
        tables = [await cluster.ok("get", f"{what}.metrics.k8s.io") for what in ("nodes", "pods")]
        explained = await cluster.ok("explain", "pods.containers", "--api-version=metrics.k8s.io/v1beta1")
        assert "PodMetrics tells what a pod uses" in await cluster.ok(
            "explain", "pods", "--api-version=metrics.k8s.io/v1beta1"
        )
        as_message, refused = await asked(cluster, {"Accept": PROTOBUF}), await asked(cluster, {}, "?watch=1")
        served = await cluster.ok("api-resources", "--api-group=metrics.k8s.io", "--no-headers")
    assert {what: [line.split() for line in text.splitlines()] for what, text in printed.items()} == {
        "node": [
            ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"],
            ["minion-1", "500m", "25%", "64Mi", "6%"],
        ],
        "pod": [["NAME", "CPU(cores)", "MEMORY(bytes)"], ["web", "100m", "2Mi"]],
        "pod --containers": [
            ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"],
            ["web", "shell", "100m", "2Mi"],
        ],
    }
    head = ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert [[line.split() for line in table.splitlines()] for table in tables] == [
        [head, ["minion-1", "500m", "64Mi", "10.000s"]],
        [head, ["web", "100m", "2Mi", "10.000s"]],
    ]
    assert "usage\t<map[string]Quantity>" in explained
    assert protobuf.envelope(as_message)[:2] == ("metrics.k8s.io/v1beta1", "PodMetricsList")
    assert b"watch is not supported on resources of kind" in refused
    assert [line.split() for line in served.splitlines()] == [
        ["nodes", "metrics.k8s.io/v1beta1", "false", "NodeMetrics"],
        ["pods", "metrics.k8s.io/v1beta1", "true", "PodMetrics"],
    ]


async def asked(cluster: Cluster, headers: dict[str, str], query: str = "") -> bytes:
    path = f"/apis/metrics.k8s.io/v1beta1/pods{query}"
    async with admin(cluster) as session, session.get(path, headers=headers) as response:
        return await response.read()


async def test_who_may_view_a_namespace_sees_what_its_pods_use(tmp_path: Path) -> None:
    async with serving(tmp_path) as cluster:
        labels = "-o", "jsonpath={.metadata.labels}"
        told = await cluster.ok("get", "clusterrole", "system:aggregated-metrics-reader", *labels)
    for role in ("admin", "edit", "view"):
        assert f'"rbac.authorization.k8s.io/aggregate-to-{role}":"true"' in told


async def test_without_measures_kubectl_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as cluster:
        assert await cluster.refused("top", "pod") == "error: Metrics API not available"
