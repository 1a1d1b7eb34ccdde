"""What a kubelet knows of one pod: the sandbox and the containers, as frozen values.

The kubelet's shell turns what the runtime reports into new records; `lifecycle` decides on records alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address
from types import MappingProxyType

from kubelab.cluster.node.backoff import Backoff, grown
from kubelab.cluster.objects import Object
from kubelab.cluster.pods import parse_time
from kubelab.cluster.runtime.cri import Container, ContainerExit, Sandbox

ID_SCHEME = "kubelab://"
EXIT_CODE_UNKNOWN = 137  # As upstream for a container whose end nobody saw.
EXIT_CODE_START_ERROR = 128
_SPECS = ("initContainers", "containers", "ephemeralContainers")
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Waiting:
    """`since` is when an attempt last failed; None when nothing has been tried yet."""

    reason: str = ""
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Terminated:
    id: str
    exit_code: int
    reason: str
    started_at: datetime
    finished_at: datetime
    message: str = ""


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """`restart_count` numbers the current start and its log file. `image_id` is that of the last start;
    `has_image` says that the image is there for the next one."""

    state: Waiting | Running | Terminated = field(default_factory=Waiting)
    last: Terminated | None = None
    restart_count: int = 0
    image_id: str = ""
    has_image: bool = False
    restart_backoff: Backoff | None = None
    pull_backoff: Backoff | None = None


@dataclass(frozen=True, slots=True)
class PodRecord:
    """`sandbox_error` is why there is no sandbox yet. `address` outlives the sandbox, for the status."""

    containers: Mapping[str, ContainerRecord]
    started_at: datetime
    sandbox: Sandbox | None = None
    address: IPv4Address | None = None
    sandbox_error: Waiting | None = None

    def running(self) -> dict[str, Running]:
        states = {name: container.state for name, container in self.containers.items()}
        return {name: state for name, state in states.items() if isinstance(state, Running)}

    def with_container(self, name: str, container: ContainerRecord) -> "PodRecord":
        return replace(self, containers=MappingProxyType({**self.containers, name: container}))


def new_record(pod: Object, now: datetime) -> PodRecord:
    """Return the record of a pod that this kubelet has just been given.

    A status with a start time was written by an earlier run of the kubelet, whose containers are gone: they
    are taken as killed, so that the restart policy, the counts and the back-off go on from there.
    """
    status = pod.get("status", {})
    written = [entry for kind in _STATUSES for entry in status.get(kind) or ()]
    known = {entry["name"]: entry for entry in written}
    names = [spec["name"] for kind in _SPECS for spec in pod["spec"].get(kind) or ()]
    containers = {name: _container_from_status(known.get(name), now) for name in names}
    started_at = parse_time(status["startTime"]) if "startTime" in status else now
    address = IPv4Address(status["podIP"]) if status.get("podIP") else None
    return PodRecord(MappingProxyType(containers), started_at, address=address)


def _container_from_status(status: Object | None, now: datetime) -> ContainerRecord:
    if status is None:
        return ContainerRecord()
    last = _terminated(status.get("lastState", {}).get("terminated"))
    image_id = status.get("imageID", "")
    container = ContainerRecord(last=last, restart_count=status.get("restartCount", 0), image_id=image_id)
    if terminated := _terminated(status["state"].get("terminated")):
        return replace(container, state=terminated)
    if running := status["state"].get("running"):
        return replace(container, state=_lost(status, running, now))
    if last is not None:
        return replace(container, state=last, last=None)
    return container


def _lost(status: Object, running: Object, now: datetime) -> Terminated:
    return Terminated(
        id=status.get("containerID", "").removeprefix(ID_SCHEME),
        exit_code=EXIT_CODE_UNKNOWN,
        reason="ContainerStatusUnknown",
        started_at=parse_time(running["startedAt"]),
        finished_at=now,
        message="The container could not be located when the kubelet was restarted",
    )


def _terminated(state: Object | None) -> Terminated | None:
    if state is None:
        return None
    return Terminated(
        id=state.get("containerID", "").removeprefix(ID_SCHEME),
        exit_code=state["exitCode"],
        reason=state.get("reason", ""),
        started_at=parse_time(state["startedAt"]) if state.get("startedAt") else _EPOCH,
        finished_at=parse_time(state["finishedAt"]) if state.get("finishedAt") else _EPOCH,
        message=state.get("message", ""),
    )


# What happened, as one new record each.


def pod_updated(record: PodRecord, pod: Object) -> PodRecord:
    """Note the ephemeral containers that were added."""
    added = [spec["name"] for spec in pod["spec"].get("ephemeralContainers") or ()]
    new = {name: ContainerRecord() for name in added if name not in record.containers}
    return replace(record, containers=MappingProxyType({**record.containers, **new})) if new else record


def sandbox_ran(record: PodRecord, sandbox: Sandbox) -> PodRecord:
    return replace(record, sandbox=sandbox, address=sandbox.address, sandbox_error=None)


def sandbox_failed(record: PodRecord, message: str, now: datetime) -> PodRecord:
    return replace(record, sandbox_error=Waiting("ContainerCreating", message, now))


def sandbox_removed(record: PodRecord, now: datetime) -> PodRecord:
    """Whatever still ran died with the sandbox, even if nobody reported its exit."""
    for name, state in record.running().items():
        container = record.containers[name]
        lost = Terminated(state.id, EXIT_CODE_UNKNOWN, "Error", state.started_at, now)
        record = record.with_container(name, replace(container, state=lost))
    return replace(record, sandbox=None)


def image_pulled(record: PodRecord, name: str) -> PodRecord:
    container = replace(record.containers[name], has_image=True, pull_backoff=None)
    return record.with_container(name, container)


def image_refused(record: PodRecord, name: str, reason: str, message: str, now: datetime) -> PodRecord:
    container = record.containers[name]
    backoff = grown(container.pull_backoff, now, now)
    state = Waiting(reason, message, now)
    container = replace(_archived(container), state=state, has_image=False, pull_backoff=backoff)
    return record.with_container(name, container)


def config_refused(record: PodRecord, name: str, message: str, now: datetime) -> PodRecord:
    state = Waiting("CreateContainerConfigError", message, now)
    return record.with_container(name, replace(_archived(record.containers[name]), state=state))


def container_started(record: PodRecord, name: str, started: Container) -> PodRecord:
    container = _next_attempt(record.containers[name], started.started_at)
    state = Running(started.id, started.started_at)
    return record.with_container(name, replace(container, state=state, image_id=started.image_id))


def container_not_started(record: PodRecord, name: str, message: str, now: datetime) -> PodRecord:
    container = _next_attempt(record.containers[name], now)
    state = Terminated("", EXIT_CODE_START_ERROR, "StartError", _EPOCH, now, message)
    return record.with_container(name, replace(container, state=state, has_image=False))


def container_exited(record: PodRecord, exit_: ContainerExit) -> PodRecord:
    """Note an exit; one that belongs to no running container here changes nothing."""
    for name, state in record.running().items():
        if state.id == exit_.id:
            ended = replace(record.containers[name], state=_ended(state, exit_), has_image=False)
            return record.with_container(name, ended)
    return record


def _ended(state: Running, exit_: ContainerExit) -> Terminated:
    return Terminated(
        exit_.id, exit_.exit_code, exit_.reason, state.started_at, exit_.finished_at, exit_.message
    )


def next_restart_count(container: ContainerRecord) -> int:
    """Return the number that the next start will have: a first start is 0, whatever follows one more."""
    tried = isinstance(container.state, Terminated) or container.last is not None
    return container.restart_count + 1 if tried else container.restart_count


def _next_attempt(container: ContainerRecord, now: datetime) -> ContainerRecord:
    ended = container.state if isinstance(container.state, Terminated) else container.last
    backoff = grown(container.restart_backoff, ended.finished_at, now) if ended else container.restart_backoff
    count = next_restart_count(container)
    return replace(_archived(container), restart_count=count, restart_backoff=backoff)


def _archived(container: ContainerRecord) -> ContainerRecord:
    """Move a terminated state to `last`, before another state takes its place."""
    return replace(container, last=container.state) if isinstance(container.state, Terminated) else container


def backing_off(container: ContainerRecord, reason: str, message: str) -> ContainerRecord:
    since = container.state.since if isinstance(container.state, Waiting) else None
    return replace(_archived(container), state=Waiting(reason, message, since))
