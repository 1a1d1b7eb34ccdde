"""What it takes to tell one field of cgroup v2 by the files of v1: a pure function each way."""

from collections.abc import Callable
from dataclasses import dataclass

Files = Callable[[str], str | None]
"""Returns what a file says, in the directory of the controller that its name begins with; None: not there.
A name that begins with "../" is one of the cgroup above."""

Writes = tuple[tuple[str, str], ...]
"""Files, as above, and what is written to them, in order."""


@dataclass(frozen=True, slots=True)
class Field:
    """`file` is the one that has the value, or most of it; without `write` it is for reading only."""

    file: str
    read: Callable[[Files], str]
    write: Callable[[str, Files], Writes] | None = None


def text(files: Files, name: str) -> str:
    return (files(name) or "").strip()


def number(files: Files, name: str) -> int:
    return int(text(files, name) or 0)


def same(name: str) -> Field:
    """A field that has only another name in v1, and is read there."""
    return Field(name, lambda files: text(files, name))


def same_both_ways(name: str) -> Field:
    return Field(name, lambda files: text(files, name), lambda value, _: ((name, value),))
