"""What containers, pods and the node use, as `/metrics/resource` of a kubelet says it. Pure.

Source: kubernetes, pkg/kubelet/metrics/collectors/resource_metrics.go (names, labels, units); KEP-727. The
times are those of the reading. A node's figures are its machine's; the kubelet, which runs in the lab's
process, is not in them.
Left out: swap and pressure stall figures.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from kubelab.cluster.node.record import PodRecord
from kubelab.cluster.objects import Object, uid_of
from kubelab.cluster.runtime.cri import Statistics, Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FAMILIES = {
    "container_cpu_usage_seconds_total": (
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
    ),
    "container_memory_working_set_bytes": ("gauge", "Current working set of the container in bytes"),
    "container_start_time_seconds": (
        "gauge",
        "Start time of the container since unix epoch in seconds",
    ),
    "node_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the node in core-seconds"),
    "node_memory_working_set_bytes": ("gauge", "Current working set of the node in bytes"),
    "pod_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the pod in core-seconds"),
    "pod_memory_working_set_bytes": ("gauge", "Current working set of the pod in bytes"),
    "resource_scrape_error": (
        "gauge",
        "1 if there was an error while getting container metrics, 0 otherwise",
    ),
}


@dataclass(frozen=True, slots=True)
class _Sample:
    family: str
    labels: Mapping[str, str]
    value: float


def exposition(pods: Iterable[tuple[Object, PodRecord]], statistics: Statistics, now: datetime) -> str:
    """Return the figures of the running containers of *pods*, of the pods and of the node."""
    found: dict[str, list[_Sample]] = {family: [] for family in _FAMILIES}
    for sample in _samples(pods, statistics):
        found[sample.family].append(sample)
    lines: list[str] = []
    for family, samples in found.items():
        type_, about = _FAMILIES[family]
        if samples:
            lines += [f"# HELP {family} [STABLE] {about}", f"# TYPE {family} {type_}"]
            lines += [_line(sample, int(now.timestamp() * 1000)) for sample in samples]
    return "\n".join([*lines, ""])


def _samples(pods: Iterable[tuple[Object, PodRecord]], statistics: Statistics) -> Iterator[_Sample]:
    yield from _used("node", {}, statistics.machine)
    for pod, record in pods:
        metadata = pod["metadata"]
        labels = {"namespace": metadata["namespace"], "pod": metadata["name"]}
        if (usage := statistics.pods.get(uid_of(pod))) is not None:
            yield from _used("pod", labels, usage)
        for name, running in record.running().items():
            if (usage := statistics.containers.get(running.id)) is not None:
                own = {"container": name, **labels}
                yield from _used("container", own, usage)
                yield _Sample("container_start_time_seconds", own, running.started_at.timestamp())
    yield _Sample("resource_scrape_error", {}, 0)


def _used(what: str, labels: Mapping[str, str], usage: Usage) -> Iterator[_Sample]:
    yield _Sample(f"{what}_cpu_usage_seconds_total", labels, usage.cpu_us / 1e6)
    yield _Sample(f"{what}_memory_working_set_bytes", labels, usage.memory_working_set_bytes)


def _line(sample: _Sample, at_ms: int) -> str:
    # The names of objects need no escapes.
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return (
        f"{sample.family}{{{labels}}} {sample.value!r} {at_ms}"
        if labels
        else (f"{sample.family} {sample.value!r} {at_ms}")
    )
