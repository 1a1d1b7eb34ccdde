"""What is wrong with lessons that can be read: a stale translation, a missing hint, a half-translated text.

Pure but for `lint`, which reads the files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.catalog import load_source, load_track, tracks_path
from kubelab.lessons.format import Lesson, LessonSource
from kubelab.lessons.parse import parse_lesson, parse_translation, text_hash
from kubelab.lessons.prose import Document, StepProse, parse_document
from kubelab.lessons.view import sentence_of

RUNGS = 4  # Observe, locate, method, command.


@dataclass(frozen=True, slots=True)
class Problem:
    """`line` 0: the file as a whole."""

    file: str
    line: int
    sentence: Text

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.sentence}"


def lint(paths: Sequence[Path] = ()) -> tuple[Problem, ...]:
    """Check the lessons at *paths* (lessons, tracks, or directories of tracks; default: all).

    A file that cannot be read at all is a problem too; nothing is raised.
    """
    return tuple(problem for path in (paths or (tracks_path(),)) for problem in _lint_path(path))


def find_lessons(path: Path) -> list[Path]:
    """Return the lesson directories at or below *path*."""
    return sorted(file.parent for file in path.rglob("es.md")) if path.is_dir() else []


def lint_source(source: LessonSource) -> tuple[Problem, ...]:
    """Return the problems of one lesson. Raises LabError when it cannot be parsed."""
    lesson = parse_lesson(source)
    return (*_stale(source), *_steps(lesson, source))


def _lint_path(path: Path) -> Iterator[Problem]:
    lessons = find_lessons(path)
    if not lessons:
        yield Problem(str(path), 0, Text("no hay lecciones aquí.", "there are no lessons here."))
    for directory in lessons:
        try:
            yield from lint_source(load_source(directory))
        except LabError as error:
            yield _as_problem(error)
    for file in sorted(path.rglob("track.yaml")) if path.is_dir() else ():
        yield from _lint_track(file.parent, lessons)


def _lint_track(directory: Path, lessons: list[Path]) -> Iterator[Problem]:
    """A lesson that its track does not list is never shown."""
    try:
        track = load_track(directory)
    except LabError:
        return  # Its lessons have said so already, or the line below does.
    listed = {lesson.source.path for lesson in track.lessons}
    for lesson in lessons:
        if lesson.parent == directory and str(lesson) not in listed:
            sentence = Text(f"falta «{lesson.name}» en lessons.", f"“{lesson.name}” is missing from lessons.")
            yield Problem(str(directory / "track.yaml"), 0, sentence)


def _as_problem(error: LabError) -> Problem:
    return Problem(getattr(error, "file", ""), getattr(error, "line", 0), sentence_of(error))


def _stale(source: LessonSource) -> Iterator[Problem]:
    current, translated = text_hash(source.spanish), parse_translation(source).of
    if translated != current:
        sentence = Text(
            f"la traducción es de otro texto ({translated}): revísala y pon «of: {current}».",
            f"this translates another text ({translated}): revise it and write “of: {current}”.",
        )
        yield Problem(f"{source.path}/en.md", 2, sentence)


def _steps(lesson: Lesson, source: LessonSource) -> Iterator[Problem]:
    spanish = parse_document(source.spanish, f"{source.path}/es.md")
    english = parse_document(source.english, f"{source.path}/en.md")
    for step, prose, translation in zip(lesson.steps, spanish.steps, english.steps, strict=True):
        yield from _step(spanish, prose)
        yield from _step(english, translation)
        used = {wrong.message for wrong in step.structure.wrong}
        for unused in prose.messages.keys() - used:
            sentence = Text(f"nadie usa el mensaje «{unused}».", f"nobody uses the message “{unused}”.")
            yield Problem(spanish.file, prose.line, sentence)
        for absent in prose.messages.keys() ^ translation.messages.keys():
            sentence = Text(
                f"el mensaje «{absent}» falta en un idioma.", f"message “{absent}” lacks in one language."
            )
            yield Problem(english.file, translation.line, sentence)


def _step(document: Document, prose: StepProse) -> Iterator[Problem]:
    if len(prose.hints) != RUNGS:
        count = len(prose.hints)
        sentence = Text(
            f"el paso «{prose.id}» tiene {count} pistas y no {RUNGS}: observa, ubica, método, orden.",
            f"step “{prose.id}” has {count} hints, not {RUNGS}: observe, locate, method, command.",
        )
        yield Problem(document.file, prose.line, sentence)
    if not prose.debrief:
        sentence = Text(f"al paso «{prose.id}» le falta el debrief.", f"step “{prose.id}” has no debrief.")
        yield Problem(document.file, prose.line, sentence)
