"""Writes a pod's status to the API: the newest only, as often as it changes, and until it has worked.

Source: kubernetes, pkg/kubelet/status/status_manager.go.
"""

import asyncio

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.backoff import Backoff
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.node.status import OWNED_CONDITIONS
from kubelab.cluster.objects import PODS, Object, key_of, revision_of, uid_of

RETRY_BACKOFF = Backoff(first_s=0.1, max_s=5.0)


class StatusWriter:
    """Life does not wait for it: `put` returns at once, and while the API is away the pod goes on."""

    def __init__(self, api: Api, clock: Clock, pod: Object) -> None:
        self._api = api
        self._clock = clock
        self._key = key_of(pod)
        self._uid = uid_of(pod)
        self._wanted: Object | None = None
        self._written: Object | None = None
        self._revision = 0  # Of our last write.
        self._changed = asyncio.Event()

    @property
    def last(self) -> Object | None:
        """The status that was put last, written or not."""
        return self._wanted

    def put(self, status: Object) -> None:
        if status != self._wanted:
            self._wanted = status
            self._changed.set()

    def compare(self, pod: Object) -> None:
        """Write again if somebody changed a condition of ours since our last write (a node that was taken
        for lost has its pods marked as not ready)."""
        if self._written is None or revision_of(pod) <= self._revision:
            return
        if _own(pod.get("status", {})) != _own(self._written):
            self._written = None
            self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.flush()

    async def flush(self) -> None:
        """Return when the newest status is written, or the pod is gone."""
        failures = 0
        while self._wanted is not None and self._wanted != self._written:
            status = self._wanted
            try:
                await self._write(status)
            except ConnectionError:
                failures += 1
            except ApiError as refusal:
                if refusal.is_not_found or refusal.is_conflict:  # Gone, or another pod has its name.
                    self._written = status
                    return
                failures += 1
            else:
                self._written, failures = status, 0
            if failures:
                await self._clock.sleep(RETRY_BACKOFF.delay_s(failures))

    async def _write(self, status: Object) -> None:
        patch = {"metadata": {"uid": self._uid}, "status": status}
        written = await self._api.patch(PODS, *self._key, patch, subresource="status")
        self._revision = revision_of(written)


def _own(status: Object) -> dict[str, str]:
    conditions = status.get("conditions") or ()
    return {c["type"]: c["status"] for c in conditions if c["type"] in OWNED_CONDITIONS}
