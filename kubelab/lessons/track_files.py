"""Reads tracks and lessons from the disk, or from a tree in memory, and hands them to the parser.

Only regular files are followed; a link in `files/` counts only if it stays in there (see `tree`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.format import Lesson, LessonSource, Track
from kubelab.lessons.parse import TrackFile, parse_lesson, parse_track
from kubelab.lessons.tree import Tree, below, read_tree

TRACK_FILE = "track.yaml"
_PACKAGED = Path(__file__).parent / "tracks"
_CHECKOUT = Path(__file__).parent.parent.parent / "lessons"


def tracks_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the tracks are: KUBELAB_LESSONS, else those of the package, else those of the checkout."""
    if override := environment.get("KUBELAB_LESSONS"):
        return Path(override)
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@dataclass(frozen=True, slots=True)
class TrackSource:
    """A track's files: track.yaml parsed and as text, its lessons as text. `path` is what errors call it."""

    path: str
    text: str
    file: TrackFile
    lessons: tuple[LessonSource, ...]

    def parse(self) -> Track:
        """Raises LessonError."""
        title = Text(self.file.title["es"], self.file.title["en"])
        lessons = tuple(parse_lesson(source) for source in self.lessons)
        return Track(self.file.id, title, lessons, self.file.requires)


def load_track(path: Path) -> Track:
    """Read the track in the directory *path*. Raises LabError."""
    file = path / TRACK_FILE
    text = read_text(file)
    parsed = parse_track(text, str(file))
    lessons = tuple(load_source(path / name, f"{parsed.id}/{name}") for name in parsed.lessons)
    return TrackSource(str(path), text, parsed, lessons).parse()


def load_lesson(path: Path, lesson_id: str = "") -> Lesson:
    """Read the lesson in the directory *path*. Raises LabError."""
    return parse_lesson(load_source(path, lesson_id))


def load_source(path: Path, lesson_id: str = "") -> LessonSource:
    """Read the files of the lesson in the directory *path*. Raises LabError."""
    directory = path / "files"
    files = read_tree(directory) if directory.is_dir() else {}
    lesson_id = lesson_id or f"{path.resolve().parent.name}/{path.resolve().name}"
    return LessonSource(lesson_id, str(path), read_text(path / "es.md"), read_text(path / "en.md"), files)


def authored(name: str) -> Path | None:
    """Return where the track or lesson *name* is, a path or a whole id, if it is there.

    Nothing is read: one that is half-written, or a broken one beside it, is found as well.
    """
    return next((path for path in (Path(name), tracks_path() / name) if path.exists()), None)


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LabError(_MISSING.format(path=path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(str(path), str(error)) from error


def track_source(tree: Tree, path: str) -> TrackSource:
    """Return the track whose files are *tree*. Raises LabError."""
    text = _text(tree, TRACK_FILE, path)
    file = parse_track(text, f"{path}/{TRACK_FILE}")
    lessons = tuple(_lesson_source(tree, f"{file.id}/{name}", path, name) for name in file.lessons)
    return TrackSource(path, text, file, lessons)


def _lesson_source(tree: Tree, lesson_id: str, path: str, name: str) -> LessonSource:
    spanish, english = (_text(tree, f"{name}/{language}.md", path) for language in ("es", "en"))
    return LessonSource(lesson_id, f"{path}/{name}", spanish, english, below(tree, f"{name}/files"))


def _text(tree: Tree, name: str, path: str) -> str:
    if name not in tree:
        raise LabError(_MISSING.format(path=f"{path}/{name}"))
    try:
        text = tree[name].decode()
    except UnicodeDecodeError as error:
        raise _unreadable(f"{path}/{name}", str(error)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")  # As `read_text` does.


def _unreadable(path: str, why: str) -> LabError:
    return LabError(Text(f"{path}: no se puede leer ({why}).", f"{path}: it cannot be read ({why})."))


_MISSING = Text("{path}: falta este archivo.", "{path}: this file is missing.")
