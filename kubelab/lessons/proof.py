"""Proves a lesson on a live lab, as `kubelab lesson test` does.

Twice: first as a learner who errs (each step is not yet passed; each wrong attempt, typed, gets its own
message and does not pass; then from a fresh start the solution, typed, passes), then as one who has every
step done for them by fast-forward. After each, nothing may be left on the machines or in the API. All is
typed into the same shell that a learner has.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import WindowSize
from kubelab.language import Language, Text
from kubelab.lessons import inventory
from kubelab.lessons.checks import Scope
from kubelab.lessons.format import Lesson, Step
from kubelab.lessons.inventory import Inventory
from kubelab.lessons.lab import LabPort
from kubelab.lessons.patience import DEFAULT_PATIENCE, Patience
from kubelab.lessons.progress import Progress
from kubelab.lessons.session import Session
from kubelab.lessons.typist import ACTIONS, LEAVE, Typist
from kubelab.lessons.view import StepView, Verdict, sentence_of

Watch = Callable[[str], None]
"""Told the id of each step when it begins, "" for what is around the steps."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`step` is "" when the lesson as a whole failed."""

    step: str
    sentence: Text


@dataclass(frozen=True, slots=True)
class Proof:
    """`durations_s`: how long each step took, both times together; one that was not reached is not in it."""

    lesson_id: str
    language: Language
    duration_s: float
    failure: Failure | None = None
    durations_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.failure is None

    def __str__(self) -> str:
        title = f"{self.lesson_id} [{self.language}]"
        if self.failure is None:
            return f"{title}: {Text('demostrada', 'proven')} ({self.duration_s:.1f} s)"
        place = f" {self.failure.step}" if self.failure.step else ""
        return f"{title}{place}: {self.failure.sentence.in_(self.language)}"


class _UnprovenError(LabError):
    """The lesson is not what it says."""

    def __init__(self, es: str, en: str) -> None:
        super().__init__(Text(es, en))


async def prove(
    lesson: Lesson,
    language: Language,
    lab: LabPort,
    patience: Patience = DEFAULT_PATIENCE,
    watch: Watch = lambda step: None,
) -> Proof:
    """Prove *lesson* on *lab*; what goes wrong is in the proof, with its step, and nothing is raised."""
    begun_s = time.monotonic()
    proving = _Proving(lesson, language, lab, patience, watch, begun_s)
    failure: Failure | None = None
    try:
        async with asyncio.timeout(proving.patience.lesson_s):
            for way in (_err, _fast_forward):
                await _prove_once(proving, way)
        _all_answered(proving)
    except LabError as error:
        failure = Failure(proving.step, sentence_of(error))
    except TimeoutError:
        limit = f"{proving.patience.lesson_s:g} s"
        failure = Failure(proving.step, Text(f"tardó más de {limit}.", f"it took more than {limit}."))
    proving.enter("")
    return Proof(lesson.id, language, time.monotonic() - begun_s, failure, proving.durations_s)


@dataclass(slots=True)
class _Proving:
    """`step` is the one at hand, "" outside the steps, since `entered_s`. `answered`: those whose prediction
    the live state has answered, and with which choice."""

    lesson: Lesson
    language: Language
    lab: LabPort
    patience: Patience
    watch: Watch
    entered_s: float
    step: str = ""
    durations_s: dict[str, float] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)

    def enter(self, step: str) -> None:
        now_s = time.monotonic()
        if self.step:
            before_s = self.durations_s.get(self.step, 0.0)
            self.durations_s[self.step] = before_s + now_s - self.entered_s
        self.step, self.entered_s = step, now_s
        self.watch(step)

    def note_answer(self, choice: str) -> None:
        """One question has one answer, whichever way the learner went."""
        before = self.answered.setdefault(self.step, choice)
        if before != choice:
            raise _UnprovenError(
                f"el estado real responde a su predicción una vez «{before}» y otra «{choice}».",
                f"the live state answers its prediction “{before}” at one time and “{choice}” at another.",
            )


class _Learner:
    """A session with a shell that is typed into."""

    def __init__(self, session: Session, proving: _Proving) -> None:
        self.session = session
        self.proving = proving
        self._typist: Typist | None = None

    @property
    def view(self) -> StepView:
        return self.session.view.step

    @property
    def step(self) -> Step:
        """The step at hand, with the values in it that are captured by now."""
        return self.session.lesson.steps[self.session.view.index]

    def steps(self) -> Iterator[Step]:
        """Yield the lesson's steps; going on to the next one goes there in the session too."""
        for _ in self.session.lesson.steps:
            self.proving.enter(self.step.id)
            yield self.step
            if self.view.prediction and self.view.prediction.outcome:
                self.proving.note_answer(self.view.prediction.outcome.choice)
            self.session.next()

    async def type(self, lines: tuple[str, ...], until: Callable[[], bool]) -> None:
        *before, last = lines
        for line in before:
            await self._do(line, until=lambda: False)
        if last == LEAVE:
            await self.wait(until)  # What a shell is in has to be seen before it ends.
        await self._do(last, until)

    async def _do(self, line: str, until: Callable[[], bool]) -> None:
        if line in ACTIONS:
            await self._act(line)
        else:
            typist = await self._typist_in_shell()
            await typist.type(line, until=until, timeout_s=self.proving.patience.line_s)

    async def _act(self, action: str) -> None:
        await self.session.act(action)
        if action == "<reset>":
            self._typist = None

    async def _typist_in_shell(self) -> Typist:
        if self._typist is None:
            self._typist = Typist(await self.session.shell(WindowSize(40, 120)))
            await self._typist.prompt(until=lambda: False, timeout_s=self.proving.patience.line_s)
        return self._typist

    def told(self) -> Text:
        """What the shell told last, to be appended to what went wrong."""
        words = self._typist.last_words if self._typist else ""
        return Text(f" El shell dijo: {words}", f" The shell said: {words}") if words else Text("", "")

    async def reset(self) -> None:
        self._typist = None
        await self.session.reset()

    async def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Follow the view until *until* holds; tell whether it did in time."""
        try:
            async with asyncio.timeout(timeout_s or self.proving.patience.state_s):
                async for view in self.session.changes():
                    if view.step.obstacle:
                        raise LabError(view.step.obstacle)
                    if until():
                        return True
        except TimeoutError:
            return until()
        raise AssertionError("a session's changes do not end")


Way = Callable[[_Learner], Awaitable[None]]


async def _prove_once(proving: _Proving, way: Way) -> None:
    """Go through the lesson in one *way*, with the progress of a learner who has none."""
    lesson, lab = proving.lesson, proving.lab
    with_cluster = lesson.structure.cluster is not None
    if with_cluster:
        await lab.ready()
    before = await inventory.take(lab, with_cluster=with_cluster)
    with (
        TemporaryDirectory(prefix="kubelab-proof-") as directory,
        Progress.open(Path(directory) / "progress.sqlite3") as progress,
    ):
        async with Session.open(lab, lesson, progress, proving.language) as session:
            is_through = False
            try:
                await way(_Learner(session, proving))
                is_through = True
            finally:
                await session.clean_up(broken_off=not is_through)
    proving.enter("")
    await _nothing_left(lab, before, with_cluster, proving.patience.settle_s)


async def _nothing_left(lab: LabPort, before: Inventory, with_cluster: bool, settle_s: float) -> None:
    deadline_s = time.monotonic() + settle_s
    while left := (await inventory.take(lab, with_cluster=with_cluster)).additions(before):
        if time.monotonic() > deadline_s:
            listed = "; ".join(left[:5])
            raise _UnprovenError(f"después quedó: {listed}.", f"left behind: {listed}.")
        await asyncio.sleep(0.1)  # Processes that were told to end need a moment for it.


def _all_answered(proving: _Proving) -> None:
    """A prediction that the live state never answers, on either way, leaves the learner wondering."""
    for step in proving.lesson.steps:
        if step.structure.predict and step.id not in proving.answered:
            proving.enter(step.id)
            raise _UnprovenError(
                "el estado real no responde a su predicción.",
                "the live state does not answer its prediction.",
            )


async def _err(learner: _Learner) -> None:
    for step in learner.steps():
        for number in range(len(step.structure.wrong)):
            await _not_yet(learner)
            await _reject(learner, learner.step, number)
            await learner.reset()
        await _solve(learner)


async def _fast_forward(learner: _Learner) -> None:
    for _ in learner.steps():
        await _not_yet(learner)
        await learner.session.fast_forward(learner.proving.patience)


async def _solve(learner: _Learner) -> None:
    await _not_yet(learner)
    await learner.type(learner.step.structure.solve, until=lambda: learner.view.passed)
    if not await learner.wait(lambda: learner.view.passed):
        (es, en), told = _unmet(learner.view), learner.told()
        raise _UnprovenError(
            f"la solución no basta: {es}{told.es}", f"the solution is not enough: {en}{told.en}"
        )


async def _not_yet(learner: _Learner) -> None:
    await learner.session.begun()  # Until it is set up, nothing passes; nor is anything ready to be done.
    if await learner.wait(lambda: learner.view.passed, learner.proving.patience.not_yet_s):
        raise _UnprovenError("se supera sin hacer nada.", "it passes before anything is done.")


async def _reject(learner: _Learner, step: Step, number: int) -> None:
    wrong = step.structure.wrong[number]
    message = step.messages[wrong.message]
    await learner.type(wrong.do, until=lambda: learner.view.message == message)
    told = await learner.wait(lambda: learner.view.message == message or learner.view.passed)
    if learner.view.passed:
        raise _UnprovenError(
            f"el intento erróneo «{wrong.message}» la supera.",
            f"the wrong attempt “{wrong.message}” passes.",
        )
    if not told:
        when, said = wrong.when.expected(Scope(learner.session.lesson.machine)), learner.told()
        raise _UnprovenError(
            f"el intento erróneo «{wrong.message}» no recibe su mensaje: no se vio {when.es}.{said.es}",
            f"the wrong attempt “{wrong.message}” does not get its message: not seen: {when.en}.{said.en}",
        )


def _unmet(view: StepView) -> tuple[str, str]:
    check = next((check for check in view.checks if check.verdict is not Verdict.PASSED), None)
    if check is None:
        return "no se evaluó.", "it was not evaluated."
    return (
        f"se esperaba {check.expected.es}; se vio: {check.observed.es}.",
        f"expected {check.expected.en}; observed: {check.observed.en}.",
    )
