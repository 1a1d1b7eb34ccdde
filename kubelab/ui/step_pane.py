"""One step of a lesson as the learner reads it: text, checks, obstacle, misconception, hints, debrief.

Markdown is laid out only when its text changes; a check that changes repaints the list of checks alone.
"""

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Markdown, Static

from kubelab.language import Language, Text
from kubelab.lessons.view import CheckView, LessonView, StepView, Verdict
from kubelab.ui import words

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
        .callout { padding: 0 1; margin: 0 0 1 0; }
        #obstacle { border-left: outer $error; }
        #message { border-left: outer $warning; }
        #hints { border-left: outer $accent; }
        #debrief { border-left: outer $success; }
        .callout MarkdownBlock:last-child { margin-bottom: 0; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._shown: dict[str, str] = {}
        self._sought = ""
        self._step: StepView | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Markdown(id="body", open_links=False)
        yield Static(id="checks", markup=False)
        for part in ("obstacle", "message", "hints", "debrief"):
            yield Callout(id=part, classes="callout", open_links=False)

    def show(self, view: LessonView, language: Language) -> None:
        """Show the current step of *view*, moving to what is new in it."""
        step = view.step
        self.query_one("#title", Static).update(step.title.in_(language))
        self.query_one("#checks", Static).update(checks_content(step.checks, language))
        self._markdown("body", step.body.in_(language))
        self._markdown("obstacle", _titled(words.OBSTACLE, step.obstacle, language, "✗ "))
        self._markdown("message", _titled(words.MISCONCEPTION, step.message, language, "! "))
        self._markdown("hints", hints_markdown(step, language))
        self._markdown(
            "debrief", _titled(words.DEBRIEF, step.debrief if step.passed else None, language, "✓ ")
        )
        self._move(step)

    def _markdown(self, part: str, text: str) -> None:
        if self._shown.get(part) == text:
            return
        self._shown[part] = text
        widget = self.query_one(f"#{part}", Markdown)
        widget.display = bool(text)
        widget.update(text)

    def _move(self, step: StepView) -> None:
        before, self._step = self._step, step
        if before is None or before.id != step.id:
            self._sought = ""
            self.scroll_home(animate=False)
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
            self.scroll_to_widget(self.query_one(f"#{part}"), animate=False, top=True)


def checks_content(checks: tuple[CheckView, ...], language: Language) -> Content:
    """Return the checks: a sign, what is expected, and for an unmet one what is seen and where to look."""
    if not checks:
        return Content("")
    lines = [Content.from_markup("[bold]$heading[/]", heading=words.CHECKS.in_(language))]
    for check in checks:
        lines += _check(check, language)
    return Content("\n").join(lines)


def _check(check: CheckView, language: Language) -> list[Content]:
    sign, colour = _SIGNS[check.verdict]
    expected = check.expected.in_(language)
    lines = [Content.from_markup(f"[bold {colour}]$sign[/] $expected", sign=sign, expected=expected)]
    if check.verdict is Verdict.PASSED:
        return lines
    seen = words.OBSERVED if check.verdict is Verdict.NOT_YET else words.CANNOT_CHECK
    observed = seen.format(what=check.observed.in_(language)).in_(language)
    lines.append(Content.from_markup("  [$muted]$observed[/]", observed=observed))
    if check.look:
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


def _titled(title: Text, text: Text | None, language: Language, sign: str) -> str:
    return f"**{sign}{title.in_(language)}** · {text.in_(language)}" if text else ""
