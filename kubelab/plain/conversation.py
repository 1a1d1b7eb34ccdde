"""The whole conversation: the lab comes up, lessons are listed, chosen and worked through.

Left out: zooming, mouse, pictures: what the app has for the eye. Words and checks are the same.
"""

from collections.abc import Awaitable, Callable, Iterator

from kubelab.cluster.errors import LabError
from kubelab.language import LANGUAGES, Language
from kubelab.lessons.view import LessonEntry, Mode
from kubelab.plain import words
from kubelab.plain.commands import Leave
from kubelab.plain.console import Console
from kubelab.plain.lesson import LessonTalk
from kubelab.plain.port import LabPort
from kubelab.plain.streams import Input, Output, raw


async def converse(port: LabPort, language: Language, lesson_id: str | None, mode: Mode = Mode.LEARN) -> None:
    """Talk to whoever is at standard input until they leave; begin with that lesson, or with the list.

    Raises:
        LabError: *lesson_id* cannot be set up.
    """
    console = Console(language, Input(), Output())
    await console.say(words.GREETING)
    async for phase in port.start_up():
        if phase.done:
            await console.say(words.PHASE.format(name=phase.name.in_(console.language)))
    home = Home(port, console)
    leave = Leave.HOME if lesson_id is None else await home.open(lesson_id, mode)
    if leave is Leave.HOME:
        await home.run()
    await console.say(words.TAKING_DOWN)


class Home:
    """The list of lessons, of which one is chosen by its number, its id or a part of that."""

    def __init__(self, port: LabPort, console: Console) -> None:
        self._port = port
        self._console = console
        self._words: dict[str, Callable[[str], Awaitable[Leave | None]]] = {
            "help": self._help,
            "home": self._list,
            "lang": self._lang,
            "test": self._test,
            "again": self._again,
            "quit": self._quit,
            "exit": self._quit,
        }

    async def run(self) -> None:
        await self._list("")
        while (line := await self._console.ask()) is not None:
            name, _, argument = line.strip().lstrip(":").partition(" ")
            if name and await self._do(name, argument.strip()) is Leave.QUIT:
                return

    async def open(self, lesson_id: str, mode: Mode = Mode.LEARN, *, again: bool = False) -> Leave:
        opening = words.OPENING_AGAIN if again else words.OPENING
        if mode is Mode.TEST_OUT:
            opening = words.OPENING_TEST
        await self._console.say(opening.format(title=self._title(lesson_id)))
        async with self._port.open_lesson(lesson_id, self._console.language, mode, again=again) as session:
            talk = LessonTalk(session, self._port, self._console)
            if not self._console.interactive:
                return await talk.run()
            with raw(self._console.source, self._console.output):
                return await talk.run()

    async def _do(self, name: str, argument: str) -> Leave | None:
        if name in self._words:
            return await self._words[name](argument)
        return await self._choose(name)

    async def _choose(self, name: str, mode: Mode = Mode.LEARN, *, again: bool = False) -> Leave:
        entries = list(self._entries())
        if name.isdecimal() and 1 <= int(name) <= len(entries):
            name = entries[int(name) - 1].id
        try:
            leave = await self.open(name, mode, again=again)
        except LabError as error:
            await self._console.complain(error)
            return Leave.HOME
        if leave is Leave.HOME:
            await self._list("")
        return leave

    def _entries(self) -> Iterator[LessonEntry]:
        for track in self._port.catalog():
            yield from track.lessons

    def _title(self, lesson_id: str) -> str:
        """Return the title of the lesson; a part of its id is repeated as it was written."""
        titles = {entry.id: entry.title.in_(self._console.language) for entry in self._entries()}
        return titles.get(lesson_id, lesson_id)

    async def _test(self, argument: str) -> Leave | None:
        if not argument:
            await self._console.say(words.WHICH_LESSON.format(word="test"))
            return None
        return await self._choose(argument, Mode.TEST_OUT)

    async def _again(self, argument: str) -> Leave | None:
        if not argument:
            await self._console.say(words.WHICH_LESSON.format(word="again"))
            return None
        return await self._choose(argument, again=True)

    async def _quit(self, _: str) -> Leave:
        return Leave.QUIT

    async def _list(self, _: str) -> None:
        await self._console.tell(self._console.teller.tracks(self._port.catalog()))
        await self._console.say(words.HOME)

    async def _help(self, _: str) -> None:
        await self._console.say(words.HOME_HELP)

    async def _lang(self, argument: str) -> None:
        for language in LANGUAGES:
            if argument == language:
                self._console.language = language
                self._port.remember_language(language)
                await self._list("")
                return
        await self._console.say(words.LANGUAGE_MEANT)
