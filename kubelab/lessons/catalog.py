"""The tracks that are there, and where the learner is in each: what the home screen shows."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubelab.language import Text
from kubelab.lessons.format import Lesson, Track
from kubelab.lessons.progress import Progress
from kubelab.lessons.view import TrackEntry


def tracks_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the tracks are: KUBELAB_LESSONS, else those of the package, else those of the checkout."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Catalog:
    tracks: tuple[Track, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> "Catalog":
        """Read all tracks under *path* (default: `tracks_path()`).

        Raises:
            LabError: a track or lesson is invalid; the sentence names file and line.
        """
        raise NotImplementedError

    def lesson(self, lesson_id: str) -> Lesson:
        """Return the lesson with that id ("containers/01-pid"; "pid" or "01-pid" will do if only one fits).

        Raises:
            LabError: there is none; the sentence suggests the nearest.
        """
        raise NotImplementedError

    def entries(self, progress: Progress, missing: Mapping[str, Text]) -> tuple[TrackEntry, ...]:
        """Return the home screen's lines. *missing*: each capability that this machine lacks, and why."""
        raise NotImplementedError
