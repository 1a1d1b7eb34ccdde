"""Which panes of the lesson are seen, for the room there is. Pure.

With room (120 columns, or 36 rows) text, shell and live state are seen together. In 80x24 they would all be
too small: the shell keeps the lower half, the upper one shows the text or, after F7, the state. Zoom shows
one pane.
"""

from typing import Literal

Pane = Literal["text", "shell", "state"]
FOCUS_ORDER: tuple[Pane, ...] = "shell", "text", "state"


def visible_panes(*, roomy: bool, state_toggled: bool, zoomed: Pane | None) -> frozenset[Pane]:
    """Return the panes to show; *state_toggled* is whether F7 changed what is shown by default."""
    if zoomed:
        return frozenset({zoomed})
    if roomy:
        return frozenset({"text", "shell"}) if state_toggled else frozenset({"text", "shell", "state"})
    return frozenset({"shell", "state"}) if state_toggled else frozenset({"shell", "text"})


def next_focus(visible: frozenset[Pane], focused: Pane | None) -> Pane:
    """Return the pane that gets the focus after *focused*."""
    order = [pane for pane in FOCUS_ORDER if pane in visible]
    if focused not in order:
        return order[0]
    return order[(order.index(focused) + 1) % len(order)]
