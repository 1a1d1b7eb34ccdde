"""A lesson in progress: watches the live state, passes steps on its own, and publishes one frozen view.

The app uses it so:

    catalog, progress = Catalog.load(), Progress.open()
    async with Session.open(lab, catalog.lesson("containers/01-pid"), progress, "es") as session:
        shell = await session.shell(WindowSize(24, 80))     # a Process: read and write shell.fd
        async for view in session.changes():                # the present view first, then each new one
            draw(view)

Left out: what changed since the step began, predictions, fast-forward, shells on several machines.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from kubelab.cluster.client.background import background
from kubelab.cluster.clock import Clock, SystemClock
from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Machine, Process, WindowSize
from kubelab.language import Language, Text
from kubelab.lessons import evaluation, variables
from kubelab.lessons.checks import Scope
from kubelab.lessons.evaluation import StepState
from kubelab.lessons.format import Lesson, Step
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observe import Observer
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.progress import LessonProgress, Progress, new_seed
from kubelab.lessons.view import LessonView, sentence_of
from kubelab.lessons.workplace import Workplace

NO_STEP = -1


class Session:
    """All methods are called on the loop's thread; the plain ones only change and publish the view."""

    def __init__(
        self, lab: LabPort, lesson: Lesson, progress: Progress, language: Language, clock: Clock
    ) -> None:
        self.lesson = lesson
        self.language = language  # May be set at any time. The view has both languages.
        self._lab = lab
        self._progress = progress
        self._scope = Scope(lesson.machine)
        self._observer = Observer(lab, self._observed_machines, clock)
        self._workplace = Workplace(lab, lesson)
        self._states = [StepState() for _ in lesson.steps]
        self._index = 0
        self._begun = NO_STEP  # The step that was set up; while the learner is at another, no check counts.
        self._turn = asyncio.Lock()  # Held by whoever sets up, evaluates or resets.
        self._view = self._draw()
        self._published = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        lab: LabPort,
        lesson: Lesson,
        progress: Progress,
        language: Language = "es",
        *,
        clock: Clock | None = None,
    ) -> AsyncIterator["Session"]:
        """Start or resume *lesson*: a scratch machine or the cluster's, its files, the watch of its state.

        Raises:
            LabError: the lesson cannot be set up on this lab.
        """
        recorded = progress.lesson(lesson.id) or _begin_attempt(lesson, progress)
        drawn = parse_lesson(lesson.source, recorded.variables)
        session = cls(lab, drawn, progress, language, clock or SystemClock())
        session._resume(recorded)
        async with AsyncExitStack() as stack:
            if lesson.structure.cluster is not None:
                await lab.ready()
            stack.push_async_callback(session._workplace.leave)
            await session._workplace.enter()
            await stack.enter_async_context(session._observer.watching(evaluation.needs(lesson)))
            await session._begin()
            await stack.enter_async_context(background(session._follow()))
            yield session

    @property
    def view(self) -> LessonView:
        return self._view

    @property
    def machine(self) -> Machine:
        """The machine on which the lesson's shell runs. Raises LabError when it does not run."""
        return self._workplace.machine

    async def changes(self) -> AsyncIterator[LessonView]:
        """Yield the present view, then each later one; a slow reader gets the newest. It never ends."""
        shown: LessonView | None = None
        while True:
            published = self._published
            if self._view is not shown:
                shown = self._view
                yield shown
            else:
                await published.wait()

    async def check_now(self) -> None:
        """Look at the live state at once and evaluate the current step's checks."""
        async with self._turn:
            self._observer.look()
            self._evaluate()

    def look_soon(self) -> None:
        """Something happens in the shell: do not wait for the next regular look."""
        self._observer.look_soon()

    async def shell(self, size: WindowSize) -> Process:
        """Start an interactive shell on the lesson's machine. The caller closes it; at the latest we do."""
        return await self._workplace.shell(size, self.language)

    def hint(self) -> None:
        """Show one more rung of the current step's hints (recorded); nothing happens after the last."""
        shown = self._state.hints_shown + 1
        if shown <= len(self._step.hints):
            self._progress.show_hint(self.lesson.id, self._step.id, shown)
            self._set(replace(self._state, hints_shown=shown))

    def next(self) -> None:
        """Go to the next step, passed or not; nothing happens on the last."""
        self._go_to(self._index + 1)

    def previous(self) -> None:
        """Go back one step; nothing happens on the first."""
        self._go_to(self._index - 1)

    async def reset(self) -> None:
        """Begin the current step again, not passed. All shells end: open another one then.

        A scratch machine is made anew; in a cluster the lesson's clean-up runs. The files are put back.
        """
        async with self._turn:
            self._begun = NO_STEP
            self._progress.set_passed(self.lesson.id, self._step.id, passed=False)
            self._set(StepState(hints_shown=self._state.hints_shown))
            await self.clean_up()
            await self._workplace.leave()
            await self._workplace.enter()
        await self._begin()

    async def clean_up(self) -> None:
        """End the lesson's shells and take back what its steps made in the cluster.

        Closing a session does only the former: who comes back finds the pods as they were.
        """
        await self._workplace.close_shells()
        for command in self.lesson.structure.cleanup:
            await self._workplace.execute(command)

    @property
    def _step(self) -> Step:
        return self.lesson.steps[self._index]

    @property
    def _state(self) -> StepState:
        return self._states[self._index]

    def _set(self, state: StepState) -> None:
        self._states[self._index] = state
        self._publish()

    def _resume(self, recorded: LessonProgress) -> None:
        ids = [step.id for step in self.lesson.steps]
        self._index = ids.index(recorded.step) if recorded.step in ids else 0
        for index, known in ((ids.index(id_), known) for id_, known in recorded.steps.items() if id_ in ids):
            self._states[index] = StepState(known.hints_shown, known.passed)
        self._view = self._draw()

    def _go_to(self, index: int) -> None:
        if 0 <= index < len(self.lesson.steps):
            self._index = index
            self._progress.go_to(self.lesson.id, self._step.id)
            self._observer.changed.set()  # Wakes `_follow`, which sets the step up.
            self._publish()

    async def _begin(self) -> None:
        """Bring about what the current step starts from; only then do its checks count.

        A command that fails is told in the view. The learner may put it right, reset the step or go on.
        """
        async with self._turn:
            index = self._index
            obstacle = None if self._state.passed else await self._set_up(self._step)
            self._states[index] = replace(self._states[index], obstacle=obstacle)
            self._observer.begin()
            self._begun = index
            self._evaluate()

    async def _set_up(self, step: Step) -> Text | None:
        """Return why *step* could not be set up, if so."""
        try:
            for command in step.structure.setup:
                await self._workplace.execute(command)
        except LabError as error:
            return sentence_of(error)
        return None

    async def _follow(self) -> None:
        while True:
            await self._observer.changed.wait()
            self._observer.changed.clear()
            if self._begun != self._index:
                await self._begin()
            async with self._turn:
                self._evaluate()

    def _evaluate(self) -> None:
        if self._begun != self._index:
            return
        was_passed, observation = self._state.passed, self._observer.observation
        state = evaluation.evaluate(self._step, self._state, observation, self._scope)
        if state.passed and not was_passed:
            self._progress.set_passed(self.lesson.id, self._step.id, passed=True)
        wanted = evaluation.questions(self._step, observation, self._scope)
        self._observer.want(frozenset() if state.passed else wanted)
        self._set(state)

    def _observed_machines(self) -> Iterator[str]:
        """All of a cluster's, for a pod may be on any; else only the lesson's own."""
        if self.lesson.structure.cluster is None:
            yield self.lesson.machine
        else:
            yield from self._lab.machines

    def _draw(self) -> LessonView:
        return evaluation.draw(self.lesson, tuple(self._states), self._index, self._scope)

    def _publish(self) -> None:
        view = self._draw()
        if view != self._view:
            self._view = view
            self._published.set()
            self._published = asyncio.Event()


def _begin_attempt(lesson: Lesson, progress: Progress) -> LessonProgress:
    seed = new_seed()
    choices = {name: variable.pick for name, variable in lesson.structure.vars.items()}
    recorded = LessonProgress(seed, variables.draw(choices, seed), lesson.steps[0].id)
    progress.begin(lesson.id, recorded.variables, recorded.step, seed)
    return recorded
