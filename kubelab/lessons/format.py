"""Lesson format 1 as parsed: frozen values, in both languages. `parse` makes them.

Left out: captures, `hold`, `within`, interactive predictions, back-ends other than the lab itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kubelab.language import Text
from kubelab.lessons.checks import Check
from kubelab.lessons.located import Node

FORMAT = 1

Mode = Literal["edge", "level"]


@dataclass(frozen=True, slots=True)
class StepCheck:
    """`edge`: once it held it counts. `level`: it must hold at the moment when the step passes."""

    check: Check
    mode: Mode = "edge"

    @classmethod
    def read(cls, node: Node) -> "StepCheck":
        entries = dict(node.mapping())
        mode = entries.pop("mode", None)
        check = Check.read(Node(entries, node.file, node.line))
        if mode is None:
            return cls(check)
        if mode.value not in ("edge", "level"):
            raise mode.error("mode es «edge» o «level».", "mode is “edge” or “level”.")
        return cls(check, mode.value)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A mistake that stands for one wrong model: commands that make it, and the message that answers it.

    `when` says how the live state shows that it was made.
    """

    do: tuple[str, ...]
    message: str
    when: Check


@dataclass(frozen=True, slots=True)
class StepStructure:
    """`setup`: commands that bring about what the step starts from; they may run more than once.
    `solve`: what a learner could type. A line that must not be followed by the next one before the step's
    state is there is simply the last."""

    id: str
    checks: tuple[StepCheck, ...]
    solve: tuple[str, ...]
    setup: tuple[str, ...] = ()
    wrong: tuple[Wrong, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    masters: int = 1
    minions: int = 2


@dataclass(frozen=True, slots=True)
class Variable:
    pick: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """The front matter of es.md. `shell`: the machine of the lesson's shell (default: a scratch machine
    without a cluster, else master-1). `files`: the directory under /root that gets the lesson's files.
    `cleanup`: commands that take back what the lesson's steps made in the cluster."""

    format: int
    title: str
    minutes: int
    steps: tuple[StepStructure, ...]
    concepts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    vars: Mapping[str, Variable] = field(default_factory=dict)
    cluster: Cluster | None = None
    shell: str = ""
    files: str = ""
    cleanup: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The structure of a step with its prose. `messages` is by id; `debrief` is shown once passed."""

    structure: StepStructure
    title: Text
    body: Text
    hints: tuple[Text, ...]
    messages: Mapping[str, Text]
    debrief: Text | None

    @property
    def id(self) -> str:
        return self.structure.id


@dataclass(frozen=True, slots=True)
class LessonSource:
    """The files of a lesson as text: what `parse` takes, and again when the variables are drawn."""

    id: str
    path: str
    spanish: str
    english: str
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lesson:
    """`id` is "<track>/<nn-slug>". `variables` are the values in its texts and checks."""

    id: str
    title: Text
    structure: Structure
    steps: tuple[Step, ...]
    variables: Mapping[str, Any]
    source: LessonSource

    @property
    def machine(self) -> str:
        """The name of the machine that the lesson's shell runs on."""
        if self.structure.shell:
            return self.structure.shell
        return "master-1" if self.structure.cluster else "scratch"

    @property
    def directory(self) -> str:
        """The directory on the machine that has the lesson's files, where the shell begins."""
        return f"/root/{self.structure.files}" if self.structure.files else "/root"


@dataclass(frozen=True, slots=True)
class Track:
    """`requires`: the tracks that are better done before."""

    id: str
    title: Text
    lessons: tuple[Lesson, ...]
    requires: tuple[str, ...] = ()
