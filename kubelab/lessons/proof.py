"""Proves a lesson on a live lab, as `kubelab lesson test` does.

Twice: first as a learner who errs (each step is not yet passed; each wrong attempt, typed, gets its own
message and does not pass; then from a fresh start the solution, typed, passes), then as one who goes straight
through. After each, nothing may be left on the machines or in the API. All is typed into the same shell that
a learner has.
Left out: other back-ends, jobs in parallel, JUnit output.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import WindowSize
from kubelab.language import Language, Text
from kubelab.lessons import inventory
from kubelab.lessons.format import Lesson, Step, Wrong
from kubelab.lessons.inventory import Inventory
from kubelab.lessons.lab import LabPort
from kubelab.lessons.progress import Progress
from kubelab.lessons.session import Session
from kubelab.lessons.typist import Typist
from kubelab.lessons.view import StepView, Verdict

LESSON_TIMEOUT_S = 60.0
LINE_TIMEOUT_S = 15.0
STATE_TIMEOUT_S = 10.0  # From the last line typed to the verdict.
SETTLE_TIMEOUT_S = 5.0  # From the end of a lesson until its processes are gone.
NOT_YET_S = 0.5  # So long a step must not pass by itself.


@dataclass(frozen=True, slots=True)
class Failure:
    """`step` is "" when the lesson as a whole failed."""

    step: str
    sentence: Text


@dataclass(frozen=True, slots=True)
class Proof:
    lesson_id: str
    language: Language
    duration_s: float
    failure: Failure | None = None
    steps: tuple[str, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        return self.failure is None

    def __str__(self) -> str:
        title = f"{self.lesson_id} [{self.language}]"
        if self.failure is None:
            return f"{title}: {Text('demostrada', 'proven')} ({self.duration_s:.1f} s)"
        place = f" {self.failure.step}" if self.failure.step else ""
        return f"{title}{place}: {self.failure.sentence.in_(self.language)}"


class _Unproven(Exception):  # noqa: N818 -- it is the proof's outcome
    def __init__(self, step: str, es: str, en: str) -> None:
        super().__init__(en)
        self.failure = Failure(step, Text(es, en))


async def prove(lesson: Lesson, language: Language, lab: LabPort) -> Proof:
    """Prove *lesson* on *lab*; what goes wrong is in the proof, and nothing is raised for it."""
    begun_s = time.monotonic()
    failure: Failure | None = None
    try:
        async with asyncio.timeout(LESSON_TIMEOUT_S):
            await _prove_once(lesson, language, lab, _err)
            await _prove_once(lesson, language, lab, _go_straight_through)
    except _Unproven as unproven:
        failure = unproven.failure
    except LabError as error:
        sentence = error.sentence
        failure = Failure("", sentence if isinstance(sentence, Text) else Text(sentence, sentence))
    except TimeoutError:
        limit = f"{LESSON_TIMEOUT_S:g} s"
        failure = Failure("", Text(f"tardó más de {limit}.", f"it took more than {limit}."))
    steps = tuple(step.id for step in lesson.steps)
    return Proof(lesson.id, language, time.monotonic() - begun_s, failure, steps)


class _Learner:
    """A session with a shell that is typed into."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._typist: Typist | None = None

    @property
    def view(self) -> StepView:
        return self.session.view.step

    async def type(self, lines: tuple[str, ...], until: Callable[[], bool]) -> None:
        if self._typist is None:
            self._typist = Typist(await self.session.shell(WindowSize(40, 120)))
            await self._typist.prompt(until=lambda: False, timeout_s=LINE_TIMEOUT_S)
        for line in lines:
            last = until if line is lines[-1] else lambda: False
            await self._typist.type(line, until=last, timeout_s=LINE_TIMEOUT_S)

    async def reset(self) -> None:
        self._typist = None
        await self.session.reset()

    async def wait(self, until: Callable[[], bool], timeout_s: float = STATE_TIMEOUT_S) -> bool:
        """Follow the view until *until* holds; tell whether it did in time."""
        try:
            async with asyncio.timeout(timeout_s):
                async for _ in self.session.changes():
                    if until():
                        return True
        except TimeoutError:
            return until()
        raise AssertionError("a session's changes do not end")


Way = Callable[[_Learner], Awaitable[None]]


async def _prove_once(lesson: Lesson, language: Language, lab: LabPort, way: Way) -> None:
    """Go through *lesson* in one *way*, with the progress of a learner who has none."""
    with_cluster = lesson.structure.cluster is not None
    if with_cluster:
        await lab.ready()
    before = await inventory.take(lab, with_cluster=with_cluster)
    with (
        TemporaryDirectory(prefix="kubelab-proof-") as directory,
        Progress.open(Path(directory) / "progress.sqlite3") as progress,
    ):
        async with Session.open(lab, lesson, progress, language) as session:
            try:
                await way(_Learner(session))
            finally:
                await session.clean_up()
    await _nothing_left(lab, before, with_cluster)


async def _nothing_left(lab: LabPort, before: Inventory, with_cluster: bool) -> None:
    deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
    while left := (await inventory.take(lab, with_cluster=with_cluster)).additions(before):
        if time.monotonic() > deadline_s:
            listed = "; ".join(left[:5])
            raise _Unproven("", f"después quedó: {listed}.", f"left behind: {listed}.")
        await asyncio.sleep(0.1)  # Processes that were told to end need a moment for it.


async def _err(learner: _Learner) -> None:
    for step in learner.session.lesson.steps:
        for wrong in step.structure.wrong:
            await _not_yet(learner, step)
            await _reject(learner, step, wrong)
            await learner.reset()
        await _solve(learner, step)
        learner.session.next()


async def _go_straight_through(learner: _Learner) -> None:
    for step in learner.session.lesson.steps:
        await _solve(learner, step)
        learner.session.next()


async def _solve(learner: _Learner, step: Step) -> None:
    await _not_yet(learner, step)
    await learner.type(step.structure.solve, until=lambda: learner.view.passed)
    if not await learner.wait(lambda: learner.view.passed):
        es, en = _unmet(learner.view)
        raise _Unproven(step.id, f"la solución no basta: {es}", f"the solution is not enough: {en}")


async def _not_yet(learner: _Learner, step: Step) -> None:
    if await learner.wait(lambda: learner.view.passed, NOT_YET_S):
        raise _Unproven(step.id, "se supera sin hacer nada.", "it passes before anything is done.")


async def _reject(learner: _Learner, step: Step, wrong: Wrong) -> None:
    message = step.messages[wrong.message]
    await learner.type(wrong.do, until=lambda: learner.view.message == message)
    told = await learner.wait(lambda: learner.view.message == message or learner.view.passed)
    if learner.view.passed:
        raise _Unproven(
            step.id,
            f"el intento erróneo «{wrong.message}» la supera.",
            f"the wrong attempt “{wrong.message}” passes.",
        )
    if not told:
        raise _Unproven(
            step.id,
            f"el intento erróneo «{wrong.message}» no recibe su mensaje.",
            f"the wrong attempt “{wrong.message}” does not get its message.",
        )


def _unmet(view: StepView) -> tuple[str, str]:
    check = next((check for check in view.checks if check.verdict is not Verdict.PASSED), None)
    if check is None:
        return "no se evaluó.", "it was not evaluated."
    return (
        f"se esperaba {check.expected.es}; se vio: {check.observed.es}.",
        f"expected {check.expected.en}; observed: {check.observed.en}.",
    )
