"""What is wrong with lessons that can be read: a stale translation, a missing hint, a half-translated text.

Pure but for `lint`, which reads the files.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.cells import cell_len

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux import probe
from kubelab.language import Text
from kubelab.lessons import evaluation
from kubelab.lessons.checks.combinators import Value, all_parts
from kubelab.lessons.format import Lesson, LessonSource
from kubelab.lessons.located import LessonError, Node, read_yaml, unknown
from kubelab.lessons.parse import TrackFile, choices, parse_lesson, parse_track, parse_translation, text_hash
from kubelab.lessons.privileges import undeclared, unused
from kubelab.lessons.prose import Document, StepProse, parse_document
from kubelab.lessons.track_files import TRACK_FILE, TrackSource, load_source, read_text, tracks_path
from kubelab.lessons.variables import substitute
from kubelab.lessons.view import sentence_of

RUNGS = 4  # Observe, locate, method, command.
CODE_COLUMNS = 56  # Of the text pane beside the shell, in a terminal of 140; wider lines are broken there.
TITLE_COLUMNS = 21  # Of a lesson's line on the home screen, where the lab is beside it: in a terminal of 120.


@dataclass(frozen=True, slots=True)
class Problem:
    """`line` 0: the file as a whole. `advice`: the lessons work all the same, so that a third party's track
    is not refused for it; its learners could not mend it."""

    file: str
    line: int
    sentence: Text
    advice: bool = False

    @classmethod
    def of(cls, error: LabError) -> "Problem":
        if isinstance(error, LessonError):
            return cls(error.file, error.line, error.problem)
        return cls("", 0, sentence_of(error))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.sentence}" if place else str(self.sentence)


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
    return (
        *_stale(source),
        *_needs(source),
        *_steps(lesson, source),
        *_too_early(source),
        *_undeclared(source),
        *_idle(lesson),
        *_backends(lesson),
        *_wide_code(lesson, source),
        *_wide_title(lesson),
    )


def lint_track(track: TrackSource) -> tuple[Problem, ...]:
    """Return the problems of a whole track, whose track.yaml could be read."""
    problems = [problem for source in track.lessons for problem in _lint_source(source)]
    if not track.lessons:
        problems.append(Problem(f"{track.path}/{TRACK_FILE}", 0, _NO_LESSONS))
    return (*problems, *_privileges(track.path, track.text, track.file, track.lessons))


def _lint_path(path: Path) -> Iterator[Problem]:
    lessons = find_lessons(path)
    if not lessons:
        yield Problem(str(path), 0, _NO_LESSONS)
    sources: dict[Path, LessonSource] = {}
    for directory in lessons:
        try:
            sources[directory] = load_source(directory)
            yield from lint_source(sources[directory])
        except LabError as error:
            yield Problem.of(error)
    for file in sorted(path.rglob(TRACK_FILE)) if path.is_dir() else ():
        own = {lesson: source for lesson, source in sources.items() if lesson.parent == file.parent}
        yield from _lint_track(file, own, [lesson for lesson in lessons if lesson.parent == file.parent])


def _lint_source(source: LessonSource) -> Iterator[Problem]:
    try:
        yield from lint_source(source)
    except LabError as error:
        yield Problem.of(error)


def _lint_track(file: Path, sources: Mapping[Path, LessonSource], lessons: list[Path]) -> Iterator[Problem]:
    """*lessons*: the directories of its lessons that are there; *sources*: those of them that can be read."""
    try:
        text = read_text(file)
        track = parse_track(text, str(file))
    except LabError as error:
        yield Problem.of(error)
        return
    there = {lesson.name for lesson in lessons}
    for name in sorted(there - set(track.lessons)):  # It would never be shown.
        yield Problem(str(file), 0, _UNLISTED.format(lesson=name))
    for name in sorted(set(track.lessons) - there):
        yield Problem(str(file), 0, _NOT_THERE.format(lesson=name))
    yield from _privileges(str(file.parent), text, track, tuple(sources.values()))


def _privileges(path: str, text: str, track: TrackFile, sources: Sequence[LessonSource]) -> Iterator[Problem]:
    file = f"{path}/{TRACK_FILE}"
    readable = [source for source in sources if _can_be_parsed(source)]
    for use in undeclared(readable, track.privileges):
        sentence = _UNDECLARED.format(privilege=use.privilege, file=file)
        yield Problem(use.file, use.line, sentence)
    if len(readable) < len(track.lessons):
        return  # Who knows what the others use.
    for privilege in unused(readable, track.privileges):
        line = read_yaml(text, file).mapping()["privileges"].line
        yield Problem(file, line, _UNUSED.format(privilege=privilege), advice=True)


def _can_be_parsed(source: LessonSource) -> bool:
    try:
        parse_lesson(source)
    except LabError:
        return False
    return True


def _stale(source: LessonSource) -> Iterator[Problem]:
    current, translated = text_hash(source.spanish), parse_translation(source).of
    if translated != current:
        sentence = Text(
            f"la traducción es de otro texto ({translated}): revísala y pon «of: {current}».",
            f"this translates another text ({translated}): revise it and write “of: {current}”.",
        )
        yield Problem(f"{source.path}/en.md", 2, sentence, advice=True)


def _needs(source: LessonSource) -> Iterator[Problem]:
    """What no machine is asked for, since `kubelab doctor` has no such name: the lesson opens anyway."""
    file = f"{source.path}/es.md"
    front = read_yaml(parse_document(source.spanish, file).front_matter, file, 2).mapping()
    for need in front["needs"].items() if "needs" in front else ():
        if need.text() not in probe.names():
            error = unknown(need, Text("capacidad", "capability"), need.text(), probe.names())
            yield replace(Problem.of(error), advice=True)


def _steps(lesson: Lesson, source: LessonSource) -> Iterator[Problem]:
    spanish = parse_document(source.spanish, f"{source.path}/es.md")
    english = parse_document(source.english, f"{source.path}/en.md")
    for step, prose, translation in zip(lesson.steps, spanish.steps, english.steps, strict=True):
        yield from _step(spanish, prose)
        yield from _step(english, translation)
        used = {wrong.message for wrong in step.structure.wrong}
        for idle in prose.messages.keys() - used:
            sentence = Text(f"nadie usa el mensaje «{idle}».", f"nobody uses the message “{idle}”.")
            yield Problem(spanish.file, prose.line, sentence)
        for absent in prose.messages.keys() ^ translation.messages.keys():
            sentence = Text(
                f"el mensaje «{absent}» falta en un idioma.", f"message “{absent}” lacks in one language."
            )
            yield Problem(english.file, translation.line, sentence)


def _too_early(source: LessonSource) -> Iterator[Problem]:
    """A name that a later step captures is looked for as it is written, until that step begins."""
    file = f"{source.path}/es.md"
    front = read_yaml(parse_document(source.spanish, file).front_matter, file, 2).mapping()
    steps = [step.mapping() for step in front["steps"].sequence()]
    unknown: dict[
        str, str
    ] = {}  # By whom each name that is not known yet is captured, from the last step on.
    for step in reversed(steps):
        for key in ("checks", "predict", "wrong"):
            yield from _used(step.get(key), unknown)
        unknown |= dict.fromkeys(step["capture"].mapping() if "capture" in step else (), step["id"].text())
        yield from _used(step.get("capture"), unknown)


def _used(node: Node | None, unknown: Mapping[str, str]) -> Iterator[Problem]:
    """Yield where one of the *unknown* names is put into what looks at the live state."""
    if node is None:
        return
    if isinstance(node.value, str):
        for name in unknown:
            if substitute(node.value, {name: ""}) != node.value:
                sentence = _NOT_KNOWN_YET.format(name=name, step=unknown[name])
                yield Problem(node.file, node.line, sentence)
    for key, inner in node.value.items() if isinstance(node.value, dict) else ():
        if key != "do":  # To the shell it may be a variable of its own.
            yield from _used(inner, unknown)
    for inner in node.value if isinstance(node.value, list) else ():
        yield from _used(inner, unknown)


def _undeclared(source: LessonSource) -> Iterator[Problem]:
    """A misspelt `$NAME` in a check stands for itself, and the check waits for it in vain."""
    file = f"{source.path}/es.md"
    front = read_yaml(parse_document(source.spanish, file).front_matter, file, 2)
    steps = [step.mapping() for step in front.mapping()["steps"].sequence()]
    known = {
        *choices(front),
        *(name for step in steps if "capture" in step for name in step["capture"].mapping()),
    }
    for step in steps:
        for key in ("checks", "predict", "wrong", "capture"):
            yield from _strange(step.get(key), known)


def _strange(node: Node | None, known: Collection[str]) -> Iterator[Problem]:
    if node is None:
        return
    for name in _NAME.findall(node.value) if isinstance(node.value, str) else ():
        if name not in known:
            error = unknown(node, Text("variable", "variable"), name, known)
            yield Problem(node.file, node.line, error.problem)
    for key, inner in node.value.items() if isinstance(node.value, dict) else ():
        if key != "do":  # To the shell it may be a variable of its own.
            yield from _strange(inner, known)
    for inner in node.value if isinstance(node.value, list) else ():
        yield from _strange(inner, known)


_NAME = re.compile(r"\$([A-Z][A-Z0-9_]*)\b")


def _idle(lesson: Lesson) -> Iterator[Problem]:
    """A value that is compared with nothing passes as soon as there is one."""
    for step in lesson.steps:
        for check in evaluation.checks_of(step):
            if any(isinstance(part, Value) and not part.asks for part in all_parts(check)):
                yield Problem(f"{lesson.source.path}/es.md", 1, _COMPARES_NOTHING.format(step=step.id))


def _backends(lesson: Lesson) -> Iterator[Problem]:
    """What a lesson cannot ask of a cluster of which it has nothing but the API."""
    if "kubernetes" not in lesson.structure.backends:
        return
    file = f"{lesson.source.path}/es.md"
    if lesson.structure.cluster is None or lesson.structure.shell:
        yield Problem(file, 1, _NO_MACHINES)
    for step in lesson.steps:
        if any(check.needs().processes for check in evaluation.checks_of(step)):
            yield Problem(file, 1, _LOOKS_AT_MACHINES.format(step=step.id))


def _wide_code(lesson: Lesson, source: LessonSource) -> Iterator[Problem]:
    """A command that is broken in the middle is hard to read, and cannot be copied."""
    widest = {
        name: max(variable.pick, key=lambda value: len(str(value)))
        for name, variable in lesson.structure.vars.items()
    }
    for name, text in (("es.md", source.spanish), ("en.md", source.english)):
        for number, line in _code_lines(text):
            columns = cell_len(substitute(line, widest))
            if columns > CODE_COLUMNS:
                sentence = _WIDE_CODE.format(columns=columns, room=CODE_COLUMNS)
                yield Problem(f"{source.path}/{name}", number, sentence, advice=True)


def _code_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of *text* between fences, with their numbers."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            yield number, line


def _wide_title(lesson: Lesson) -> Iterator[Problem]:
    for name, title in (("es.md", lesson.title.es), ("en.md", lesson.title.en)):
        if cell_len(title) > TITLE_COLUMNS:
            sentence = _WIDE_TITLE.format(columns=cell_len(title), room=TITLE_COLUMNS)
            yield Problem(f"{lesson.source.path}/{name}", 1, sentence, advice=True)


_WIDE_CODE = Text(
    "esta línea de código tiene {columns} columnas y en el panel caben {room}: pártela.",
    "this line of code has {columns} columns and the pane has room for {room}: break it.",
)
_WIDE_TITLE = Text(
    "el título tiene {columns} columnas y en la pantalla de inicio caben {room}: acórtalo.",
    "the title has {columns} columns and the home screen has room for {room}: shorten it.",
)
_NOT_KNOWN_YET = Text(
    "${name} no se conoce todavía: lo captura el paso «{step}», que va después o es este.",
    "${name} is not known yet: step “{step}” captures it, which is a later one or this.",
)
_COMPARES_NOTHING = Text(
    "en el paso «{step}», «value» no se compara con nada: añade eq, increased, changed o los demás.",
    "in step “{step}” “value” is compared with nothing: add eq, increased, changed or another.",
)
_NO_MACHINES = Text(
    "sobre kubernetes la lección necesita «cluster», y «shell» no nombra una máquina.",
    "on kubernetes the lesson needs “cluster”, and “shell” names no machine.",
)
_LOOKS_AT_MACHINES = Text(
    "sobre kubernetes no se ven máquinas, y el paso «{step}» las mira: quita «kubernetes» de backends.",
    "on kubernetes no machine can be seen, and step “{step}” looks at them: take “kubernetes” off backends.",
)


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


_NO_LESSONS = Text("no hay lecciones aquí.", "there are no lessons here.")
_UNLISTED = Text("falta «{lesson}» en lessons.", "“{lesson}” is missing from lessons.")
_NOT_THERE = Text(
    "«{lesson}» está en lessons, y no hay tal lección: créala o quítala.",
    "“{lesson}” is in lessons, and there is no such lesson: make it, or take it out.",
)
_UNDECLARED = Text(
    "esto usa «{privilege}», y el track no lo declara: añádelo a privileges en {file}.",
    "this uses “{privilege}”, which the track does not declare: add it to privileges in {file}.",
)
_UNUSED = Text(
    "ninguna lección usa «{privilege}»: quítalo de privileges.",
    "no lesson uses “{privilege}”: take it out of privileges.",
)
