"""The scheduler: takes unbound pods one by one, decides, binds; what fits nowhere waits for a change.

Source: kubernetes, pkg/scheduler/schedule_one.go, pkg/scheduler/backend/queue/scheduling_queue.go,
pkg/scheduler/eventhandlers.go.
Left out: priorities and preemption, scheduling gates, several profiles; queueing hints (any change of a node
and any end of a pod brings all waiting pods back).
"""

import asyncio
from collections import deque
from random import Random

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.backoff import Backoff
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.client.workqueue import WorkQueue
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, Key, Object, is_deleting, key_of, uid_of
from kubelab.cluster.pods import condition_of, is_finished, observed_generation, with_condition
from kubelab.cluster.scheduler.cache import Cache
from kubelab.cluster.scheduler.decision import Decision, decide

SCHEDULER_NAME = "default-scheduler"
POD_BACKOFF = Backoff(first_s=1.0, max_s=10.0)  # podInitialBackoffSeconds, podMaxBackoffSeconds.
UNSCHEDULABLE_S_MAX = 300.0  # Then a pod is tried again even if nothing changed.
DECISIONS_KEPT = 256


def is_ours(pod: Object) -> bool:
    """Whether *pod* waits for this scheduler."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and spec.get("schedulerName", SCHEDULER_NAME) == SCHEDULER_NAME
        and not is_deleting(pod)
        and not is_finished(pod)
    )


class Scheduler:
    """`decisions` keeps the last ones with all reasons and scores, for people who ask why."""

    def __init__(
        self, api: Api, clock: Clock, seed: int = 0, decisions: deque[Decision] | None = None
    ) -> None:
        self._api = api
        self._clock = clock
        self._random = Random(seed)  # noqa: S311 - ties, not secrets
        self.decisions = deque[Decision](maxlen=DECISIONS_KEPT) if decisions is None else decisions
        self._nodes = Informer(api, NODES, clock=clock)
        self._pods = Informer(api, PODS, clock=clock)
        self._events = EventRecorder(api, clock, SCHEDULER_NAME)
        self._cache = Cache()
        self._queue = WorkQueue[Key](clock, POD_BACKOFF)
        self._waiting: dict[Key, float] = {}  # Unschedulable pods, and when their back-off is over.
        self._attempts: dict[Key, int] = {}

    async def run(self) -> None:
        """Schedule until cancelled."""
        self._nodes.on_change(self._on_node)
        self._pods.on_change(self._on_pod)
        async with self._queue, self._nodes, self._pods, asyncio.TaskGroup() as group:
            group.create_task(self._events.run())
            await self._nodes.wait_synced()
            await self._pods.wait_synced()
            while True:
                key = await self._queue.get()
                try:
                    await self._schedule(key)
                except (ApiError, ConnectionError):
                    self._queue.add_rate_limited(key)
                finally:
                    self._queue.done(key)

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        self._cache.see_node(old, new)
        if old is None or new is None or _matters(old) != _matters(new):
            self._wake_waiting()

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        self._cache.see_pod(old, new)
        pod = new or old or {}
        if new is not None and is_ours(new):
            if old is None or old["spec"] != new["spec"]:
                self._queue.add(key_of(new))
            return
        self._waiting.pop(key_of(pod), None)
        self._attempts.pop(key_of(pod), None)
        self._queue.forget(key_of(pod))
        if pod["spec"].get("nodeName") and (new is None or is_finished(new)):
            self._wake_waiting()

    def _wake_waiting(self) -> None:
        """Something changed that may help: bring the waiting pods back, each after its back-off."""
        now_s = self._clock.monotonic_s()
        for key, due_s in self._waiting.items():
            self._queue.add_after(key, due_s - now_s)
        self._waiting.clear()

    async def _schedule(self, key: Key) -> None:
        pod = self._pods.get(key)
        if pod is None or not is_ours(pod):
            return
        self._waiting.pop(key, None)
        decision = decide(pod, self._cache.snapshot(), self._random)
        self.decisions.append(decision)
        if decision.node:
            await self._bind(pod, decision.node)
        else:
            await self._give_up_for_now(pod, decision)

    async def _bind(self, pod: Object, node: str) -> None:
        self._cache.assume(pod, node)
        try:
            await self._api.create(PODS, _binding(pod, node), subresource="binding")
        except (ApiError, ConnectionError) as failure:
            self._cache.forget(pod)
            if isinstance(failure, ApiError) and failure.is_not_found:
                return
            raise
        self._queue.forget(key_of(pod))
        message = f"Successfully assigned {key_of(pod)} to {node}"
        self._events.record(PODS, pod, "Normal", "Scheduled", message)

    async def _give_up_for_now(self, pod: Object, decision: Decision) -> None:
        """Tell why, and wait: for a change, or for the longest time that nothing is tried."""
        key = key_of(pod)
        self._attempts[key] = self._attempts.get(key, 0) + 1
        self._waiting[key] = self._clock.monotonic_s() + POD_BACKOFF.delay_s(self._attempts[key])
        self._queue.add_after(key, UNSCHEDULABLE_S_MAX)
        self._events.record(PODS, pod, "Warning", "FailedScheduling", decision.message)
        await self._write_condition(pod, decision.message)

    async def _write_condition(self, pod: Object, message: str) -> None:
        known = condition_of(pod, "PodScheduled")
        if known is not None and (known["status"], known.get("message")) == ("False", message):
            return
        condition = {"type": "PodScheduled", "status": "False", "lastProbeTime": None}
        condition |= {"reason": "Unschedulable", "message": message} | observed_generation(pod)
        status = pod.get("status", {})
        conditions = with_condition(status.get("conditions") or (), condition, self._clock.now())
        try:
            written = pod | {"status": status | {"conditions": conditions}}
            await self._api.update(PODS, written, subresource="status")
        except ApiError as refusal:
            if not (refusal.is_not_found or refusal.is_conflict):
                raise


def _matters(node: Object) -> tuple[object, ...]:
    """What of a node decides about pods: heartbeats do not."""
    metadata, spec, status = node["metadata"], node["spec"], node.get("status", {})
    return metadata.get("labels"), spec.get("taints"), spec.get("unschedulable"), status.get("allocatable")


def _binding(pod: Object, node: str) -> Object:
    namespace, name = key_of(pod)
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"namespace": namespace, "name": name, "uid": uid_of(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }


async def run_scheduler(
    api: Api, clock: Clock, *, seed: int = 0, decisions: deque[Decision] | None = None
) -> None:
    """Run the scheduler until cancelled; *decisions*, if given, receives each decision as it is made."""
    await Scheduler(api, clock, seed, decisions).run()
