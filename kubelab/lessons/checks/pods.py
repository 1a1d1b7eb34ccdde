"""Find a pod and its processes: its cgroup's path has the pod's uid in it, as every kubelet's has.

Source: kubernetes, pkg/kubelet/cm/pod_container_manager_linux.go (GetPodContainerName).
"""

from collections.abc import Sequence

from kubelab.cluster.objects import Key, Object, key_of, uid_of
from kubelab.lessons.checks.check import machine_state
from kubelab.lessons.observation import Observation, Process, ResourceState


def find_pod(pods: ResourceState, namespace: str, name: str) -> Object | None:
    return next((pod for pod in pods.objects if key_of(pod) == Key(namespace, name)), None)


def node_of(pod: Object) -> str:
    """Return the node that the pod is bound to; "" while it is bound to none."""
    return str(pod["spec"].get("nodeName", ""))


def phase_of(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def ip_of(pod: Object) -> str:
    return str((pod.get("status") or {}).get("podIP", ""))


def pod_processes(pod: Object, observation: Observation) -> Sequence[Process]:
    """Return the pod's living processes on its node; none while it is bound to none."""
    if not node_of(pod):
        return ()
    marks = (uid_of(pod), uid_of(pod).replace("-", "_"))
    processes = machine_state(observation, node_of(pod)).processes
    return [
        process
        for process in processes
        if not process.is_zombie and any(mark in process.cgroup for mark in marks)
    ]


def first_processes(processes: Sequence[Process]) -> list[Process]:
    """Return those that are PID 1 of their own pid namespace: one per container, and pause."""
    return [process for process in processes if process.own_pid == 1]
