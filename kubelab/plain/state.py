"""The live state in sentences: of a lesson's own machine its processes; of a cluster nodes, pods, last event
and, if there are several masters, how the store's members are. Pure.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from kubelab.cluster.lab.snapshot import (
    LabSnapshot,
    LogEntryView,
    MachineView,
    PodView,
    ProcessView,
    RaftView,
    StoreView,
)
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
    if snapshot.store and len(snapshot.store.names) > 1:
        yield from _store(snapshot.store)


def _store(store: StoreView) -> Iterator[Text]:
    """Of a store that does not tell how it is, a real etcd that has not answered yet, nothing is said."""
    if not (store.members or store.stopped):
        return
    leader = words.RAFT_LEADER if store.leader else words.RAFT_NO_LEADER
    alive, needed = len(store.members), len(store.names) // 2 + 1
    yield leader.format(term=store.term, name=store.leader, n=alive, count=len(store.names), needed=needed)
    members = {member.name: member for member in store.members}
    for name in store.names:
        if member := members.get(name):
            yield from _member(member)
        else:
            yield (words.RAFT_STOPPED if name in store.stopped else words.RAFT_DEAD).format(name=name)


def _member(member: RaftView) -> Iterator[Text]:
    yield words.RAFT_ROLES[member.role].format(name=member.name, term=member.term)
    if member.vote:
        yield words.RAFT_VOTED.format(name=member.vote)
    yield words.RAFT_LOG.format(last=member.last_index, commit=member.commit, applied=member.applied)
    if terms := _terms(member.tail):
        yield words.RAFT_TAIL.format(terms=terms)
    heard = ", ".join(member.heard)
    yield words.RAFT_HEARS.format(names=heard) if heard else words.RAFT_HEARS_NOBODY


def _terms(tail: Sequence[LogEntryView]) -> str:
    """Return how many entries of which term: "2 × 4, 5 × 1"."""
    runs = ((term, len(list(entries))) for term, entries in groupby(tail, key=lambda entry: entry.term))
    return ", ".join(f"{term} × {count}" for term, count in runs)


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
