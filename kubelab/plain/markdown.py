"""A lesson's Markdown as plain lines: words and indentation alone. Pure.

No colour, no boxes, no control characters. Code is indented by four and never wrapped; inline code keeps its
backticks and stays on one line; a table is read row by row, each cell after its column's name.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

CODE_INDENT = "    "
QUOTE_INDENT = "  "
_GLUE = "\ue000"  # Stands for a blank at which no line may break: those of inline code.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PARSER = MarkdownIt("commonmark").enable("table")


def plain_lines(text: str, width: int | None = None) -> list[str]:
    """Return *text* as lines of at most *width* columns (None: a paragraph is one line)."""
    tree = SyntaxTreeNode(_PARSER.parse(_CONTROL.sub("", text.replace(_GLUE, " ").expandtabs())))
    return [line.replace(_GLUE, " ") for line in _blocks(tree.children, width)]


def _blocks(nodes: Sequence[SyntaxTreeNode], width: int | None) -> Iterator[str]:
    """Yield the blocks' lines, a blank one between two blocks."""
    begun = False
    for node in nodes:
        if lines := list(_block(node, width)):
            if begun:
                yield ""
            begun = True
            yield from lines


def _block(node: SyntaxTreeNode, width: int | None) -> Iterator[str]:
    if node.type in ("fence", "code_block"):
        yield from _indented(node.content.rstrip("\n").splitlines(), CODE_INDENT)
    elif node.type in ("bullet_list", "ordered_list"):
        yield from _list(node, width)
    elif node.type == "blockquote":
        yield from _indented(_blocks(node.children, _narrower(width, QUOTE_INDENT)), QUOTE_INDENT)
    elif node.type == "table":
        yield from _table(node, width)
    elif node.type in ("paragraph", "heading"):
        yield from _wrapped(_inline(node.children[0]) if node.children else "", width)
    elif node.type == "html_block":
        yield from _wrapped(node.content, width)


def _list(node: SyntaxTreeNode, width: int | None) -> Iterator[str]:
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, first):
        mark = f"{number}. " if node.type == "ordered_list" else "- "
        lines = list(_blocks(item.children, _narrower(width, mark))) or [""]
        yield (mark + lines[0]).rstrip()
        yield from _indented(lines[1:], " " * len(mark))


def _table(node: SyntaxTreeNode, width: int | None) -> Iterator[str]:
    head, *bodies = node.children
    names = [_cell(cell) for cell in head.children[0].children]
    for row in (row for body in bodies for row in body.children):
        cells = [_cell(cell) for cell in row.children]
        said = (f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=False))
        yield from _wrapped("; ".join(said), width)


def _cell(node: SyntaxTreeNode) -> str:
    return _inline(node.children[0]) if node.children else ""


def _inline(node: SyntaxTreeNode) -> str:
    if node.type == "code_inline":
        return f"`{node.content.replace(' ', _GLUE)}`"
    if node.type in ("text", "html_inline"):
        return node.content
    if node.type in ("softbreak", "hardbreak"):
        return " " if node.type == "softbreak" else "\n"
    text = "".join(_inline(child) for child in node.children)
    if node.type == "link" and (address := str(node.attrs.get("href", ""))) not in ("", text):
        return f"{text} ({address})"
    return text


def _wrapped(text: str, width: int | None) -> Iterator[str]:
    for line in text.strip().split("\n"):
        words = " ".join(line.split(" ")).strip()
        if width is None:
            yield words
        else:
            yield from textwrap.wrap(words, max(width, 1), break_long_words=False, break_on_hyphens=False)


def _indented(lines: Sequence[str] | Iterator[str], indent: str) -> Iterator[str]:
    for line in lines:
        yield (indent + line).rstrip()


def _narrower(width: int | None, indent: str) -> int | None:
    return None if width is None else max(width - len(indent), 1)
