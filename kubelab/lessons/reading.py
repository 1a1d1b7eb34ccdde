"""A lesson that cannot be done here (no lab, or something is missing): read step by step, with all hints.

It has the methods of a `Session`, so that the app need not tell them apart. Nothing is checked or recorded.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from kubelab.cluster.machine.machine import Process, WindowSize
from kubelab.language import Language, Text
from kubelab.lessons import evaluation, variables
from kubelab.lessons.change import Change
from kubelab.lessons.checks import Scope
from kubelab.lessons.evaluation import StepState
from kubelab.lessons.format import Lesson
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.view import LessonView

SEED = "reading"


class Reading:
    machine = None

    def __init__(self, lesson: Lesson, obstacle: Text, language: Language) -> None:
        """*obstacle* is the sentence that says why the lesson cannot be done."""
        self.language = language
        drawn = variables.draw({name: known.pick for name, known in lesson.structure.vars.items()}, SEED)
        self._lesson = parse_lesson(lesson.source, drawn)
        self._states = [StepState(obstacle=obstacle)] * len(lesson.steps)
        self._index = 0
        self._turned = asyncio.Event()

    @property
    def view(self) -> LessonView:
        return evaluation.draw(self._lesson, tuple(self._states), self._index, Scope(self._lesson.machine))

    async def changes(self) -> AsyncIterator[LessonView]:
        while True:
            self._turned.clear()
            yield self.view
            await self._turned.wait()

    def hint(self) -> None:
        state = self._states[self._index]
        shown = min(state.hints_shown + 1, len(self._lesson.steps[self._index].hints))
        self._states[self._index] = replace(state, hints_shown=shown)
        self._turned.set()

    def next(self) -> None:
        self._go_to(self._index + 1)

    def previous(self) -> None:
        self._go_to(self._index - 1)

    def _go_to(self, index: int) -> None:
        self._index = max(0, min(index, len(self._states) - 1))
        self._turned.set()

    async def check_now(self) -> None: ...

    async def reset(self) -> None: ...

    def look_soon(self) -> None: ...

    def predict(self, answer: str) -> None:
        """Keep the answer as long as the lesson is open; nothing will tell whether it is right."""
        state = self._states[self._index]
        self._states[self._index] = replace(state, prediction=replace(state.prediction, answer=answer))
        self._turned.set()

    def what_changed(self) -> tuple[Change, ...]:
        return ()

    def shell_machines(self) -> tuple[str, ...]:
        return ()

    async def fast_forward(self) -> None: ...

    async def shell(self, size: WindowSize, machine: str = "") -> Process:
        raise AssertionError("a lesson open for reading has no machine")
