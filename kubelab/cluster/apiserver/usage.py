"""What nodes and pods use, as `metrics.k8s.io` shows it, from two readings of their kubelets. Pure.

Source: kubernetes-sigs/metrics-server, pkg/scraper/client/resource/decode.go, pkg/storage/{node,pod}.go (what
counts as a container's first window), pkg/api/{node,pod}.go; staging/src/k8s.io/metrics/pkg/apis/metrics.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kubelab.cluster import quantity
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object, key_of

API_VERSION = "metrics.k8s.io/v1beta1"
_FRESH_FROM_S = 10  # A container that began since the last reading has had at least that long.
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+) (\d+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class ContainerKey(NamedTuple):
    namespace: str
    pod: str
    container: str


@dataclass(slots=True)
class Point:
    """What had been used by `at_s`; `started_s` is 0 for a node."""

    at_s: float = 0.0
    cpu_s: float = -1.0
    memory_bytes: float = -1.0
    started_s: float = 0.0

    @property
    def is_whole(self) -> bool:
        return self.cpu_s >= 0 and self.memory_bytes > 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one kubelet said at one time."""

    node: Point = field(default_factory=Point)
    containers: Mapping[ContainerKey, Point] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """Over the *window_s* that ended at `at_s`."""

    at_s: float
    window_s: float
    cpu_cores: float
    memory_bytes: float

    def amounts(self) -> Object:
        return {"cpu": f"{round(self.cpu_cores * 1e9)}n", "memory": f"{int(self.memory_bytes) // 1024}Ki"}


def read(text: str) -> Reading:
    """Read what a kubelet answers at /metrics/resource; what it has besides is passed over."""
    node, containers = Point(), dict[ContainerKey, Point]()
    for family, labels, value, at_ms in _SAMPLE.findall(text):
        what, _, measure = family.partition("_")
        point = node
        if what == "container":
            named = dict(_LABEL.findall(labels))
            key = ContainerKey(named["namespace"], named["pod"], named["container"])
            point = containers.setdefault(key, Point())
        elif what != "node":
            continue
        match measure:
            case "cpu_usage_seconds_total":
                point.at_s, point.cpu_s = int(at_ms) / 1000, float(value)
            case "memory_working_set_bytes":
                point.memory_bytes = float(value)
            case "start_time_seconds":
                point.started_s = float(value)
    return Reading(node, containers)


def between(earlier: Point | None, later: Point, last_reading_s: float) -> Usage | None:
    """Return what was used from the *earlier* point to the *later* one; None if that cannot be told yet.

    A container that was started after the last reading is measured from its start.
    """
    if not later.is_whole:
        return None
    since_s, before_s = (earlier.at_s, earlier.cpu_s) if earlier and earlier.is_whole else (0.0, 0.0)
    if later.started_s > last_reading_s > 0:
        since_s, before_s = later.started_s, 0.0
        if later.at_s - since_s < _FRESH_FROM_S:
            return None
    if not since_s or later.at_s <= since_s or later.cpu_s < before_s:
        return None
    window_s = later.at_s - since_s
    return Usage(later.at_s, window_s, (later.cpu_s - before_s) / window_s, later.memory_bytes)


def node_metrics(node: Object, readings: tuple[Reading, Reading], now: datetime) -> Object | None:
    """Return the NodeMetrics of *node*, from its last two readings; None if that cannot be told."""
    earlier, later = readings
    if (usage := between(earlier.node, later.node, 0)) is None:
        return None
    return _head("NodeMetrics", node, usage, now) | {"usage": usage.amounts()}


def pod_metrics(pod: Object, readings: tuple[Reading, Reading], now: datetime) -> Object | None:
    """Return the PodMetrics of *pod*; None until all its running containers have been measured."""
    earlier, later = readings
    used: dict[str, Usage] = {}
    for name in _running(pod):
        key = ContainerKey(*key_of(pod), name)
        point = later.containers.get(key)
        usage = between(earlier.containers.get(key), point, earlier.node.at_s) if point else None
        if usage is None:
            return None
        used[name] = usage
    if not used:
        return None
    oldest = min(used.values(), key=lambda each: each.at_s)
    shown = [{"name": name, "usage": usage.amounts()} for name, usage in used.items()]
    return _head("PodMetrics", pod, oldest, now) | {"containers": shown}


def _running(pod: Object) -> Iterator[str]:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if "running" in (status.get("state") or {}):
            yield status["name"]


def _head(kind: str, measured: Object, usage: Usage, now: datetime) -> Object:
    own = measured["metadata"]
    metadata = {key: own[key] for key in ("name", "namespace", "labels") if key in own}
    return {
        "kind": kind,
        "apiVersion": API_VERSION,
        "metadata": metadata | {"creationTimestamp": rfc3339(now)},
        "timestamp": rfc3339(datetime.fromtimestamp(usage.at_s, UTC)),
        "window": f"{usage.window_s:.3f}s",
    }


def cells(metrics: Object, now: datetime) -> list[Any]:
    """Return what a table shows of a node or a pod, of which all containers count."""
    parts = [each["usage"] for each in metrics.get("containers", [metrics])]
    used = [
        sum((quantity.parse(each[name]) for each in parts), quantity.parse("0")) for name in ("cpu", "memory")
    ]
    return [metrics["metadata"]["name"], *map(str, used), metrics["window"]]
