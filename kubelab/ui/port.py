"""What the app needs of the rest, and no more: whoever starts it (the command line, a test) gives it a
`LabPort`.

Everything is called on the app's event loop. The app learns that the state changed by reading the iterators;
it asks for at most four pictures a second, so they may yield as often as they like.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from kubelab.cluster.lab.phases import Phase
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.cluster.machine.machine import Process, WindowSize
from kubelab.language import Language, Text
from kubelab.lessons.change import Change
from kubelab.lessons.view import LessonView, Mode, TrackEntry


class Place(Protocol):
    """The machine that a lesson's shell runs on (`kubelab.cluster.machine.Machine`)."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str:
        """`scratch` for a lesson without a cluster: its processes are drawn instead of nodes and pods."""


class LessonSession(Protocol):
    """The part of `kubelab.lessons.session.Session` that the lesson screen uses."""

    language: Language

    @property
    def view(self) -> LessonView: ...

    @property
    def machine(self) -> Place | None:
        """None: the lesson is open for reading only; `shell` is not called then."""

    def changes(self) -> AsyncIterator[LessonView]:
        """Yield the present view, then every later one; a slow reader gets the newest."""

    async def check_now(self) -> None: ...

    def look_soon(self) -> None:
        """The shell wrote something: the live state may have changed."""

    async def shell(self, size: WindowSize, machine: str = "") -> Process:
        """Start a shell on the lesson's machine, or on another of `shell_machines`."""

    def shell_machines(self) -> Sequence[str]:
        """Return the machines on which shells can be opened, the lesson's own first."""

    def predict(self, answer: str) -> None:
        """Record the learner's prediction for the current step: a choice's id, or their own words."""

    def what_changed(self) -> Sequence[Change]:
        """Return what is otherwise than when the current step began. It costs a millisecond or so: call it
        when it is going to be shown, at most four times a second."""

    async def fast_forward(self) -> None:
        """Have the current step's solution typed by the lesson; the view's `busy` tells while it lasts.

        Raises:
            LabError: the solution did not pass the step.
        """

    def hint(self) -> None: ...

    def next(self) -> None: ...

    def previous(self) -> None: ...

    async def reset(self) -> None: ...


class LabPort(Protocol):
    def start_up(self) -> AsyncIterator[Phase]:
        """Yield the phases of the lab coming up, from the first, and end when it is ready.

        Raises:
            LabError: it cannot come up; the home screen shows the sentence, lessons stay readable.
        """

    def missing(self) -> Sequence[Text]:
        """Return a sentence for each capability that this machine lacks: what, and which command mends it."""

    def catalog(self) -> Sequence[TrackEntry]:
        """Return the tracks with the progress of this moment; called whenever the home screen is shown."""

    def snapshots(self) -> AsyncIterator[LabSnapshot]:
        """Yield the present picture, then each newer one; a slow reader gets the newest."""

    def open_lesson(
        self, lesson_id: str, language: Language, mode: Mode = Mode.LEARN, *, again: bool = False
    ) -> AbstractAsyncContextManager[LessonSession]:
        """Enter a lesson once the lab is ready; leaving the context leaves the lesson.

        *again*: from its beginning with newly drawn variables, as for a review.

        Where the lab did not come up, or lacks what the lesson needs, the lesson is open for reading.

        Raises:
            LabError: the lesson cannot be set up; the app shows the sentence and stays at home.
        """

    def remember_language(self, language: Language) -> None:
        """The learner chose *language*: the next start begins with it."""

    async def close(self) -> None:
        """Take the lab down. Awaited once, when the learner quits; the app shows that it does so."""
