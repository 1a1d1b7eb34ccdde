"""The node lifecycle controller: a silent node becomes Unknown and tainted, its pods unready.

`heartbeat` judges; here it is written down.

Source: kubernetes, pkg/controller/nodelifecycle/node_lifecycle_controller.go and
pkg/controller/util/node/controller_utils.go (MarkPodsNotReady).
Left out: the eviction of pods from tainted nodes; zones and the slower pace when many nodes are lost.
"""

from collections.abc import Iterable

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.heartbeat import (
    MONITOR_S,
    Sign,
    lost_conditions,
    noticed,
    ready_status,
    silence_left_s,
    wanted_taints,
)
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, Key, Object, key_of
from kubelab.cluster.pods import is_ready, observed_generation, with_condition

LEASE_NAMESPACE = "kube-node-lease"
NODE_INDEX = "node"


def node_name(pod: Object) -> Iterable[str]:
    """The index by which a node's pods are found."""
    name = pod.get("spec", {}).get("nodeName")
    return (name,) if name else ()


def _node_of_lease(lease: Object) -> Iterable[Key]:
    if key_of(lease).namespace == LEASE_NAMESPACE:
        yield Key("", key_of(lease).name)


class NodeLifecycleController:
    def __init__(
        self, api: Api, clock: Clock, nodes: Informer, leases: Informer, pods: Informer, events: EventRecorder
    ) -> None:
        self._api = api
        self._clock = clock
        self._nodes = nodes
        self._leases = leases
        self._pods = pods
        self._events = events
        self._signs: dict[Key, Sign] = {}

    async def run(self) -> None:
        sources = [Source(self._nodes), Source(self._leases, _node_of_lease)]
        await self._pods.wait_synced()
        await Controller("node-lifecycle", self.reconcile, sources, clock=self._clock).run()

    async def reconcile(self, key: Key) -> float | None:
        node = self._nodes.get(key)
        if node is None:
            self._signs.pop(key, None)
            return None
        now_s = self._clock.monotonic_s()
        lease = self._leases.get(Key(LEASE_NAMESPACE, key.name))
        sign = self._signs[key] = noticed(self._signs.get(key), node, lease, now_s)
        left_s = silence_left_s(sign, now_s)
        if left_s <= 0:
            node = await self._write_lost(node)
        await self._keep_taints(node)
        if ready_status(node) != "True":
            await self._mark_pods(key.name)
        return left_s if left_s > 0 else MONITOR_S

    async def _write_lost(self, node: Object) -> Object:
        conditions = lost_conditions(node, self._clock.now())
        if conditions is None:
            return node
        was_ready = ready_status(node) == "True"
        status = node.get("status", {}) | {"conditions": conditions}
        written = await self._api.update(NODES, node | {"status": status}, subresource="status")
        if was_ready:
            message = f"Node {key_of(node).name} status is now: NodeNotReady"
            self._events.record(NODES, node, "Normal", "NodeNotReady", message)
        return written

    async def _keep_taints(self, node: Object) -> None:
        taints = wanted_taints(node, self._clock.now())
        if taints == (node["spec"].get("taints") or []):
            return
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints or None},
        }
        await self._api.patch(NODES, *key_of(node), patch)

    async def _mark_pods(self, node: str) -> None:
        for pod in self._pods.by_index(NODE_INDEX, node):
            if is_ready(pod):
                await self._mark(pod)

    async def _mark(self, pod: Object) -> None:
        unready = {"type": "Ready", "status": "False", "lastProbeTime": None, "reason": "NodeNotReady"}
        unready |= observed_generation(pod)
        conditions = with_condition(pod["status"]["conditions"], unready, self._clock.now())
        status = pod["status"] | {"conditions": conditions}
        try:
            await self._api.update(PODS, pod | {"status": status}, subresource="status")
        except ApiError as refusal:
            if not (refusal.is_not_found or refusal.is_conflict):
                raise
        else:
            self._events.record(PODS, pod, "Warning", "NodeNotReady", "Node is not ready")
