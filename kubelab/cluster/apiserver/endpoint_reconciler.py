"""Keeps the endpoints of the service `kubernetes` at the API servers that live.

Each server renews a key of its own in the store every `INTERVAL_S`; one whose key has not changed for
`LEASE_S` is taken out by the others, one that ends in order takes itself out.
Source: kubernetes, pkg/controlplane/reconcilers/lease.go and
pkg/controlplane/controller/kubernetesservice/controller.go (intervals: pkg/controlplane/instance.go).
Upstream lets a lease of etcd's end the keys; here whoever reads them goes by when it saw them change, which
needs nothing of the store and trusts nobody's clock.
"""

import logging
from ipaddress import IPv4Address

from kubelab.cluster.apiserver import kubernetes_service
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.errors import ApiError
from kubelab.cluster.store.protocol import Compare, Delete, Put

INTERVAL_S = 10.0
LEASE_S = 15.0
PREFIX = b"/registry/masterleases/"

logger = logging.getLogger(__name__)


class EndpointReconciler:
    """*address* and *port* are where the server of *registry* answers."""

    def __init__(self, registry: Registry, address: IPv4Address, port: int) -> None:
        self._registry = registry
        self._address = str(address)
        self._port = port
        self._seen: dict[bytes, tuple[int, float]] = {}  # A key's last revision, and when it was seen first.

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            try:
                await self.reconcile()
            except ApiError as refusal:
                logger.warning("endpoints of the service kubernetes: %s; trying again", refusal)
            await self._registry.clock.sleep(INTERVAL_S)

    async def reconcile(self) -> None:
        """Renew this server's own key, and publish who is there."""
        key = PREFIX + self._address.encode()
        await self._registry.store.txn([], [Put(key, _lease(self._address))])
        await self._publish(await self._living())

    async def remove(self) -> None:
        """Take this server out: it ends."""
        await self._registry.store.txn([], [Delete(PREFIX + self._address.encode())])
        await self._publish(await self._living())

    async def _publish(self, living: list[str]) -> None:
        """As upstream, never publish that nobody is there."""
        if living:
            await kubernetes_service.publish(self._registry, list(map(IPv4Address, living)), self._port)

    async def _living(self) -> list[str]:
        """Return the addresses of those that renew their keys; remove the keys of the others."""
        result = await self._registry.store.range(PREFIX)
        self._note({kv.key: kv.mod_revision for kv in result.kvs})
        limit_s = self._registry.clock.monotonic_s() - LEASE_S
        living = [key for key, (_, since_s) in self._seen.items() if since_s > limit_s]
        for key in self._seen.keys() - set(living):
            revision, _ = self._seen.pop(key)
            await self._registry.store.txn([Compare(key, revision)], [Delete(key)])
        return sorted(key.removeprefix(PREFIX).decode() for key in living)

    def _note(self, revisions: dict[bytes, int]) -> None:
        now_s = self._registry.clock.monotonic_s()
        self._seen = {
            key: self._seen[key] if self._seen.get(key, (0, 0.0))[0] == revision else (revision, now_s)
            for key, revision in revisions.items()
        }


def _lease(address: str) -> bytes:
    subsets = [{"addresses": [{"ip": address}]}]
    return encode({"kind": "Endpoints", "apiVersion": "v1", "metadata": {}, "subsets": subsets})
