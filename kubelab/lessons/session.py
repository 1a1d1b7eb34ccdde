"""A lesson in progress: watches the live state, passes steps on its own, and publishes one frozen view.

The app uses it so:

    catalog, progress = Catalog.load(), Progress.open()
    async with Session.open(lab, catalog.lesson("containers/07-pid"), progress, "es") as session:
        shell = await session.shell(WindowSize(24, 80))     # a Process: read and write shell.fd
        async for view in session.changes():                # the present view first, then each new one
            draw(view)
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from kubelab.cluster.clock import Clock, SystemClock
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.background import background
from kubelab.cluster.machine.machine import Machine, Process, WindowSize
from kubelab.language import Language, Text
from kubelab.lessons import evaluation, prediction, variables
from kubelab.lessons.change import Change
from kubelab.lessons.changes import changes
from kubelab.lessons.checks import Scope
from kubelab.lessons.evaluation import StepState
from kubelab.lessons.format import Lesson, Step
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Observation, SessionState
from kubelab.lessons.observe import Observer
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.patience import DEFAULT_PATIENCE, Patience
from kubelab.lessons.prediction import PredictionState, value_of
from kubelab.lessons.progress import LessonProgress, Progress, StepProgress, new_seed
from kubelab.lessons.record import Event
from kubelab.lessons.typist import ACTIONS, LEAVE, Typist
from kubelab.lessons.view import LessonView, Mode, sentence_of
from kubelab.lessons.workplace import Workplace

NO_STEP = -1
SETUP_TIMEOUT_S = 60.0  # For each command of an author, which may wait for a rollout.
TYPED_SIZE = WindowSize(40, 120)


class Session:
    """All methods are called on the loop's thread; the plain ones only change and publish the view."""

    def __init__(
        self, lab: LabPort, lesson: Lesson, progress: Progress, language: Language, clock: Clock, mode: Mode
    ) -> None:
        self.lesson = lesson
        self.mode = mode
        self._language = language
        self._lab = lab
        self._progress = progress
        self._clock = clock
        self._scope = Scope(lesson.machine)
        self._observer = Observer(lab, self._observed_machines, clock)
        self._workplace = Workplace(lab, lesson)
        self._states = [StepState() for _ in lesson.steps]
        self._resets = [0 for _ in lesson.steps]
        self._index = 0
        self._begun = NO_STEP  # The step that was set up; while the learner is at another, no check counts.
        self._turn = asyncio.Lock()  # Held by whoever sets up, evaluates or resets.
        self._working = asyncio.Lock()  # Held by whoever types a solution or resets: one after the other.
        self._doing_now: list[Text] = []  # What the lesson does by itself; the first is told.
        self._is_left = False
        self._before = Observation()  # What was seen when the step began.
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
        mode: Mode = Mode.LEARN,
        *,
        again: bool = False,
        clock: Clock | None = None,
    ) -> AsyncIterator["Session"]:
        """Start or resume *lesson*: a scratch machine or the cluster's, its files, the watch of its state.

        *again*: from its beginning with newly drawn variables. A test-out always is.

        Raises:
            LabError: the lesson cannot be set up on this lab.
        """
        if again or mode is Mode.TEST_OUT:
            progress.start_over(lesson.id)
        recorded = progress.lesson(lesson.id) or _begin_attempt(lesson, progress)
        progress.note(lesson.id, recorded.step, Event.OPENED, mode)
        # What the lesson did not ask for when the attempt began is drawn from the attempt's seed as well.
        values = _draw_variables(lesson, recorded.seed) | dict(recorded.variables)
        drawn = replace(parse_lesson(lesson.source, values), home=lab.home)
        session = cls(lab, drawn, progress, language, clock or SystemClock(), mode)
        session._resume(recorded)
        async with AsyncExitStack() as stack:
            if lesson.structure.cluster is not None:
                await lab.ready()
            stack.push_async_callback(session._leave)
            await session._workplace.enter()
            await stack.enter_async_context(session._observer.watching(evaluation.needs(lesson)))
            await session._begin()
            await stack.enter_async_context(background(session._follow()))
            yield session

    @property
    def view(self) -> LessonView:
        return self._view

    @property
    def language(self) -> Language:
        """May be set at any time. The view has both languages."""
        return self._language

    @language.setter
    def language(self, language: Language) -> None:
        self._language = language
        self._observer.changed.set()  # A lesson may be about that.

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

    async def shell(self, size: WindowSize, machine: str = "", startup: bytes = b"") -> Process:
        """Start an interactive shell on the lesson's machine, or on another; it reads *startup* as a further
        ~/.bashrc. The caller closes it; at the latest we do."""
        return await self._workplace.shell(size, self.language, machine or None, startup)

    def shell_machines(self) -> tuple[str, ...]:
        """Return the machines on which shells can be opened, the lesson's own first."""
        return tuple(sorted(self._workplace.machines(), key=lambda name: name != self.lesson.machine))

    def what_changed(self) -> tuple[Change, ...]:
        """Return what is otherwise than when the current step began."""
        return changes(self._before, self._observer.observation)

    def predict(self, answer: str) -> None:
        """Record what the learner expects of the current step; once it is passed nothing happens."""
        state = self._state
        if self._step.question is not None and not state.passed:
            self._progress.predict(self.lesson.id, self._step.id, answer)
            self._set(replace(state, prediction=replace(state.prediction, answer=answer)))

    def hint(self) -> None:
        """Show one more rung of the current step's hints (recorded); nothing happens after the last."""
        shown = self._state.hints_shown + 1
        if shown <= len(self._step.hints) and self.mode is Mode.LEARN:
            self._progress.show_hint(self.lesson.id, self._step.id, shown)
            self._set(replace(self._state, hints_shown=shown))
            self._observer.changed.set()  # A lesson may be about that.

    def next(self) -> None:
        """Go to the next step, passed or not; nothing happens on the last."""
        self._go_to(self._index + 1)

    def previous(self) -> None:
        """Go back one step; nothing happens on the first."""
        self._go_to(self._index - 1)

    async def reset(self) -> None:
        """Begin the current step again, not passed. All shells end: open another one then.

        The place is as it was when the lesson began, however damaged it is by now: see `Workplace.reset`.
        """
        async with self._doing(_RESETTING), self._working:
            await self._reset()

    async def _reset(self) -> None:
        index = self._index
        async with self._turn:
            if self._is_left:
                raise LabError(_LESSON_LEFT)
            self._begun = NO_STEP
            step = self.lesson.steps[index]
            self._progress.set_passed(self.lesson.id, step.id, passed=False)
            self._release(step)
            self._states[index] = StepState(hints_shown=self._states[index].hints_shown)
            self._resets[index] += 1
            self._publish()
            await self._workplace.reset()
        await self._begin()

    async def act(self, action: str) -> None:
        """Do what a learner does in the app and not in the shell; *action* is one of `ACTIONS`."""
        if action == "<reset>":
            await self.reset()
        else:
            self._act_lightly(action)
            await self.check_now()

    def _act_lightly(self, action: str) -> None:
        if action == "<hint>":
            self.hint()
        else:
            self.language = "es" if self.language == "en" else "en"

    async def fast_forward(self, patience: Patience = DEFAULT_PATIENCE) -> None:
        """Type the current step's solution into a shell of our own, which stays open for what it started.

        Raises:
            LabError: that did not pass the step, or the learner left it meanwhile.
        """
        index = self._index
        if self.mode is Mode.TEST_OUT:
            raise LabError(_ON_ONES_OWN)
        if self._states[index].passed:
            return
        async with self._doing(_SOLVING), self._working:
            await self._begin()  # It may be the learner's first moment on this step.
            if not self._is_over(index):
                await self._solve(index, patience)
        if not self._states[index].passed:
            told = _UNSOLVED if self._index == index else _STEP_LEFT
            raise LabError(told.format(step=self.lesson.steps[index].id))

    async def _solve(self, index: int, patience: Patience) -> None:
        await self._until(
            lambda: not self._states[index].uncaptured or self._is_over(index), patience.state_s
        )
        try:
            await self._type(self.lesson.steps[index].structure.solve, index, patience)
            await self._until(lambda: self._is_over(index), timeout_s=patience.state_s)
        finally:
            self._states[index] = replace(self._states[index], skipped=self._states[index].passed)

    async def _type(self, lines: tuple[str, ...], index: int, patience: Patience) -> None:
        """Type *lines* for as long as the learner stays at the step; it may pass before the last is done."""
        line_s = patience.line_s
        typist = Typist(await self._workplace.shell(TYPED_SIZE, self.language))
        await typist.prompt(until=lambda: self._has_gone_from(index), timeout_s=line_s)
        self._states[index] = replace(self._states[index], skipped=True)
        for number, line in enumerate(lines, 1):
            is_last = number == len(lines)
            enough = self._is_over if is_last else self._has_gone_from
            if line == LEAVE and is_last:  # What a shell is in has to be seen before it ends.
                await self._until(lambda: self._is_over(index), patience.state_s)
            if line in ACTIONS and not self._has_gone_from(index):
                typist = await self._act_for(line, typist, line_s)
            elif not self._has_gone_from(index):
                await typist.type(line, until=partial(enough, index), timeout_s=line_s)

    async def _act_for(self, action: str, typist: Typist, line_s: float) -> Typist:
        """Do *action* while the solution is typed; return who types on: a reset ends all shells."""
        if action != "<reset>":
            await self.act(action)
            return typist
        await self._reset()
        another = Typist(await self._workplace.shell(TYPED_SIZE, self.language))
        await another.prompt(until=lambda: self._is_left, timeout_s=line_s)
        return another

    def _has_gone_from(self, index: int) -> bool:
        return self._index != index or self._is_left

    def _is_over(self, index: int) -> bool:
        """Tell whether nothing is left to be done for the step at *index*."""
        return self._states[index].passed or self._has_gone_from(index)

    async def _until(self, holds: Callable[[], bool], timeout_s: float) -> None:
        """Wait until *holds*, which changes with the view; but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                async for _ in self.changes():
                    if holds():
                        return

    async def _leave(self) -> None:
        """Leave the place, after a reset that is under way: what that starts would outlive the lesson."""
        async with self._turn:
            self._is_left = True
            await self._workplace.leave()

    async def clean_up(self, *, broken_off: bool = False) -> None:
        """End the lesson's shells and take back what its steps made in the cluster; see `Workplace.clean_up`.

        Closing a session does only the former: who comes back finds the pods as they were.
        """
        async with self._turn:  # Nothing is set up meanwhile, nor after it.
            self._is_left = True
            await self._workplace.clean_up(broken_off=broken_off)

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
        for id_, known in recorded.steps.items():
            if id_ in ids:
                self._states[ids.index(id_)] = _resumed(known)
        self._view = self._draw()
        if self._view.finished:  # It may have been killed between the last pass and this.
            self._progress.complete(self.lesson.id, tested_out=self.mode is Mode.TEST_OUT)

    def _go_to(self, index: int) -> None:
        if 0 <= index < len(self.lesson.steps):
            self._index = index
            self._progress.go_to(self.lesson.id, self._step.id)
            self._observer.changed.set()  # Wakes `_follow`, which sets the step up.
            self._publish()

    async def begun(self) -> None:
        """Wait until the current step is set up: what is done from then on counts."""
        await self._begin()

    async def _begin(self) -> None:
        """Bring about what the current step starts from; only then do its checks count.

        A command that fails is told in the view. The learner may put it right, reset the step or go on.
        """
        async with self._turn:
            if self._begun == self._index or self._is_left:
                return
            index = self._index
            obstacle = None if self._state.passed else await self._set_up(self._step)
            self._states[index] = evaluation.begin(self._states[index], obstacle, self._uncaptured(index))
            await self._observer.settle()
            self._observer.begin()
            self._before = self._observer.observation
            self._begun = index
            self._evaluate()

    async def _set_up(self, step: Step) -> Text | None:
        """Return why *step* could not be set up, if so."""
        commands = (*self.lesson.structure.setup, *step.structure.setup)
        if not commands:
            return None
        async with self._doing(_SETTING_UP):
            for command in commands:
                try:
                    async with asyncio.timeout(SETUP_TIMEOUT_S):
                        await self._workplace.execute(command)
                except LabError as error:
                    return sentence_of(error)
                except TimeoutError:
                    return _SETUP_TIMED_OUT.format(command=command, seconds=f"{SETUP_TIMEOUT_S:g}")
        return None

    @asynccontextmanager
    async def _doing(self, what: Text) -> AsyncIterator[None]:
        """Tell in the view what the lesson does by itself; of several such, the first one tells."""
        self._doing_now.append(what)
        self._publish()
        try:
            yield
        finally:
            self._doing_now.remove(what)
            self._publish()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s()):
                    await self._observer.changed.wait()
            self._observer.changed.clear()
            if self._begun != self._index:
                await self._begin()
            async with self._turn:
                self._evaluate()

    def _rest_s(self) -> float | None:
        """Return how long nothing needs to be evaluated unless something changes."""
        wake_at_s = self._state.wake_at_s
        if wake_at_s is None or self._state.passed:
            return None
        return max(0.0, wake_at_s - self._clock.monotonic_s())

    def _evaluate(self) -> None:
        if self._begun != self._index:
            return
        before, observation = self._state, self._observation()
        if before.uncaptured:
            self._capture(observation)
        state = evaluation.evaluate(self._step, self._state, observation, self._scope)
        if state.message and state.message != before.message:
            shown = next(id_ for id_, text in self._step.messages.items() if text == state.message)
            self._progress.note(self.lesson.id, self._step.id, Event.MISCONCEPTION, shown)
        if state.passed and not before.passed:
            self._record(state)
        self._observer.want(evaluation.questions(self._step, state, observation, self._scope))
        self._set(state)
        if state.passed and not before.passed and self._view.finished:
            self._progress.complete(self.lesson.id, tested_out=self.mode is Mode.TEST_OUT)

    def _observation(self) -> Observation:
        """Return what is seen now, of the session itself as well."""
        own = SessionState(self._state.hints_shown, self._resets[self._index], self._language)
        return replace(self._observer.observation, session=own)

    def _record(self, state: StepState) -> None:
        self._progress.set_passed(self.lesson.id, self._step.id, passed=True, skipped=state.skipped)
        seen = state.prediction
        if self._step.question is not None and seen.value is not None:
            self._progress.set_outcome(
                self.lesson.id, self._step.id, prediction.recorded(seen.value), seen.choice
            )

    # Captures: what is not known before the step begins.

    def _uncaptured(self, index: int) -> tuple[str, ...]:
        """Return the values that the step at *index* needs and that are not known yet."""
        until_now = self.lesson.steps[: index + 1]
        names = (name for step in until_now for name in step.structure.capture)
        return tuple(name for name in names if name not in self.lesson.variables)

    def _capture(self, observation: Observation) -> None:
        """Take what the current step captures, as far as it can be seen."""
        measures = self._step.structure.capture
        values = {
            name: value_of(measure, observation, self._scope)
            for name, measure in measures.items()
            if name in self._state.uncaptured
        }
        if known := {name: value for name, value in values.items() if value is not None}:
            self._substitute({**self.lesson.variables, **known})
            self._states[self._index] = replace(self._state, uncaptured=self._uncaptured(self._index))

    def _release(self, step: Step) -> None:
        """Forget what *step* captured: it is captured anew when the step begins again."""
        kept = {name: v for name, v in self.lesson.variables.items() if name not in step.structure.capture}
        if kept != self.lesson.variables:
            self._substitute(kept, forget=step.structure.capture)

    def _substitute(self, values: Mapping[str, Any], *, forget: Iterable[str] = ()) -> None:
        self.lesson = replace(parse_lesson(self.lesson.source, values), home=self.lesson.home)
        self._progress.set_variables(self.lesson.id, values, forget=tuple(forget))

    def _observed_machines(self) -> Iterator[str]:
        """All of a cluster's, for a pod may be on any; else only the lesson's own."""
        if self.lesson.structure.cluster is None:
            yield self.lesson.machine
        else:
            yield from self._lab.machines

    def _draw(self) -> LessonView:
        states = tuple(self._states)
        busy = self._doing_now[0] if self._doing_now else None
        return evaluation.draw(self.lesson, states, self._index, self._scope, self.mode, busy)

    def _publish(self) -> None:
        view = self._draw()
        if view != self._view:
            self._view = view
            self._published.set()
            self._published = asyncio.Event()


def _begin_attempt(lesson: Lesson, progress: Progress) -> LessonProgress:
    seed = new_seed()
    recorded = LessonProgress(seed, _draw_variables(lesson, seed), lesson.steps[0].id)
    progress.begin(lesson.id, recorded.variables, recorded.step, seed)
    return progress.lesson(lesson.id) or recorded  # Another app may have begun it at the same moment.


def _draw_variables(lesson: Lesson, seed: str) -> dict[str, Any]:
    return variables.draw({name: variable.pick for name, variable in lesson.structure.vars.items()}, seed)


def _resumed(known: StepProgress) -> StepState:
    outcome = known.outcome
    seen = (
        PredictionState(known.answer, prediction.resumed(outcome.value), outcome.choice) if outcome else None
    )
    return StepState(
        hints_shown=known.hints_shown,
        passed=known.passed,
        skipped=known.skipped,
        prediction=seen or PredictionState(known.answer),
    )


_RESETTING = Text("Se rehace el sitio de la lección…", "Making the lesson's place anew…")
_SETTING_UP = Text("Se prepara el paso…", "Setting up the step…")
_SOLVING = Text("Se escribe la solución…", "Typing the solution…")
_ON_ONES_OWN = Text(
    "En la prueba nadie ayuda: sal de la lección y ábrela para aprender.",
    "In a test-out nobody helps: leave the lesson and open it to learn.",
)
_UNSOLVED = Text(
    "La solución no ha superado el paso «{step}»: reinícialo y prueba otra vez.",
    "The solution did not pass step “{step}”: reset it and try again.",
)
_STEP_LEFT = Text(
    "Has dejado el paso «{step}» mientras se escribía su solución: vuelve a él y prueba otra vez.",
    "You left step “{step}” while its solution was typed: go back to it and try again.",
)
_LESSON_LEFT = Text("La lección está cerrada: ábrela otra vez.", "The lesson is closed: open it again.")
_SETUP_TIMED_OUT = Text(
    "«{command}» no ha terminado en {seconds} s: reinicia el paso.",
    "“{command}” did not end within {seconds} s: reset the step.",
)
