"""Which panes of the lesson are seen, for the room there is. Pure.

Text and shell are seen together; what goes with them, F7 chooses. In a tight terminal (80x24) all would be
too small: the shell keeps the lower half, and live state or changes take the text's place. With room (120
columns, or 36 rows) one of them is seen below text and shell; where it is broad (150 columns), both, side by
side. Zoom shows one pane.
"""

from typing import Literal

Pane = Literal["text", "shell", "state", "changes"]
Room = Literal["tight", "roomy", "broad"]
Panes = frozenset[Pane]

FOCUS_ORDER: tuple[Pane, ...] = "shell", "text", "state", "changes"
COLUMNS_ROOMY, ROWS_ROOMY, COLUMNS_BROAD = 120, 36, 150

# What F7 goes through, from the beginning; the shell is always there.
TURNS: dict[Room, tuple[Panes, ...]] = {
    "tight": (frozenset({"text"}), frozenset({"state"}), frozenset({"changes"})),
    "roomy": (frozenset({"text", "state"}), frozenset({"text", "changes"}), frozenset({"text"})),
    "broad": (frozenset({"text", "state", "changes"}), frozenset({"text"})),
}


def room(columns: int, rows: int) -> Room:
    if columns >= COLUMNS_BROAD:
        return "broad"
    return "roomy" if columns >= COLUMNS_ROOMY or rows >= ROWS_ROOMY else "tight"


def visible_panes(room: Room, turn: int, zoomed: Pane | None) -> Panes:
    """Return the panes to show after F7 was pressed *turn* times."""
    turns = TURNS[room]
    return frozenset({zoomed}) if zoomed else turns[turn % len(turns)] | {"shell"}


def turn_with(pane: Pane, room: Room, turn: int) -> int:
    """Return the turn at which *pane* is seen: *turn* itself if it is then, else the first such."""
    turns = TURNS[room]
    if pane == "shell" or pane in turns[turn % len(turns)]:
        return turn
    return next(number for number, panes in enumerate(turns) if pane in panes)


def next_focus(visible: Panes, focused: Pane | None) -> Pane:
    """Return the pane that gets the focus after *focused*."""
    order = [pane for pane in FOCUS_ORDER if pane in visible]
    if focused not in order:
        return order[0]
    return order[(order.index(focused) + 1) % len(order)]
