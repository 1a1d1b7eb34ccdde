"""`hostname`: the name that uname(2) tells a process or a machine.

Source: uts_namespaces(7), uname(2).
Left out: the NIS domain name, which a UTS namespace has as well.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from kubelab.language import Text
from kubelab.lessons.checks.check import CannotSee, Finding, Scope, answer_to, check
from kubelab.lessons.checks.seen_from import SeenFrom
from kubelab.lessons.checks.subject import Subject, View
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question


@dataclass(frozen=True, slots=True)
class HostnameIn(Question[str]):
    """The name in the UTS namespace of a process, by its pid on the machine, or of the machine (0). A pid is
    used again: `namespace`, an inode number, tells whether it is what was meant."""

    machine: str
    pid: int = 0
    namespace: int = 0


@check
class HostnameCheck(SeenFrom):
    """The host has this name. Its value is the name that it has."""

    hostname: Annotated[str, "The name."]
    of: Annotated[Subject, "Who asks for it; by default the machine."] = Subject()
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""

    example = "{hostname: luna, of: {comm: bash}}"

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        try:
            return frozenset(_question(view) for view in self.views(observation, scope))
        except CannotSee:
            return frozenset()

    def value(self, observation: Observation, scope: Scope) -> str:
        return answer_to(observation, _question(self.views(observation, scope)[0]))

    def expected(self, scope: Scope) -> Text:
        place = self.place(scope)
        return Text(
            f"{place.es}, el nombre de máquina {self.hostname}", f"{place.en}, the host name {self.hostname}"
        )

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        name = answer_to(observation, _question(view))
        observed = Text(f"es {name}", f"it is {name}")
        look = view.command("uname -n", "-u", "uts")
        return self.finding(name == self.hostname, scope, observed, look)


def _question(view: View) -> HostnameIn:
    if view.process is None:
        return HostnameIn(view.state.name)
    return HostnameIn(view.state.name, view.process.pid, view.namespace("uts") or 0)
