"""Short ways to write observations and checks."""

from typing import Any

from kubelab.cluster.objects import PODS, Object
from kubelab.lessons.checks import Check, Finding, Scope, judge
from kubelab.lessons.located import read_yaml
from kubelab.lessons.observation import MachineState, Observation, Process, ResourceState

HOST = {"mnt": 1, "pid": 2, "net": 3, "ipc": 4, "uts": 5}
SCOPE = Scope("minion-1")


def process(pid: int = 10, comm: str = "sleep", **changes: Any) -> Process:
    argv = changes.pop("argv", (comm,))
    namespaces = HOST | changes.pop("namespaces", {})
    defaults: dict[str, Any] = {
        "start_ticks": pid,
        "parent_pid": 1,
        "pids": (pid,),
        "state": "S",
        "children_pid_namespace": namespaces["pid"],
        "proc_pid_namespace": HOST["pid"],
    }
    return Process(pid=pid, comm=comm, argv=argv, namespaces=namespaces, **(defaults | changes))


def machine(*processes: Process, departed: tuple[Process, ...] = (), name: str = "minion-1") -> Observation:
    return Observation(machines={name: MachineState(name, HOST, processes, departed)})


def pod(name: str = "web", uid: str = "1111-2222", **status: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": uid, "labels": {"app": name}},
        "spec": {"nodeName": "minion-1", "containers": [{"name": "c"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.9"} | status,
    }


def pods(*objects: Object, departed: tuple[Object, ...] = (), on: Observation | None = None) -> Observation:
    machines = on.machines if on else {"minion-1": MachineState("minion-1", HOST)}
    return Observation(machines=machines, resources={PODS: ResourceState(objects, departed)})


def check(yaml: str) -> Check:
    return Check.read(read_yaml(yaml, "es.md"))


def found(yaml: str, observation: Observation) -> Finding:
    return judge(check(yaml), observation, SCOPE)
