"""One step of a lesson as the learner reads it: text, question, checks, obstacle, message, hints, debrief.

Markdown is laid out only when its text changes; a check that changes repaints the list of checks alone. In a
test only the goals are shown.
"""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Markdown, Static

from kubelab.language import Language, Text
from kubelab.lessons.view import CheckView, LessonView, Mode, OutcomeView, StepView, Verdict
from kubelab.ui import words
from kubelab.ui.inline import inline
from kubelab.ui.prediction import LETTERS, PredictionBox

_SIGNS = {
    Verdict.PASSED: ("✓", "$success"),
    Verdict.NOT_YET: ("…", "$warning"),
    Verdict.CANNOT_CHECK: ("?", "$error"),
}


class Callout(Markdown):
    """A part of the step that comes later, and is shown when it does."""

    def on_resize(self, event: events.Resize) -> None:
        pane = self.parent
        if isinstance(pane, StepPane) and self.id:
            pane.callout_laid_out(self.id)


class StepPane(VerticalScroll):
    DEFAULT_CSS = """
    StepPane {
        scrollbar-size-vertical: 1; padding: 0 1;
        Markdown { padding: 0; margin: 0; background: transparent; }
        MarkdownParagraph { margin: 0 0 1 0; }
        MarkdownList MarkdownParagraph { margin: 0; }
        MarkdownFence { margin: 0 0 1 0; max-height: 100; background: $shell; }
        MarkdownFence > Label { padding: 0 2; }
        #title { text-style: bold; color: $primary; margin: 0 0 1 0; }
        #checks { margin: 0 0 1 0; }
        .callout { display: none; padding: 0 1; margin: 0 0 1 0; }
        #obstacle { border-left: outer $error; }
        #message { border-left: outer $warning; }
        #hints { border-left: outer $accent; }
        #debrief { border-left: outer $success; }
        .callout MarkdownBlock:last-child { margin-bottom: 0; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(f"{letter},{number}", f"choose({number - 1})", show=False)
            for number, letter in enumerate(LETTERS, 1)
        ),
        Binding("enter", "choose(0)", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._shown: dict[str, str] = {}
        self._sought = ""
        self._step: StepView | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Markdown(id="body", open_links=False)
        yield PredictionBox(id="prediction")
        yield Static(id="checks", markup=False)
        for part in ("obstacle", "message", "hints", "debrief"):
            yield Callout(id=part, classes="callout", open_links=False)

    @property
    def prediction(self) -> PredictionBox:
        return self.query_one(PredictionBox)

    def show(self, view: LessonView, language: Language) -> None:
        """Show the current step of *view*, moving to what is new in it."""
        step, test = view.step, view.mode is Mode.TEST_OUT
        self._static("title", Content(step.title.in_(language)))
        self._markdown("body", (words.TEST_TEXT if test else step.body).in_(language))
        self.prediction.show(None if test else step.prediction, language)
        self._static("checks", checks_content(step.checks, language, test=test))
        self._markdown("obstacle", _titled(words.OBSTACLE, step.obstacle, language, "✗ "))
        self._markdown("message", _titled(words.MISCONCEPTION, _unless(test, step.message), language, "! "))
        self._markdown("hints", "" if test else hints_markdown(step, language))
        debrief = _unless(test or not step.passed, step.debrief)
        self._markdown("debrief", _titled(words.DEBRIEF, debrief, language, "✓ "))
        self._move(step)

    def _static(self, part: str, content: Content) -> None:
        if self._shown.get(part) != content.markup:
            self._shown[part] = content.markup
            self.query_one(f"#{part}", Static).update(content)

    def _markdown(self, part: str, text: str) -> None:
        if self._shown.get(part, "") == text:
            return
        self._shown[part] = text
        widget = self.query_one(f"#{part}", Markdown)
        widget.display = bool(text)
        widget.update(text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters choose an answer only while there is one to choose."""
        if action != "choose":
            return True
        (index,) = parameters
        asked = self.prediction
        return asked.open and isinstance(index, int) and index < max(1, asked.choices)

    def action_choose(self, index: int) -> None:
        self.prediction.choose(index)

    def on_focus(self) -> None:
        self.prediction.lead(from_shell=False)

    def on_blur(self) -> None:
        self.prediction.lead(from_shell=True)

    def on_descendant_focus(self) -> None:
        self.add_class("-within")  # :focus-within would have all of the text styled at each change of focus.

    def on_descendant_blur(self) -> None:
        self.remove_class("-within")

    def seek_prediction(self) -> None:
        """Have the learner answer: the question is in view, and keys come here."""
        self.focus()
        self._bring_into_view("prediction")
        if not self.prediction.choices:
            self.prediction.choose(0)

    def on_prediction_box_laid_out(self) -> None:
        self.callout_laid_out("prediction")

    def _move(self, step: StepView) -> None:
        before, self._step = self._step, step
        if before is None or before.id != step.id:
            self._sought = ""
            self.scroll_home(animate=False)
        elif _outcome(step) and not _outcome(before):
            self._bring_into_view("prediction")
        elif step.passed and not before.passed:
            self._bring_into_view("debrief")
        elif step.hints_shown > before.hints_shown:
            self._bring_into_view("hints")
        elif step.obstacle and step.obstacle != before.obstacle:
            self._bring_into_view("obstacle")
        elif step.message and step.message != before.message:
            self._bring_into_view("message")

    def _bring_into_view(self, part: str) -> None:
        """Show *part* from its beginning: now, and again when it is laid out with its new text."""
        self._sought = part
        self.callout_laid_out(part)

    def callout_laid_out(self, part: str) -> None:
        if part == self._sought:
            callout = self.query_one(f"#{part}")
            self.scroll_to_widget(callout, animate=False, top=True)
            if part == "hints":  # The newest rung is the last one: no key brought it if it is not seen.
                newest_y = callout.virtual_region.bottom - self.scrollable_content_region.height
                self.scroll_to(y=max(self.scroll_target_y, newest_y), animate=False)


def checks_content(checks: tuple[CheckView, ...], language: Language, *, test: bool = False) -> Content:
    """Return the checks: a sign, what is expected, and for an unmet one what is seen and where to look, which
    a test does not tell."""
    if not checks:
        return Content("")
    heading = words.GOALS if test else words.CHECKS
    lines = [Content.from_markup("[bold]$heading[/]", heading=heading.in_(language))]
    for check in checks:
        lines += _check(check, language, test=test)
    return Content("\n").join(lines)


def _check(check: CheckView, language: Language, *, test: bool) -> list[Content]:
    sign, colour = _SIGNS[check.verdict]
    expected = check.expected.in_(language)
    lines = [Content.assemble((sign, f"bold {colour}"), " ", inline(expected))]
    if check.verdict is Verdict.PASSED:
        return lines
    seen = words.OBSERVED if check.verdict is Verdict.NOT_YET else words.CANNOT_CHECK
    observed = seen.format(what=check.observed.in_(language)).in_(language)
    lines.append(Content("  ") + inline(observed, "$muted"))
    if check.look and not test:
        before, after = words.LOOK.in_(language).split("{command}")
        lines.append(
            Content.from_markup(
                "  [$muted]$before[/][$secondary]$look[/]$after", before=before, look=check.look, after=after
            )
        )
    return lines


def hints_markdown(step: StepView, language: Language) -> str:
    """Return the rungs shown so far, each under its number."""
    count = len(step.hints)
    rungs = [
        f"**{words.HINT_OF.format(n=n, count=count).in_(language)}** · {hint.in_(language)}"
        for n, hint in enumerate(step.hints[: step.hints_shown], 1)
    ]
    return "\n\n".join(rungs)


def _unless(unwanted: bool, text: Text | None) -> Text | None:
    return None if unwanted else text


def _outcome(step: StepView) -> OutcomeView | None:
    """Return what came of the learner's prediction, if there is one."""
    return step.prediction.outcome if step.prediction and step.prediction.answer else None


def _titled(title: Text, text: Text | None, language: Language, sign: str) -> str:
    return f"**{sign}{title.in_(language)}** · {text.in_(language)}" if text else ""
