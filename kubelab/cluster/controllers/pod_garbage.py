"""Pod garbage: a pod whose node is gone for good is removed, or its ReplicaSet would count on it for ever.

Source: kubernetes, pkg/controller/podgc/gc_controller.go (gcOrphaned).
Left out: the limit on finished pods, and pods that end on nodes that are out of service.
"""

from collections.abc import Iterable

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.node_lifecycle import NODE_INDEX, node_name
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, Key, Object, key_of, uid_of

QUARANTINE_S = 40.0  # A node that comes back within it keeps its pods.


class PodGarbageCollector:
    """The keys are nodes': those that pods name, and those that change."""

    def __init__(self, api: Api, clock: Clock, nodes: Informer, pods: Informer) -> None:
        self._api = api
        self._clock = clock
        self._nodes = nodes
        self._pods = pods
        self._missing_since_s: dict[Key, float] = {}

    async def run(self) -> None:
        sources = [Source(self._nodes), Source(self._pods, _node_of_pod)]
        await Controller("pod-garbage-collector", self.reconcile, sources, clock=self._clock).run()

    async def reconcile(self, key: Key) -> float | None:
        pods = self._pods.by_index(NODE_INDEX, key.name)
        if self._nodes.get(key) is not None or not pods:
            self._missing_since_s.pop(key, None)
            return None
        now_s = self._clock.monotonic_s()
        left_s = self._missing_since_s.setdefault(key, now_s) + QUARANTINE_S - now_s
        if left_s > 0:
            return left_s
        if not await self._exists(key.name):
            for pod in pods:
                await self._delete(pod)
        return None

    async def _exists(self, name: str) -> bool:
        """Ask: the cache may be behind."""
        try:
            await self._api.get(NODES, "", name)
        except ApiError as refusal:
            if refusal.is_not_found:
                return False
            raise
        return True

    async def _delete(self, pod: Object) -> None:
        try:
            await self._api.delete(PODS, *key_of(pod), grace_period_s=0, uid=uid_of(pod))
        except ApiError as refusal:
            if not (refusal.is_not_found or refusal.is_conflict):
                raise


def _node_of_pod(pod: Object) -> Iterable[Key]:
    return (Key("", name) for name in node_name(pod))
