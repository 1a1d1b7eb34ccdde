"""What a check is: a frozen dataclass whose fields are its YAML keys, evaluated over an observation. Pure.

The first key of a check's mapping names its kind, which is also its first field.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar, dataclass_transform

from kubelab.cluster.objects import Resource
from kubelab.language import Text
from kubelab.lessons import schema
from kubelab.lessons.compare import plain
from kubelab.lessons.located import Node, unknown
from kubelab.lessons.memory import Memory
from kubelab.lessons.observation import MachineState, Observation, ResourceState, Unseen
from kubelab.lessons.question import Question
from kubelab.lessons.view import Verdict

NOT_LOOKED_YET = Text("todavía no se ha mirado", "nobody has looked yet")


@dataclass(frozen=True, slots=True)
class Scope:
    """`machine` is the lesson's own: the one that a check means when it names none. `memory` is what was seen
    earlier in the step."""

    machine: str
    memory: Memory = field(default_factory=Memory, compare=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """`look` is the command that shows it on the lesson's shell ("" if there is none)."""

    verdict: Verdict
    expected: Text
    observed: Text
    look: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASSED


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be observed for a check; `processes` includes the machines' mounts, networks and cgroups.

    `machines` are those that it names; the lesson's own is observed anyway."""

    processes: bool = False
    resources: frozenset[Resource] = frozenset()
    machines: frozenset[str] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(
            self.processes or other.processes,
            self.resources | other.resources,
            self.machines | other.machines,
        )


class CannotSee(Exception):  # noqa: N818 -- it is no error: `judge` makes a verdict of it
    """Raised inside `evaluate`: what the check is about could not be observed."""

    def __init__(self, reason: Text, verdict: Verdict = Verdict.CANNOT_CHECK) -> None:
        super().__init__(reason)
        self.reason = reason
        self.verdict = verdict


class Check:
    """One kind of check. Subclasses are registered by the YAML key that names them (`@check`).

    The reference for authors is made from them: the docstring, what each field is annotated with, and
    `example`, which must parse."""

    __slots__ = ()
    example = ""

    @classmethod
    def read(cls, node: Node) -> "Check":
        """Return the check that *node* describes; its first key says which kind.

        Raises:
            LessonError: no such kind, or a key is wrong.
        """
        entries = node.mapping()
        if not entries:
            raise node.error("aquí falta una comprobación.", "a check is missing here.")
        kind = next(iter(entries))
        if kind not in CHECKS:
            raise unknown(entries[kind], Text("comprobación", "check"), kind, CHECKS)
        return schema.read_fields(CHECKS[kind], node, entries)

    def needs(self) -> Needs:
        raise NotImplementedError

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        """Return what must be asked besides, given what is known."""
        return frozenset()

    def expected(self, scope: Scope) -> Text:
        raise NotImplementedError

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        """Raises CannotSee when what it is about was not observed."""
        raise NotImplementedError

    def finding(self, passed: bool, scope: Scope, observed: Text, look: str = "") -> Finding:
        verdict = Verdict.PASSED if passed else Verdict.NOT_YET
        return Finding(verdict, self.expected(scope), observed, look)


class Measure(Check):
    """A check that can also say what the value is that it is about: for captures and for predictions."""

    __slots__ = ()

    @classmethod
    def read(cls, node: Node) -> "Measure":
        """As `Check.read`, for a check that has a value."""
        found = Check.read(node)
        if isinstance(found, Measure):
            return found
        kinds = (name for name, kind in CHECKS.items() if issubclass(kind, Measure))
        raise unknown(node, Text("valor", "value"), next(iter(node.mapping())), kinds)

    def value(self, observation: Observation, scope: Scope) -> Any:
        """Return the value as JSON has it; None while there is none. Raises CannotSee."""
        raise NotImplementedError

    def subject(self, scope: Scope) -> Text:
        """Return what the value is of, as a phrase."""
        return self.expected(scope)

    def amount(self, value: Any) -> Decimal | None:
        """Read the value, or what it is compared with, as a number with its unit; None if it is none."""
        return plain(value)


T = TypeVar("T", bound=Check)

CHECKS: dict[str, type[Check]] = {}
"""Every kind of check, by the YAML key that names it."""


@dataclass_transform(frozen_default=True)
def check(class_: type[T]) -> type[T]:
    """Make *class_* a frozen dataclass and register it under the name of its first field."""
    made = dataclass(frozen=True, slots=True)(class_)
    CHECKS[schema.yaml_name(next(iter(class_.__annotations__)))] = made
    return made


def judge(subject: Check, observation: Observation, scope: Scope) -> Finding:
    """Evaluate *subject*; what cannot be seen is a verdict of its own, never the learner's mistake."""
    try:
        return subject.evaluate(observation, scope)
    except CannotSee as reason:
        return Finding(reason.verdict, subject.expected(scope), reason.reason)


def machine_state(observation: Observation, name: str) -> MachineState:
    return _seen(observation.machines.get(name))


def resource_state(observation: Observation, resource: Resource) -> ResourceState:
    return _seen(observation.resources.get(resource))


A = TypeVar("A")


def answer_to(observation: Observation, question: Question[A]) -> A:
    """Return what was answered. Raises CannotSee."""
    answer: A = _seen(observation.answers.get(question))
    return answer


S = TypeVar("S")


def _seen(state: S | Unseen | None) -> S:
    if state is None:
        raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
    if isinstance(state, Unseen):
        raise CannotSee(state.reason)
    return state
