"""Requests and limits in cgroup-v2 words.

Source: kubernetes, pkg/kubelet/cm/helpers_linux.go (MilliCPUToShares, MilliCPUToQuota, ResourceConfigForPod),
pkg/kubelet/kuberuntime/kuberuntime_container_linux.go (singleProcessOOMKill: false where there is cgroup v2)
and KEP-2254 (shares to weight).
Left out: hugepages, memory.min and memory.high (memory QoS).
"""

from dataclasses import replace

from kubelab.cluster.objects import Object
from kubelab.cluster.pods import Resources, add, container_resources, pod_requests, qos_class
from kubelab.cluster.runtime.cri import Limits

PERIOD_US = 100_000
QUOTA_MIN_US = 1_000
SHARES_MIN, SHARES_MAX = 2, 262_144


def shares(cpu_millicores: int) -> int:
    """Return the cgroup-v1 cpu.shares: 1024 for a whole core."""
    return min(max(cpu_millicores * 1024 // 1000, SHARES_MIN), SHARES_MAX)


def weight(cpu_millicores: int) -> int:
    """Return the cgroup-v2 cpu.weight (1 to 10000) on the straight line that KEP-2254 draws."""
    return 1 + (shares(cpu_millicores) - SHARES_MIN) * 9999 // (SHARES_MAX - SHARES_MIN)


def quota_us(cpu_millicores: int) -> int:
    return max(cpu_millicores * PERIOD_US // 1000, QUOTA_MIN_US)


def container_limits(container: Object) -> Limits:
    requests = container_resources(container, "requests")
    limits = container_resources(container, "limits")
    found = _limits(requests.get("cpu", limits.get("cpu", 0)), limits)
    return replace(found, memory_oom_group=True)


def pod_limits(pod: Object) -> Limits:
    """Return the limits of the pod's own cgroup: a maximum only if every container has that one."""
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    each = [container_resources(container, "limits") for container in containers]
    total: Resources = {}
    for limits in each[: len(pod["spec"]["containers"])]:
        total = add(total, limits)
    for limits in each[len(pod["spec"]["containers"]) :]:
        total = {name: max(total.get(name, 0), limits.get(name, 0)) for name in total.keys() | limits.keys()}
    everywhere = {name: value for name, value in total.items() if all(limits.get(name) for limits in each)}
    return _limits(pod_requests(pod).get("cpu", 0), everywhere)


def oom_score_adj(pod: Object, container: Object, memory_bytes: int) -> int:
    """Return whom the kernel is to kill first, on a node of that memory: who asked for least.

    Source: kubernetes, pkg/kubelet/qos/policy.go.
    """
    quality = qos_class(pod)
    if quality == "Guaranteed":
        return -997
    if quality == "BestEffort":
        return 1000
    requested = container_resources(container, "requests").get("memory", 0)
    return min(max(1000 - 1000 * requested // max(memory_bytes, 1), 3), 999)


def _limits(cpu_request_millicores: int, limits: Resources) -> Limits:
    cpu, memory = limits.get("cpu"), limits.get("memory")
    return Limits(
        cpu_weight=weight(cpu_request_millicores),
        cpu_quota_us=quota_us(cpu) if cpu else None,
        cpu_period_us=PERIOD_US,
        memory_max_bytes=memory or None,
    )
