"""Shipped lessons from end to end in plain mode, as somebody goes through them: every step with the solution
that the lesson itself gives, on a dumb terminal in Spanish, and by a script in a pipe in English.

One lesson with a machine of its own and one with a cluster: `kubelab lesson test` proves them all, in each
language."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from lab_program import command, environment

from kubelab.cluster.linux.journal import remains
from kubelab.language import LANGUAGES, Language
from kubelab.lessons.catalog import Catalog
from kubelab.lessons.format import Lesson, Step
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.progress import Progress, new_seed

pytestmark = pytest.mark.root
LESSONS = ("containers/07-pid", "workloads/01-pod")
PATIENCE_S = 50
PROMPT = r"root@[a-z0-9-]+:\S*# "
HOME = "kubelab> "
PASSED = {"es": "Paso superado: ", "en": "Step passed: "}
LESSON_PASSED = {"es": "Lección superada: ", "en": "Lesson passed: "}
MISCONCEPTION = {"es": "Ojo.", "en": "Mind."}
HINT = {"es": "Pista 1 de 4.", "en": "Hint 1 of 4."}
NOTED = {"es": "Tu predicción queda anotada: ", "en": "Your prediction is noted: "}
RESET = {"es": "El paso empieza de nuevo", "en": "The step begins again"}
DIFFERENT = {"es": "Ha cambiado en ", "en": "Different on "}
ALL_PASSED = {"es": "4 de 4 pasos superados", "en": "4 of 4 steps passed"}
CHANGED_LANGUAGE = {"es": "Ahora en español.", "en": "Now in English."}
TAKING_DOWN = {"es": "Se recoge el laboratorio.", "en": "Taking the lab down."}


def course() -> list[Lesson]:
    catalog = Catalog.load()
    return [catalog.lesson(lesson_id) for lesson_id in LESSONS]


def recorded(place: Path) -> Progress:
    return Progress.open(place.with_suffix(".state") / "kubelab/progress.sqlite3")


def drawn(place: Path, lesson: Lesson) -> Lesson:
    """Return the lesson with the variables that this learner's attempt drew."""
    with recorded(place) as progress:
        attempt = progress.lesson(lesson.id)
    assert attempt
    return parse_lesson(lesson.source, attempt.variables)


class Learner:
    """Sits before a dumb terminal: writes a line when there is a prompt, and reads what comes."""

    def __init__(self, place: Path, language: Language) -> None:
        program, *arguments = command("--plain")
        self.place = place
        self.language = language
        self.child = pexpect.spawn(
            program,
            arguments,
            env=environment(place) | {"TERM": "dumb", "KUBELAB_LANG": language},
            dimensions=(40, 100),
            timeout=PATIENCE_S,
            encoding="utf-8",
        )

    def hears(self, *patterns: str) -> None:
        for pattern in patterns:
            self.child.expect(pattern)

    def types(self, line: str, *answer: str) -> None:
        """Write *line* into the shell, and wait for *answer* and the prompt after it."""
        self.child.send(f"{line}\r")
        self.hears(re.escape(line[-20:]), *answer, PROMPT)

    def says(self, words: dict[str, str]) -> str:
        return re.escape(words[self.language])

    def opens(self, lesson: Lesson) -> Lesson:
        self.child.sendline(lesson.id)
        self.hears(re.escape(lesson.steps[0].title.in_(self.language)), PROMPT)
        return drawn(self.place, lesson)

    def solves(self, step: Step) -> None:
        """Type the solution line by line; the step may pass while the last one still runs."""
        *first, last = step.structure.solve
        for line in first:
            self.types(line)
        self.child.send(f"{last}\r")
        self.hears(self.says(PASSED) + re.escape(step.title.in_(self.language)), PROMPT)

    def goes_wrong(self, step: Step) -> None:
        """Make the first of the step's mistakes, read its message, and begin the step again."""
        *first, last = step.structure.wrong[0].do
        for line in first:
            self.types(line)
        self.child.send(f"{last}\r")
        self.hears(self.says(MISCONCEPTION))
        self.types(":reset", self.says(RESET))


def in_turn(learner: Learner, lesson: Lesson) -> None:
    """Go through *lesson*: the first step with everything that a learner may want, the others straight on."""
    lesson = learner.opens(lesson)
    first, *others = lesson.steps
    learner.types(":hint", learner.says(HINT))
    learner.goes_wrong(first)
    for language in (*(other for other in LANGUAGES if other != learner.language), learner.language):
        learner.types(f":lang {language}", re.escape(CHANGED_LANGUAGE[language]))
    if first.question:
        learner.types(":predict a", learner.says(NOTED))
    learner.solves(first)
    learner.types(":changed", learner.says(DIFFERENT))
    looks_elsewhere(learner, lesson)
    learner.types(":next", re.escape(others[0].title.in_(learner.language)))
    for step, after in zip(others, [*others[1:], None], strict=True):
        learner.types("exit; true" if inside(step, lesson) else "true")
        learner.solves(step)
        if after:
            learner.types(":next", re.escape(after.title.in_(learner.language)))
    learner.child.send(":home\r")
    learner.hears(learner.says(ALL_PASSED), HOME)


def looks_elsewhere(learner: Learner, lesson: Lesson) -> None:
    """Open a second shell, on another machine if there is one, and come back."""
    place = "minion-2" if lesson.structure.cluster else lesson.machine
    learner.types(f":shell {place} new", f"2, (en|on) {place}")
    learner.types("hostname", f"{place}\r")
    learner.types(":shell 1", f"1, (en|on) {lesson.machine}")


def inside(step: Step, lesson: Lesson) -> bool:
    """Tell whether the step before ended in a shell of its own, which is to be left."""
    before = lesson.steps[lesson.steps.index(step) - 1]
    return before.structure.solve[-1].endswith(" bash")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def learner(place: Path) -> Iterator[Learner]:
    learner = Learner(place, "es")
    try:
        yield learner
    finally:
        learner.child.close(force=True)


def test_the_whole_course_on_a_dumb_terminal(learner: Learner) -> None:
    learner.hears(HOME)
    journal = Path(shutil.copy(learner.place / "journal", learner.place.with_suffix(".journal")))
    for lesson in course():
        in_turn(learner, lesson)
    learner.child.sendline(":quit")
    learner.hears(learner.says(TAKING_DOWN), pexpect.EOF)
    learner.child.close()
    assert learner.child.exitstatus == 0
    assert sorted(left.name for left in learner.place.iterdir()) == ["lock", "masters"]
    assert remains(journal) == ()


def script(lessons: list[Lesson]) -> Iterator[str]:
    for lesson in lessons:
        yield lesson.id
        for number, step in enumerate(lesson.steps, 1):
            yield from step.structure.solve
            yield ":wait 40"
            if step.structure.solve[-1].endswith(" bash"):
                yield "exit"
            yield ":home" if number == len(lesson.steps) else ":next"
    yield ":quit"


def test_the_whole_course_by_a_script_in_a_pipe(place: Path) -> None:
    """The script was written for an attempt that was begun before, so that it knows the variables."""
    language, lessons = "en", course()
    with recorded(place) as progress:
        for lesson in lessons:
            progress.begin(lesson.id, lesson.variables, lesson.steps[0].id, new_seed())
    done = subprocess.run(
        command("--plain"),
        env=environment(place) | {"TERM": "dumb", "KUBELAB_LANG": language},
        input="".join(f"{line}\n" for line in script(lessons)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    for lesson in lessons:
        for step in lesson.steps:
            assert f"{PASSED[language]}{step.title.in_(language)}." in done.stdout, done.stdout
        assert f"{LESSON_PASSED[language]}{lesson.title.in_(language)}." in done.stdout
    assert not any(mark in done.stdout for mark in ("\x1b", "\r")), ascii(done.stdout)
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]
