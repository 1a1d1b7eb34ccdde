"""Draws the lab as one frozen `LabSnapshot`: the API by informers, processes by looking when asked."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Self

from kubelab.cluster.apiserver.columns import node_status, summarize_pod
from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord
from kubelab.cluster.client.api import Api
from kubelab.cluster.client.election import NAMESPACE, Record, host_of
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.lab.snapshot import (
    EventView,
    LabSnapshot,
    LeaderView,
    MachineView,
    NodeView,
    PodView,
    ProcessView,
    RequestView,
    StoreView,
)
from kubelab.cluster.linux.processes import ProcessInfo, ProcessScanner
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.objects import EVENTS, LEASES, NODES, PODS, Object, key_of, uid_of

INTERVAL_S = 0.25  # At most four pictures a second.
PROCESS_SCAN_S = 0.5  # No event tells of every process, so while somebody looks, we look this often.
EVENTS_SHOWN = 30
REQUESTS_SHOWN = 12
COMPONENT = "system:"  # What upstream's components, and the lab's, are called.
_ENDED = "ResponseComplete"


class Observer:
    """`pids_of` names the processes of a pod by its uid."""

    def __init__(
        self, machines: Mapping[str, Machine], pids_of: Callable[[str], tuple[int, ...]], clock: Clock
    ) -> None:
        self._machines = machines
        self._pids_of = pids_of
        self._clock = clock
        self._scanner = ProcessScanner()
        self._informers: dict[str, Informer] = {}
        self._changed = asyncio.Event()
        self._store: Callable[[], StoreView | None] = lambda: None
        self._revision: Callable[[], int] = lambda: 0
        self._requests: deque[RequestView] = deque(maxlen=REQUESTS_SHOWN)

    @asynccontextmanager
    async def following(
        self,
        api: Api,
        revision: Callable[[], int],
        requests: RequestLog,
        store: Callable[[], StoreView | None] = lambda: None,
    ) -> AsyncIterator[Self]:
        """Follow the cluster behind *api* during the block; before it there are only machines to see.

        *revision* and *store* tell the store's; of *requests* those are shown that people make.
        """
        self._revision, self._store = revision, store
        async with AsyncExitStack() as stack:
            stack.enter_context(requests.listening(self._note_request))
            for resource in (NODES, PODS, EVENTS, LEASES):
                namespace = NAMESPACE if resource is LEASES else ""
                informer = Informer(api, resource, clock=self._clock, namespace=namespace)
                await stack.enter_async_context(informer)
                stack.callback(informer.on_change(lambda _old, _new: self._changed.set()))
                self._informers[resource.plural] = informer
            stack.callback(self._informers.clear)
            yield self

    def snapshot(self) -> LabSnapshot:
        return LabSnapshot(
            machines=self._machine_views(),
            nodes=tuple(sorted(map(_node, self._objects("nodes")), key=lambda node: node.name)),
            pods=tuple(self._pod(pod) for pod in sorted(self._objects("pods"), key=lambda pod: key_of(pod))),
            events=tuple(map(_event, sorted(self._objects("events"), key=_last_seen)[-EVENTS_SHOWN:])),
            revision=self._revision(),
            requests=tuple(self._requests),
            store=self._store(),
            leaders=tuple(map(_leader, sorted(self._objects("leases"), key=key_of))),
        )

    def _note_request(self, record: RequestRecord) -> None:
        if record.user.startswith(COMPONENT) or (record.verb == "watch" and record.stage == _ENDED):
            return
        self._requests.append(_request(record))
        self._changed.set()

    async def snapshots(self) -> AsyncIterator[LabSnapshot]:
        """Yield the present picture, then each one that differs; a slow reader gets the newest."""
        shown: LabSnapshot | None = None
        while True:
            self._changed.clear()
            picture = self.snapshot()
            if picture != shown:
                yield picture
                shown = picture
            await self._clock.sleep(INTERVAL_S)
            try:
                async with asyncio.timeout(PROCESS_SCAN_S - INTERVAL_S):
                    await self._changed.wait()
            except TimeoutError:
                continue  # Nothing happened in the API; processes may have come or gone.

    def _objects(self, plural: str) -> list[Object]:
        informer = self._informers.get(plural)
        return informer.objects() if informer else []

    def _machine_views(self) -> tuple[MachineView, ...]:
        machines = sorted(self._machines.values(), key=lambda machine: machine.address)
        processes = self._scanner.scan(machine.pid for machine in machines)
        by_machine = _by_machine(processes, {machine.pid for machine in machines})
        return tuple(_machine(machine, by_machine.get(machine.pid, [])) for machine in machines)

    def _pod(self, pod: Object) -> PodView:
        summary = summarize_pod(pod)
        status, metadata = pod.get("status", {}), pod["metadata"]
        created = datetime.fromisoformat(metadata["creationTimestamp"])
        return PodView(
            namespace=metadata["namespace"],
            name=metadata["name"],
            status=summary.status,
            ready=f"{summary.ready}/{summary.containers}",
            restarts=summary.restarts,
            node=pod["spec"].get("nodeName", ""),
            ip=status.get("podIP", ""),
            age_s=float((self._clock.now() - created).seconds),
            host_pids=self._pids_of(uid_of(pod)),
        )


def _by_machine(processes: tuple[ProcessInfo, ...], inits: set[int]) -> dict[int, list[ProcessInfo]]:
    """Sort processes by the init above them; parents come before their children."""
    init_of: dict[int, int] = {}
    sorted_: dict[int, list[ProcessInfo]] = {}
    for process in processes:
        init = process.pid if process.pid in inits else init_of.get(process.parent_pid, 0)
        init_of[process.pid] = init
        sorted_.setdefault(init, []).append(process)
    return sorted_


def _machine(machine: Machine, processes: list[ProcessInfo]) -> MachineView:
    return MachineView(
        name=machine.name,
        role=machine.role,
        address=str(machine.address),
        pid_namespace=processes[0].pid_namespace if processes else 0,
        processes=tuple(map(_process, processes)),
    )


def _process(process: ProcessInfo) -> ProcessView:
    return ProcessView(
        host_pid=process.pid,
        parent_host_pid=process.parent_pid,
        pids=process.nspids,
        pid_namespace=process.pid_namespace,
        command=process.command,
    )


def _node(node: Object) -> NodeView:
    status = node_status(node)
    addresses = {address["type"]: address["address"] for address in node["status"].get("addresses", ())}
    ready = "NotReady" not in status and "Unknown" not in status
    return NodeView(node["metadata"]["name"], ready, status, addresses.get("InternalIP", ""))


def _leader(lease: Object) -> LeaderView:
    record = Record.of(lease)
    return LeaderView(lease["metadata"]["name"], host_of(record.holder), record.transitions)


def _event(event: Object) -> EventView:
    about = event.get("involvedObject", {})
    return EventView(
        type=event.get("type", "Normal"),
        reason=event.get("reason", ""),
        about=f"{about.get('kind', '')}/{about.get('name', '')}",
        message=event.get("message", ""),
        count=event.get("count") or 1,
    )


def _request(record: RequestRecord) -> RequestView:
    target = "/".join(filter(None, (record.resource, record.name, record.subresource)))
    return RequestView(
        time=record.received.astimezone().strftime("%H:%M:%S"),
        user=record.user,
        verb=record.verb,
        target=target or record.uri.partition("?")[0],
        namespace=record.namespace,
        code=record.code,
        duration_ms=round(record.duration_s * 1000, 1),
    )


def _last_seen(event: Object) -> str:
    seen = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return str(seen)
