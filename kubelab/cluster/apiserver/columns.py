"""The columns that `kubectl get` shows, and the cells of each kind's row: the server decides, kubectl prints.

Source: kubernetes, pkg/printers/internalversion/printers.go. Columns with a priority are those of `-o wide`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from kubelab.cluster.apiserver import descriptions
from kubelab.cluster.apiserver.durations import UNKNOWN, since
from kubelab.cluster.objects import Object

Cells = list[Any]
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """Without a `description`, what Kubernetes says of the field `documents` (`go/package.Type.field`)."""

    name: str
    type: str = "string"
    priority: int = 0
    description: str = ""
    documents: str = ""
    format: str = ""

    def definition(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format or ("name" if self.name == "Name" else ""),
            "description": self.description or _documented(self.documents),
            "priority": self.priority,
        }


def read_descriptions(columns: Iterable[Column]) -> None:
    """Read what the definitions of *columns* will say: 0.1 s for all kinds, and nothing afterwards."""
    for column in columns:
        _documented(column.documents)


@cache
def _documented(path: str) -> str:
    go_type, _, field = path.rpartition(".")
    return descriptions.of_type(go_type).fields.get(field, "") if path else ""


TEMPLATE = (
    Column("Containers", priority=1, description="Names of each container in the template."),
    Column("Images", priority=1, description="Images referenced by each container in the template."),
)  # Of all that makes pods from a template; see `template_cells`.


def wide(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, priority=1) for name in names)


_METADATA = "k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta"
NAME = Column("Name", documents=f"{_METADATA}.name")
AGE = Column("Age", documents=f"{_METADATA}.creationTimestamp")

NAME_AND_AGE = (NAME, Column("Created At", "date", documents=f"{_METADATA}.creationTimestamp"))
POD = (
    NAME,
    Column("Ready", description="The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", description="The aggregate status of the containers in this pod."),
    Column("Restarts", description="The number of times the containers in this pod have been restarted."),
    AGE,
    *wide("IP", "Node", "Nominated Node", "Readiness Gates"),
)
NODE = (
    NAME,
    Column("Status", description="The status of the node"),
    Column("Roles", description="The roles of the node"),
    AGE,
    Column("Version", description="Kubelet Version reported by the node."),
    *wide("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
)
NAMESPACE = (NAME, Column("Status", description="The status of the namespace"), AGE)
CONFIGMAP = (NAME, Column("Data", "integer"), AGE)
EVENT = (
    Column("Last Seen"),
    Column("Type"),
    Column("Reason"),
    Column("Object"),
    *wide("Subobject", "Source"),
    Column("Message"),
    *wide("First Seen", "Count", "Name"),
)


def age(obj: Object, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def name_and_age(obj: Object, now: datetime) -> Cells:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def namespace(obj: Object, now: datetime) -> Cells:
    return [obj["metadata"]["name"], obj.get("status", {}).get("phase", ""), age(obj, now)]


def configmap(obj: Object, now: datetime) -> Cells:
    entries = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [obj["metadata"]["name"], entries, age(obj, now)]


def template_cells(spec: Object) -> list[str]:
    """Return the names, images and selector of what makes pods from a template."""
    containers = spec["template"].get("spec", {}).get("containers") or ()
    names = ",".join(container.get("name", "") for container in containers)
    images = ",".join(container.get("image", "") for container in containers)
    return [names, images, selector_text(spec.get("selector") or {})]


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels, or the selector of a Service, as kubectl's columns show them."""
    return ",".join(sorted(f"{key}={value}" for key, value in labels.items())) or NONE


def selector_text(selector: Object) -> str:
    """Return a label selector in the form that kubectl's `-l` takes."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    parts += [_requirement_text(requirement) for requirement in selector.get("matchExpressions") or ()]
    return ",".join(sorted(parts)) or NONE


def _requirement_text(requirement: Object) -> str:
    key, values = requirement["key"], f"({','.join(sorted(requirement.get('values') or ()))})"
    texts = {
        "In": f"{key} in {values}",
        "NotIn": f"{key} notin {values}",
        "Exists": key,
        "DoesNotExist": f"!{key}",
    }
    return str(texts[requirement["operator"]])


def event(obj: Object, now: datetime) -> Cells:
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    if series := obj.get("series"):
        last, count = since(series.get("lastObservedTime"), now), series.get("count", 0)
    about = obj.get("involvedObject") or {}
    target = "/".join(filter(None, (about.get("kind", "").lower(), about.get("name"))))
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        about.get("fieldPath", ""),
        _event_source(obj),
        obj.get("message", "").strip(),
        first,
        count,
        obj["metadata"]["name"],
    ]


def _event_source(obj: Object) -> str:
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent", "")
    return ", ".join(filter(None, (component, source.get("host") or obj.get("reportingInstance"))))


def node(obj: Object, now: datetime) -> Cells:
    status = obj.get("status") or {}
    listed = reversed(status.get("addresses") or ())
    addresses = {address.get("type"): address.get("address") for address in listed}
    info = status.get("nodeInfo") or {}
    return [
        obj["metadata"]["name"],
        node_status(obj),
        ",".join(sorted(_roles(obj["metadata"].get("labels") or {}))) or NONE,
        age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def node_status(obj: Object) -> str:
    """Return what kubectl prints in a node's STATUS column."""
    conditions = {
        each.get("type"): each.get("status") for each in (obj.get("status") or {}).get("conditions") or ()
    }
    ready = {"True": "Ready", None: "Unknown"}.get(conditions.get("Ready"), "NotReady")
    cordoned = (obj.get("spec") or {}).get("unschedulable")
    return f"{ready},SchedulingDisabled" if cordoned else ready


def _roles(labels: Mapping[str, str]) -> set[str]:
    prefix = "node-role.kubernetes.io/"
    roles = {label.removeprefix(prefix) for label in labels if label.startswith(prefix)}
    return {role for role in roles | {labels.get("kubernetes.io/role", "")} if role}


def pod(obj: Object, now: datetime) -> Cells:
    spec, status = obj["spec"], obj.get("status") or {}
    summary = summarize_pod(obj)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts = f"{summary.restarts} ({since(summary.last_restart, now)} ago)"
    return [
        obj["metadata"]["name"],
        f"{summary.ready}/{summary.containers}",
        summary.status,
        restarts,
        age(obj, now),
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(spec, status),
    ]


def _readiness_gates(spec: Object, status: Object) -> str:
    gates = spec.get("readinessGates") or ()
    true = {each.get("type") for each in status.get("conditions") or () if each.get("status") == "True"}
    met = sum(gate["conditionType"] in true for gate in gates)
    return f"{met}/{len(gates)}" if gates else NONE


@dataclass(frozen=True, slots=True)
class PodSummary:
    """The READY, STATUS and RESTARTS of a pod, as kubectl prints them. `last_restart` is RFC 3339 or ""."""

    status: str
    ready: int
    containers: int
    restarts: int
    last_restart: str


def summarize_pod(obj: Object) -> PodSummary:
    """Return one line's worth of what happens in a pod (upstream: printPod)."""
    spec, status = obj["spec"], obj.get("status") or {}
    sidecars = {
        each["name"] for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"
    }
    containers = len(spec.get("containers") or ()) + len(sidecars)
    init_statuses = status.get("initContainerStatuses") or []
    word, seen = _init_word(init_statuses, sidecars, len(spec.get("initContainers") or ()))
    counted = seen
    beside = [each for each in seen if each.get("name") in sidecars]
    ready = sum(bool(each.get("ready") and each.get("started")) for each in beside)
    if not word or _has_condition(status, "Initialized"):
        statuses = status.get("containerStatuses") or []
        word = _container_word(statuses, status) or word
        ready += sum(bool(each.get("ready")) and "running" in each.get("state", {}) for each in statuses)
        counted = beside + statuses
    reason = _final_word(obj, status, word or _first_word(status))
    restarts = sum(each.get("restartCount", 0) for each in counted)
    ends = [each.get("lastState", {}).get("terminated", {}).get("finishedAt") or "" for each in counted]
    return PodSummary(reason, ready, containers, restarts, max(ends, default=""))


def _first_word(status: Object) -> str:
    if any(each.get("reason") == "SchedulingGated" for each in status.get("conditions") or ()):
        return "SchedulingGated"
    return str(status.get("reason") or status.get("phase") or "")


def _has_condition(status: Object, type_: str) -> bool:
    wanted = (type_, "True")
    return any((each.get("type"), each.get("status")) == wanted for each in status.get("conditions") or ())


def _ended(terminated: Object) -> str:
    if reason := terminated.get("reason"):
        return str(reason)
    if signal := terminated.get("signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _init_word(statuses: Sequence[Object], sidecars: set[str], total: int) -> tuple[str, list[Object]]:
    """Return what the first init container that is not done says, and the statuses up to it."""
    for index, container in enumerate(statuses):
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason", "")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        if terminated is not None:
            word = f"Init:{_ended(terminated)}"
        elif waiting and waiting != "PodInitializing":
            word = f"Init:{waiting}"
        else:
            word = f"Init:{index}/{total}"
        return word, list(statuses[: index + 1])
    return "", list(statuses)


def _container_word(statuses: Sequence[Object], status: Object) -> str:
    """Return the reason of the first container that waits or has ended."""
    word, running = "", False
    for container in reversed(statuses):
        state = container.get("state") or {}
        if reason := (state.get("waiting") or {}).get("reason"):
            word = reason
        elif (terminated := state.get("terminated")) is not None:
            word = _ended(terminated)
        elif container.get("ready") and "running" in state:
            running = True
    if word == "Completed" and running:
        return "Running" if _has_condition(status, "Ready") else "NotReady"
    return word


def _final_word(obj: Object, status: Object, word: str) -> str:
    if "deletionTimestamp" not in obj["metadata"]:
        return word
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return word if status.get("phase") in {"Succeeded", "Failed"} else "Terminating"
