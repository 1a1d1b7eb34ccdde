"""Which panes of the lesson are seen, for the room there is. Pure.

Text and shell are seen together; what goes with them, F7 chooses. In a tight terminal (80x24) all would be
too small: the shell keeps the lower half, and live state or changes take the text's place. With room (120
columns, or 36 rows) one of them is seen below text and shell; where it is broad (150 columns), both, side by
side. Where the store has several members, Raft is one more view of the live state, before or behind the
cluster's. Zoom shows one pane.
"""

from collections.abc import Sequence
from typing import Literal

Pane = Literal["text", "shell", "state", "raft", "changes"]
Room = Literal["tight", "roomy", "broad"]
Panes = frozenset[Pane]

FOCUS_ORDER: tuple[Pane, ...] = "shell", "text", "state", "raft", "changes"
COLUMNS_ROOMY, ROWS_ROOMY, COLUMNS_BROAD = 120, 36, 150

CLUSTER: tuple[Pane, ...] = ("state",)  # The views of the live state, in the order in which F7 shows them.


def room(columns: int, rows: int) -> Room:
    if columns >= COLUMNS_BROAD:
        return "broad"
    return "roomy" if columns >= COLUMNS_ROOMY or rows >= ROWS_ROOMY else "tight"


def turns(room: Room, views: Sequence[Pane] = CLUSTER) -> list[Panes]:
    """Return what F7 goes through, from the beginning; the shell is always there, too."""
    if room == "tight":
        return [frozenset({pane}) for pane in ("text", *views, "changes")]
    if room == "roomy":
        return [*(frozenset({"text", pane}) for pane in (*views, "changes")), frozenset({"text"})]
    return [*(frozenset({"text", view, "changes"}) for view in views), frozenset({"text"})]


def sharing(room: Room, views: Sequence[Pane] = CLUSTER) -> tuple[Pane, ...]:
    """Return the panes of which one is seen at a time, in one place."""
    if room == "tight":
        return ("text", *views, "changes")
    return (*views, "changes") if room == "roomy" else tuple(views)


def visible_panes(room: Room, turn: int, zoomed: Pane | None, views: Sequence[Pane] = CLUSTER) -> Panes:
    """Return the panes to show after F7 was pressed *turn* times."""
    panes = turns(room, views)
    return frozenset({zoomed}) if zoomed else panes[turn % len(panes)] | {"shell"}


def turn_with(pane: Pane, room: Room, turn: int, views: Sequence[Pane] = CLUSTER) -> int:
    """Return the turn at which *pane* is seen: *turn* itself if it is then, else the first such."""
    panes = turns(room, views)
    if pane == "shell" or pane in panes[turn % len(panes)]:
        return turn
    return next(number for number, seen in enumerate(panes) if pane in seen)


def next_focus(visible: Panes, focused: Pane | None) -> Pane:
    """Return the pane that gets the focus after *focused*."""
    order = [pane for pane in FOCUS_ORDER if pane in visible]
    if focused not in order:
        return order[0]
    return order[(order.index(focused) + 1) % len(order)]
