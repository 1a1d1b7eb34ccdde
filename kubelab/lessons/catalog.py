"""The tracks that are there, and where the learner is in each: what the home screen shows.

Those that come with kubelab, or are where KUBELAB_LESSONS says, must be sound. Of those that were installed
besides (`kubelab track add`), one that is not is left out, and the catalog says why.
"""

import datetime
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import MASTERS
from kubelab.language import Text
from kubelab.lessons.format import Lesson, Track
from kubelab.lessons.located import suggestion
from kubelab.lessons.progress import Completion, Progress, StepProgress
from kubelab.lessons.review import due_in_days, suggested
from kubelab.lessons.thirdparty.installed import InstalledTracks
from kubelab.lessons.track_files import (
    TRACK_FILE,
    load_lesson,
    load_source,
    load_track,
    read_text,
    tracks_path,
)
from kubelab.lessons.view import LessonEntry, LessonStatus, TrackEntry, sentence_of

__all__ = [
    "Catalog",
    "TrackProblem",
    "beyond",
    "lacking",
    "load_lesson",
    "load_source",
    "load_track",
    "own_ids",
    "read_text",
    "tracks_path",
]


def own_ids(path: Path | None = None) -> frozenset[str]:
    """Return the ids that no installed track can have: the names of the directories of kubelab's own."""
    return frozenset(file.parent.name for file in (path or tracks_path()).glob(f"*/{TRACK_FILE}"))


@dataclass(frozen=True, slots=True)
class TrackProblem:
    """Why the installed track `id` is left out, and what mends that."""

    id: str
    sentence: Text


@dataclass(frozen=True, slots=True)
class Catalog:
    """`tracks`: kubelab's own first, then those that were `installed` (their ids)."""

    tracks: tuple[Track, ...]
    problems: tuple[TrackProblem, ...] = ()
    installed: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: Path | None = None, installed: InstalledTracks | None = None) -> "Catalog":
        """Read all tracks under *path* (default: `tracks_path()`, and all that are installed besides), each
        after those that it requires.

        Raises:
            LabError: a track or lesson is invalid, and is not an installed one; the sentence names file and
                line.
        """
        if path is None and installed is None:
            installed = InstalledTracks.default()
        own = _own(path or tracks_path())
        if installed is None:
            return cls(own)
        others, problems = _installed(installed, {track.id for track in own})
        return cls((*own, *_in_order(others)), tuple(problems), frozenset(track.id for track in others))

    @classmethod
    def of_installed(cls, installed: InstalledTracks) -> "Catalog":
        """Read the installed tracks alone. Raises LabError only if their place cannot be read."""
        tracks, problems = _installed(installed, own_ids())
        return cls(tuple(_in_order(tracks)), tuple(problems), frozenset(track.id for track in tracks))

    def lessons(self) -> Iterator[Lesson]:
        for track in self.tracks:
            yield from track.lessons

    def lesson(self, lesson_id: str) -> Lesson:
        """Return the lesson with that id ("containers/07-pid"; "pid" or "07-pid" will do if only one fits).

        A track that was installed takes no short name from kubelab's own.

        Raises:
            LabError: there is none; the sentence suggests the nearest.
        """
        fits = [lesson for lesson in self.lessons() if lesson_id in _names(lesson.id)]
        own = [lesson for lesson in fits if lesson.id.partition("/")[0] not in self.installed]
        if len(own or fits) == 1:
            return (own or fits)[0]
        hint = suggestion(lesson_id, [lesson.id for lesson in (fits or self.lessons())])
        raise LabError(
            Text(f"no hay lección «{lesson_id}»; {hint.es}", f"there is no lesson “{lesson_id}”; {hint.en}")
        )

    def directory(self, name: str) -> Path:
        """Return where the track or lesson with that id is. Raises LabError."""
        for track in self.tracks:
            if track.id == name and track.lessons:
                return Path(track.lessons[0].source.path).parent
        return Path(self.lesson(name).source.path)

    def entries(
        self, progress: Progress, missing: Mapping[str, Text], today: datetime.date | None = None
    ) -> tuple[TrackEntry, ...]:
        """Return the home screen's lines. *missing*: each capability that this machine lacks, and why.

        A track that was left out has no lessons there, and the reason for its title. *today* is UTC's.
        """
        today = today or _today()
        shown = (
            TrackEntry(
                track.id,
                track.title,
                tuple(_entry(lesson, progress, missing, today) for lesson in track.lessons),
            )
            for track in self.tracks
        )
        return (*shown, *(TrackEntry(problem.id, problem.sentence, ()) for problem in self.problems))

    def to_review(self, progress: Progress, today: datetime.date | None = None) -> tuple[str, ...]:
        """Return the ids of the lessons that are worth doing again now, the most urgent first."""
        completions = {lesson.id: completions_of(lesson, progress) for lesson in self.lessons()}
        return suggested(completions, today or _today())


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _own(path: Path) -> tuple[Track, ...]:
    tracks = [load_track(file.parent) for file in sorted(path.glob(f"*/{TRACK_FILE}"))]
    if not tracks:
        raise LabError(_NONE.format(path=path))
    return tuple(_in_order(tracks))


def _installed(installed: InstalledTracks, taken: Set[str]) -> tuple[list[Track], list[TrackProblem]]:
    tracks: list[Track] = []
    problems: list[TrackProblem] = []
    for id_ in installed.ids():
        try:
            if id_ in taken:
                raise LabError(_TAKEN)
            tracks.append(installed.load(id_).parse())
        except LabError as error:
            problems.append(TrackProblem(id_, _left_out(id_, sentence_of(error))))
    return tracks, problems


def _left_out(id_: str, why: Text) -> Text:
    return Text(
        f"El track «{id_}» queda fuera: {why.es} Prueba `kubelab track update {id_}`, o quítalo con "
        f"`kubelab track remove {id_}`.",
        f"Track “{id_}” is left out: {why.en} Try `kubelab track update {id_}`, or take it away with "
        f"`kubelab track remove {id_}`.",
    )


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


def _entry(
    lesson: Lesson, progress: Progress, missing: Mapping[str, Text], today: datetime.date
) -> LessonEntry:
    recorded = progress.lesson(lesson.id)
    passed = (
        sum(recorded.steps[step.id].passed for step in lesson.steps if step.id in recorded.steps)
        if recorded
        else 0
    )
    status = LessonStatus.NEW if recorded is None else LessonStatus.STARTED
    if completions := completions_of(lesson, progress):  # Whoever begins it anew has passed it all the same.
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
        review_in_days=due_in_days(completions, today),
        tested_out=bool(completions) and completions[-1].tested_out,
        masters=lesson.masters,
    )


def completions_of(lesson: Lesson, progress: Progress) -> tuple[Completion, ...]:
    """Return the completions of *lesson*.

    One that was passed before completions were recorded was completed with its last step.
    """
    known = progress.completions(lesson.id)
    recorded = None if known else progress.lesson(lesson.id)
    if recorded is None:
        return known
    steps = [recorded.steps.get(step.id, StepProgress()) for step in lesson.steps]
    if not all(step.passed for step in steps):
        return ()
    hints, skipped = sum(step.hints_shown for step in steps), sum(step.skipped for step in steps)
    return (Completion(recorded.passed_at, hints, len(steps), skipped, attempt=recorded.seed),)


def lacking(lesson: Lesson, missing: Mapping[str, Text]) -> Text | None:
    """Return why the first thing that *lesson* needs and that is *missing* is not there, if any."""
    needs = (*lesson.structure.needs, _masters(lesson.masters))
    return next((missing[need] for need in needs if need in missing), None)


def beyond(masters: int) -> Mapping[str, Text]:
    """Return, for `lacking`, what a cluster of so many *masters* is too small for, and how to get one."""
    return {
        _masters(count): _TOO_FEW.format(count=count, masters=masters) for count in MASTERS if count > masters
    }


def _masters(count: int) -> str:
    return f"masters.{count}"


_NONE = Text(
    "no hay lecciones en {path}: reinstala kubelab, o corrige KUBELAB_LESSONS.",
    "there are no lessons in {path}: install kubelab again, or correct KUBELAB_LESSONS.",
)
_TOO_FEW = Text(
    "hacen falta {count} masters y este clúster tiene {masters}: sal y abre uno nuevo con `kubelab --masters "
    "{count} --fresh`",
    "it takes {count} masters, and this cluster has {masters}: leave, and open a new one with `kubelab "
    "--masters {count} --fresh`",
)
_TAKEN = Text(
    "kubelab, o KUBELAB_LESSONS, trae otro con ese id.",
    "kubelab, or KUBELAB_LESSONS, has another of that id.",
)
