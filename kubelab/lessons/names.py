"""The names in a track's files that become names elsewhere: of directories, of machines. Pure.

A machine's name becomes that of a cgroup and of a cable on this host, a track's and a lesson's are paths
below the place where tracks are kept: none of them may lead out of where it belongs.
"""

import re
from collections.abc import Mapping

from kubelab.lessons.located import LessonError, Node

ID_LENGTH_MAX = 40
MACHINE_LENGTH_MAX = 15  # IFNAMSIZ: the machine's cable has its name.
DIRECTORY_LENGTH_MAX = 255

_TRACK = re.compile(r"[a-z][a-z0-9-]*")
_LESSON = re.compile(r"[0-9]{2}-[a-z][a-z0-9-]*")
_MACHINE = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_DIRECTORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_IN_LESSONS = (
    ("shell", _MACHINE, MACHINE_LENGTH_MAX, "minion-1"),
    ("files", _DIRECTORY, DIRECTORY_LENGTH_MAX, "pid"),
)


def is_track_id(text: str) -> bool:
    return bool(_TRACK.fullmatch(text)) and len(text) <= ID_LENGTH_MAX


def check_track(entries: Mapping[str, Node]) -> None:
    """Check the id and the lessons of a track.yaml. Raises LessonError."""
    if not is_track_id(entries["id"].text()):
        raise _refused(entries["id"], "network-puzzles")
    seen: set[str] = set()
    for node in entries["lessons"].items():
        name = node.text()
        if not _LESSON.fullmatch(name):
            raise _refused(node, "01-first")
        if name in seen:
            raise node.error(f"«{name}» aparece dos veces.", f"“{name}” is there twice.")
        seen.add(name)


def check_lesson(entries: Mapping[str, Node]) -> None:
    """Check the machine and the directory in a lesson's front matter. Raises LessonError."""
    for key, names, length_max, example in _IN_LESSONS:
        name = entries[key].text() if key in entries else ""
        if name and (not names.fullmatch(name) or len(name) > length_max):
            raise _refused(entries[key], example)


def _refused(node: Node, example: str) -> LessonError:
    return node.error(
        f"«{node.text()}» no puede ser un nombre aquí: escríbelo como {example}.",
        f"“{node.text()}” cannot be a name here: write it like {example}.",
    )
