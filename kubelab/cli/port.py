"""What the app and plain mode see of the lab and the lessons: one adapter for both."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.lab import Lab
from kubelab.cluster.lab.phases import Phase
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.cluster.linux.probe import missing
from kubelab.language import Language, Text, preferred
from kubelab.lessons.catalog import Catalog, beyond, lacking
from kubelab.lessons.format import Lesson
from kubelab.lessons.progress import Progress
from kubelab.lessons.reading import Reading
from kubelab.lessons.session import Session
from kubelab.lessons.view import Mode, TrackEntry, sentence_of


class LearnerPort:
    """Satisfies `kubelab.ui.port.LabPort` and `kubelab.plain.port.LabPort`."""

    def __init__(self, lab: Lab, catalog: Catalog, progress: Progress) -> None:
        self._lab = lab
        self._catalog = catalog
        self._progress = progress

    def start_up(self) -> AsyncIterator[Phase]:
        return self._lab.phases()

    def missing(self) -> Sequence[Text]:
        return tuple(self._missing.values())

    def catalog(self) -> Sequence[TrackEntry]:
        return self._catalog.entries(self._progress, self._lacks)

    def snapshots(self) -> AsyncIterator[LabSnapshot]:
        return self._lab.snapshots()

    @asynccontextmanager
    async def open_lesson(
        self, lesson_id: str, language: Language, mode: Mode = Mode.LEARN, *, again: bool = False
    ) -> AsyncIterator[Session | Reading]:
        lesson = self._catalog.lesson(lesson_id)
        if obstacle := await self._obstacle(lesson):
            yield Reading(lesson, obstacle, language)
            return
        async with Session.open(self._lab, lesson, self._progress, language, mode, again=again) as session:
            yield session

    async def _obstacle(self, lesson: Lesson) -> Text | None:
        """Return why *lesson* can be read only, if so."""
        if reason := lacking(lesson, self._lacks):
            return reason
        try:
            await self._lab.ready()
        except LabError as error:
            return sentence_of(error)
        return None

    def remember_language(self, language: Language) -> None:
        self._progress.set_language(language)

    async def close(self) -> None:
        await self._lab.close()

    @cached_property
    def _lacks(self) -> Mapping[str, Text]:
        """What lessons may need that neither this machine nor this cluster has."""
        return {**self._missing, **beyond(self._lab.shape.masters)}

    @cached_property
    def _missing(self) -> Mapping[str, Text]:
        return missing()


def first_language(progress: Progress) -> Language:
    """Return what `--lang` or KUBELAB_LANG asks for, else the learner's last choice, else the locale's."""
    asked = os.environ.get("KUBELAB_LANG")
    return preferred() if asked else progress.language() or preferred()
