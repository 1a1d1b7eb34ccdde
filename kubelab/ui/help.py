"""The help: what to do, which keys, which signs."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from kubelab.language import Language
from kubelab.ui import words
from kubelab.ui.key_bar import Key
from kubelab.ui.lab_screen import LabScreen


class HelpScreen(LabScreen):
    DEFAULT_CSS = """
    HelpScreen { align-horizontal: center; }
    HelpScreen #help {
        padding: 0 2; border: round $edge; border-title-color: $primary; border-title-style: bold;
        width: 100%; max-width: 90; height: 1fr; scrollbar-size-vertical: 1;
    }
    HelpScreen #help:focus { border: round $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,f10,q,question_mark", "close", show=False),
        Binding("f2,l", "app.language", show=False),
    ]
    KEYS: ClassVar = (
        Key("Esc", words.KEY_CLOSE, "close"),
        Key("F2", words.KEY_LANGUAGE, "app.language"),
    )

    def contents(self) -> Iterable[Widget]:
        yield VerticalScroll(Static(id="text"), id="help")

    def on_mount(self) -> None:
        self.redraw()
        self.query_one("#help").focus()

    def redraw(self) -> None:
        super().redraw()
        self.query_one("#help").border_title = self.say(words.HELP_TITLE)
        self.query_one("#text", Static).update(help_content(self.lab_app.language))

    def action_close(self) -> None:
        self.app.pop_screen()


def help_content(language: Language) -> Content:
    return Content("\n").join(_lines(language))


def _lines(language: Language) -> Iterator[Content]:
    yield Content(words.HELP_INTRODUCTION.in_(language))
    yield Content.from_markup("\n[bold $primary]$heading[/]", heading=words.HELP_KEYS_HEADING.in_(language))
    for key, letter, meaning in words.HELP_KEYS:
        yield _entry(f"{key:<6} {letter:<4}", meaning.in_(language))
    yield Content(words.HELP_SHELL.in_(language))
    yield Content(words.HELP_OTHER_SHELLS.in_(language))
    yield Content.from_markup("\n[bold $primary]$heading[/]", heading=words.HELP_SIGNS_HEADING.in_(language))
    for sign, meaning in words.HELP_SIGNS:
        yield _entry(f"{sign:<11}", meaning.in_(language))


def _entry(term: str, meaning: str) -> Content:
    return Content.from_markup("  [bold $accent]$term[/] $meaning", term=term, meaning=meaning)
