"""The embedded terminal's screen: bytes go in, rows of styled text and replies come out.

A thin layer over libghostty-vt's C API (ghostty, include/ghostty/vt/{terminal,render}.h) as bound by
pyghostty. Cells are read as raw 64-bit words, because one call per cell costs thirty times as much; the
layout is the packed struct `Cell` of ghostty's src/terminal/page.zig, and a test holds it against the
library's own answers.

Left out: images, hyperlinks, OSC 4 palette changes, clipboard.
"""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal

from pyghostty import Terminal
from pyghostty._ffi import check, ffi, lib, union_fn
from pyghostty.core import init_sized
from rich.cells import cell_len

CursorShape = Literal["block", "underline", "bar"]
Colour = int | tuple[int, int, int] | None  # A palette index, red-green-blue, or the default.

SCROLLBACK_LINES_MAX = 5_000
ALTERNATE_SCREEN_SCROLLS_BY_ARROWS = 1007  # DEC private modes, as in xterm's ctlseqs.
APPLICATION_CURSOR_KEYS = 1
BRACKETED_PASTE = 2004
SYNCHRONISED_OUTPUT = 2026

_GLYPH_BITS = 3 << 42 | 0x3FFFFFF  # Cell.wide, Cell.content, Cell.content_tag.
_GRAPHEME = "\0"  # Stands for a cell of several codepoints, which are kept elsewhere.
_STYLE_FLAGS = "bold", "italic", "faint", "inverse", "invisible", "strikethrough"


@dataclass(frozen=True, slots=True)
class CellStyle:
    foreground: Colour = None
    background: Colour = None
    bold: bool = False
    italic: bool = False
    faint: bool = False
    inverse: bool = False
    invisible: bool = False
    strikethrough: bool = False
    underline: bool = False


PLAIN = CellStyle()


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring cells of one style; `text` is exactly `columns` wide."""

    text: str
    columns: int
    style: CellStyle


@dataclass(frozen=True, slots=True)
class Cursor:
    column: int
    row: int
    shape: CursorShape


class Emulator:
    """A terminal without a window. *reply* gets what the terminal answers to queries of the program."""

    def __init__(self, columns: int, rows: int, reply: Callable[[bytes], None]) -> None:
        self._terminal = Terminal(cols=columns, rows=rows, scrollback=SCROLLBACK_LINES_MAX)
        self._terminal.on_reply(reply)
        self._state = _owned(
            self, lib.ghostty_render_state_new, "GhosttyRenderState*", lib.ghostty_render_state_free
        )
        self._rows = _owned(
            self,
            lib.ghostty_render_state_row_iterator_new,
            "GhosttyRenderStateRowIterator*",
            lib.ghostty_render_state_row_iterator_free,
        )
        self._cells = _owned(
            self,
            lib.ghostty_render_state_row_cells_new,
            "GhosttyRenderStateRowCells*",
            lib.ghostty_render_state_row_cells_free,
        )
        self._view = ffi.new("GhosttyCellsView*")
        self._style = init_sized("GhosttyStyle")
        self._cursor = init_sized("GhosttyRenderStateCursor")
        self._y = ffi.new("uint16_t*")
        self._length = ffi.new("uint32_t*")

    @property
    def handle(self) -> Any:
        """The C terminal, for the encoders that read its modes."""
        return self._terminal._t[0]

    def feed(self, output: bytes) -> None:
        self._terminal.feed(output)

    def resize(self, columns: int, rows: int) -> None:
        self._terminal.resize(columns, rows)

    def mode(self, number: int) -> bool:
        return bool(self._terminal.mode(number))

    @property
    def on_alternate_screen(self) -> bool:
        return bool(self._terminal.get("active_screen", "GhosttyTerminalScreen") != 0)

    @property
    def tracks_mouse(self) -> bool:
        return bool(self._terminal.get("mouse_tracking", "bool"))

    @property
    def at_bottom(self) -> bool:
        """Whether the viewport shows the live screen, not history."""
        return bool(self._terminal.get("viewport_active", "bool"))

    def scroll(self, rows: int) -> None:
        """Move the viewport through history; negative is back in time."""
        self._scroll(lib.GHOSTTY_SCROLL_VIEWPORT_DELTA, rows)

    def scroll_to_bottom(self) -> None:
        self._scroll(lib.GHOSTTY_SCROLL_VIEWPORT_BOTTOM, 0)

    def _scroll(self, tag: int, delta: int) -> None:
        behavior = ffi.new("GhosttyScrollViewportS*", {"tag": tag, "delta": delta})
        union_fn("ghostty_terminal_scroll_viewport", "void(*)(GhosttyTerminal, GhosttyScrollViewportS)")(
            self.handle, behavior[0]
        )

    def text(self) -> str:
        """Return the live screen as plain text."""
        return str(self._terminal.text())

    def dirty_rows(self) -> Iterator[tuple[int, list[Run]]]:
        """Yield every row that changed since the last call, and take note that it was seen."""
        check(lib.ghostty_render_state_update(self._state[0], self.handle), "render_state_update")
        rows = lib.GHOSTTY_RENDER_STATE_DATA_ROW_ITERATOR
        check(lib.ghostty_render_state_get(self._state[0], rows, self._rows), "row_iterator")
        while lib.ghostty_render_state_row_iterator_next_dirty(self._rows[0], self._y):
            yield self._y[0], self._runs()
        check(lib.ghostty_render_state_clean(self._state[0]), "render_state_clean")

    def cursor(self) -> Cursor | None:
        """Return the cursor as of the last `dirty_rows`, unless it is hidden or scrolled out of sight."""
        check(
            lib.ghostty_render_state_get(self._state[0], lib.GHOSTTY_RENDER_STATE_DATA_CURSOR, self._cursor),
            "cursor",
        )
        cursor = self._cursor
        if not (cursor.visible and cursor.viewport_has_value):
            return None
        shape = _CURSOR_SHAPES.get(cursor.visual_style, "block")
        return Cursor(cursor.viewport_x - cursor.wide_tail, cursor.viewport_y, shape)

    def _runs(self) -> list[Run]:
        row = self._rows[0]
        check(
            lib.ghostty_render_state_row_get(row, lib.GHOSTTY_RENDER_STATE_ROW_DATA_CELLS_RAW, self._view),
            "row",
        )
        check(
            lib.ghostty_render_state_row_get(row, lib.GHOSTTY_RENDER_STATE_ROW_DATA_CELLS, self._cells),
            "cells",
        )
        words = ffi.unpack(self._view.ptr, self._view.len)
        glyphs = list(map(_GLYPHS.__getitem__, [word & _GLYPH_BITS for word in words]))
        if _GRAPHEME in glyphs:
            for x in (x for x, glyph in enumerate(glyphs) if glyph == _GRAPHEME):
                glyphs[x] = _fitting(self._grapheme(x), 2 if words[x] >> 42 & 3 == 1 else 1)
        runs: list[Run] = []
        # What two cells share when one run can hold both: the style's id, or the bare background.
        keys = [word >> 26 & 0xFFFF if word & 3 < 2 else ~(word & 0x3FFFFFF) for word in words]
        styles: dict[int, CellStyle] = {}  # For this row alone: another page of rows numbers them otherwise.
        start = 0
        for key, group in groupby(keys):
            end = start + len(list(group))
            if (style := styles.get(key)) is None:
                style = styles[key] = self._style_at(words[start], start)
            text = " " * (end - start) if style.invisible else "".join(glyphs[start:end])
            runs.append(Run(text, end - start, style))
            start = end
        return runs

    def _grapheme(self, x: int) -> str:
        check(lib.ghostty_render_state_row_cells_select(self._cells[0], x), "cell")
        length = lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_GRAPHEMES_LEN
        check(lib.ghostty_render_state_row_cells_get(self._cells[0], length, self._length), "graphemes_len")
        codepoints = ffi.new("uint32_t[]", max(1, self._length[0]))
        buffer = lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_GRAPHEMES_BUF
        check(lib.ghostty_render_state_row_cells_get(self._cells[0], buffer, codepoints), "graphemes")
        return "".join(map(chr, codepoints))

    def _style_at(self, word: int, x: int) -> CellStyle:
        tag = word & 3
        if tag == 2:
            return CellStyle(background=word >> 2 & 0xFF)
        if tag == 3:
            return CellStyle(background=(word >> 2 & 0xFF, word >> 10 & 0xFF, word >> 18 & 0xFF))
        if not word >> 26 & 0xFFFF:
            return PLAIN
        check(lib.ghostty_render_state_row_cells_select(self._cells[0], x), "cell")
        style = lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_STYLE
        check(lib.ghostty_render_state_row_cells_get(self._cells[0], style, self._style), "style")
        return _cell_style(self._style)


ffi.cdef(  # By-value arguments with a union need a twin without one; see pyghostty._ffi.
    "typedef struct { GhosttyTerminalScrollViewportTag tag; intptr_t delta; uint64_t _pad; }"
    " GhosttyScrollViewportS;"
)

_CURSOR_SHAPES: dict[int, CursorShape] = {
    lib.GHOSTTY_RENDER_STATE_CURSOR_VISUAL_STYLE_BAR: "bar",
    lib.GHOSTTY_RENDER_STATE_CURSOR_VISUAL_STYLE_UNDERLINE: "underline",
}


def _owned(owner: object, new: Callable[..., int], ctype: str, free: Callable[..., None]) -> Any:
    """Return a C object that is freed with *owner*."""
    pointer = ffi.new(ctype)
    check(new(ffi.NULL, pointer), ctype)
    weakref.finalize(owner, free, pointer[0])
    return pointer


class _Glyphs(dict[int, str]):
    """What a cell's content and width bits look like, remembered: a look-up in C makes rows cheap."""

    def __missing__(self, word: int) -> str:
        if len(self) > 8192:
            self.clear()
        self[word] = glyph = _glyph(word)
        return glyph


_GLYPHS = _Glyphs()


def _glyph(word: int) -> str:
    tag, wide = word & 3, word >> 42 & 3
    if wide == 2:
        return ""  # The second half of a wide character.
    if tag >= 2:
        return " "
    if tag == 1:
        return _GRAPHEME
    return _fitting(chr((word >> 2 & 0x1FFFFF) or 32), 2 if wide == 1 else 1)


@lru_cache(maxsize=4096)
def _fitting(character: str, columns: int) -> str:
    """Return *character*, or something as wide as the emulator thinks it is: rows must keep their width."""
    if cell_len(character) == columns:
        return character
    return character[0] if cell_len(character[0]) == columns else "�".ljust(columns)


def _cell_style(style: Any) -> CellStyle:
    flags = {name: bool(getattr(style, name)) for name in _STYLE_FLAGS}
    return CellStyle(
        _colour(style.fg_color), _colour(style.bg_color), underline=bool(style.underline), **flags
    )


def _colour(colour: Any) -> Colour:
    if colour.tag == lib.GHOSTTY_STYLE_COLOR_PALETTE:
        return int(colour.value.palette)
    if colour.tag == lib.GHOSTTY_STYLE_COLOR_RGB:
        rgb = colour.value.rgb
        return rgb.r, rgb.g, rgb.b
    return None
