"""What controllers, scheduler and kubelet all read from a pod, and conditions as all kinds have them.

Source: kubernetes, pkg/api/v1/pod/util.go, pkg/controller/controller_utils.go and
staging/src/k8s.io/component-helpers/resource/helpers.go.
Left out: sidecar containers, pod-level resources, overhead, in-place resize.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object, is_deleting
from kubelab.cluster.quantity import as_bytes, millicores

Resources = dict[str, int]
"""Amounts by resource name: `cpu` in millicores, everything else in its base unit."""


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def condition_of(obj: Object, type_: str) -> Object | None:
    conditions = obj.get("status", {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == type_), None)


def with_condition(conditions: Iterable[Object], new: Object, now: datetime) -> list[Object]:
    """Return *conditions* with *new* in its type's place; its transition time moves only with its status."""
    result = list(conditions)
    for index, old in enumerate(result):
        if old["type"] == new["type"]:
            same = old["status"] == new["status"] and "lastTransitionTime" in old
            result[index] = {"lastTransitionTime": old["lastTransitionTime"] if same else rfc3339(now)} | new
            return result
    return [*result, {"lastTransitionTime": rfc3339(now)} | new]


def observed_generation(pod: Object) -> Object:
    """Return what a status, or a condition in it, tells of the spec that it is about (KEP-5067)."""
    generation = pod["metadata"].get("generation")
    return {"observedGeneration": generation} if generation else {}


def phase_of(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def is_finished(pod: Object) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    return not is_finished(pod) and not is_deleting(pod)


def ready_since(pod: Object) -> datetime | None:
    condition = condition_of(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    return parse_time(condition["lastTransitionTime"])


def is_ready(pod: Object) -> bool:
    condition = condition_of(pod, "Ready")
    return condition is not None and condition.get("status") == "True"


def available_in_s(pod: Object, min_ready_s: int, now: datetime) -> float | None:
    """Return the seconds until *pod* counts as available: 0 if it is, None if it is not even ready."""
    if not is_ready(pod):
        return None
    since = ready_since(pod)
    if since is None or min_ready_s == 0:
        return 0.0
    return max(0.0, (since + timedelta(seconds=min_ready_s) - now).total_seconds())


def resources_of(listed: Mapping[str, Any] | None) -> Resources:
    return {name: millicores(q) if name == "cpu" else as_bytes(q) for name, q in (listed or {}).items()}


def container_resources(container: Object, kind: str) -> Resources:
    """Return the container's `requests` or `limits`."""
    return resources_of(container.get("resources", {}).get(kind))


def add(left: Resources, right: Resources) -> Resources:
    return {name: left.get(name, 0) + right.get(name, 0) for name in left.keys() | right.keys()}


def pod_requests(pod: Object) -> Resources:
    """Return what the scheduler must find: the sum over the containers, or the largest init container."""
    total: Resources = {}
    for container in pod["spec"]["containers"]:
        total = add(total, container_resources(container, "requests"))
    for container in pod["spec"].get("initContainers") or ():
        single = container_resources(container, "requests")
        total = {name: max(total.get(name, 0), single.get(name, 0)) for name in total.keys() | single.keys()}
    return total


def qos_class(pod: Object) -> str:
    """Source: kubernetes, pkg/apis/core/v1/helper/qos/qos.go."""
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    pairs = [(container_resources(c, "requests"), container_resources(c, "limits")) for c in containers]
    if not any(amounts.get(name) for pair in pairs for amounts in pair for name in ("cpu", "memory")):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(*pair) for pair in pairs) else "Burstable"


def _is_guaranteed(requests: Resources, limits: Resources) -> bool:
    return all(
        limits.get(name) and requests.get(name, limits[name]) == limits[name] for name in ("cpu", "memory")
    )
