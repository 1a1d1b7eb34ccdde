"""A lesson in progress: watches the live state, passes steps on its own, and publishes one frozen view.

The app uses it so:

    catalog, progress = Catalog.load(), Progress.open()
    async with Session.open(lab, catalog.lesson("containers/01-pid"), progress, "es") as session:
        shell = await session.shell(WindowSize(24, 80))     # a Process: read and write shell.fd
        async for view in session.changes():                # the present view first, then each new one
            draw(view)
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubelab.cluster.machine.machine import Machine, Process, WindowSize
from kubelab.language import Language
from kubelab.lessons.format import Lesson
from kubelab.lessons.lab import LabPort
from kubelab.lessons.progress import Progress
from kubelab.lessons.view import LessonView


class Session:
    """All methods are called on the loop's thread; the plain ones only change and publish the view."""

    lesson: Lesson
    language: Language  # May be set at any time; the next shell greets in it. The view has both languages.

    @classmethod
    @asynccontextmanager
    async def open(
        cls, lab: LabPort, lesson: Lesson, progress: Progress, language: Language = "es"
    ) -> AsyncIterator["Session"]:
        """Start *lesson*, or resume it: a scratch machine or the cluster's, its files, the watch of its state.

        Raises:
            LabError: the lesson cannot be set up on this lab.
        """
        raise NotImplementedError
        yield

    @property
    def view(self) -> LessonView:
        raise NotImplementedError

    @property
    def machine(self) -> Machine:
        """The machine on which the lesson's shell runs."""
        raise NotImplementedError

    def changes(self) -> AsyncIterator[LessonView]:
        """Yield the present view, then every later one; a slow reader gets the newest. Never ends by itself."""
        raise NotImplementedError

    async def check_now(self) -> None:
        """Look at the live state at once and evaluate the current step's checks."""
        raise NotImplementedError

    async def shell(self, size: WindowSize) -> Process:
        """Start an interactive shell on the lesson's machine; the caller closes it (at the latest we do)."""
        raise NotImplementedError

    def hint(self) -> None:
        """Show one more rung of the current step's hints (recorded); nothing happens after the last."""
        raise NotImplementedError

    def next(self) -> None:
        """Go to the next step, passed or not; nothing happens on the last."""
        raise NotImplementedError

    def previous(self) -> None:
        raise NotImplementedError

    async def reset(self) -> None:
        """Begin the current step again: end what its shells left running, put the files back, forget its checks."""
        raise NotImplementedError
