"""What the server counts of itself, under the names of upstream's metrics, in Prometheus' text format.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/metrics/metrics.go. Counting is a few
additions a request. When `/metrics` is asked for, what was counted is copied between two requests, and
prometheus_client writes the copy down in a thread: thousands of lines must not hold up the requests, nor
change under its hands.
"""

import asyncio
import resource
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubelab.cluster.apiserver.inflight import InFlight
from kubelab.cluster.apiserver.request_log import RequestRecord

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (
    0.005,
    0.025,
    0.05,
    0.1,
    0.2,
    0.4,
    0.6,
    0.8,
    1.0,
    1.25,
    1.5,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    15,
    20,
    30,
    45,
    60,
)
_LABELS = ("verb", "group", "version", "resource", "subresource", "scope")
_STATM = Path("/proc/self/statm")  # proc(5): the second number is what is resident.
_LONG_RUNNING = frozenset({"WATCH", "CONNECT"})
Labels = tuple[str, ...]


class _Durations:
    """One histogram: how many took at most each bucket's time, and all of them together."""

    __slots__ = ("counts", "sum_s")

    def __init__(self, counts: Iterable[int] = (0,) * (len(BUCKETS_S) + 1), sum_s: float = 0.0) -> None:
        self.counts = [*counts]
        self.sum_s = sum_s

    def copy(self) -> "_Durations":
        return _Durations(self.counts, self.sum_s)

    def add(self, duration_s: float) -> None:
        self.counts[bisect_left(BUCKETS_S, duration_s)] += 1
        self.sum_s += duration_s

    def buckets(self) -> list[tuple[str, float]]:
        total, buckets = 0, []
        for limit, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((limit, float(total)))
        return buckets


class Metrics:
    """`objects` tells how many objects of each resource are stored."""

    def __init__(self, in_flight: InFlight, objects: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        self._in_flight = in_flight
        self._objects = objects
        self._requests: Counter[Labels] = Counter()
        self._durations: dict[Labels, _Durations] = {}
        self.watch_events: Counter[Labels] = Counter()

    def note(self, record: RequestRecord) -> None:
        if record.stage != "ResponseComplete":
            return
        labels = (
            record.verb.upper(),
            record.group,
            record.version,
            record.resource,
            record.subresource,
            _scope(record),
        )
        self._requests[*labels, str(record.code)] += 1
        if labels[0] in _LONG_RUNNING:
            return
        if (durations := self._durations.get(labels)) is None:
            durations = self._durations[labels] = _Durations()
        durations.add(record.duration_s)

    async def text(self) -> bytes:
        """Return all figures as they are now."""
        objects = await self._objects()
        reading = Reading(
            requests=dict(self._requests),
            durations={labels: each.copy() for labels, each in self._durations.items()},
            watch_events=dict(self.watch_events),
            in_flight=dict(self._in_flight.now),
            long_running=self._in_flight.long_running,
            objects=objects,
        )
        return await asyncio.to_thread(_rendered, reading)


@dataclass(frozen=True, slots=True, eq=False)  # As itself: prometheus_client keeps its collectors by hash.
class Reading:
    """All figures of one moment, which nothing changes any more."""

    requests: Mapping[Labels, int]
    durations: Mapping[Labels, _Durations]
    watch_events: Mapping[Labels, int]
    in_flight: Mapping[str, int]
    long_running: int
    objects: Mapping[str, int]

    def collect(self) -> Iterable["Metric"]:
        """Yield the families, as prometheus_client asks a collector for them."""
        yield from self._of_requests()
        yield from self._of_now()
        yield from _of_process()

    def _of_requests(self) -> Iterable["Metric"]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "apiserver_request", "Counter of apiserver requests.", labels=(*_LABELS, "code")
        )
        for labels, count in self.requests.items():
            requests.add_metric(labels, count)
        yield requests
        durations = HistogramMetricFamily(
            "apiserver_request_duration_seconds", "Response latency distribution.", labels=_LABELS
        )
        for labels, each in self.durations.items():
            durations.add_metric(labels, each.buckets(), each.sum_s)
        yield durations
        events = CounterMetricFamily(
            "apiserver_watch_events",
            "Number of events sent in watch clients.",
            labels=("group", "version", "resource"),
        )
        for labels, count in self.watch_events.items():
            events.add_metric(labels, count)
        yield events

    def _of_now(self) -> Iterable["Metric"]:
        from prometheus_client.core import GaugeMetricFamily

        in_flight = GaugeMetricFamily(
            "apiserver_current_inflight_requests",
            "Number of requests that are worked on now.",
            labels=("request_kind",),
        )
        for kind, now in self.in_flight.items():
            in_flight.add_metric((kind,), now)
        yield in_flight
        yield GaugeMetricFamily(
            "apiserver_longrunning_requests",
            "Watches, followed logs and streams.",
            self.long_running,
        )
        objects = GaugeMetricFamily(
            "apiserver_storage_objects", "Number of stored objects by resource.", labels=("resource",)
        )
        for resource_name, count in self.objects.items():
            objects.add_metric((resource_name,), count)
        yield objects


def _rendered(reading: Reading) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(reading)
    return generate_latest(registry)


def _scope(record: RequestRecord) -> str:
    if not record.resource:
        return ""
    if record.name:
        return "resource"
    return "namespace" if record.namespace else "cluster"


def _of_process() -> Iterable["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    usage, pages = resource.getrusage(resource.RUSAGE_SELF), int(_STATM.read_text().split()[1])
    yield CounterMetricFamily(
        "process_cpu_seconds", "CPU time of the lab's process.", usage.ru_utime + usage.ru_stime
    )
    yield GaugeMetricFamily(
        "process_resident_memory_bytes", "Memory of the lab's process.", pages * resource.getpagesize()
    )
