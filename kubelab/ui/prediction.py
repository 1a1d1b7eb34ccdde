"""A step's question before it is done: what the learner predicts, then what the live system answered.

It invites and never insists. A choice is taken by its letter or number while the text has the focus, or by a
click; without choices a line is typed. The answer may change until the live system has answered.
"""

import string

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Markdown, Static

from kubelab.language import Language
from kubelab.lessons.view import OutcomeView, PredictionView
from kubelab.ui import words
from kubelab.ui.inline import inline

LETTERS = string.ascii_lowercase[:9]


class PredictionBox(Vertical):
    class Predicted(Message):
        """The learner answered: *answer* is a choice's id or their own words."""

        def __init__(self, answer: str) -> None:
            super().__init__()
            self.answer = answer

    class LaidOut(Message):
        """The box has its place with what it says now."""

    DEFAULT_CSS = """
    PredictionBox {
        height: auto; border-left: outer $primary; padding: 0 1; margin: 0 0 1 0;
        Static { height: auto; link-style: none; link-color: $foreground; link-background: transparent; }
        #question, #explanation { display: none; }
        #answer { border: none; height: 1; padding: 0; margin: 0; background: $panel; }
        #answer:focus { border: none; text-style: bold; }
        &.-answered #told { margin: 1 0 0 0; }
        #explanation > *:last-child { margin-bottom: 0; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._prediction: PredictionView | None = None
        self._language: Language | None = None
        self._from_shell = True
        self._shown: dict[str, str] = {}
        self.display = False

    def compose(self) -> ComposeResult:
        yield Markdown(id="question", open_links=False)
        yield Static(id="choices")
        yield Input(id="answer", compact=True)
        yield Static(id="told")
        yield Markdown(id="explanation", open_links=False)

    @property
    def open(self) -> bool:
        """Whether there is a question that can still be answered."""
        return self._prediction is not None and self._prediction.outcome is None

    @property
    def choices(self) -> int:
        return len(self._prediction.choices) if self._prediction else 0

    def show(self, prediction: PredictionView | None, language: Language) -> None:
        before = self._prediction
        if prediction == before and language == self._language:
            return
        self._prediction, self._language = prediction, language
        self.display = prediction is not None
        self.set_class(prediction is not None and prediction.outcome is not None, "-answered")
        if prediction is None:
            return
        question = f"**? {words.PREDICTION.in_(language)}** · {prediction.question.in_(language)}"
        self._markdown("question", question)
        self._static("choices", choices_content(prediction, language))
        self._show_told()
        self._show_line(before, prediction, language)
        explained = prediction.outcome.explanation if prediction.outcome else None
        self._markdown("explanation", explained.in_(language) if explained else "")

    def lead(self, *, from_shell: bool) -> None:
        """Tell how to answer from where the focus is."""
        self._from_shell = from_shell
        self._show_told()

    def _show_told(self) -> None:
        if self._prediction and self._language:
            told = told_content(self._prediction, self._language, from_shell=self._from_shell)
            self._static("told", told)

    def _show_line(
        self, before: PredictionView | None, prediction: PredictionView, language: Language
    ) -> None:
        line = self.query_one("#answer", Input)
        line.display = self.open and not prediction.choices
        line.placeholder = words.PREDICT_LINE.in_(language)
        if before is None or before.question != prediction.question:
            line.value = prediction.answer

    def _static(self, part: str, content: Content) -> None:
        widget = self.query_one(f"#{part}", Static)
        widget.display = bool(content.plain)
        widget.update(content)

    def _markdown(self, part: str, text: str) -> None:
        if self._shown.get(part, "") != text:
            self._shown[part] = text
            widget = self.query_one(f"#{part}", Markdown)
            widget.display = bool(text)
            widget.update(text)

    def choose(self, index: int) -> None:
        """Answer with the choice *index*; without choices, go to the line to be typed."""
        if not (self._prediction and self.open):
            return
        if self._prediction.choices:
            self.post_message(self.Predicted(self._prediction.choices[index].id))
        else:
            self.query_one("#answer", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if answer := " ".join(event.value.split()):
            self.post_message(self.Predicted(answer))

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.LaidOut())


def choices_content(prediction: PredictionView, language: Language) -> Content:
    """Return the choices, each under its letter; while they are open each can be clicked."""
    lines: list[Content] = []
    for index, choice in enumerate(prediction.choices[: len(LETTERS)]):
        mine = choice.id == prediction.answer
        text = Content.assemble(
            ("● " if mine else "○ ", "bold $primary" if mine else "$muted"),
            (f"{LETTERS[index]}) ", "bold $accent"),
            inline(choice.text.in_(language)),
            (f"  {words.YOUR_PREDICTION.in_(language)}" if mine else "", "$primary"),
        )
        lines.append(text if prediction.outcome else text.stylize(_click(index)))
    return Content("\n").join(lines)


def _click(index: int) -> str:
    return f"@click=screen.predict({index})"


def told_content(prediction: PredictionView, language: Language, *, from_shell: bool) -> Content:
    """Return how to answer, or, once the live system has answered, how the two compare."""
    if prediction.outcome:
        return Content("\n").join(_compared(prediction, prediction.outcome, language))
    if prediction.answer:
        said = words.PREDICT_CHANGE.in_(language)
        if not prediction.choices:
            said = f"{words.YOU_PREDICTED.format(what=prediction.answer).in_(language)}\n{said}"
    else:
        how = words.PREDICT_ROUTE if from_shell else words.PREDICT_KEYS
        said = how.format(keys=_keys(prediction, language)).in_(language)
    return Content.from_markup("[$muted]$said[/]", said=said)


def _keys(prediction: PredictionView, language: Language) -> str:
    letters = LETTERS[: len(prediction.choices)]
    if not letters:
        return words.ENTER.in_(language)
    return ", ".join(letters[:-1]) + words.OR.in_(language) + letters[-1] if letters[1:] else letters


def _compared(prediction: PredictionView, outcome: OutcomeView, language: Language) -> list[Content]:
    answered = bool(prediction.answer)
    mine = words.YOU_PREDICTED.format(what=_spoken(prediction, prediction.answer, language))
    live = outcome.value.in_(language)
    choice = _spoken(prediction, outcome.choice, language) if outcome.choice else ""
    if choice and choice != live:
        live = f"{live} → {choice}" if live else choice
    lines = [
        inline((mine if answered else words.NOT_PREDICTED).in_(language)),
        Content.assemble(
            ("▶ ", "bold $primary"), inline(words.SYSTEM_ANSWERED.format(what=live).in_(language))
        ),
    ]
    if answered:
        lines.append(_agreement(prediction, outcome, language))
    return lines


def _agreement(prediction: PredictionView, outcome: OutcomeView, language: Language) -> Content:
    """Own words are for the learner to compare; answers to choose from agree or differ."""
    if outcome.right:
        return Content.styled(words.AGREES.in_(language), "bold $success")
    differs = words.DIFFERS if prediction.choices else words.COMPARE
    return Content.styled(differs.in_(language), "bold $warning")


def _spoken(prediction: PredictionView, answer: str, language: Language) -> str:
    """Return *answer* as it is told: a choice under its letter, or the learner's own words."""
    for letter, choice in zip(LETTERS, prediction.choices, strict=False):
        if choice.id == answer:
            return f"{letter}) {choice.text.in_(language)}"
    return answer
