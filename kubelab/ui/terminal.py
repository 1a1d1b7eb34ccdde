"""The embedded terminal: a program on a pty, in a widget.

Keys go to the program, all but those that the screens bind with priority. Output is parsed at once and
painted at most 60 times a second, the first change of a burst without delay, and only the rows that changed.
The cursor is drawn as a reversed cell, an underlined one or a bar; a terminal without focus shows it
underlined. What is typed before the program runs is kept, and is the first that it reads.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Offset, Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import Worker, WorkerCancelled

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Process, WindowSize
from kubelab.ui.emulator import (
    BRACKETED_PASTE,
    SYNCHRONISED_OUTPUT,
    CellStyle,
    Colour,
    Cursor,
    Emulator,
    Run,
)
from kubelab.ui.keyboard import KeyEncoder, bracketed, unbracketed
from kubelab.ui.mouse import Button, MouseEncoder
from kubelab.ui.pty_link import PtyLink

FRAME_S = 1 / 60
FLOOD_REST_S = 1 / 60  # Nobody reads at 60 frames a second; the rest of the app gets the time.
HELD_FRAMES_MAX = 9  # As long as a program may ask for no painting (synchronised output): 150 ms.
WHEEL_ROWS = 3
_BUTTONS: dict[int, Button] = {1: "left", 2: "middle", 3: "right"}


class TerminalPane(Widget, can_focus=True):
    """Runs what *start* starts, in a terminal of the widget's size."""

    class Changed(Message):
        """The view moved in or out of history."""

    class Ended(Message):
        """The program of *pane* ended, or could not be started: then *failure* says why."""

        def __init__(self, pane: "TerminalPane", failure: LabError | None = None) -> None:
            super().__init__()
            self.pane = pane
            self.failure = failure

    ALLOW_SELECT = False

    def __init__(
        self,
        start: Callable[[WindowSize], Awaitable[Process]],
        *,
        heard: Callable[[], None] = lambda: None,
        classes: str | None = None,
    ) -> None:
        """*heard* is called whenever the program has written something."""
        super().__init__(classes=classes)
        self.heard = heard
        self._start = start
        self._ended = False
        self._wants_size = False
        self._typed_early = b""
        self._life: Worker[None] | None = None
        self._process: Process | None = None
        self._link: PtyLink | None = None
        self._emulator = Emulator(80, 24, self._reply)
        self._keys = KeyEncoder()
        self._mouse = MouseEncoder()
        self._strips: list[Strip] = []
        self._cursor: Cursor | None = None
        self._frame: asyncio.TimerHandle | None = None
        self._painted_at_s = 0.0
        self._held_frames = 0

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def ended(self) -> bool:
        """Whether a program ran, or could not be started, and none runs now."""
        return self._ended

    @property
    def in_history(self) -> bool:
        return not self._emulator.at_bottom

    def screen_text(self) -> str:
        """Return what the terminal shows, as plain text."""
        return self._emulator.text()

    # The program.

    def restart(self) -> None:
        """Start the program if none runs; if the size is not known yet, as soon as `on_resize` tells it."""
        self._wants_size = not (self.size.width and self.size.height)
        if not self.running and not self._wants_size:
            self._ended = False
            self._life = self.run_worker(self._live(), exclusive=True, group="program")

    async def end(self) -> None:
        """End the program, if one runs, and return when it is gone."""
        if self._life and not self._life.is_finished:
            self._life.cancel()
            with contextlib.suppress(WorkerCancelled):
                await self._life.wait()

    async def _live(self) -> None:
        self._emulator.resize(*self.size)
        try:
            process = await self._start(self._window())
        except LabError as error:
            self._end(error)
            return
        self._process = process
        process.resize(self._window())
        self._link = PtyLink(process.fd, self._output, lambda: None)
        self._link.write(self._typed_early)
        self._typed_early = b""
        try:
            await process.wait()
            self._link.drain()
        finally:
            self._link.close()
            self._process = self._link = None
            await process.close()
        self._end(None)

    def _end(self, failure: LabError | None) -> None:
        self._ended, self._typed_early = True, b""
        self.post_message(self.Ended(self, failure))

    def say(self, sentence: str) -> None:
        """Write *sentence* into the terminal, on a line of its own."""
        self._show(f"\x1b[0m\x1b[?25l\r\n\x1b[7m {sentence} \x1b[0m\r\n")

    def forget(self) -> None:
        """Begin with an empty screen and the modes of a new terminal."""
        self._show("\x1bc")

    def _show(self, text: str) -> None:
        self._emulator.feed(text.encode())
        self._ask_for_frame()

    def _window(self) -> WindowSize:
        return WindowSize(rows=max(1, self.size.height), columns=max(1, self.size.width))

    def on_resize(self) -> None:
        if not (self.size.width and self.size.height):
            return
        self._emulator.resize(*self.size)
        if self._wants_size:
            self.restart()
        if self._process:
            self._process.resize(self._window())
        self._ask_for_frame()

    def on_unmount(self) -> None:
        if self._frame:
            self._frame.cancel()
        if self._link:
            self._link.close()

    # Output.

    def _output(self, data: bytes) -> None:
        self._emulator.feed(data)
        self._ask_for_frame()
        self.heard()

    def _reply(self, data: bytes) -> None:
        if self._link:
            self._link.write(data)

    def _ask_for_frame(self) -> None:
        if self._frame is None:
            loop = asyncio.get_running_loop()
            self._frame = loop.call_at(max(loop.time(), self._painted_at_s + FRAME_S), self._paint)

    def _paint(self) -> None:
        self._frame = None
        self._painted_at_s = asyncio.get_running_loop().time()
        if self._link and self._link.flooded:
            self._painted_at_s += FLOOD_REST_S
        if self._link:
            self._link.next_frame()
        if self._emulator.mode(SYNCHRONISED_OUTPUT) and self._held_frames < HELD_FRAMES_MAX:
            self._held_frames += 1
            self._ask_for_frame()
            return
        self._held_frames = 0
        self._repaint_rows()

    def _repaint_rows(self) -> None:
        if not self.is_attached or not self.size:
            return
        base = self.rich_style
        changed = set[int]()
        self._strips = self._strips[: self.size.height]
        self._strips += [Strip.blank(self.size.width, base)] * (self.size.height - len(self._strips))
        for y, runs in self._emulator.dirty_rows():
            if y < len(self._strips):
                self._strips[y] = _strip(runs, base)
                changed.add(y)
        if (cursor := self._emulator.cursor()) != self._cursor:
            changed |= {c.row for c in (cursor, self._cursor) if c}
            self._cursor = cursor
            self._place_hardware_cursor()
        self.refresh(*[Region(0, y, self.size.width, 1) for y in changed])

    def _place_hardware_cursor(self) -> None:
        """The hidden one follows, for input methods and screen readers."""
        if self._cursor and self.has_focus:
            self.app.cursor_position = self.content_region.offset + Offset(
                self._cursor.column, self._cursor.row
            )

    def render_line(self, y: int) -> Strip:
        if y >= len(self._strips):
            return Strip.blank(self.size.width, self.rich_style)
        strip = self._strips[y]
        if self._cursor and self._cursor.row == y and self.running:
            strip = _with_cursor(strip, self._cursor, focused=self.has_focus)
        return strip.adjust_cell_length(self.size.width, self.rich_style)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._emulator.resize(
            *self._emulator_size()
        )  # A resize makes every row dirty: colours may have changed.
        if self.is_attached and self.size:
            self._ask_for_frame()

    def _emulator_size(self) -> tuple[int, int]:
        return (self.size.width, self.size.height) if self.size else (80, 24)

    # Input.

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if self._ended:
            if event.key == "enter":
                self.forget()
                self.restart()
            return
        if event.key in ("shift+pageup", "shift+pagedown") and not self._emulator.on_alternate_screen:
            self._scroll(-self.size.height // 2 if event.key == "shift+pageup" else self.size.height // 2)
            return
        self._send(self._keys.encode(self._emulator.handle, event.key, event.character))

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self._send((bracketed if self._emulator.mode(BRACKETED_PASTE) else unbracketed)(event.text))

    def _send(self, data: bytes) -> None:
        if self._link and data:
            if self.in_history:
                self._scroll(None)
            self._link.write(data)
        elif not self._ended:
            self._typed_early += data

    def on_focus(self) -> None:
        self._focus_changed(b"\x1b[I")

    def on_blur(self) -> None:
        self._focus_changed(b"\x1b[O")

    def _focus_changed(self, report: bytes) -> None:
        if self._link and self._emulator.mode(1004):  # DEC private mode: the program wants to know.
            self._link.write(report)
        if self._cursor:
            self.refresh(Region(0, self._cursor.row, self.size.width, 1))

    # Mouse.

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._click(event, pressed=True)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._click(event, pressed=False)

    def _click(self, event: events.MouseEvent, *, pressed: bool) -> None:
        at = event.get_content_offset(self)
        if at and self._link and self._emulator.tracks_mouse and event.button in _BUTTONS:
            button = _BUTTONS[event.button]
            self._link.write(self._mouse.encode(self._emulator.handle, button, at.x, at.y, pressed=pressed))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, "wheel up", "up", -WHEEL_ROWS)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, "wheel down", "down", WHEEL_ROWS)

    def _wheel(self, event: events.MouseEvent, button: Button, key: str, rows: int) -> None:
        event.stop()
        event.prevent_default()
        at = event.get_content_offset(self) or Offset(0, 0)
        if self._emulator.tracks_mouse:
            self._send(self._mouse.encode(self._emulator.handle, button, at.x, at.y))
        elif self._emulator.on_alternate_screen:
            self._send(self._keys.encode(self._emulator.handle, key, None) * WHEEL_ROWS)
        else:
            self._scroll(rows)

    def _scroll(self, rows: int | None) -> None:
        """Move through history; None goes back to the present."""
        if rows is None:
            self._emulator.scroll_to_bottom()
        else:
            self._emulator.scroll(rows)
        self._ask_for_frame()
        self.post_message(self.Changed())


def _strip(runs: list[Run], base: Style) -> Strip:
    segments = [Segment(run.text, base + _rich_style(run.style)) for run in runs]
    return Strip(segments, sum(run.columns for run in runs))


@lru_cache(maxsize=2048)
def _rich_style(style: CellStyle) -> Style:
    return Style(
        color=_rich_colour(style.foreground),
        bgcolor=_rich_colour(style.background),
        bold=style.bold or None,
        italic=style.italic or None,
        dim=style.faint or None,
        reverse=style.inverse or None,
        strike=style.strikethrough or None,
        underline=style.underline or None,
    )


def _rich_colour(colour: Colour) -> Color | None:
    if colour is None:
        return None
    return Color.from_ansi(colour) if isinstance(colour, int) else Color.from_rgb(*colour)


def _with_cursor(strip: Strip, cursor: Cursor, *, focused: bool) -> Strip:
    left, under, right = _cut(strip, cursor.column)
    if not under.cell_length:
        return strip
    text, style = under.text, next(iter(under)).style or Style()
    if not focused or cursor.shape == "underline" or (cursor.shape == "bar" and text.strip()):
        style += Style(underline=True)
    elif cursor.shape == "bar":
        text = "▏".ljust(under.cell_length)
    else:
        style += Style(reverse=not style.reverse)
    return Strip.join([left, Strip([Segment(text, style)], under.cell_length), right])


def _cut(strip: Strip, column: int) -> tuple[Strip, Strip, Strip]:
    """Return the strip before, under and behind the cell at *column*, which may be a wide one."""
    wide = strip.crop(column, column + 2)
    width = 2 if len(wide.text) == 1 and wide.cell_length == 2 else 1
    return strip.crop(0, column), strip.crop(column, column + width), strip.crop(column + width)
