"""The live state in sentences: of a lesson's own machine its processes, of a cluster nodes, pods, last event.
Pure.
"""

from collections.abc import Iterator

from kubelab.cluster.lab.snapshot import LabSnapshot, MachineView, PodView, ProcessView
from kubelab.language import Text
from kubelab.plain import words

REQUESTS_TOLD = 3


def state_sentences(snapshot: LabSnapshot, machine_name: str) -> Iterator[Text]:
    """Yield what *snapshot* shows to a learner whose shell runs on the machine."""
    machine = next((machine for machine in snapshot.machines if machine.name == machine_name), None)
    if machine is None:
        yield words.NOTHING_YET
    elif machine.role == "scratch":
        yield _machine(machine)
        yield from (_process(process, machine) for process in machine.processes)
    else:
        yield from _cluster(snapshot)


def _cluster(snapshot: LabSnapshot) -> Iterator[Text]:
    yield from (_machine(machine) for machine in snapshot.machines if machine.role != "scratch")
    yield from (words.NODE.format(name=node.name, status=node.status) for node in snapshot.nodes)
    for pod in snapshot.pods:
        yield from _pod(pod)
    if not snapshot.pods:
        yield words.NO_PODS
    for request in snapshot.requests[-REQUESTS_TOLD:]:
        where = f" -n {request.namespace}" if request.namespace else ""
        yield words.REQUEST.format(
            time=request.time,
            user=request.user,
            what=f"{request.verb} {request.target}{where}",
            code=request.code,
        )
    for event in snapshot.events[-1:]:
        yield words.EVENT.format(reason=event.reason, about=event.about, message=event.message)
    yield words.REVISION.format(n=snapshot.revision)


def _machine(machine: MachineView) -> Text:
    return words.MACHINE.format(name=machine.name, role=machine.role, address=machine.address)


def _pod(pod: PodView) -> Iterator[Text]:
    name = pod.name if pod.namespace == "default" else f"{pod.namespace}/{pod.name}"
    yield words.POD.format(name=name, status=pod.status, ready=pod.ready, restarts=pod.restarts)
    if pod.node:
        pids = ", ".join(map(str, pod.host_pids)) or "-"
        yield words.POD_PLACE.format(node=pod.node, ip=pod.ip or "-", pids=pids)
    else:
        yield words.POD_WAITS


def _process(process: ProcessView, machine: MachineView) -> Text:
    pid, *inside = process.pids or (process.host_pid,)
    if process.pid_namespace == machine.pid_namespace or not inside:
        return words.PROCESS.format(pid=pid, command=process.command)
    return words.PROCESS_INSIDE.format(
        pid=pid, inside=inside[-1], namespace=process.pid_namespace, command=process.command
    )
