"""The kubelet's signs of life: registers the Node, renews its lease every 10 s, its status every 5 minutes.

The first sign after a silence repairs what the node lifecycle controller wrote meanwhile: a change of the
Node by others that contradicts us is answered at once.

Source: kubernetes, pkg/kubelet/kubelet_node_status.go (registerWithAPIServer, tryUpdateNodeStatus).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.backoff import Backoff
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock, rfc3339_micro
from kubelab.cluster.errors import ApiError
from kubelab.cluster.node.config import HostFacts, KubeletConfig
from kubelab.cluster.node.registration import (
    LEASE_NAMESPACE,
    labels,
    lease,
    new_node,
    node_status,
    pod_cidr,
)
from kubelab.cluster.objects import LEASES, NODES, Key, Object, labels_of
from kubelab.cluster.pods import condition_of

logger = logging.getLogger(__name__)

RENEW_S = 10.0
REPORT_S = 300.0
RETRY_BACKOFF = Backoff(first_s=0.05, max_s=2.0)


class NodeReporter:
    def __init__(
        self, config: KubeletConfig, facts: HostFacts, api: Api, clock: Clock, events: EventRecorder
    ) -> None:
        self._config = config
        self._facts = facts
        self._api = api
        self._clock = clock
        self._events = events
        self._contradicted = asyncio.Event()
        self._node = Informer(api, NODES, clock=clock, field_selector=f"metadata.name={config.node_name}")

    async def run(self) -> None:
        """Report until cancelled."""
        node = await self._persistently(self._register)
        self._events.record(NODES, node, "Normal", "Starting", "Starting kubelet.")
        self._node.on_change(self._on_change)
        async with self._node, asyncio.TaskGroup() as group:
            group.create_task(self._renew_lease())
            group.create_task(self._report())

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        ready = condition_of(new, "Ready") if new else None
        if ready is not None and ready["status"] != "True":
            self._contradicted.set()

    async def _register(self) -> Object:
        """Create the Node, or bring the one that is there up to date."""
        now = self._clock.now()
        try:
            return await self._api.create(NODES, new_node(self._config, self._facts, now))
        except ApiError as refusal:
            if refusal.reason != "AlreadyExists":
                raise
        node = await self._api.get(NODES, "", self._config.node_name)
        if not labels(self._config, self._facts).items() <= labels_of(node).items():
            patch = {
                "metadata": {"labels": labels(self._config, self._facts)},
                "spec": pod_cidr(self._config),
            }
            node = await self._api.patch(NODES, "", self._config.node_name, patch)
        return await self._write_status(node)

    async def _write_status(self, node: Object) -> Object:
        conditions = node.get("status", {}).get("conditions") or []
        status = node_status(self._config, self._facts, conditions, self._clock.now())
        return await self._api.patch(
            NODES, "", self._config.node_name, {"status": status}, subresource="status"
        )

    async def _report(self) -> None:
        while True:
            await self._wait_for_report()
            await self._persistently(self._refresh)

    async def _refresh(self) -> Object:
        """Write the status anew. As upstream, a deleted Node comes back only when the kubelet restarts."""
        node = self._node.get(Key("", self._config.node_name))
        return await self._write_status(node) if node else {}

    async def _wait_for_report(self) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(REPORT_S))
        contradicted = asyncio.ensure_future(self._contradicted.wait())
        try:
            await asyncio.wait((timer, contradicted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            contradicted.cancel()
        self._contradicted.clear()

    async def _renew_lease(self) -> None:
        while True:
            await self._persistently(self._renew)
            await self._clock.sleep(RENEW_S)

    async def _renew(self) -> Object:
        name, now = self._config.node_name, self._clock.now()
        try:
            patch = {"spec": {"renewTime": rfc3339_micro(now)}}
            return await self._api.patch(LEASES, LEASE_NAMESPACE, name, patch)
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise
        node = await self._api.get(NODES, "", name)
        return await self._api.create(LEASES, lease(self._config, node, now))

    async def _persistently(self, write: Callable[[], Awaitable[Object]]) -> Object:
        """Try again until it works: a node whose API server is away goes on."""
        failures = 0
        while True:
            try:
                return await write()
            except (ApiError, ConnectionError) as failure:
                failures += 1
                log = logger.warning if failures == 1 else logger.debug
                log("node %s: %s; trying again", self._config.node_name, failure)
            await self._clock.sleep(RETRY_BACKOFF.delay_s(failures))
