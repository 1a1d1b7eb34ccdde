"""The API `metrics.k8s.io`, which `kubectl top` and autoscalers ask: a metrics-server within the API server.

Every 15 s each node's kubelet is asked what its pods use; the last two readings of each are kept, and nothing
in the store. Upstream it is a server of its own that the API server stands before (aggregation).
Source: kubernetes-sigs/metrics-server, pkg/scraper/scraper.go, pkg/api; `usage` has what is computed.
Left out: the APIService by which upstream's server knows of it.
"""

import asyncio
from collections.abc import Callable, Mapping

import aiohttp

from kubelab.cluster.apiserver import columns, refusals, transcoding, usage
from kubelab.cluster.apiserver.forms import View
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.logs import Kubelets, address_of
from kubelab.cluster.apiserver.negotiation import Accepted, Form, accepted
from kubelab.cluster.apiserver.persistence import persistently
from kubelab.cluster.apiserver.queries import flag
from kubelab.cluster.apiserver.registry import ListOptions, Registry
from kubelab.cluster.apiserver.resources import Answer
from kubelab.cluster.apiserver.usage import Reading
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, Object, Resource

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
SCRAPE_EVERY_S = 15  # metrics-server's --metric-resolution.
_ANSWERS_S = 10
# As which upstream's refusals know them.
_NODE_METRICS = Resource(GROUP, VERSION, "nodemetrics", "NodeMetrics", namespaced=False)
_POD_METRICS = Resource(GROUP, VERSION, "podmetrics", "PodMetrics", namespaced=True)
_Measure = Callable[[Object], Object | None]


def _kind(plural: str, name: str, *, namespaced: bool) -> Kind:
    return Kind(
        Resource(GROUP, VERSION, plural, name, namespaced=namespaced),
        f"k8s.io/metrics/pkg/apis/metrics/v1beta1.{name}",
        "",
        (columns.NAME, columns.Column("cpu"), columns.Column("memory"), columns.Column("Window")),
        usage.cells,
        verbs=("get", "list"),
    )


KINDS = (_kind("nodes", "NodeMetrics", namespaced=False), _kind("pods", "PodMetrics", namespaced=True))
"""For discovery, schemas and tables: the registry keeps nothing of them."""
_NODE_KIND, _POD_KIND = KINDS


class MetricsApi:
    """`run` it; until the second reading there are no figures."""

    def __init__(self, registry: Registry, kubelets: Kubelets) -> None:
        self._registry = registry
        self._kubelets = kubelets
        self._readings: dict[str, tuple[Reading, Reading]] = {}

    async def run(self) -> None:
        while True:
            await persistently(self._registry.clock, "measuring the nodes", self.scrape)
            await self._registry.clock.sleep(SCRAPE_EVERY_S)

    async def scrape(self) -> None:
        """Ask every kubelet once; what one has said stays while it does not answer."""
        page = await self._registry.list(self._registry.kinds[NODES])
        nodes = {version.object["metadata"]["name"]: version.object for version in page.versions}
        self._readings = {name: kept for name, kept in self._readings.items() if name in nodes}
        async with asyncio.TaskGroup() as group:
            for name, node in nodes.items():
                group.create_task(self._ask(name, node))

    async def _ask(self, name: str, node: Object) -> None:
        try:
            async with asyncio.timeout(_ANSWERS_S):
                text = await self._kubelets.resource_metrics(address_of(node))
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError):
            return
        _, last = self._readings.get(name, (Reading(), Reading()))
        self._readings[name] = (last, usage.read(text))

    async def answer(self, path: str, query: Mapping[str, str], accept: str) -> Answer | None:
        """Return what is at *path*, None if it is no resource of this API; raises ApiError 404."""
        if (found := await self._found(path, query)) is None:
            return None
        wanted, kind = accepted(accept), _POD_KIND if found["kind"].startswith("Pod") else _NODE_KIND
        include = query.get("includeObject") or "Metadata"
        now = self._registry.clock.now()
        view = View(kind, wanted.form, now, include, meta_version=wanted.meta_version)
        body = transcoding.transcoded(encode(_shown(found, wanted, view)), wanted.media_type, kind)
        return Answer(200, body, media_type=wanted.media_type)

    async def _found(self, path: str, query: Mapping[str, str]) -> Object | None:
        match path.removeprefix(f"/apis/{GROUP}/{VERSION}/").split("/"):
            case ["nodes"]:
                return await self._list(NODES, "", query, "NodeMetricsList", self._of_node)
            case ["nodes", name]:
                return await self._get(NODES, "", name, self._of_node)
            case ["pods"]:
                return await self._list(PODS, "", query, "PodMetricsList", self._of_pod)
            case ["namespaces", namespace, "pods"]:
                return await self._list(PODS, namespace, query, "PodMetricsList", self._of_pod)
            case ["namespaces", namespace, "pods", name]:
                return await self._get(PODS, namespace, name, self._of_pod)
        return None

    async def _list(
        self, resource: Resource, namespace: str, query: Mapping[str, str], kind: str, measure: _Measure
    ) -> Object:
        if flag(query, "watch"):
            raise refusals.method_not_allowed(_NODE_METRICS if resource == NODES else _POD_METRICS, "watch")
        select = ListOptions(query.get("labelSelector", ""), query.get("fieldSelector", ""))
        page = await self._registry.list(self._registry.kinds[resource], namespace, select)
        found = [measure(version.object) for version in page.versions]
        items = [each for each in found if each]
        return {"kind": kind, "apiVersion": usage.API_VERSION, "metadata": {}, "items": items}

    async def _get(self, resource: Resource, namespace: str, name: str, measure: _Measure) -> Object:
        obj = (await self._registry.get(self._registry.kinds[resource], namespace, name)).object
        if (measured := measure(obj)) is None:
            whole = f"{namespace}/{name}" if namespace else name
            raise refusals.not_found(_NODE_METRICS if resource == NODES else _POD_METRICS, whole)
        return measured

    def _of_node(self, node: Object) -> Object | None:
        readings = self._readings.get(node["metadata"]["name"])
        return usage.node_metrics(node, readings, self._registry.clock.now()) if readings else None

    def _of_pod(self, pod: Object) -> Object | None:
        readings = self._readings.get(pod["spec"].get("nodeName", ""))
        return usage.pod_metrics(pod, readings, self._registry.clock.now()) if readings else None


def _shown(found: Object, wanted: Accepted, view: View) -> Object:
    """Return an object or a list of this API in the form that is *wanted*."""
    items = found.get("items", [found])
    if wanted.form is Form.TABLE:
        return view.table(items, {})
    if wanted.form is Form.PARTIAL_LIST:
        return view.partial_list(items, {})
    return view.partial(found) if wanted.form is Form.PARTIAL else found
