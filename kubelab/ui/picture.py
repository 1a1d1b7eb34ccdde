"""What pictures of the live state are made of: lines of spans, each with a tone, and boxes around them. Pure.

A tone says what a span means; the widget gives it a colour. Every tone goes with a word or a sign, so nothing
is lost where there is no colour.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.cells import cell_len, set_cell_size

Tone = Literal[
    "plain", "muted", "strong", "good", "busy", "bad", "mark", "term-0", "term-1", "term-2", "term-3"
]
Span = tuple[str, Tone]
Line = tuple[Span, ...]
TERM_TONES: tuple[Tone, ...] = "term-0", "term-1", "term-2", "term-3"  # Of terms that follow one another.


def width_of(line: Line) -> int:
    return sum(cell_len(text) for text, _ in line)


def fitted(line: Line, width: int) -> Line:
    """Return *line* cut with an ellipsis, or filled with blanks, to exactly *width* columns."""
    missing = width - width_of(line)
    if missing >= 0:
        return (*line, (" " * missing, "plain")) if missing else line
    return _cut(line, width)


def _cut(line: Line, width: int) -> Line:
    spans: list[Span] = []
    left = width - 1
    for text, tone in line:
        spans.append((set_cell_size(text, min(left, cell_len(text))), tone))
        left -= min(left, cell_len(text))
        if not left:
            break
    return (*spans, ("…", "muted")) if width > 0 else ()


def spread(left: Line, right: Line, width: int) -> Line:
    """Return *left* and *right* at the two ends of *width*; *right* goes first when there is no room."""
    gap = width - width_of(left) - width_of(right)
    if gap < 1:
        return fitted(left, width)
    return (*left, (" " * gap, "plain"), *right)


def box(title: Line, body: Sequence[Line], width: int, height: int, tone: Tone = "muted") -> list[Line]:
    """Return *body* in a frame with *title* in its upper edge; what does not fit in *height* is counted."""
    inner = width - 4
    shown = list(body[: height - 2])
    if len(body) > len(shown) and shown:
        shown[-1] = ((f"+{len(body) - len(shown) + 1} …", "muted"),)
    shown += [()] * (height - 2 - len(shown))
    head = fitted(title, min(width_of(title), inner))
    top: Line = (("╭ ", tone), *head, (" " + "─" * (inner - width_of(head)) + "╮", tone))
    bottom: Line = (("╰" + "─" * (width - 2) + "╯", tone),)
    return [top, *((("│ ", tone), *fitted(line, inner), (" │", tone)) for line in shown), bottom]


def beside(columns: Iterable[Sequence[Line]]) -> list[Line]:
    """Return pictures of equal height as one, side by side."""
    return [tuple(span for line in row for span in line) for row in zip(*columns, strict=True)]
