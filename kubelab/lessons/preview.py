"""A lesson as its author wants to read it: all of the text, and what is checked, typed and answered. Pure."""

from collections.abc import Iterable, Iterator

from kubelab.cluster.errors import LabError
from kubelab.language import Language, Text
from kubelab.lessons.checks import Scope
from kubelab.lessons.format import Lesson, Step, StepCheck, Wrong
from kubelab.lessons.located import suggestion

RUNGS = (
    Text("observa", "observe"),
    Text("ubica", "locate"),
    Text("método", "method"),
    Text("orden", "command"),
)
INDENT = "    "


def preview(lesson: Lesson, language: Language, step_id: str | None = None) -> Iterator[str]:
    """Yield the lines of *lesson* in *language*, or of one step of it.

    Raises:
        LabError: there is no such step.
    """
    steps = [step for step in lesson.steps if step_id in (None, step.id)]
    if not steps:
        hint = suggestion(str(step_id), [step.id for step in lesson.steps])
        raise LabError(
            Text(f"no hay paso «{step_id}»; {hint.es}", f"there is no step “{step_id}”; {hint.en}")
        )
    yield from _head(lesson, language)
    for step in steps:
        yield ""
        yield from _step(lesson, step, language)
    if lesson.structure.cleanup and step_id is None:
        yield from _commands(_CLEANUP, lesson.structure.cleanup, language)


def _head(lesson: Lesson, language: Language) -> Iterator[str]:
    structure = lesson.structure
    yield f"{lesson.title.in_(language)} ({lesson.id}, {structure.minutes} min)"
    yield f"{_SHELL.in_(language)}: {lesson.machine}:{lesson.directory}"
    for label, names in (
        (_CONCEPTS, structure.concepts),
        (_NEEDS, structure.needs),
        (_FILES, tuple(lesson.source.files)),
        (_VARIABLES, tuple(f"${name}={value}" for name, value in lesson.variables.items())),
    ):
        if names:
            yield f"{label.in_(language)}: {', '.join(names)}"


def _step(lesson: Lesson, step: Step, language: Language) -> Iterator[str]:
    number = lesson.steps.index(step) + 1
    yield f"=== {number}/{len(lesson.steps)} {step.title.in_(language)} [{step.id}]"
    yield ""
    yield from step.body.in_(language).splitlines()
    yield from _commands(_SETUP, (*lesson.structure.setup, *step.structure.setup), language)
    yield from _captures(step, Scope(lesson.machine), language)
    yield from _prediction(step, Scope(lesson.machine), language)
    yield from _checks(step.structure.checks, Scope(lesson.machine), language)
    for index, hint in enumerate(step.hints):
        rung = f" ({RUNGS[index].in_(language)})" if index < len(RUNGS) else ""
        yield from _block(f"{_HINT.in_(language)} {index + 1}{rung}", hint.in_(language).splitlines())
    for wrong in step.structure.wrong:
        yield from _wrong(step, wrong, Scope(lesson.machine), language)
    yield from _commands(_SOLUTION, step.structure.solve, language)
    if step.debrief is not None:
        yield from _block(_DEBRIEF.in_(language), step.debrief.in_(language).splitlines())


def _captures(step: Step, scope: Scope, language: Language) -> Iterator[str]:
    if captured := step.structure.capture:
        lines = [f"${name}: {measure.subject(scope).in_(language)}" for name, measure in captured.items()]
        yield from _block(_CAPTURED.in_(language), lines)


def _prediction(step: Step, scope: Scope, language: Language) -> Iterator[str]:
    """Yield the question, and for each choice when it is what happened and what is said to who was wrong."""
    text, predict = step.question, step.structure.predict
    if text is None or predict is None:
        return
    yield from _block(_PREDICTION.in_(language), text.text.in_(language).splitlines())
    for id_, choice in text.choices.items():
        rule = predict.choices[id_]
        when = (
            rule.check.expected(scope)
            if rule.check
            else rule.comparison.phrase()
            if rule.comparison
            else None
        )
        explained = text.explanations.get(id_)
        lines = [f"{_WHEN.in_(language)}: {when.in_(language)}"] if when else []
        lines += explained.in_(language).splitlines() if explained else []
        yield from _block(f"[{id_}] {choice.in_(language)}", lines)


def _checks(checks: Iterable[StepCheck], scope: Scope, language: Language) -> Iterator[str]:
    lines = [f"[{wanted.mode}] {wanted.check.expected(scope).in_(language)}" for wanted in checks]
    yield from _block(_CHECKS.in_(language), lines)


def _wrong(step: Step, wrong: Wrong, scope: Scope, language: Language) -> Iterator[str]:
    typed = [f"$ {line}" for line in wrong.do]
    when = f"{_WHEN.in_(language)}: {wrong.when.expected(scope).in_(language)}"
    told = step.messages[wrong.message].in_(language).splitlines()
    yield from _block(f"{_WRONG.in_(language)} [{wrong.message}]", [*typed, when, *told])


def _commands(label: Text, commands: Iterable[str], language: Language) -> Iterator[str]:
    if lines := [f"$ {command}" for command in commands]:
        yield from _block(label.in_(language), lines)


def _block(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield ""
    yield f"--- {title}"
    yield from (f"{INDENT}{line}".rstrip() for line in lines)


_SHELL = Text("Shell", "Shell")
_CONCEPTS = Text("Conceptos", "Concepts")
_NEEDS = Text("Necesita", "Needs")
_FILES = Text("Archivos", "Files")
_VARIABLES = Text("Variables (una elección)", "Variables (one choice)")
_SETUP = Text("Preparación", "Setup")
_CAPTURED = Text("Se captura al empezar", "Captured at the beginning")
_PREDICTION = Text("Predicción", "Prediction")
_CHECKS = Text("Se comprueba", "Checked")
_HINT = Text("Pista", "Hint")
_WRONG = Text("Intento erróneo", "Wrong attempt")
_WHEN = Text("se reconoce por", "told by")
_SOLUTION = Text("Solución", "Solution")
_DEBRIEF = Text("Al superarlo", "Once passed")
_CLEANUP = Text("Limpieza al final", "Clean-up at the end")
