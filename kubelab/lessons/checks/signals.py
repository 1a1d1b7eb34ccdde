"""Signals by name, as bits of the masks in /proc/<pid>/status.

Source: signal(7); numbers as on x86 and ARM.
"""

from typing import Literal

Signal = Literal["HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "PIPE", "ALRM", "TERM", "CHLD", "CONT", "STOP"]

_NUMBERS: dict[Signal, int] = {
    "HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12,
    "PIPE": 13, "ALRM": 14, "TERM": 15, "CHLD": 17, "CONT": 18, "STOP": 19,
}  # fmt: skip


def in_mask(signal: Signal, mask: int) -> bool:
    return bool(mask >> (_NUMBERS[signal] - 1) & 1)
