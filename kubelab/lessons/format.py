"""Lesson format 1 as parsed: frozen values, in both languages. `parse` makes them.

A value that is only known once the step begins is captured: `$NAME` then stands for it as for a variable.
Left out: Vagrant as a back-end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from kubelab.language import Text
from kubelab.lessons.checks import CHECKS, Check, Measure
from kubelab.lessons.checks.combinators import Level
from kubelab.lessons.compare import Comparison
from kubelab.lessons.located import Node
from kubelab.lessons.schema import SOME, read, read_fields, yaml_name

FORMAT = 1

Mode = Literal["edge", "level"]
Backend = Literal["netns", "kubernetes"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


@dataclass(frozen=True, slots=True)
class StepCheck:
    """A check, and when it must hold."""

    check: Check
    mode: Annotated[
        Mode, "`edge`: once it held it counts. `level`: it must hold at the moment when the step passes."
    ] = "edge"

    @classmethod
    def read(cls, node: Node) -> "StepCheck":
        entries = dict(node.mapping())
        mode = None if _has_mode_of_its_own(entries) else entries.pop("mode", None)
        check = Check.read(Node(entries, node.file, node.line))
        if mode is None:
            return cls(check, "level" if isinstance(check, Level) else "edge")
        if mode.value not in ("edge", "level"):
            raise mode.error("mode es «edge» o «level».", "mode is “edge” or “level”.")
        return cls(check, mode.value)


def _has_mode_of_its_own(entries: Mapping[str, Node]) -> bool:
    """Tell whether `mode` is the check's own key, as a file's permissions are, and no `edge` or `level`."""
    kind, mode = CHECKS.get(next(iter(entries), "")), entries.get("mode")
    has_one = kind is not None and hasattr(kind, "mode")
    return has_one and mode is not None and mode.value not in ("edge", "level")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A mistake that stands for one wrong model: commands that make it, and the message that answers it."""

    do: Annotated[
        tuple[str, ...], "The command lines that make the mistake, typed into the learner's shell.", SOME
    ]
    message: Annotated[str, "The id of the `::: message` that answers it."]
    when: Annotated[Check, "The check by which the live state shows that it was made."]


@dataclass(frozen=True, slots=True)
class Choice:
    """When a choice of a prediction is what happened: a check holds, or the revealed value compares so."""

    check: Check | None = None
    comparison: Comparison | None = None

    @classmethod
    def read(cls, node: Node) -> "Choice":
        operators = [yaml_name(field) for field in Comparison.__slots__]
        if all(key in operators for key in node.mapping()):
            return cls(comparison=read(Comparison, node))
        return cls(check=Check.read(node))


@dataclass(frozen=True, slots=True)
class Predict:
    """What the learner predicts in the step's `::: predict`, and how the live state answers. The answer is
    looked for all the time and shown when the step passes."""

    reveal: Annotated[
        Measure | None,
        "The check whose value the live state answers with; the newest that was seen counts. Without it the "
        "answer is what was seen of the choice that happened.",
    ] = None
    choices: Annotated[
        Mapping[str, Choice],
        "For each choice in the text, `- … {#id}`, when it is what happened: a check that held at some "
        "moment, or a comparison with the revealed value. Without choices the learner answers a value.",
    ] = field(default_factory=dict)
    first: Annotated[
        bool, "The first choice that happened stays the answer, whatever the learner does later."
    ] = False
    when: Annotated[
        Check | None, "The value counts while this check holds; by default, whenever there is one."
    ] = None

    @classmethod
    def read(cls, node: Node) -> "Predict":
        made = read_fields(Predict, node, node.mapping())
        if made.reveal is None and (
            not made.choices or any(choice.check is None for choice in made.choices.values())
        ):
            raise node.error(
                "sin «reveal», cada opción es una comprobación.", "without “reveal”, each choice is a check."
            )
        return made


@dataclass(frozen=True, slots=True)
class StepStructure:
    """A step of the front matter. A line of `solve` that must not be followed by the next one before the
    step's state is there is simply the last."""

    id: Annotated[str, "The id in the step's heading, `## Title {#id}`."]
    checks: Annotated[
        tuple[StepCheck, ...],
        "What must hold for the step to pass; each may have a `mode` (see below).",
        SOME,
    ]
    solve: Annotated[
        tuple[str, ...],
        "The command lines that a learner could type; `^C` is Ctrl+C, and `<hint>`, `<reset>` and "
        "`<language>` are what is done in the app. An `exit` as the last waits for the step to pass.",
        SOME,
    ]
    setup: Annotated[
        tuple[str, ...],
        "Shell commands that bring about what the step starts from; they may run more than once.",
    ] = ()
    wrong: Annotated[tuple[Wrong, ...], "Mistakes that stand for one wrong model each."] = ()
    predict: Annotated[Predict | None, "How the live state answers the step's `::: predict`."] = None
    capture: Annotated[
        Mapping[str, Measure],
        "Values that are taken when the step begins, after its setup: `$NAME` in the checks and texts from "
        "then on. Until all are there, nothing of the step is checked.",
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    masters: Annotated[int, "How many masters."] = 1
    minions: Annotated[int, "How many minions."] = 2


@dataclass(frozen=True, slots=True)
class Variable:
    pick: Annotated[
        tuple[Any, ...], "The values, one of which is drawn for each learner; proofs take one too."
    ]


@dataclass(frozen=True, slots=True)
class Structure:
    """The front matter of es.md."""

    format: Annotated[int, "The version of this format: 1."]
    title: Annotated[str, "The lesson's title, in Spanish."]
    minutes: Annotated[int, "How long a learner takes."]
    steps: Annotated[tuple[StepStructure, ...], "The steps, in the order of their headings.", SOME]
    concepts: Annotated[tuple[str, ...], "What the lesson is about, for the home screen."] = ()
    backends: Annotated[
        tuple[Backend, ...],
        "Where it runs: `netns`, the lab's own machines; `kubernetes`, any cluster behind a kubeconfig, for "
        "a lesson that looks at the API alone.",
    ] = ("netns",)
    needs: Annotated[
        tuple[str, ...],
        "What the machine must be able to do, by the names that `kubelab doctor` shows.",
    ] = ()
    vars: Annotated[
        Mapping[str, Variable],
        "Names and limits that differ from learner to learner: `$NAME` in texts, files and checks.",
    ] = field(default_factory=dict)
    cluster: Annotated[
        Cluster | None, "The cluster that the lesson needs (`{}` for this default); without it, none."
    ] = None
    shell: Annotated[
        str,
        "The machine of the lesson's shell: with a cluster, one of its machines (by default `master-1`); "
        "without, what its scratch machine is called (by default `scratch`).",
    ] = ""
    files: Annotated[
        str, "The directory under /root that gets the lesson's files, where the shell begins."
    ] = ""
    setup: Annotated[
        tuple[str, ...], "Shell commands that are run before those of each step's own `setup`."
    ] = ()
    cleanup: Annotated[
        tuple[str, ...], "Shell commands that take back what the lesson's steps made in the cluster."
    ] = ()


@dataclass(frozen=True, slots=True)
class PredictionText:
    """The prose of a prediction: `choices` by id in the order of the text, `explanations` for who chose so
    and was wrong."""

    text: Text
    choices: Mapping[str, Text] = field(default_factory=dict)
    explanations: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """The structure of a step with its prose. `messages` is by id; `debrief` is shown once passed;
    `question` is there if the structure has a prediction."""

    structure: StepStructure
    title: Text
    body: Text
    hints: tuple[Text, ...]
    messages: Mapping[str, Text]
    debrief: Text | None
    question: PredictionText | None = None

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
    """`id` is "<track>/<nn-slug>". `variables` are the values in its texts and checks. `home` is the machine
    of a cluster's lesson that names none."""

    id: str
    title: Text
    structure: Structure
    steps: tuple[Step, ...]
    variables: Mapping[str, Any]
    source: LessonSource
    home: str = "master-1"

    @property
    def machine(self) -> str:
        """The name of the machine that the lesson's shell runs on."""
        if self.structure.shell:
            return self.structure.shell
        return self.home if self.structure.cluster else "scratch"

    @property
    def masters(self) -> int:
        """How many masters its cluster must have; 0 without one."""
        return self.structure.cluster.masters if self.structure.cluster else 0

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
