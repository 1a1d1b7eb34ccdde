"""A menu over a screen: what can be done there, each with the keys that do it without the menu.

An entry that undoes something asks first: it must be chosen twice. The menu's own keys are the entries'.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from kubelab.language import Text
from kubelab.ui import words
from kubelab.ui.key_bar import Key
from kubelab.ui.lab_screen import LabScreen

KEY_COLUMNS, LETTER_COLUMNS = 4, 3


@dataclass(frozen=True, slots=True)
class Entry:
    """`action` as in Textual's bindings, of the screen below. `key` is a function key, "" for none. `asks`:
    only the second choice does it."""

    letter: str
    label: Text
    action: str
    key: str = ""
    asks: bool = False


class MenuScreen(LabScreen, ModalScreen[None]):
    DEFAULT_CSS = """
    MenuScreen { align: center middle; background: $background 60%; }
    MenuScreen:ansi { background: transparent; }
    MenuScreen #menu {
        width: 60; max-width: 90%; height: auto; max-height: 100%; padding: 0 1; background: $surface;
        border: round $primary; border-title-color: $primary; border-title-style: bold;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f12,m", "close", show=False)]
    KEYS: ClassVar = (
        Key("↑↓", words.KEY_CHOOSE, "down"),
        Key("Enter", words.KEY_DO, "choose"),
        Key("Esc", words.KEY_CLOSE, "close"),
    )

    def __init__(self, title: Text, entries: Sequence[Entry]) -> None:
        super().__init__()
        self._title = title
        self._entries = entries
        self._asking: Entry | None = None

    def contents(self) -> Iterable[Widget]:
        yield OptionList(id="menu", markup=False)

    def on_mount(self) -> None:
        self.redraw()
        self._menu.focus()

    @property
    def _menu(self) -> OptionList:
        return self.query_one("#menu", OptionList)

    def redraw(self) -> None:
        super().redraw()
        menu = self._menu
        menu.border_title = Content(self.say(self._title))
        highlighted = menu.highlighted or 0
        menu.clear_options()
        menu.add_options([Option(self._line(entry)) for entry in self._entries])
        menu.highlighted = highlighted

    def _line(self, entry: Entry) -> Content:
        label = words.CONFIRM.format(what=self.say(entry.label)) if entry is self._asking else entry.label
        return Content.assemble(
            (entry.key.ljust(KEY_COLUMNS), "bold $primary"),
            (entry.letter.ljust(LETTER_COLUMNS), "bold $accent"),
            (self.say(label), "bold $warning" if entry is self._asking else ""),
        )

    def on_key(self, event: events.Key) -> None:
        for entry in self._entries:
            if event.key in (entry.key.lower(), entry.letter) or (entry.letter == event.character):
                event.stop()
                event.prevent_default()
                self._choose(entry)
                return

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._choose(self._entries[event.option_index])

    def _choose(self, entry: Entry) -> None:
        if entry.asks and self._asking is not entry:
            self._asking = entry
            self._menu.highlighted = self._entries.index(entry)
            self.redraw()
            return
        below = self.app.screen_stack[-2]
        self.app.pop_screen()
        below.call_later(below.run_action, entry.action)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_close()

    def action_close(self) -> None:
        self.app.pop_screen()

    def action_choose(self) -> None:
        self._menu.action_select()

    def action_down(self) -> None:
        self._menu.action_cursor_down()
