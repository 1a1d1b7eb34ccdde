"""What plain mode needs of the rest: whoever starts it (the command line) gives it a `LabPort`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from kubelab.cluster.lab.phases import Phase
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.language import Language
from kubelab.lessons.reading import Reading
from kubelab.lessons.session import Session
from kubelab.lessons.view import Mode, TrackEntry


class LabPort(Protocol):
    def start_up(self) -> AsyncIterator[Phase]:
        """Yield the phases of the lab coming up, from the first, and end when it is up or has failed."""

    def catalog(self) -> Sequence[TrackEntry]:
        """Return the tracks with the progress of this moment."""

    def snapshots(self) -> AsyncIterator[LabSnapshot]:
        """Yield the present picture first."""

    def open_lesson(
        self, lesson_id: str, language: Language, mode: Mode = Mode.LEARN, *, again: bool = False
    ) -> AbstractAsyncContextManager[Session | Reading]:
        """Enter a lesson once the lab is ready, or read it if it cannot be done here; leaving the context
        leaves it. *again*: from its beginning with newly drawn variables, as for a review.

        Raises:
            LabError: there is no such lesson, or it cannot be set up.
        """

    def remember_language(self, language: Language) -> None:
        """The learner chose *language*: the next start begins with it."""
