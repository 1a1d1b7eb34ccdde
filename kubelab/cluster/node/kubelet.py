"""The kubelet: runs the pods that are bound to its node, and tells the cluster how they are.

It reacts to the watch at once and polls nothing. While the API cannot be reached, the pods go on.

Source: kubernetes, pkg/kubelet/kubelet.go (syncLoop).
Left out: static pods, probes (a later issue: a container that runs is ready), eviction, garbage collection of
logs and images; a restarted kubelet starts its pods' containers anew, because the runtime keeps no list.
"""

import asyncio
import logging
import socket
import ssl
from datetime import datetime

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.node.admission import Refusal, refusal, refused_before
from kubelab.cluster.node.config import KubeletConfig, host_facts
from kubelab.cluster.node.exits import Exits
from kubelab.cluster.node.object_cache import ObjectCache
from kubelab.cluster.node.record import PodRecord
from kubelab.cluster.node.reporter import NodeReporter
from kubelab.cluster.node.server import serve
from kubelab.cluster.node.worker import Host, PodWorker
from kubelab.cluster.objects import PODS, Key, Object, key_of, uid_of
from kubelab.cluster.runtime.cri import Runtime

logger = logging.getLogger(__name__)


class Kubelet:
    def __init__(self, config: KubeletConfig, api: Api, runtime: Runtime, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._runtime = runtime
        self._events = EventRecorder(api, clock, "kubelet", config.node_name)
        objects = ObjectCache(api, clock)
        self._host = Host(config, api, runtime, clock, self._events, Exits(), objects)
        self._reporter = NodeReporter(config, host_facts(), api, clock, self._events)
        selector = f"spec.nodeName={config.node_name}"
        self._pods = Informer(api, PODS, clock=clock, field_selector=selector)
        self._workers: dict[str, PodWorker] = {}  # By uid; a worker that has ended stays until DELETED, so
        self._ended: set[str] = set()  # that a late event of its pod does not begin a second life.

    async def run(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Run until cancelled. The pods keep running afterwards, as when a kubelet is stopped."""
        async with self._runtime.exits() as exits, asyncio.TaskGroup() as group:
            group.create_task(self._events.run())
            group.create_task(self._reporter.run())
            group.create_task(serve(listening, tls, self))
            self._pods.on_change(lambda old, new: self._on_pod(group, old, new))
            async with self._pods:
                async for exit_ in exits:
                    self._host.exits.report(exit_)

    @property
    def runtime(self) -> Runtime:
        return self._runtime

    def worker(self, key: Key) -> PodWorker | None:
        """Return the worker of the pod at *key*, the youngest if an older one is still being taken down."""
        return next((w for w in reversed(self._workers.values()) if key_of(w.pod) == key), None)

    def pods(self) -> list[Object]:
        return [worker.pod for worker in self._workers.values()]

    def records(self) -> list[tuple[Object, PodRecord]]:
        """Return the pods, each with what is known of its containers."""
        return [(worker.pod, worker.record) for worker in self._workers.values()]

    def now(self) -> datetime:
        return self._clock.now()

    def _on_pod(self, group: asyncio.TaskGroup, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None and (worker := self._workers.get(uid_of(old))):
                worker.gone()
                self._forget_if_ended(uid_of(old))
        elif worker := self._workers.get(uid_of(new)):
            worker.update(new)
        else:
            worker = PodWorker(self._host, new, self._refusal_of(new))
            self._workers[uid_of(new)] = worker
            group.create_task(self._live(uid_of(new), worker))

    def _refusal_of(self, pod: Object) -> Refusal | None:
        """What an earlier run of this kubelet has taken in, or refused, stays so."""
        if "startTime" in pod.get("status", {}):
            return refused_before(pod)
        config = self._config
        others = [worker.pod for worker in self._workers.values() if worker.holds_resources]
        capacity = {"cpu": config.cpus * 1000, "memory": config.memory_bytes}
        return refusal(pod, others, capacity, config.pods_max)

    async def _live(self, uid: str, worker: PodWorker) -> None:
        await worker.run()
        self._ended.add(uid)
        shown = self._pods.get(key_of(worker.pod))
        if shown is None or uid_of(shown) != uid:
            self._forget_if_ended(uid)

    def _forget_if_ended(self, uid: str) -> None:
        if uid in self._ended:
            self._ended.discard(uid)
            del self._workers[uid]


async def run_kubelet(
    config: KubeletConfig,
    api: Api,
    runtime: Runtime,
    clock: Clock,
    listening: socket.socket,
    tls: ssl.SSLContext | None,
) -> None:
    """Run a kubelet until cancelled.

    *listening* is a bound, listening socket in the machine's network; *tls* asks clients for a certificate
    (`CERT_REQUIRED`). None serves plain HTTP, for tests.
    """
    await Kubelet(config, api, runtime, clock).run(listening, tls)
