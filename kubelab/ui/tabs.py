"""Names in the upper edge of a pane: the open one is in brackets, the others can be clicked."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Tab:
    """`action` as in Textual's bindings, with its namespace."""

    name: str
    action: str
    open: bool = False


def tabs_content(tabs: Sequence[Tab], note: str = "") -> Content:
    """Return the names in one line, *note* behind them; brackets only where there is a choice."""
    names = [_name(tab, alone=len(tabs) == 1) for tab in tabs]
    return Content(" ").join([*names, Content(note)] if note else names)


def _name(tab: Tab, *, alone: bool) -> Content:
    if alone:
        return Content(tab.name)
    if tab.open:
        return Content.from_markup("[bold]$name[/]", name=f"[{tab.name}]")
    return Content.from_markup(f"[@click={tab.action}]$name[/]", name=f" {tab.name} ")


def entitle(widget: Widget, title: Content, *, wide: bool) -> None:
    """Write *title* in the edge of *widget*, if it is not there: each writing paints the whole widget."""
    if not wide:  # A rule without corners needs air around its title.
        title = Content(" ") + title + Content(" ")
    if widget.border_title != title.markup:
        widget.border_title = title
