"""`namespace`: the namespace of a process equals, or differs from, that of the machine or of another process.

Source: namespaces(7): two processes are in the same namespace if /proc/<pid>/ns/<kind> has the same inode. A
zombie is left in its user and pid namespaces only; time namespaces came with Linux 5.6.
"""

from dataclasses import dataclass
from typing import Annotated

from kubelab.language import Text
from kubelab.lessons.checks.check import CannotSee, Finding, Measure, Needs, Scope, check
from kubelab.lessons.checks.subject import Subject, View, typed
from kubelab.lessons.located import Node
from kubelab.lessons.observation import NamespaceKind, Observation
from kubelab.lessons.view import Verdict


@dataclass(frozen=True, slots=True)
class NamespaceOwner:
    """Whose namespace: `host` (where kubelab itself runs), or a [subject](#subject)."""

    subject: Subject | None = None

    @classmethod
    def read(cls, node: Node) -> "NamespaceOwner":
        return cls() if node.value == "host" else cls(Subject.read(node))

    def needs(self) -> Needs:
        return self.subject.needs() if self.subject else Needs()

    def phrase(self) -> Text:
        return self.subject.phrase() if self.subject else Text("el host", "the host")

    def inodes(self, kind: NamespaceKind, observation: Observation, machine: str) -> list[int]:
        """Return the namespaces of all that it means, at least one. Raises CannotSee."""
        if self.subject is None:
            inodes = [observation.host[kind]] if kind in observation.host else []
        else:
            views = self.subject.views(observation, machine)
            inodes = [inode for view in views if (inode := view.namespace(kind)) is not None]
            if not inodes:
                raise _not_in_any(kind, views[0])
        if not inodes:
            raise CannotSee(_not_on_this_kernel(kind))
        return inodes


def _not_in_any(kind: NamespaceKind, view: View) -> CannotSee:
    if view.process is None or kind not in view.state.namespaces:
        return CannotSee(_not_on_this_kernel(kind))
    name, pid = view.process.comm, view.process.pid
    if view.process.is_zombie:
        ended = Text(
            f"`{name}` (PID {pid}) es un zombi: ya no está en ningún espacio {kind}",
            f"`{name}` (PID {pid}) is a zombie: it is in no {kind} namespace any more",
        )
        return CannotSee(ended, Verdict.NOT_YET)
    hidden = Text(
        f"no se puede leer el espacio {kind} de `{name}` (PID {pid})",
        f"the {kind} namespace of `{name}` (PID {pid}) cannot be read",
    )
    return CannotSee(hidden)


def _not_on_this_kernel(kind: NamespaceKind) -> Text:
    return Text(f"este kernel no tiene espacios {kind}", f"this kernel has no {kind} namespaces")


@check
class NamespaceCheck(Measure):
    """Two are in the same namespace, or in different ones; it is enough if one process that `of` means is.
    Its value is the namespace's inode number."""

    namespace: Annotated[NamespaceKind, "The kind of namespace that is compared."]
    of: Annotated[NamespaceOwner, "Whose namespace."]
    equals: Annotated[NamespaceOwner | None, "Whose namespace it must be."] = None
    differs_from: Annotated[
        NamespaceOwner | None, "Whose namespace it must not be; without this and `equals`: the machine's."
    ] = None
    machine: Annotated[str, "The machine on which processes are sought; by default the lesson's own."] = ""

    example = "{namespace: net, of: {comm: bash}, equals: {pod: web}}"

    def needs(self) -> Needs:
        return self.of.needs() | self._other().needs() | Needs(machines=frozenset({self.machine} - {""}))

    def value(self, observation: Observation, scope: Scope) -> int:
        return self.of.inodes(self.namespace, observation, self.machine or scope.machine)[0]

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
        wants_equal = self.equals is not None
        passed = any((inode in theirs) == wants_equal for inode in mine)
        listed = ", ".join(f"{self.namespace}:[{inode}]" for inode in mine[:3])
        other = f"{self.namespace}:[{theirs[0]}]"
        observed = Text(f"{listed}; el otro es {other}", f"{listed}; the other is {other}")
        look = typed(f"lsns -t {self.namespace}", machine, scope)
        return self.finding(passed, scope, observed, look)

    def _other(self) -> NamespaceOwner:
        return self.equals or self.differs_from or NamespaceOwner(Subject())
