"""A widget that paints the lines of a picture, and again only those that changed."""

from collections.abc import Callable
from typing import ClassVar, get_args

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kubelab.ui.picture import Line, Tone

Draw = Callable[[int, int], list[Line]]  # (width, height) -> picture


class LineView(ScrollView, can_focus=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tone--{tone}" for tone in get_args(Tone)}
    DEFAULT_CSS = """
    LineView {
        height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden;
        .tone--plain { color: $foreground; }
        .tone--muted { color: $muted; }
        .tone--strong { color: $foreground; text-style: bold; }
        .tone--good { color: $success; }
        .tone--busy { color: $warning; }
        .tone--bad { color: $error; text-style: bold; }
        .tone--mark { color: $accent; }
        .tone--term-0 { color: $primary; }
        .tone--term-1 { color: $accent; }
        .tone--term-2 { color: $warning; }
        .tone--term-3 { color: $secondary; }
    }
    """

    def __init__(self, draw: Draw, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._draw = draw
        self._lines: list[Line] = []

    def redraw(self) -> None:
        """Draw again; lines that stayed the same are not painted."""
        size = self.scrollable_content_region.size
        if not size:
            return
        before, self._lines = self._lines, self._draw(size.width, size.height)
        self.virtual_size = Size(size.width, len(self._lines))
        if len(before) != len(self._lines):
            self.refresh()
            return
        top = self.scroll_offset.y
        changed = [y for y, (old, new) in enumerate(zip(before, self._lines, strict=True)) if old != new]
        if changed:
            self.refresh(
                *[Region(0, y - top, size.width, 1) for y in changed if top <= y < top + size.height]
            )

    def on_resize(self, event: events.Resize) -> None:
        self.redraw()

    def render_line(self, y: int) -> Strip:
        line_number = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if line_number >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[line_number]
        segments = [
            Segment(text, self.get_component_rich_style(f"tone--{tone}")) for text, tone in line if text
        ]
        return Strip(segments).adjust_cell_length(width, self.rich_style)
