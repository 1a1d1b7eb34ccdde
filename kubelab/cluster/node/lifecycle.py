"""The life of a pod as a pure function: what to do next, given the pod, what runs, and the time.

`decide` returns at most one action; the shell (`worker`) carries it out, notes the outcome in the record and
asks again. So the order of a pod's life is in one place: sandbox, init containers one after the other,
containers in their order, restarts by policy and back-off, and at the end stop, take back, delete. Ephemeral
containers are started whenever they come, and never again.

Source: kubernetes, pkg/kubelet/kubelet.go (SyncPod, SyncTerminatingPod, SyncTerminatedPod) and
pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions, doBackOff).
Left out: probes (a container that runs is ready), sidecar containers,
activeDeadlineSeconds, eviction, readiness gates.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kubelab.cluster.node.backoff import wait_s
from kubelab.cluster.node.record import ContainerRecord, PodRecord, Running, Terminated, Waiting, backing_off
from kubelab.cluster.objects import Object, is_deleting

RETRY_S = 10.0  # A sandbox or a configuration that failed is tried again, as upstream's sync back-off does.
PULL_ERROR_SHOWN_S = 2.0  # ErrImagePull stays visible for a moment, then turns into ImagePullBackOff.


@dataclass(frozen=True, slots=True)
class RunSandbox:
    pass


@dataclass(frozen=True, slots=True)
class PullImage:
    container: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    container: str


@dataclass(frozen=True, slots=True)
class StopContainers:
    grace_period_s: float


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    pass


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Everything is taken back: remove the API object."""


Action = RunSandbox | PullImage | StartContainer | StopContainers | RemoveSandbox | DeletePod


@dataclass(frozen=True, slots=True)
class Decision:
    """`record` is the one given, with back-offs that began noted. Without an action, ask again after `wait_s`
    (None: when something happens)."""

    record: PodRecord
    action: Action | None = None
    wait_s: float | None = None


def decide(pod: Object, record: PodRecord, now: datetime) -> Decision:
    if is_deleting(pod):
        return Decision(record, _take_down(pod, record))
    if has_ended(pod, record):
        return Decision(record, RemoveSandbox() if record.sandbox else None)
    if record.sandbox is None:
        wait = _left_s(record.sandbox_error, now)
        return Decision(record, wait_s=wait) if wait else Decision(record, RunSandbox())
    extra = _advance(pod, record, pod["spec"].get("ephemeralContainers") or (), now)
    if extra.action is not None:
        return extra
    due = _advance(pod, extra.record, _due(pod, extra.record), now)
    waits = [wait for wait in (extra.wait_s, due.wait_s) if wait is not None]
    return Decision(due.record, due.action, min(waits, default=None))


def _due(pod: Object, record: PodRecord) -> Sequence[Object]:
    """Return the containers whose turn it is: the init containers one by one, then the others at once."""
    inits = pod["spec"].get("initContainers") or ()
    unfinished = [init for init in inits if not succeeded(record.containers[init["name"]])]
    return unfinished[:1] or pod["spec"]["containers"]


def _take_down(pod: Object, record: PodRecord) -> Action:
    if record.running():
        return StopContainers(float(pod["metadata"].get("deletionGracePeriodSeconds", 30)))
    return RemoveSandbox() if record.sandbox else DeletePod()


def _advance(pod: Object, record: PodRecord, containers: Iterable[Object], now: datetime) -> Decision:
    waits: list[float] = []
    for spec in containers:
        name, before = spec["name"], record.containers[spec["name"]]
        if not _wants_start(pod, name, before):
            continue
        step = _step(pod, spec, before, now)
        if step.container is not before:
            record = record.with_container(name, step.container)
        if step.action is not None:
            return Decision(record, step.action)
        waits.append(step.wait_s)
    return Decision(record, wait_s=min(waits, default=None))


def _wants_start(pod: Object, name: str, container: ContainerRecord) -> bool:
    match container.state:
        case Running():
            return False
        case Terminated() as ended:
            return _restarts(pod, name, ended)
        case Waiting():
            return True


def _restarts(pod: Object, name: str, ended: Terminated) -> bool:
    policy = pod["spec"].get("restartPolicy", "Always")
    if any(extra["name"] == name for extra in pod["spec"].get("ephemeralContainers") or ()):
        return False
    is_init = any(init["name"] == name for init in pod["spec"].get("initContainers") or ())
    if policy == "Never" or (is_init and ended.exit_code == 0):
        return False
    return ended.exit_code != 0 or policy == "Always"


@dataclass(frozen=True, slots=True)
class _Step:
    container: ContainerRecord
    action: Action | None = None
    wait_s: float = 0.0


def _step(pod: Object, spec: Object, container: ContainerRecord, now: datetime) -> _Step:
    """Return the container as it is now, and either the action that is due or how long to wait for it."""
    name = spec["name"]
    if wait := _crash_wait_s(container, now):
        return _Step(_in_crash_loop(pod, name, container), wait_s=wait)
    if wait := _pull_wait_s(container, now):
        return _pull_backing_off(spec, container, wait, now)
    if wait := _config_wait_s(container, now):
        return _Step(container, wait_s=wait)
    return _Step(container, StartContainer(name) if container.has_image else PullImage(name))


def _crash_wait_s(container: ContainerRecord, now: datetime) -> float:
    ended = container.state if isinstance(container.state, Terminated) else container.last
    return wait_s(container.restart_backoff, ended.finished_at, now) if ended else 0.0


def _in_crash_loop(pod: Object, name: str, container: ContainerRecord) -> ContainerRecord:
    if isinstance(container.state, Waiting) and container.state.reason == "CrashLoopBackOff":
        return container
    delay_s = container.restart_backoff.delay_s if container.restart_backoff else 0.0
    message = f"back-off {duration(delay_s)} restarting failed container={name} pod={full_name(pod)}"
    return backing_off(container, "CrashLoopBackOff", message)


def _pull_wait_s(container: ContainerRecord, now: datetime) -> float:
    backoff = container.pull_backoff
    return wait_s(backoff, backoff.updated_at, now) if backoff else 0.0


def _pull_backing_off(spec: Object, container: ContainerRecord, wait: float, now: datetime) -> _Step:
    state = container.state
    if not isinstance(state, Waiting) or state.reason != "ErrImagePull":
        return _Step(container, wait_s=wait)
    shown_s = PULL_ERROR_SHOWN_S - (now - state.since).total_seconds() if state.since else 0.0
    if shown_s > 0:
        return _Step(container, wait_s=shown_s)
    message = f'Back-off pulling image "{spec["image"]}": {state.reason}: {state.message}'
    return _Step(backing_off(container, "ImagePullBackOff", message), wait_s=wait)


def _config_wait_s(container: ContainerRecord, now: datetime) -> float:
    state = container.state
    if isinstance(state, Waiting) and state.reason == "CreateContainerConfigError":
        return _left_s(state, now)
    return 0.0


def _left_s(failed: Waiting | None, now: datetime) -> float:
    if failed is None or failed.since is None:
        return 0.0
    return max(0.0, RETRY_S - (now - failed.since).total_seconds())


def succeeded(container: ContainerRecord) -> bool:
    return isinstance(container.state, Terminated) and container.state.exit_code == 0


def has_ended(pod: Object, record: PodRecord) -> bool:
    """Whether no container of the pod will ever run again: its phase is Succeeded or Failed for good."""
    for init in pod["spec"].get("initContainers") or ():
        container = record.containers[init["name"]]
        if isinstance(container.state, Terminated) and container.state.exit_code != 0:
            return not _restarts(pod, init["name"], container.state)
    return all(
        isinstance(state := record.containers[spec["name"]].state, Terminated)
        and not _restarts(pod, spec["name"], state)
        for spec in pod["spec"]["containers"]
    )


def full_name(pod: Object) -> str:
    """Return the pod's name in the kubelet's messages: name_namespace(uid)."""
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"


def duration(seconds: float) -> str:
    """Return *seconds* as Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
