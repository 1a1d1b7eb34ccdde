"""`namespace`: the namespace of a process equals, or differs from, that of the machine or of another process.

Source: namespaces(7): two processes are in the same namespace if /proc/<pid>/ns/<kind> has the same inode.
"""

from dataclasses import dataclass
from typing import Annotated

from kubelab.cluster.objects import PODS
from kubelab.language import Text
from kubelab.lessons.checks.check import (
    CannotSee,
    Check,
    Finding,
    Needs,
    Scope,
    check,
    machine_state,
    resource_state,
)
from kubelab.lessons.checks.pods import find_pod, pod_processes
from kubelab.lessons.checks.selector import ProcessSelector
from kubelab.lessons.located import Node
from kubelab.lessons.observation import NamespaceKind, Observation
from kubelab.lessons.schema import read_fields
from kubelab.lessons.view import Verdict


@dataclass(frozen=True, slots=True)
class PodSubject:
    """A pod, for the namespaces that all its containers share."""

    pod: Annotated[str, "The pod's name."]
    namespace: Annotated[str, "The Kubernetes namespace that it is in."] = "default"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose namespace: `machine`, a pod (`{pod: NAME}`), or a process (`{comm: bash}`)."""

    process: ProcessSelector | None = None
    pod: PodSubject | None = None

    @classmethod
    def read(cls, node: Node) -> "Subject":
        if node.value == "machine":
            return cls()
        entries = node.mapping()
        if "pod" in entries:
            return cls(pod=read_fields(PodSubject, node, entries))
        return cls(process=read_fields(ProcessSelector, node, entries))

    def phrase(self) -> Text:
        if self.pod is not None:
            return Text(f"el pod `{self.pod.pod}`", f"pod `{self.pod.pod}`")
        if self.process is not None:
            return self.process.phrase()
        return Text("la máquina", "the machine")

    def inodes(self, kind: NamespaceKind, observation: Observation, machine: str) -> list[int]:
        """Return the namespaces of all processes that it means (of the machine: one)."""
        if self.pod is not None:
            pod = find_pod(resource_state(observation, PODS), self.pod.namespace, self.pod.pod)
            processes = pod_processes(pod, observation) if pod else ()
            return [process.namespaces[kind] for process in processes if kind in process.namespaces][:1]
        state = machine_state(observation, machine)
        if self.process is not None:
            return [
                process.namespaces[kind] for process in self.process.find(state) if kind in process.namespaces
            ]
        return [state.namespaces[kind]]


@check
class NamespaceCheck(Check):
    """Two are in the same namespace, or in different ones; it is enough if one process that `of` means is."""

    namespace: Annotated[NamespaceKind, "The kind of namespace that is compared."]
    of: Annotated[Subject, "Whose namespace."]
    equals: Annotated[Subject | None, "Whose namespace it must be."] = None
    differs_from: Annotated[
        Subject | None, "Whose namespace it must not be; without this and `equals`: the machine's."
    ] = None
    machine: Annotated[str, "The machine on which processes are sought; by default the lesson's own."] = ""

    example = "{namespace: net, of: {comm: bash}, equals: {pod: web}}"

    def needs(self) -> Needs:
        subjects = (self.of, self.equals, self.differs_from)
        asks_api = any(subject is not None and subject.pod is not None for subject in subjects)
        return Needs(processes=True, resources=frozenset({PODS} if asks_api else ()))

    def expected(self, scope: Scope) -> Text:
        subject, other = self.of.phrase(), self._other().phrase()
        if self.equals is not None:
            return Text(
                f"{subject.es}, en el mismo espacio {self.namespace} que {other.es}",
                f"{subject.en}, in the same {self.namespace} namespace as {other.en}",
            )
        return Text(
            f"{subject.es}, en un espacio {self.namespace} distinto del de {other.es}",
            f"{subject.en}, in another {self.namespace} namespace than {other.en}",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        machine = self.machine or scope.machine
        mine = self.of.inodes(self.namespace, observation, machine)
        theirs = self._other().inodes(self.namespace, observation, machine)
        for subject, inodes in ((self.of, mine), (self._other(), theirs)):
            if not inodes:
                phrase = subject.phrase()
                absent = Text(f"no hay {phrase.es}", f"{phrase.en} is not there")
                raise CannotSee(absent, Verdict.NOT_YET)
        wants_equal = self.equals is not None
        passed = any((inode in theirs) == wants_equal for inode in mine)
        listed = ", ".join(f"{self.namespace}:[{inode}]" for inode in mine[:3])
        other = f"{self.namespace}:[{theirs[0]}]"
        observed = Text(f"{listed}; el otro es {other}", f"{listed}; the other is {other}")
        return self.finding(passed, scope, observed, f"lsns -t {self.namespace}")

    def _other(self) -> Subject:
        return self.equals or self.differs_from or Subject()
