"""The lesson's first row: title, steps, what is going on; a passed step is celebrated in it.

Something that takes time has a sign that moves; the timer behind it runs only then.
"""

from kubelab.language import Language, Text
from kubelab.lessons.view import LessonView, Mode, StepView, Verdict
from kubelab.ui import words
from kubelab.ui.line_view import LineView
from kubelab.ui.picture import Line, Span, fitted, spread

SPARKLES = "✧", "✦", "✶", "✦"
MOVING = "|", "/", "-", "\\"
TICK_S = 0.15
CELEBRATION_TICKS = 10
NOTE_S = 4

_SCORE: dict[Verdict, Span] = {
    Verdict.PASSED: ("✓", "good"),
    Verdict.NOT_YET: ("…", "busy"),
    Verdict.CANNOT_CHECK: ("?", "bad"),
}


class LessonBar(LineView):
    DEFAULT_CSS = """
    LessonBar { height: 1; background: $panel; dock: top; padding: 0 1; }
    LessonBar.-celebrates { background: $celebration; }
    """

    def __init__(self, title: Text, mode: Mode, language: Language, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(self._picture, id=id)
        self.language = language
        self._title = title
        self._mode = mode
        self._view: LessonView | None = None
        self._note: Text | None = None
        self._doing: Text | None = None
        self._celebrates = False
        self._ticks = 0

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK_S, self._tick, pause=True)

    @property
    def note(self) -> Text | None:
        """What is said in passing just now."""
        return self._note

    def show(self, view: LessonView) -> None:
        """Show *view*; another step ends what was said about the one before."""
        before, self._view = self._view, view
        if before and before.index != view.index:
            self._note = None
            self._celebrate(celebrates=False)
        elif before and view.step.passed and not before.step.passed:
            self._celebrate(celebrates=True)
        self._run()

    def say(self, note: Text) -> None:
        """Say *note* for a moment."""
        self._note = note
        self._celebrate(celebrates=False)
        self.set_timer(NOTE_S, lambda: self.unsay(note))
        self.redraw()

    def unsay(self, *notes: Text) -> None:
        if self._note in notes:
            self._note = None
            self.redraw()

    def do(self, what: Text | None) -> None:
        """Show that the app itself is doing *what*; None: no more."""
        self._doing = what
        self._run()

    @property
    def busy(self) -> Text | None:
        return (self._view.busy if self._view else None) or self._doing

    def _celebrate(self, *, celebrates: bool) -> None:
        self._celebrates, self._ticks = celebrates, 0
        self.set_class(celebrates, "-celebrates")

    def _run(self) -> None:
        if self.busy or (self._celebrates and self._ticks < CELEBRATION_TICKS):
            self._timer.resume()
        else:
            self._timer.pause()
        self.redraw()

    def _tick(self) -> None:
        self._ticks += 1
        self._run()

    # The picture.

    def _picture(self, width: int, height: int) -> list[Line]:
        title: Line = (("◆ ", "mark"), (self._say(self._title), "strong"), *self._mode_span())
        if self._view is None:
            return [fitted(title, width)]
        left = self._busy_line() or self._celebration(self._view) or (*title, *self._steps(self._view))
        return [spread(left, _score(self._view.step), width)]

    def _say(self, text: Text) -> str:
        return text.in_(self.language)

    def _mode_span(self) -> Line:
        return ((f" · {self._say(words.TEST)}", "busy"),) if self._mode is Mode.TEST_OUT else ()

    def _steps(self, view: LessonView) -> Line:
        n_of_count = self._say(words.STEP_OF.format(n=view.index + 1, count=len(view.steps)))
        dots = (_dot(step, here=i == view.index) for i, step in enumerate(view.steps))
        note = self._note or (words.SKIPPED if view.step.skipped and view.step.passed else None)
        said: Line = (("  " + self._say(note), "busy"),) if note else ()
        return ((f"  {n_of_count}  ", "plain"), *dots, *said)

    def _busy_line(self) -> Line:
        if not self.busy:
            return ()
        moving = MOVING[self._ticks % len(MOVING)]
        return ((f"{moving} ", "busy"), (f"{self._say(self.busy).removesuffix('…')}…", "strong"))

    def _celebration(self, view: LessonView) -> Line:
        if not self._celebrates:
            return ()
        sparkle = SPARKLES[self._ticks % len(SPARKLES)]
        done = view.finished
        title = view.title if done else view.step.title
        said = self._say(_praise(view).format(title=self._say(title)))
        then = self._say(words.LESSON_PASSED_NEXT if done else words.STEP_PASSED_NEXT)
        return ((f"{sparkle} {said} {sparkle} ", "good"), (f" {then}", "strong"))


def _praise(view: LessonView) -> Text:
    if view.finished:
        return words.TEST_PASSED if view.mode is Mode.TEST_OUT else words.LESSON_PASSED
    return words.STEP_SKIPPED if view.step.skipped else words.STEP_PASSED


def _dot(step: StepView, *, here: bool) -> Span:
    if step.passed:
        return ("»", "mark") if step.skipped else ("✓", "good")
    return ("●", "strong") if here else ("○", "muted")


def _score(step: StepView) -> Line:
    """How many checks are met, not yet met, and not checkable: also seen while the text is hidden."""
    verdicts = [check.verdict for check in step.checks]
    return tuple(
        (f" {sign}{count}", tone)
        for verdict, (sign, tone) in _SCORE.items()
        if (count := verdicts.count(verdict))
    )
