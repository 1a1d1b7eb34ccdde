"""The keys of a screen, in the last row; each can be clicked, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from kubelab.language import Language, Text


@dataclass(frozen=True, slots=True)
class Key:
    """`action` as in Textual's bindings. Where the row is short the keys of the highest `rank` give way: the
    menu has them all."""

    key: str
    label: Text
    action: str
    rank: int = 0


class KeyBar(Widget):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key", "keys--label"}
    DEFAULT_CSS = """
    KeyBar {
        height: 1; dock: bottom; background: $panel;
        .keys--key { color: $primary; background: $panel; text-style: bold; }
        .keys--label { color: $foreground; background: $panel; }
    }
    """

    def __init__(self, keys: Sequence[Key], language: Language) -> None:
        super().__init__()
        self._keys = keys
        self._language = language

    def show(self, keys: Sequence[Key], language: Language) -> None:
        if (keys, language) != (self._keys, self._language):
            self._keys, self._language = keys, language
            self.refresh()

    def shown(self) -> list[tuple[Key, int]]:
        """Return the keys that fit, each with the columns it takes."""
        keys = [(key, self._columns(key)) for key in self._keys]
        while sum(columns for _, columns in keys) > self.size.width + 1 and keys:
            first_to_go = max(keys, key=lambda shown: shown[0].rank)
            keys.remove(first_to_go)
        return keys

    def _columns(self, key: Key) -> int:
        return len(key.key) + 1 + len(key.label.in_(self._language)) + 1

    def render_line(self, y: int) -> Strip:
        key_style = self.get_component_rich_style("keys--key")
        label_style = self.get_component_rich_style("keys--label")
        segments: list[Segment] = []
        for key, _ in self.shown():
            label = f" {key.label.in_(self._language)} "
            segments += [Segment(key.key, key_style), Segment(label, label_style)]
        return Strip(segments).adjust_cell_length(self.size.width, label_style)

    async def on_click(self, event: events.Click) -> None:
        x = event.x
        for key, columns in self.shown():
            if x < columns:
                await self.screen.run_action(key.action)
                return
            x -= columns
