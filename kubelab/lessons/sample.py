"""A small live state before and after somebody worked in it, for the reference's examples. Pure."""

from dataclasses import replace
from typing import Any

from kubelab.cluster.objects import DEPLOYMENTS, PODS, Object
from kubelab.lessons.checks import Check, Finding, Scope, judge
from kubelab.lessons.checks.cgroup_fields import CgroupFile, CgroupText
from kubelab.lessons.checks.file_question import FileAt, FileSeen
from kubelab.lessons.checks.hostname import HostnameIn
from kubelab.lessons.checks.image_layout import LayoutAt, LayoutSeen
from kubelab.lessons.memory import Memory
from kubelab.lessons.observation import (
    Address,
    Link,
    MachineState,
    Mount,
    Network,
    Observation,
    Process,
    ResourceState,
    Route,
    Rule,
    SessionState,
)
from kubelab.lessons.sample_cluster import (
    IDLE_ANSWERS,
    IDLE_RESOURCES,
    REACHED_ANSWERS,
    REACHED_RESOURCES,
)

MACHINE = "minion-1"
SCOPE = Scope(MACHINE)

_OF_MACHINE = {"mnt": 4026532201, "pid": 4026532202, "net": 4026532203, "ipc": 4026532204, "uts": 4026532205}
_OF_POD = _OF_MACHINE | {"net": 4026532310, "ipc": 4026532311, "uts": 4026532312}
_OWN = {"mnt": 4026532401, "pid": 4026532402}
_IP = "10.244.0.2"


def _process(pid: int, command: str, namespaces: dict[str, int], **changes: Any) -> Process:
    argv = tuple(command.split())
    values: dict[str, Any] = {"pids": (pid,), "cgroup": ""} | changes
    return Process(
        pid=pid,
        start_ticks=pid,
        parent_pid=1,
        comm=argv[0],
        argv=argv,
        state="S",
        namespaces=namespaces,
        children_pid_namespace=namespaces["pid"],
        proc_pid_namespace=namespaces["pid"],
        **values,
    )


def _pod(name: str, uid: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": uid, "labels": {"app": "web"}},
        "spec": {"nodeName": MACHINE, "containers": [{"name": "web"}]},
        "status": {
            "phase": "Running",
            "podIP": _IP,
            "containerStatuses": [
                {"name": "web", "ready": True, "restartCount": 0, "state": {"running": {}}}
            ],
        },
    }


_OLD = _pod("old", "8c7f0d52-old")
_SHELL = _process(30, "bash", _OF_MACHINE)
_IN_POD = {"pids": (41, 1), "cgroup": "/kubepods/pod5d1f9c1e-web"}

_ROOT = Mount(20, 1, "0:40", "/", "/", ("rw",), ("shared:1",), "overlay", "overlay", ())
_DATA = Mount(33, 20, "0:52", "/", "/mnt/data", ("rw", "nosuid"), ("shared:9",), "tmpfs", "tmpfs", ("rw",))
_LOOPBACK = Link(1, "lo", "", True, True, 65536, "00:00:00:00:00:00")
_CABLE = Link(2, "eth0", "veth", True, True, 1400, "0a:58:0a:09:00:02")
_OF_POD_NETWORK = Network(
    (_LOOPBACK, _CABLE),
    (Address("lo", "127.0.0.1/8"), Address("eth0", "10.9.0.2/24")),
    (Route("default", "10.9.0.1", "eth0"), Route("10.9.0.0/24", "", "eth0", "10.9.0.2")),
)
_MOTD = FileAt(MACHINE, "/etc/motd", 30, 30, _OF_MACHINE["mnt"], with_content=True)
_LAYOUT = LayoutAt(MACHINE, "/srv/image")
_HOSTNAME = HostnameIn(MACHINE, 30, _OF_MACHINE["uts"])
_EVENTS = CgroupFile(MACHINE, "demo", "memory.events")
_EVENTS_FILE = "/sys/fs/cgroup/demo/memory.events"
_MASQUERADE = Rule("ip", "nat", "postrouting", "ip saddr 10.9.0.0/24 masquerade")

IDLE = Observation(
    machines={
        MACHINE: MachineState(
            MACHINE,
            _OF_MACHINE,
            (_SHELL, _process(31, "stress", _OF_MACHINE)),
            mounts={_OF_MACHINE["mnt"]: (_ROOT,)},
            networks={_OF_MACHINE["net"]: Network((_LOOPBACK,), (Address("lo", "127.0.0.1/8"),))},
        )
    },
    resources={PODS: ResourceState((_OLD,)), DEPLOYMENTS: ResourceState(), **IDLE_RESOURCES},
    answers={
        _MOTD: FileSeen(),
        _HOSTNAME: MACHINE,
        _LAYOUT: LayoutSeen(blobs=2, misnamed=("layer.tar",)),
        _EVENTS: CgroupText(_EVENTS_FILE, None),
        **IDLE_ANSWERS,
    },
    session=SessionState(hints=0, resets=0, language="es"),
)
"""A shell, a `stress`, and a pod `old` of which nothing runs."""

REACHED = Observation(
    machines={
        MACHINE: MachineState(
            MACHINE,
            _OF_MACHINE,
            (
                _process(30, "bash", _OF_MACHINE | {"net": _OF_POD["net"]}),
                _process(40, "pause", _OF_POD | {"pid": 4026532320}, **_IN_POD | {"pids": (40, 1)}),
                _process(41, "python3 -m http.server", _OF_POD | {"pid": 4026532321}, **_IN_POD),
                _process(57, "sleep 1000", _OF_MACHINE | _OWN, pids=(57, 1)),
            ),
            mounts={_OF_MACHINE["mnt"]: (_ROOT, _DATA)},
            networks={
                _OF_MACHINE["net"]: Network((_LOOPBACK,), rules=(_MASQUERADE,)),
                _OF_POD["net"]: _OF_POD_NETWORK,
            },
        )
    },
    resources={
        PODS: ResourceState((_pod("web", "5d1f9c1e-web"), _pod("web-2", "77aa0c3b-web")), departed=(_OLD,)),
        DEPLOYMENTS: ResourceState(),
        **REACHED_RESOURCES,
    },
    answers={
        _MOTD: FileSeen("file", mode=0o644, size_bytes=12, content="hello, world"),
        _HOSTNAME: "luna",
        _LAYOUT: LayoutSeen(blobs=4, layers=2, command="sleep infinity"),
        _EVENTS: CgroupText(_EVENTS_FILE, "oom 1\noom_kill 1"),
        **REACHED_ANSWERS,
    },
    session=SessionState(hints=1, resets=0, language="es"),
)
"""The shell is in the network of pod `web`; `sleep 1000` is PID 1 of its own; `stress` and `old` are gone."""


def before_and_after(check: Check) -> tuple[Finding, Finding]:
    """Return what *check* finds at first, and what once the state was reached and has held for a minute."""
    before, memory = judge(check, IDLE, SCOPE), Memory()
    judge(check, IDLE, Scope(MACHINE, memory))
    for at_s in (60.0, 120.0):
        memory = Memory(memory.notes, at_s)
        after = judge(check, replace(REACHED, at_s=at_s), Scope(MACHINE, memory))
    return before, after
