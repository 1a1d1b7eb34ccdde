"""What all screens share: the bar of keys, the language, and a sentence where the terminal is too small."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from kubelab.language import Text
from kubelab.ui import words
from kubelab.ui.key_bar import Key, KeyBar
from kubelab.ui.layout import COLUMNS_ROOMY, ROWS_ROOMY

if TYPE_CHECKING:
    from kubelab.ui.app import KubelabApp

COLUMNS_MIN, ROWS_MIN = 80, 24


class TooSmall(Static):
    def on_resize(self, event: events.Resize) -> None:
        self.redraw()

    def redraw(self) -> None:
        screen = cast("LabScreen", self.screen)
        columns, rows = self.app.size
        self.update(screen.say(words.TOO_SMALL.format(columns=columns, rows=rows)))


class LabScreen(Screen[None]):
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - declared as Textual declares it
        (0, "-slim"),
        (COLUMNS_MIN, "-narrow"),
        (COLUMNS_ROOMY, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"),
        (ROWS_MIN, "-short"),
        (ROWS_ROOMY, "-tall"),
    ]
    DEFAULT_CSS = """
    LabScreen {
        background: $background; color: $foreground;
        TooSmall { display: none; padding: 1 2; text-align: center; }
        &.-slim > *, &.-flat > * { display: none !important; }
        &.-slim > TooSmall, &.-flat > TooSmall {
            display: block !important; height: 1fr; content-align: center middle;
        }
    }
    """
    KEYS: ClassVar[Sequence[Key]] = ()

    @property
    def lab_app(self) -> "KubelabApp":
        return cast("KubelabApp", self.app)

    def say(self, text: Text) -> str:
        """Return *text* in the language of the moment."""
        return text.in_(self.lab_app.language)

    def keys(self) -> Sequence[Key]:
        """Return the keys that do something just now."""
        return self.KEYS

    def contents(self) -> Iterable[Widget]:
        """Return the widgets of the screen but the key bar."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield from self.contents()
        yield KeyBar(self.keys(), self.lab_app.language)
        yield TooSmall(markup=False)

    def redraw(self) -> None:
        """Say everything again: the language or the state of the lab changed."""
        self.query_one(KeyBar).show(self.keys(), self.lab_app.language)
        self.query_one(TooSmall).redraw()

    def lab_changed(self) -> None:
        """Show a newer snapshot or phase of the lab."""

    async def leave(self) -> None:
        """End what the screen holds open; it is about to go."""
