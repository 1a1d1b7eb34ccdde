"""What a lesson's view says: the step, its checks, its hints, and what is new since another view. Pure.

Every line says in words what the app says with signs and colours.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubelab.language import Language, Text
from kubelab.lessons.view import (
    CheckView,
    LessonEntry,
    LessonView,
    Mode,
    OutcomeView,
    PredictionView,
    StepView,
    TrackEntry,
    Verdict,
)
from kubelab.plain import words
from kubelab.plain.markdown import plain_lines
from kubelab.plain.prediction import lettered, spoken

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
        return [line for given in text.in_(self.language).splitlines() for line in self._wrapped(given)]

    def _wrapped(self, line: str) -> list[str]:
        """Break between words: a terminal would break within one."""
        if self.width is None or len(line) <= self.width:
            return [line]
        return textwrap.wrap(line, max(self.width, 1), break_long_words=False, break_on_hyphens=False)

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
        if entry.tested_out:
            yield from self.say(words.TESTED_OUT)
        if entry.review_in_days is not None and entry.review_in_days <= 0:
            yield from self.say(words.REVIEW_DUE.format(number=number))
        if entry.missing:
            yield from self.say(words.MISSING.format(why=entry.missing.in_(language)))

    def step(self, view: LessonView) -> Iterator[str]:
        """Yield the current step as a learner reads it first: all that may be seen of it by now."""
        step = view.step
        sentence = words.STEP_SKIPPED if step.skipped else words.STEP_DONE if step.passed else words.STEP
        title = step.title.in_(self.language)
        yield from self.say(sentence.format(n=view.index + 1, count=len(view.steps), title=title))
        yield ""
        if view.mode is Mode.TEST_OUT:
            yield from self.say(words.A_TEST)
        yield from self.prose(step.body)
        if step.prediction:
            yield ""
            yield from self.question(step.prediction)
        for shown in range(1, step.hints_shown + 1):
            yield ""
            yield from self.hint(step, shown)
        if step.obstacle:
            yield ""
            yield from self._titled(words.OBSTACLE, step.obstacle)

    def question(self, prediction: PredictionView) -> Iterator[str]:
        """Yield the question with the answers to choose from, and how it stands with the learner's."""
        yield from self.asked(prediction)
        if prediction.outcome:
            yield from self._outcome(prediction, prediction.outcome)
        elif prediction.answer:
            yield from self.say(words.YOUR_ANSWER.format(answer=self.answer(prediction)))
        else:
            yield from self.say(words.ANSWER_BY_LETTER if prediction.choices else words.ANSWER_FREELY)

    def asked(self, prediction: PredictionView) -> Iterator[str]:
        yield from self._titled(words.QUESTION, prediction.question)
        for letter, choice in lettered(prediction):
            text = " ".join(self.prose(choice.text))
            yield from self.say(words.CHOICE.format(letter=letter, text=text))

    def answer(self, prediction: PredictionView) -> str:
        """Return what the learner has answered, as it is told."""
        return spoken(prediction, prediction.answer, self.language)

    def _outcome(self, prediction: PredictionView, outcome: OutcomeView) -> Iterator[str]:
        """Yield what was predicted, what is the case, whether they agree, and why it is so."""
        if prediction.answer:
            yield from self.say(words.YOU_PREDICTED.format(answer=self.answer(prediction)))
        value = outcome.value.in_(self.language)
        choice = spoken(prediction, outcome.choice, self.language)
        yield from self.say(words.SYSTEM_ANSWERED.format(value=value or choice))
        if value and choice and outcome.choice != prediction.answer:
            yield from self.say(words.SYSTEM_CHOSE.format(choice=choice))
        if prediction.answer:
            yield from self.say(_verdict(prediction, outcome))
        if prediction.answer and outcome.explanation:
            yield from self.prose(outcome.explanation)

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
        """Yield what happened between two views: the lab began to work by itself, the step passed, the live
        system answered its question, or a misconception showed itself."""
        if now.busy and now.busy != before.busy:
            yield from self.say(words.BUSY.format(what=now.busy.in_(self.language).rstrip("….")))
        if before.index != now.index:
            return
        old, step = before.step, now.step
        if step.obstacle and step.obstacle != old.obstacle:
            yield from self._titled(words.OBSTACLE, step.obstacle)
        if step.message and step.message != old.message and not step.passed:
            yield from self._titled(words.MISCONCEPTION, step.message)
        passed = step.passed and not old.passed
        if passed:
            sentence = words.SKIPPED if step.skipped else words.STEP_PASSED
            yield from self.say(sentence.format(title=step.title.in_(self.language)))
        yield from self._answered(old.prediction, step.prediction)
        if passed:
            yield from self._after(now)

    def _answered(self, before: PredictionView | None, now: PredictionView | None) -> Iterator[str]:
        if now and now.outcome and not (before and before.outcome):
            yield from self._outcome(now, now.outcome)

    def _after(self, view: LessonView) -> Iterator[str]:
        """Yield what is to be told of a step that has just been passed, and how to go on."""
        if view.step.debrief:
            yield from self.prose(view.step.debrief)
        if view.finished:
            sentence = words.TEST_PASSED if view.mode is Mode.TEST_OUT else words.LESSON_PASSED
            yield from self.say(sentence.format(title=view.title.in_(self.language)))
        elif view.index + 1 < len(view.steps):
            yield from self.say(words.GO_ON)

    def _titled(self, title: Text, text: Text) -> Iterator[str]:
        yield from self.say(title)
        yield from self.prose(text)


def _verdict(prediction: PredictionView, outcome: OutcomeView) -> Text:
    """Own words are for the learner to compare; answers to choose from are right or wrong."""
    if outcome.right:
        return words.RIGHT
    return words.WRONG if prediction.choices else words.COMPARE
