"""What a source offers: its tracks, each looked over before anything of it is installed. Pure."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.format import Track
from kubelab.lessons.lint import Problem, lint_track
from kubelab.lessons.privileges import Privilege
from kubelab.lessons.thirdparty.fetching import Fetched
from kubelab.lessons.thirdparty.source import Source
from kubelab.lessons.track_files import TRACK_FILE, TrackSource, track_source
from kubelab.lessons.tree import Tree, below, directories_of, shown

_BESIDE = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "README")


@dataclass(frozen=True, slots=True)
class Offer:
    """A sound track. `directory`: where it is in its source; `tree`: what of it would be installed."""

    source: Source
    resolved: str
    directory: str
    track: Track
    privileges: tuple[Privilege, ...]
    tree: Tree = field(repr=False)
    warnings: tuple[Problem, ...] = ()

    @property
    def id(self) -> str:
        return self.track.id


class FaultyTrackError(LabError):
    """A track that is not installed, because of these problems."""

    def __init__(self, directory: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(_FAULTY.format(track=shown(directory)))
        self.directory = directory
        self.problems = problems

    @classmethod
    def all_of(cls, errors: Sequence["FaultyTrackError"]) -> "FaultyTrackError":
        directories = ", ".join(error.directory for error in errors)
        return cls(directories, tuple(problem for error in errors for problem in error.problems))


def track_directories(fetched: Fetched) -> list[str]:
    """Return where in what was fetched the tracks are ("": at its root); one inside another is part of it.

    Raises:
        LabError: there is none.
    """
    found: list[str] = []
    for directory in directories_of(fetched.tree, TRACK_FILE):
        if not any(outer == "" or directory.startswith(f"{outer}/") for outer in found):
            found.append(directory)
    if not found:
        raise LabError(_NONE.format(source=shown(str(fetched.source))))
    return found


def wanted(fetched: Fetched, only: Sequence[str] = ()) -> list[Offer]:
    """Return all tracks that are offered, or those with the ids *only*.

    Raises:
        FaultyTrackError: one of those that were meant may be one that has mistakes.
        LabError: there is none of a wanted id, or two of one.
    """
    offers: dict[str, Offer] = {}
    faulty: list[FaultyTrackError] = []
    for directory in track_directories(fetched):
        try:
            offer = look_over(fetched, directory)
        except FaultyTrackError as error:
            faulty.append(error)
            continue
        if offer.id in offers:
            raise LabError(_TWICE.format(id=offer.id))
        offers[offer.id] = offer
    absent = [id_ for id_ in only if id_ not in offers]
    if faulty and (absent or not only):
        raise FaultyTrackError.all_of(faulty)
    if absent:
        raise LabError(_NOT_OFFERED.format(id=shown(absent[0]), ids=", ".join(offers)))
    return [offers[id_] for id_ in dict.fromkeys(only or offers)]


def offered_again(fetched: Fetched, id_: str, directory: str) -> Offer:
    """Return the track of that id, which was in *directory*, wherever it is now.

    Raises:
        FaultyTrackError: the track in that directory has mistakes.
        LabError: it is not offered any more.
    """
    for place in sorted(track_directories(fetched), key=lambda place: place != directory):
        try:
            offer = look_over(fetched, place)
        except FaultyTrackError:
            if place == directory:
                raise
            continue
        if offer.id == id_:
            return offer
    raise LabError(_NOT_OFFERED_ANY_MORE.format(id=id_, source=shown(str(fetched.source))))


def look_over(fetched: Fetched, directory: str) -> Offer:
    """Return the track in that directory.

    Raises:
        FaultyTrackError: it has mistakes, or uses a privilege that it does not declare.
    """
    path = _path(fetched.source, directory)
    whole = below(fetched.tree, directory)
    try:
        track = track_source(whole, path)
        problems = lint_track(track)
    except LabError as error:
        raise FaultyTrackError(path, (Problem.of(error),)) from error
    if any(not problem.advice for problem in problems):
        raise FaultyTrackError(path, problems)
    return Offer(
        fetched.source,
        fetched.resolved,
        directory,
        track.parse(),
        track.file.privileges,
        {name: whole[name] for name in _belonging(whole, track)},
        problems,
    )


def _path(source: Source, directory: str) -> str:
    """Return what errors call the directory: a path that can be opened, or one inside the source."""
    return (
        posixpath.join(source.location, directory).rstrip("/")
        if source.kind == "directory"
        else (directory or ".")
    )


def _belonging(tree: Tree, track: TrackSource) -> Iterator[str]:
    """Yield the paths that a learner's copy needs: a repository has its own besides."""
    for path in tree:
        top, _, rest = path.partition("/")
        if path == TRACK_FILE or top in track.file.lessons or (not rest and top.startswith(_BESIDE)):
            yield path


_NONE = Text(
    "en {source} no hay ningún track: falta un track.yaml.",
    "there is no track in {source}: it has no track.yaml.",
)
_FAULTY = Text(
    "el track de {track} tiene errores y no se instala: díselo a quien lo escribe.",
    "the track in {track} has mistakes and is not installed: tell whoever writes it.",
)
_TWICE = Text(es="hay dos tracks con el id «{id}».", en="there are two tracks with the id “{id}”.")
_NOT_OFFERED = Text(
    es="ahí no hay ningún track «{id}»; hay: {ids}.", en="there is no track “{id}” there; there are: {ids}."
)
_NOT_OFFERED_ANY_MORE = Text(
    es="«{id}» ya no está en {source}: quítalo con `kubelab track remove {id}`, o sigue con tu copia.",
    en="“{id}” is no longer in {source}: take it away with `kubelab track remove {id}`, or keep your copy.",
)
