"""The tracks that were installed on this machine, below the XDG data directory.

    tracks/<id>/record.json            where it came from, what was agreed to; names the copy by its hash
    tracks/<id>/<hash>/<id>/           the copy
    tracks/.staging-<random>/          what is about to become one of them
    tracks/.lock                       held while one of them changes

A track appears, changes and goes by one rename(2) or one replaced record, so that whoever is interrupted
leaves the old state or the new one. A staging directory is locked (flock(2)) by whoever works in it; one that
nobody locks was left behind by a SIGKILL, and goes with the next change.

A copy counts only as long as its content has the hash that was agreed to. That tells damage and changes by
hand; whoever can write here could change the record as well.
Left out: fsync of the copy (its hash would tell that a power cut took a part of it).
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import platformdirs

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.names import is_track_id
from kubelab.lessons.privileges import undeclared
from kubelab.lessons.thirdparty.source import Source
from kubelab.lessons.track_files import TrackSource, track_source
from kubelab.lessons.tree import read_tree, tree_hash, write_tree

if TYPE_CHECKING:  # The app reads what is installed; archives and git are no part of its start.
    from kubelab.lessons.thirdparty.offer import Offer

RECORD_FORMAT = 1
_RECORD = "record.json"
_STAGING = ".staging-"
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Record:
    """`directory`: where in its source the track is; `resolved`: see `Fetched`; `tree`: the hash of the copy;
    `privileges`: those that were agreed to, `agreed` when (RFC 3339)."""

    format: int
    source: Source
    directory: str
    resolved: str
    tree: str
    privileges: tuple[str, ...]
    agreed: str
    pinned: bool = False


def record_of(offer: "Offer", agreed: datetime, *, pinned: bool = False) -> Record:
    return Record(
        format=RECORD_FORMAT,
        source=offer.source,
        directory=offer.directory,
        resolved=offer.resolved,
        tree=tree_hash(offer.tree),
        privileges=offer.privileges,
        agreed=agreed.isoformat(timespec="seconds"),
        pinned=pinned,
    )


@dataclass(frozen=True, slots=True)
class InstalledTracks:
    path: Path

    @classmethod
    def default(cls) -> "InstalledTracks":
        return cls(platformdirs.user_data_path("kubelab") / "tracks")

    def ids(self) -> list[str]:
        """Raises LabError."""
        try:
            return sorted(entry.name for entry in self.path.iterdir() if is_track_id(entry.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._no_place(error) from error

    def record(self, id_: str) -> Record:
        """Raises LabError."""
        if id_ not in self.ids():
            raise LabError(_UNKNOWN.format(id=id_))
        try:
            record = msgspec.json.decode((self.path / id_ / _RECORD).read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError) as error:
            raise LabError(_NO_RECORD.format(id=id_)) from error
        if record.format != RECORD_FORMAT:
            raise LabError(_NO_RECORD.format(id=id_))
        return record

    def load(self, id_: str) -> TrackSource:
        """Return the files of an installed track.

        Raises:
            LabError: they are not what was agreed to, or this kubelab cannot use them.
        """
        record = self.record(id_)
        try:
            return self._load(id_, record)
        except LabError:
            if (newer := self.record(id_)) == record:
                raise
            return self._load(id_, newer)  # It was updated at that moment.

    def _load(self, id_: str, record: Record) -> TrackSource:
        path = self.copy_of(id_, record)
        tree = read_tree(path)
        if tree_hash(tree) != record.tree:
            raise LabError(_CHANGED)
        track = track_source(tree, str(path))
        track.parse()
        for use in undeclared(track.lessons, record.privileges):
            raise LabError(_UNDECLARED.format(file=use.file, privilege=use.privilege))
        return track

    def is_sound(self, id_: str) -> bool:
        try:
            self.load(id_)
        except LabError:
            return False
        return True

    def copy_of(self, id_: str, record: Record) -> Path:
        return self.path / id_ / record.tree[:_HASH_DIGITS] / id_

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield an empty directory beside the tracks; it is gone with the block, or after it.

        Raises:
            LabError: the place cannot be written.
        """
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            with self._locked():
                self._sweep()
                place = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.path))
                lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise self._no_place(error) from error
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
            os.close(lock)

    def install(self, offer: "Offer", record: Record, staging: Path) -> None:
        """Install a track whose id is free.

        Raises:
            LabError: the id is taken, or the place cannot be written.
        """
        try:
            prepared = staging / offer.id
            write_tree(offer.tree, prepared / record.tree[:_HASH_DIGITS] / offer.id)
            _write_record(prepared, record)
            with self._locked():
                self._refuse_taken(offer.id)
                prepared.rename(self.path / offer.id)
        except OSError as error:
            raise self._no_place(error) from error

    def replace(self, offer: "Offer", record: Record, staging: Path) -> None:
        """Put another state of an installed track in its place.

        Raises:
            LabError: the place cannot be written.
        """
        try:
            prepared = staging / record.tree[:_HASH_DIGITS]
            write_tree(offer.tree, prepared / offer.id)
            with self._locked():
                track = self.path / offer.id
                copy = track / prepared.name
                if copy.exists():
                    copy.rename(staging / "damaged")
                prepared.rename(copy)
                _write_record(track, record)
                for other in track.iterdir():
                    if other.is_dir() and other != copy:
                        other.rename(staging / f"old-{other.name}")
        except OSError as error:
            raise self._no_place(error) from error

    def set_pinned(self, id_: str, *, pinned: bool) -> Record:
        """Return the record as it is now. Raises LabError."""
        self.record(id_)  # Or there may not even be a place to lock.
        with self._locked():
            record = replace(self.record(id_), pinned=pinned)
            try:
                _write_record(self.path / id_, record)
            except OSError as error:
                raise self._no_place(error) from error
        return record

    def remove(self, id_: str) -> None:
        """Remove a track, whatever its state. Raises LabError."""
        if id_ not in self.ids():
            raise LabError(_UNKNOWN.format(id=id_))
        with self.staging() as staging, self._locked():
            try:
                (self.path / id_).rename(staging / id_)
            except OSError as error:
                raise self._no_place(error) from error

    def _refuse_taken(self, id_: str) -> None:
        if (self.path / id_).exists():
            raise LabError(_TAKEN.format(id=id_))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for one's turn to change what is there; nobody takes long."""
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what others staged and did not live to finish."""
        for place in self.path.glob(f"{_STAGING}*"):
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)
            except BlockingIOError:
                pass  # Somebody works there.
            finally:
                os.close(descriptor)

    def _no_place(self, error: OSError) -> LabError:
        return LabError(_NO_PLACE.format(path=self.path, why=error.strerror))


def _write_record(track: Path, record: Record) -> None:
    temporary = track / f"{_RECORD}.new"
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(track / _RECORD)


_UNKNOWN = Text(
    "no hay ningún track instalado con el id «{id}»: `kubelab track list` los enseña.",
    "no track with the id “{id}” is installed: `kubelab track list` shows them.",
)
_TAKEN = Text(
    "ya hay un track con el id «{id}»: quítalo antes con `kubelab track remove {id}`.",
    "there is a track with the id “{id}” already: take it away first with `kubelab track remove {id}`.",
)
_NO_RECORD = Text(
    "no se entiende de dónde vino el track «{id}»: quítalo y añádelo otra vez.",
    "it cannot be read where track “{id}” came from: take it away and add it again.",
)
_CHANGED = Text("su contenido no es el que aceptaste.", "its content is not what you agreed to.")
_UNDECLARED = Text(
    "{file} usa «{privilege}», que no aceptaste.", "{file} uses “{privilege}”, which you did not agree to."
)
_NO_PLACE = Text(
    "los tracks se guardan en {path}, y ahí no se puede ({why}): mira sus permisos.",
    "tracks are kept in {path}, and that is not possible there ({why}): look at its permissions.",
)
