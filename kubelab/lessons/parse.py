"""Lesson files in, frozen `Lesson` out: pure. Every mistake is a `LessonError` that names file and line.

es.md carries the structure; en.md only the text, and the hash of the Spanish text that it translates.
"""

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from kubelab.language import Text
from kubelab.lessons import names, schema
from kubelab.lessons.format import (
    FORMAT,
    Lesson,
    LessonSource,
    PredictionText,
    Step,
    StepStructure,
    Structure,
    Variable,
)
from kubelab.lessons.located import LessonError, Node, read_yaml, unknown
from kubelab.lessons.privileges import Privilege
from kubelab.lessons.prose import Document, StepProse, parse_document
from kubelab.lessons.variables import substitute, substitute_node


@dataclass(frozen=True, slots=True)
class Translation:
    """The front matter of en.md."""

    of: Annotated[
        str, "The hash of the Spanish text that it translates; `kubelab lesson translate --accept` writes it."
    ]
    title: Annotated[str, "The lesson's title, in English."]


@dataclass(frozen=True, slots=True)
class TrackFile:
    """A track.yaml."""

    format: Annotated[int, "The version of this format: 1."]
    id: Annotated[str, "The track's id, as its directory is named."]
    title: Annotated[Mapping[str, str], "The title, under `es` and `en`."]
    lessons: Annotated[tuple[str, ...], "The directories of its lessons, in order."]
    requires: Annotated[tuple[str, ...], "The tracks that are better done before."] = ()
    privileges: Annotated[
        tuple[Privilege, ...],
        "What its lessons do on the learner's machine (docs/tracks.md says what each word means); lint tells "
        "which are missing.",
    ] = ()


VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
NAME = re.compile(r"[A-Z][A-Z0-9_]*")
Both = Callable[[str, str], Text]


def text_hash(spanish: str, file: str = "es.md") -> str:
    """Return the hash of the Spanish title and text: a change of checks alone makes no translation stale."""
    document = parse_document(spanish, file)
    front = read_yaml(document.front_matter, file, 2).mapping()
    title = front["title"].plain() if "title" in front else ""
    return hashlib.sha256(f"{title}\n{document.text.strip()}\n".encode()).hexdigest()[:12]


def parse_translation(source: LessonSource) -> Translation:
    _, front = _read_file(source.english, f"{source.path}/en.md")
    return schema.read(Translation, front)


@functools.lru_cache(maxsize=16)  # Each captured value puts another one into the same texts.
def _read_file(text: str, file: str) -> tuple[Document, Node]:
    """Return a file's prose and its front matter, which nobody may change."""
    document = parse_document(text, file)
    return document, read_yaml(document.front_matter, file, 2)


def parse_track(text: str, file: str) -> TrackFile:
    """Raises LessonError."""
    node = read_yaml(text, file)
    track = schema.read(TrackFile, node)
    _check_format(track.format, node)
    for language in ("es", "en"):
        if language not in track.title:
            raise node.error(f"falta el título en «{language}».", f"the title in “{language}” is missing.")
    names.check_track(node.mapping())
    return track


def parse_lesson(source: LessonSource, variables: Mapping[str, Any] | None = None) -> Lesson:
    """Parse *source* with *variables* put in; without them, with the first choice of each.

    Raises:
        LessonError: a file is not as format 1 has it.
    """
    spanish_file, english_file = f"{source.path}/es.md", f"{source.path}/en.md"
    spanish, front = _read_file(source.spanish, spanish_file)
    english, _ = _read_file(source.english, english_file)
    values = dict(variables or {name: pick[0] for name, pick in choices(front).items()})
    drawn = substitute_node(front, values)
    structure = schema.read(Structure, drawn)
    names.check_lesson(drawn.mapping())
    _check_format(structure.format, front)
    translation = parse_translation(source)
    steps = _pair(structure, front, spanish, english)
    title = Text(substitute(structure.title, values), substitute(translation.title, values))
    return Lesson(source.id, title, structure, tuple(_step(*step, values) for step in steps), values, source)


def choices(front: Node) -> dict[str, tuple[Any, ...]]:
    """Return what each variable of a lesson may be."""
    declared = front.mapping().get("vars")
    if declared is None:
        return {}
    variables = {name: schema.read(Variable, node) for name, node in declared.mapping().items()}
    for name, variable in variables.items():
        _check_variable(name, variable, declared)
    return {name: variable.pick for name, variable in variables.items()}


def _check_variable(name: str, variable: Variable, declared: Node) -> None:
    node = declared.mapping()[name]
    if not VARIABLE.fullmatch(name):
        raise node.error(
            f"«{name}» no puede ser un nombre: letras, cifras y _.",
            f"“{name}” cannot be a name: letters, digits and _.",
        )
    if not variable.pick:
        raise declared.error(f"«{name}» no tiene valores.", f"“{name}” has no values to pick from.")
    try:
        json.dumps(variable.pick, allow_nan=False)  # As progress keeps it.
    except (TypeError, ValueError):
        raise node.error(
            f"«{name}» es un texto o un número: pon comillas.", f"“{name}” is a text or a number: quote it."
        ) from None


def _check_format(version: int, node: Node) -> None:
    if version != FORMAT:
        raise node.error(
            f"el formato {version} no se conoce; este kubelab lee el {FORMAT}.",
            f"format {version} is unknown; this kubelab reads {FORMAT}.",
        )


def _pair(
    structure: Structure, front: Node, spanish: Document, english: Document
) -> list[tuple[StepStructure, StepProse, StepProse]]:
    """Put each step's structure beside its two texts; all three must have the same steps in order."""
    ids = [step.id for step in structure.steps]
    nodes = front.mapping()["steps"].sequence()
    for number, (id_, node) in enumerate(zip(ids, nodes, strict=True)):
        if id_ in ids[:number]:
            raise node.error(f"el paso «{id_}» aparece dos veces.", f"step “{id_}” is there twice.")
    for document in (spanish, english):
        written = [prose.id for prose in document.steps]
        for prose in document.steps:
            if prose.id not in ids:
                place = Node(None, document.file, prose.line)
                raise unknown(place, Text("paso", "step"), prose.id, ids)
        for id_, node in zip(ids, nodes, strict=True):
            if id_ not in written:
                raise node.error(
                    f"el paso «{id_}» no tiene título en {document.file}.",
                    f"step “{id_}” has no heading in {document.file}.",
                )
        if written != ids:
            raise LessonError(document.file, 1, _order(written, ids))
    for step, node, prose in zip(structure.steps, nodes, spanish.steps, strict=True):
        _check_messages(step, node, prose)
        _check_captures(step, node, structure)
    for document in (spanish, english):
        for step, node, prose in zip(structure.steps, nodes, document.steps, strict=True):
            _check_prediction(step, node, prose, document.file)
    return list(zip(structure.steps, spanish.steps, english.steps, strict=True))


def _order(written: Iterable[str], ids: Iterable[str]) -> Text:
    got, wanted = ", ".join(written), ", ".join(ids)
    return Text(
        f"los pasos van en el orden {wanted}, y aquí están así: {got}.",
        f"the steps go in the order {wanted}, and are here as {got}.",
    )


def _check_messages(step: StepStructure, node: Node, prose: StepProse) -> None:
    """A wrong attempt without its message would be rejected in silence."""
    for wrong in step.wrong:
        if wrong.message not in prose.messages:
            raise unknown(node.mapping()["wrong"], Text("mensaje", "message"), wrong.message, prose.messages)


def _check_captures(step: StepStructure, node: Node, structure: Structure) -> None:
    for name in step.capture:
        taken = name in structure.vars or any(name in s.capture for s in structure.steps if s is not step)
        if taken or not NAME.fullmatch(name):
            raise (
                node.mapping()["capture"]
                .mapping()[name]
                .error(
                    f"«{name}» no sirve: un nombre nuevo, en mayúsculas, como POD_UID.",
                    f"“{name}” will not do: a new name, in capitals, like POD_UID.",
                )
            )


def _check_prediction(step: StepStructure, node: Node, prose: StepProse, file: str) -> None:
    """The choices in the structure and in the text are the same ones."""
    if step.predict is None:
        if stray := next((asked for asked in prose.predictions if asked.choices), None):
            raise LessonError(file, stray.line, _NOT_IN_STRUCTURE)
        return
    if len(prose.predictions) != 1:
        raise LessonError(file, prose.line, _ONE_PREDICTION.format(step=step.id))
    asked = prose.predictions[0]
    if asked.choices.keys() != step.predict.choices.keys():
        written, wanted = ", ".join(asked.choices) or "-", ", ".join(step.predict.choices) or "-"
        raise LessonError(file, asked.line, _OTHER_CHOICES.format(written=written, wanted=wanted))
    for id_ in prose.explanations:
        if id_ not in asked.choices:
            raise unknown(Node(None, file, asked.line), Text("opción", "choice"), id_, asked.choices)


def _question(
    structure: StepStructure, spanish: StepProse, english: StepProse, both: Both
) -> PredictionText | None:
    if structure.predict is None:
        return None
    es, en = spanish.predictions[0], english.predictions[0]
    return PredictionText(
        text=both(es.question, en.question),
        choices={id_: both(text, en.choices[id_]) for id_, text in es.choices.items()},
        explanations={
            id_: both(text, english.explanations.get(id_, text)) for id_, text in spanish.explanations.items()
        },
    )


def _step(
    structure: StepStructure, spanish: StepProse, english: StepProse, values: Mapping[str, Any]
) -> Step:
    def both(es: str, en: str) -> Text:
        return Text(substitute(es, values), substitute(en, values))

    messages = {id_: both(es, english.messages.get(id_, es)) for id_, es in spanish.messages.items()}
    hints = zip(spanish.hints, english.hints, strict=False)
    debrief = both(spanish.debrief, english.debrief) if spanish.debrief else None
    return Step(
        structure=structure,
        title=both(spanish.title, english.title),
        body=both(spanish.body, english.body) if structure.predict else both(spanish.quoted, english.quoted),
        hints=tuple(both(es, en) for es, en in hints),
        messages=messages,
        debrief=debrief,
        question=_question(structure, spanish, english, both),
    )


_NOT_IN_STRUCTURE = Text(
    "estas opciones no están en «predict» del paso: escríbelas también en el bloque YAML.",
    "these choices are not in the step's “predict”: write them in the YAML as well.",
)
_ONE_PREDICTION = Text(
    "el paso «{step}» tiene «predict»: en su texto va un bloque «::: predict», y solo uno.",
    "step “{step}” has “predict”: in its text there is one block “::: predict”, and one only.",
)
_OTHER_CHOICES = Text(
    "las opciones son aquí {written}, y en el bloque YAML {wanted}.",
    "the choices are {written} here, and {wanted} in the YAML.",
)
