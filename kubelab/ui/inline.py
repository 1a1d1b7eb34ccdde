"""A sentence with `code` in it, as checks, choices and answers have them: no Markdown widget for one line."""

from textual.content import Content


def inline(text: str, style: str = "") -> Content:
    """Return *text* in *style*, with its `code` set off; the rest of Markdown means nothing in so short a
    text."""
    parts = text.split("`")
    return Content.assemble(*((part, "$secondary" if i % 2 else style) for i, part in enumerate(parts)))
