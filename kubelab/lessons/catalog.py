"""The tracks that are there, and where the learner is in each: what the home screen shows."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.format import Lesson, LessonSource, Track
from kubelab.lessons.located import suggestion
from kubelab.lessons.parse import parse_lesson, parse_track
from kubelab.lessons.progress import LessonProgress, Progress
from kubelab.lessons.view import LessonEntry, LessonStatus, TrackEntry

_PACKAGED = Path(__file__).parent / "tracks"
_CHECKOUT = Path(__file__).parent.parent.parent / "lessons"


def tracks_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the tracks are: KUBELAB_LESSONS, else those of the package, else those of the checkout."""
    if override := environment.get("KUBELAB_LESSONS"):
        return Path(override)
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@dataclass(frozen=True, slots=True)
class Catalog:
    tracks: tuple[Track, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> "Catalog":
        """Read all tracks under *path* (default: `tracks_path()`), each after those that it requires.

        Raises:
            LabError: a track or lesson is invalid; the sentence names file and line.
        """
        path = path or tracks_path()
        tracks = [load_track(file.parent) for file in sorted(path.glob("*/track.yaml"))]
        if not tracks:
            raise LabError(
                Text(
                    f"no hay lecciones en {path}: reinstala kubelab, o corrige KUBELAB_LESSONS.",
                    f"there are no lessons in {path}: install kubelab again, or correct KUBELAB_LESSONS.",
                )
            )
        return cls(tuple(_in_order(tracks)))

    def lessons(self) -> Iterator[Lesson]:
        for track in self.tracks:
            yield from track.lessons

    def lesson(self, lesson_id: str) -> Lesson:
        """Return the lesson with that id ("containers/01-pid"; "pid" or "01-pid" will do if only one fits).

        Raises:
            LabError: there is none; the sentence suggests the nearest.
        """
        fits = [lesson for lesson in self.lessons() if lesson_id in _names(lesson.id)]
        if len(fits) == 1:
            return fits[0]
        hint = suggestion(lesson_id, [lesson.id for lesson in (fits or self.lessons())])
        raise LabError(
            Text(f"no hay lección «{lesson_id}»; {hint.es}", f"there is no lesson “{lesson_id}”; {hint.en}")
        )

    def entries(self, progress: Progress, missing: Mapping[str, Text]) -> tuple[TrackEntry, ...]:
        """Return the home screen's lines. *missing*: each capability that this machine lacks, and why."""
        return tuple(
            TrackEntry(
                track.id,
                track.title,
                tuple(_entry(lesson, progress.lesson(lesson.id), missing) for lesson in track.lessons),
            )
            for track in self.tracks
        )


def load_track(path: Path) -> Track:
    """Read the track in the directory *path*. Raises LabError."""
    file = path / "track.yaml"
    parsed = parse_track(read_text(file), str(file))
    lessons = tuple(load_lesson(path / name, f"{parsed.id}/{name}") for name in parsed.lessons)
    return Track(parsed.id, Text(parsed.title["es"], parsed.title["en"]), lessons, parsed.requires)


def load_lesson(path: Path, lesson_id: str = "") -> Lesson:
    """Read the lesson in the directory *path*. Raises LabError."""
    return parse_lesson(load_source(path, lesson_id))


def load_source(path: Path, lesson_id: str = "") -> LessonSource:
    directory = path / "files"
    files = {
        str(file.relative_to(directory)): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    }
    lesson_id = lesson_id or f"{path.resolve().parent.name}/{path.resolve().name}"
    return LessonSource(lesson_id, str(path), read_text(path / "es.md"), read_text(path / "en.md"), files)


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            Text(f"{path}: no se puede leer ({error}).", f"{path}: it cannot be read ({error}).")
        ) from error


def _names(lesson_id: str) -> tuple[str, ...]:
    directory = lesson_id.rpartition("/")[2]
    return lesson_id, directory, directory.partition("-")[2]


def _in_order(tracks: list[Track]) -> Iterator[Track]:
    """Yield the tracks by id, but each after those that it requires (a circle is cut where it closes)."""
    left = {track.id: track for track in tracks}
    while left:
        free = (track for track in left.values() if not any(name in left for name in track.requires))
        track = next(free, next(iter(left.values())))
        yield left.pop(track.id)


def _entry(lesson: Lesson, recorded: LessonProgress | None, missing: Mapping[str, Text]) -> LessonEntry:
    passed = (
        sum(recorded.steps[step.id].passed for step in lesson.steps if step.id in recorded.steps)
        if recorded
        else 0
    )
    status = LessonStatus.NEW if recorded is None else LessonStatus.STARTED
    if passed == len(lesson.steps):
        status = LessonStatus.PASSED
    return LessonEntry(
        id=lesson.id,
        title=lesson.title,
        minutes=lesson.structure.minutes,
        concepts=lesson.structure.concepts,
        status=status,
        steps_passed=passed,
        steps=len(lesson.steps),
        missing=lacking(lesson, missing),
    )


def lacking(lesson: Lesson, missing: Mapping[str, Text]) -> Text | None:
    """Return why the first capability that *lesson* needs and that is *missing* is not there, if any."""
    return next((missing[need] for need in lesson.structure.needs if need in missing), None)
