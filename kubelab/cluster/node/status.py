"""The status of a pod, computed from its record: phase, conditions, container statuses.

Source: kubernetes, pkg/kubelet/kubelet_pods.go (getPhase, convertStatusToAPIStatus) and
pkg/kubelet/status/generate.go (conditions and their messages).
Left out: probes (ready means running), resize.
"""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Address

from kubelab.cluster.clock import rfc3339
from kubelab.cluster.node.lifecycle import has_ended, succeeded
from kubelab.cluster.node.record import (
    ID_SCHEME,
    ContainerRecord,
    PodRecord,
    Running,
    Terminated,
    Waiting,
)
from kubelab.cluster.objects import Object, is_deleting
from kubelab.cluster.pods import observed_generation, qos_class, with_condition


def pod_status(
    pod: Object, record: PodRecord, host_address: IPv4Address, now: datetime, own: Object | None = None
) -> Object:
    """Return the whole status. Conditions of others (PodScheduled) are kept as *pod* has them, ours continue
    those of *own*, the status that this kubelet computed last: *pod* may not show it yet."""
    phase = phase_of(pod, record)
    status: Object = observed_generation(pod) | {
        "phase": phase,
        "conditions": _conditions(pod, record, phase, now, _known_conditions(pod, own)),
        "hostIP": str(host_address),
        "hostIPs": [{"ip": str(host_address)}],
        "qosClass": qos_class(pod),
        "startTime": rfc3339(record.started_at),
        "containerStatuses": [_container_status(pod, spec, record) for spec in pod["spec"]["containers"]],
    }
    if inits := pod["spec"].get("initContainers"):
        status["initContainerStatuses"] = [_container_status(pod, spec, record) for spec in inits]
    if extra := pod["spec"].get("ephemeralContainers"):
        by_name = sorted(extra, key=lambda spec: str(spec["name"]))
        status["ephemeralContainerStatuses"] = [_ephemeral_status(pod, spec, record) for spec in by_name]
    if record.address is not None:
        status |= {"podIP": str(record.address), "podIPs": [{"ip": str(record.address)}]}
    return status


def phase_of(pod: Object, record: PodRecord) -> str:
    if has_ended(pod, record) or (is_deleting(pod) and _all_ended(pod["spec"]["containers"], record)):
        specs = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
        return "Succeeded" if all(succeeded(record.containers[spec["name"]]) for spec in specs) else "Failed"
    if _unfinished_inits(pod, record):
        return "Pending"
    containers = [record.containers[spec["name"]] for spec in pod["spec"]["containers"]]
    return "Running" if all(_has_run(container) for container in containers) else "Pending"


def _all_ended(specs: Sequence[Object], record: PodRecord) -> bool:
    return all(isinstance(record.containers[spec["name"]].state, Terminated) for spec in specs)


def _has_run(container: ContainerRecord) -> bool:
    return not isinstance(container.state, Waiting) or container.last is not None


def _unfinished_inits(pod: Object, record: PodRecord) -> list[str]:
    inits = pod["spec"].get("initContainers") or ()
    return [init["name"] for init in inits if not succeeded(record.containers[init["name"]])]


OWNED_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


def _known_conditions(pod: Object, own: Object | None) -> list[Object]:
    shown: list[Object] = pod.get("status", {}).get("conditions") or []
    if own is None:
        return list(shown)
    others = [condition for condition in shown if condition["type"] not in OWNED_CONDITIONS]
    return [c for c in own["conditions"] if c["type"] in OWNED_CONDITIONS] + others


def _conditions(
    pod: Object, record: PodRecord, phase: str, now: datetime, conditions: list[Object]
) -> list[Object]:
    observed = observed_generation(pod)
    scheduled = next((each for each in conditions if each["type"] == "PodScheduled"), _plain("PodScheduled"))
    conditions = with_condition(conditions, scheduled | observed, now)
    for condition in (
        _plain("PodReadyToStartContainers", holds=record.sandbox is not None),
        _initialized(pod, record, phase),
        _ready("ContainersReady", pod, record, phase),
        _ready("Ready", pod, record, phase),
    ):
        conditions = with_condition(conditions, condition | observed, now)
    return conditions


def _plain(type_: str, *, holds: bool = True) -> Object:
    return {"type": type_, "status": "True" if holds else "False", "lastProbeTime": None}


def _unmet(type_: str, reason: str, message: str = "") -> Object:
    return _plain(type_, holds=False) | {"reason": reason} | ({"message": message} if message else {})


def _initialized(pod: Object, record: PodRecord, phase: str) -> Object:
    if phase == "Succeeded":
        return _plain("Initialized") | {"reason": "PodCompleted"}
    if unfinished := _unfinished_inits(pod, record):
        message = f"containers with incomplete status: [{' '.join(unfinished)}]"
        return _unmet("Initialized", "ContainersNotInitialized", message)
    return _plain("Initialized")


def _ready(type_: str, pod: Object, record: PodRecord, phase: str) -> Object:
    if phase == "Succeeded":
        return _unmet(type_, "PodCompleted")
    if phase == "Failed":
        return _unmet(type_, "PodFailed")
    names = [spec["name"] for spec in pod["spec"]["containers"]]
    unready = [name for name in names if not isinstance(record.containers[name].state, Running)]
    if unready or _unfinished_inits(pod, record):
        shown = unready or names
        return _unmet(type_, "ContainersNotReady", f"containers with unready status: [{' '.join(shown)}]")
    return _plain(type_)


def _container_status(pod: Object, spec: Object, record: PodRecord) -> Object:
    container = record.containers[spec["name"]]
    is_init = spec in (pod["spec"].get("initContainers") or ())
    running = isinstance(container.state, Running)
    status: Object = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": container.image_id,
        "ready": succeeded(container) if is_init else running,
        "started": running,
        "restartCount": container.restart_count,
        "state": _state(pod, container),
        "lastState": {"terminated": _terminated(container.last)} if container.last else {},
    }
    if container_id := _last_id(container):
        status["containerID"] = ID_SCHEME + container_id
    return status


def _ephemeral_status(pod: Object, spec: Object, record: PodRecord) -> Object:
    """It is never ready, and nobody waits for its start."""
    status = _container_status(pod, spec, record) | {"ready": False}
    del status["started"]
    return status


def _last_id(container: ContainerRecord) -> str:
    if isinstance(container.state, Waiting):
        return container.last.id if container.last else ""
    return container.state.id


def _state(pod: Object, container: ContainerRecord) -> Object:
    """Source: kubernetes, pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses): an init container that
    waits is itself part of the initialization."""
    match container.state:
        case Running(started_at=started_at):
            return {"running": {"startedAt": rfc3339(started_at)}}
        case Terminated() as ended:
            return {"terminated": _terminated(ended)}
        case Waiting(reason, message):
            is_initializing = bool(pod["spec"].get("initContainers"))
            waiting = {"reason": reason or ("PodInitializing" if is_initializing else "ContainerCreating")}
            return {"waiting": waiting | ({"message": message} if message else {})}


def _terminated(ended: Terminated) -> Object:
    state: Object = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": rfc3339(ended.started_at),
        "finishedAt": rfc3339(ended.finished_at),
    }
    if ended.message:
        state["message"] = ended.message
    if ended.id:
        state["containerID"] = ID_SCHEME + ended.id
    return state
