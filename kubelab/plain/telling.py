"""What a lesson's view says: the step, its checks, its hints, and what is new since another view. Pure.

Every line says in words what the app says with signs and colours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubelab.language import Language, Text
from kubelab.lessons.view import CheckView, LessonEntry, LessonView, StepView, TrackEntry, Verdict
from kubelab.plain import words
from kubelab.plain.markdown import plain_lines

_VERDICTS = {
    Verdict.PASSED: words.MET,
    Verdict.NOT_YET: words.NOT_YET,
    Verdict.CANNOT_CHECK: words.CANNOT_CHECK,
}


@dataclass(frozen=True, slots=True)
class Teller:
    """Speaks *language* in lines of at most *width* columns, or unwrapped if None."""

    language: Language
    width: int | None = None

    def say(self, text: Text) -> list[str]:
        """Return a sentence of the interface; it is no Markdown."""
        return text.in_(self.language).splitlines()

    def prose(self, text: Text) -> list[str]:
        return plain_lines(text.in_(self.language), self.width)

    def tracks(self, tracks: Sequence[TrackEntry]) -> Iterator[str]:
        """Yield all tracks, their lessons numbered through."""
        number = 0
        for track in tracks:
            yield from self.say(track.title)
            for number, entry in enumerate(track.lessons, number + 1):  # noqa: B020 - it goes on counting
                yield from self._entry(number, entry)
            yield ""

    def _entry(self, number: int, entry: LessonEntry) -> Iterator[str]:
        language = self.language
        progress = words.PROGRESS.format(passed=entry.steps_passed, n=entry.steps).in_(language)
        title = entry.title.in_(language)
        yield from self.say(
            words.LESSON.format(
                number=number, title=title, progress=progress, minutes=entry.minutes, id=entry.id
            )
        )
        if entry.missing:
            yield from self.say(words.MISSING.format(why=entry.missing.in_(language)))

    def step(self, view: LessonView) -> Iterator[str]:
        """Yield the current step as a learner reads it first: all that may be seen of it by now."""
        step, sentence = view.step, words.STEP_DONE if view.step.passed else words.STEP
        title = step.title.in_(self.language)
        yield from self.say(sentence.format(n=view.index + 1, count=len(view.steps), title=title))
        yield ""
        yield from self.prose(step.body)
        for shown in range(1, step.hints_shown + 1):
            yield ""
            yield from self.hint(step, shown)
        if step.obstacle:
            yield ""
            yield from self._titled(words.OBSTACLE, step.obstacle)

    def hint(self, step: StepView, number: int) -> Iterator[str]:
        yield from self.say(words.HINT.format(n=number, count=len(step.hints)))
        yield from self.prose(step.hints[number - 1])

    def checks(self, step: StepView) -> Iterator[str]:
        if not step.checks:
            yield from self.say(words.NO_CHECKS)
        for check in step.checks:
            yield from self._check(check)

    def _check(self, check: CheckView) -> Iterator[str]:
        yield from self.say(_VERDICTS[check.verdict].format(what=self._clause(check.expected)))
        if check.verdict is Verdict.PASSED:
            return
        why = words.OBSERVED if check.verdict is Verdict.NOT_YET else words.REASON
        yield from self.say(why.format(what=self._clause(check.observed)))
        if check.look:
            yield from self.say(words.LOOK.format(command=check.look))

    def _clause(self, text: Text) -> str:
        return text.in_(self.language).rstrip(".")

    def news(self, before: LessonView, now: LessonView) -> Iterator[str]:
        """Yield what happened on the step between two views: it passed, or a misconception showed itself."""
        if before.index != now.index:
            return
        old, step = before.step, now.step
        if step.obstacle and step.obstacle != old.obstacle:
            yield from self._titled(words.OBSTACLE, step.obstacle)
        if step.message and step.message != old.message and not step.passed:
            yield from self._titled(words.MISCONCEPTION, step.message)
        if step.passed and not old.passed:
            yield from self._passed(now)

    def _titled(self, title: Text, text: Text) -> Iterator[str]:
        yield from self.say(title)
        yield from self.prose(text)

    def _passed(self, view: LessonView) -> Iterator[str]:
        yield from self.say(words.STEP_PASSED.format(title=view.step.title.in_(self.language)))
        if view.step.debrief:
            yield from self.prose(view.step.debrief)
        if view.finished:
            yield from self.say(words.LESSON_PASSED.format(title=view.title.in_(self.language)))
        elif view.index + 1 < len(view.steps):
            yield from self.say(words.GO_ON)
