"""What of a translation is stale or missing, by step and part.

A translation names the hash of the Spanish text that it translates. Where the lesson is in a git repository,
the version with that hash is looked up, and what has changed since is told part by part; elsewhere only that
something has.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.catalog import load_source
from kubelab.lessons.format import LessonSource
from kubelab.lessons.lint import Problem
from kubelab.lessons.parse import parse_translation, text_hash
from kubelab.lessons.prose import Document, StepProse, parse_document

VERSIONS_MAX = 200  # Of one file: older texts than that are not looked for.
TITLE = "title"

_OF = re.compile(r"^of:.*$", re.MULTILINE)


def problems(directory: Path) -> tuple[Problem, ...]:
    """Return what is missing from the English text of the lesson in *directory*, and what is stale.

    Raises:
        LabError: a text cannot be read or parsed.
    """
    if not (directory / "en.md").is_file():
        absent = Text("falta la traducción.", "there is no translation yet.")
        return (Problem(str(directory / "en.md"), 0, absent),)
    source = load_source(directory)
    return (*missing(source), *_stale(source, directory))


def accept_translation(directory: Path) -> tuple[Problem, ...]:
    """Record that the English text is of today's Spanish one, unless a part of it is missing."""
    if not (directory / "en.md").is_file():
        return problems(directory)
    source = load_source(directory)
    if found := tuple(missing(source)):
        return found
    english = _OF.sub(f"of: {text_hash(source.spanish)}", source.english, count=1)
    try:
        (directory / "en.md").write_text(english, encoding="utf-8")
    except OSError as error:
        raise LabError(_UNWRITABLE.format(file=directory / "en.md", why=error.strerror)) from error
    return ()


def missing(source: LessonSource) -> Iterator[Problem]:
    """Yield each step and part that one of the two languages lacks."""
    spanish = parse_document(source.spanish, f"{source.path}/es.md")
    english = parse_document(source.english, f"{source.path}/en.md")
    parse_translation(source)
    for one, other in ((spanish, english), (english, spanish)):
        there = {step.id: parts(step) for step in other.steps}
        for step in one.steps:
            if step.id not in there:
                yield _lacking(other, 0, _STEP.format(step=step.id))
                continue
            line = next(counterpart.line for counterpart in other.steps if counterpart.id == step.id)
            for part in parts(step).keys() - there[step.id].keys():
                yield _lacking(other, line, _PART.format(step=step.id, part=part))


def parts(step: StepProse) -> dict[str, str]:
    """Return the step's text by the names of its parts."""
    hints = {f"hint {number}": hint for number, hint in enumerate(step.hints, 1)}
    messages = {f"message {id_}": message for id_, message in step.messages.items()}
    debrief = {"debrief": step.debrief} if step.debrief else {}
    asked = {f"predict {number}": one.question for number, one in enumerate(step.predictions, 1)}
    choices = {f"predict {id_}": text for one in step.predictions for id_, text in one.choices.items()}
    explained = {f"choice {id_}": text for id_, text in step.explanations.items()}
    text = {TITLE: step.title, "text": step.body}
    return text | asked | choices | explained | hints | messages | debrief


def changes(old: Document, new: Document) -> Iterator[tuple[str, str]]:
    """Yield step and part of everything that *new* says otherwise than *old*, or first."""
    before = {step.id: parts(step) for step in old.steps}
    for step in new.steps:
        for part, text in parts(step).items():
            if before.get(step.id, {}).get(part) != text:
                yield step.id, part


def _stale(source: LessonSource, directory: Path) -> Iterator[Problem]:
    of, current = parse_translation(source).of, text_hash(source.spanish)
    if of == current:
        return
    file = f"{source.path}/en.md"
    yield Problem(file, 2, _STALE.format(of=of, current=current))
    translated = next((text for text in _versions(directory) if _hash_or_none(text) == of), None)
    if translated is None:
        return
    english = {step.id: step.line for step in parse_document(source.english, file).steps}
    old, new = parse_document(translated, "es.md"), parse_document(source.spanish, "es.md")
    for step, part in changes(old, new):
        yield Problem(file, english.get(step, 0), _CHANGED.format(step=step, part=part))


def _versions(directory: Path) -> Iterator[str]:
    """Yield the texts that git has of es.md, the newest first; none where there is no repository."""
    for commit in _git(directory, "log", f"--max-count={VERSIONS_MAX}", "--format=%H", "--", "es.md").split():
        yield _git(directory, "show", f"{commit}:./es.md")


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", directory, *arguments], capture_output=True, check=False)
    except FileNotFoundError:  # No git: then only the hash tells.
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _hash_or_none(spanish: str) -> str | None:
    try:
        return text_hash(spanish)
    except LabError:  # A version that could not be parsed was never translated.
        return None


def _lacking(document: Document, line: int, sentence: Text) -> Problem:
    return Problem(document.file, line, sentence)


_STEP = Text("falta el paso «{step}».", "step “{step}” is missing.")
_PART = Text("al paso «{step}» le falta: {part}.", "step “{step}” lacks: {part}.")
_STALE = Text(
    "la traducción es de otro texto ({of}, y ahora es {current}): revísala, y acéptala con --accept.",
    "this translates another text ({of}, and it is {current} now): revise it, then --accept it.",
)
_CHANGED = Text(
    "en el paso «{step}» el español ha cambiado: {part}.", "in step “{step}” the Spanish has changed: {part}."
)
_UNWRITABLE = Text(
    "No se puede escribir {file} ({why}): mira sus permisos.",
    "{file} cannot be written ({why}): look at its permissions.",
)
