"""Whose view it is: that of a machine, of a process on it, or of a pod; each is in namespaces and has a root.

Source: namespaces(7), chroot(2), proc(5) on /proc/<pid>/root.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from kubelab.cluster.objects import PODS, Object, Resource
from kubelab.language import Text
from kubelab.lessons.checks.check import CannotSee, Needs, Scope, machine_state, resource_state
from kubelab.lessons.checks.pods import find_pod, node_of, pod_processes
from kubelab.lessons.checks.selector import ProcessSelector
from kubelab.lessons.located import Node
from kubelab.lessons.observation import MachineState, NamespaceKind, Observation, Process
from kubelab.lessons.schema import read_fields
from kubelab.lessons.view import Verdict


def typed(command: str, machine: str, scope: Scope) -> str:
    """Return *command* as it is typed into the lesson's shell, to be run on *machine*."""
    return command if machine == scope.machine or not command else f"kubelab shell {machine} {command}"


@dataclass(frozen=True, slots=True)
class View:
    """What one process sees, or, without one, who comes to the machine anew."""

    state: MachineState
    process: Process | None = None

    @property
    def root(self) -> str:
        return self.process.root if self.process else "/"

    def namespace(self, kind: NamespaceKind) -> int | None:
        """Return the inode of its namespace; None for a zombie, which is in none any more, and for a kind
        that this kernel does not have."""
        namespaces = self.process.namespaces if self.process else self.state.namespaces
        return namespaces.get(kind)

    def command(self, command: str, option: str, kind: NamespaceKind) -> str:
        """Return *command* as it is run in the machine's shell to see what this view sees: in the namespace
        of that kind, which that option of nsenter(1) enters."""
        if self.process is None or self.namespace(kind) == self.state.namespaces.get(kind):
            return command
        return f"nsenter -t {self.process.pid} {option} {command}"


@dataclass(frozen=True, slots=True)
class PodSubject:
    """A pod; without `container`, its first process, whose network all its containers share."""

    pod: Annotated[str, "The pod's name."]
    namespace: Annotated[str, "The Kubernetes namespace that it is in."] = "default"
    container: Annotated[str, "The name of one of its containers; by default any."] = ""

    def find(self, observation: Observation) -> Object | None:
        return find_pod(resource_state(observation, PODS), self.namespace, self.pod)

    def processes(self, pod: Object, observation: Observation) -> Sequence[Process]:
        """Return its living processes, or those of the container, by pid."""
        processes = pod_processes(pod, observation)
        if not self.container:
            return processes
        id_ = _container_id(pod, self.container)
        return [process for process in processes if id_ and id_ in process.cgroup]

    def phrase(self) -> Text:
        if self.container:
            return Text(
                f"el contenedor `{self.container}` del pod `{self.pod}`",
                f"container `{self.container}` of pod `{self.pod}`",
            )
        return Text(f"el pod `{self.pod}`", f"pod `{self.pod}`")


def _container_id(pod: Object, name: str) -> str:
    """Return the id without its scheme; "" while the container was not started."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    ids = (str(status.get("containerID", "")) for status in statuses if status.get("name") == name)
    return next(ids, "").rpartition("://")[2]


@dataclass(frozen=True, slots=True)
class Subject:
    """`machine` (the one that the check is about), another one (`{machine: minion-2}`), a pod (`{pod: NAME}`,
    if need be with `container`), or a process by its [selector](#process-selector), as `{comm: bash}`."""

    process: ProcessSelector | None = None
    pod: PodSubject | None = None
    machine: str = ""

    @classmethod
    def read(cls, node: Node) -> "Subject":
        if node.value == "machine":
            return cls()
        entries = node.mapping()
        if "pod" in entries and not isinstance(entries["pod"].value, int):
            return cls(pod=read_fields(PodSubject, node, entries))
        if "machine" in entries and len(entries) == 1:
            return cls(machine=entries["machine"].text())
        return cls(process=read_fields(ProcessSelector, node, entries))

    def __str__(self) -> str:
        """Return what the authors' reference shows as a default."""
        return "machine" if self == Subject() else self.phrase().en

    @property
    def is_machine(self) -> bool:
        return self.process is None and self.pod is None

    def needs(self) -> Needs:
        resources: frozenset[Resource] = frozenset({PODS} if self.pod else ())
        return Needs(processes=True, resources=resources, machines=frozenset({self.machine} - {""}))

    def phrase(self) -> Text:
        if self.pod is not None:
            return self.pod.phrase()
        if self.process is not None:
            return self.process.phrase()
        if self.machine:
            return Text(f"la máquina {self.machine}", f"machine {self.machine}")
        return Text("la máquina", "the machine")

    def place(self, machine: str) -> Text:
        """Return where it is seen from: "on minion-1", "as seen from pod `web`"."""
        if self.is_machine:
            name = self.machine or machine
            return Text(f"en {name}", f"on {name}")
        phrase = self.phrase()
        return Text(f"visto desde {phrase.es}", f"as seen from {phrase.en}")

    def views(self, observation: Observation, machine: str) -> tuple[View, ...]:
        """Return the views of all that it means, at least one.

        Raises:
            CannotSee: there is no such process or pod yet, or it could not be looked at.
        """
        if self.pod is not None:
            return _views_of_pod(self.pod, observation)
        state = machine_state(observation, self.machine or machine)
        if self.process is None:
            return (View(state),)
        if found := self.process.find(state):
            return tuple(View(state, process) for process in found)
        raise CannotSee(self._missing(state), Verdict.NOT_YET)

    def _missing(self, state: MachineState) -> Text:
        assert self.process is not None
        phrase, miss = self.phrase(), self.process.nearest_miss(state)
        if miss is None:
            return Text(f"no hay {phrase.es}", f"{phrase.en} is not there")
        process, instead = miss
        return Text(
            f"no hay {phrase.es}; `{process.comm}` (PID {process.pid}): {instead.es}",
            f"{phrase.en} is not there; `{process.comm}` (PID {process.pid}): {instead.en}",
        )


def _views_of_pod(subject: PodSubject, observation: Observation) -> tuple[View, ...]:
    pod, phrase = subject.find(observation), subject.phrase()
    if pod is None:
        raise CannotSee(Text(f"no existe {phrase.es}", f"{phrase.en} is not there"), Verdict.NOT_YET)
    processes = subject.processes(pod, observation)
    if not processes:
        none = Text(f"{phrase.es} no tiene procesos todavía", f"{phrase.en} has no processes yet")
        raise CannotSee(none, Verdict.NOT_YET)
    state = machine_state(observation, node_of(pod))
    if subject.container:
        return tuple(View(state, process) for process in processes)
    return (View(state, processes[0]),)
