"""A lesson as a conversation: the shell's output as it is, the lab's lines between, words for the lab.

On a terminal every key goes to the shell at once, so its line editing, vim and Ctrl+C are what they always
are. The lab's words are functions of that shell (see `marks`); Ctrl+] asks for one inside any other program.
Off the terminal lines go in one by one, each when the shell or a program reads; a word for the lab that would
go to another program is taken out before.

News (a passed step, a misconception) is told at once, but never into a line that somebody writes: at a prompt
where nothing is typed yet, or where a program's output has ended a line.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any

from kubelab.language import LANGUAGES, Text
from kubelab.lessons.located import suggestion
from kubelab.lessons.reading import Reading
from kubelab.lessons.session import Session
from kubelab.plain import words
from kubelab.plain.console import Console
from kubelab.plain.marks import Place, Word
from kubelab.plain.port import LabPort
from kubelab.plain.shell import INTERRUPT, Shell
from kubelab.plain.state import state_sentences
from kubelab.plain.streams import line_by_line

ESCAPE = b"\x1d"  # Ctrl+], as in telnet(1).
QUIET_S = 0.3  # So long nothing may be printed before we look whether a program reads.
WAIT_S = 30
_WORD = re.compile(r"\s*:([a-z]+)\b\s*(.*)")


class Leave(Enum):
    HOME = auto()
    QUIT = auto()


class LessonTalk:
    """One lesson, from its first line until the learner leaves it: `run` says for where."""

    def __init__(self, session: Session | Reading, port: LabPort, console: Console) -> None:
        self._session = session
        self._port = port
        self._console = console
        self._shell: Shell | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._changes = session.changes()
        self._seen = session.view
        self._typed_at = -1  # The number of the prompt at which a key was typed last.
        self._lines: deque[str] = deque()
        self._partial = b""
        self._ended = False  # No more input will come.
        self._quiet = False  # A program waits for input, and has printed nothing for a moment.
        self._leave: Leave | None = None
        self._words: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "hint": self._hint,
            "check": self._check,
            "wait": self._wait,
            "next": self._next,
            "back": self._back,
            "text": self._text,
            "state": self._state,
            "reset": self._reset,
            "lang": self._lang,
            "home": self._home,
            "quit": self._quit,
        }

    async def run(self) -> Leave:
        loop = asyncio.get_running_loop()
        if self._console.interactive:
            loop.add_signal_handler(signal.SIGWINCH, self._resize)
        else:
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
        try:
            await self._begin()
            while self._leave is None:
                await self._turn()
            return self._leave
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            await self._end()

    async def _begin(self) -> None:
        await self._text("")
        if isinstance(self._session, Reading):
            await self._console.say(words.READING)
            return
        await self._console.say(words.SHELL.format(machine=self._session.machine.name))
        if self._console.interactive:
            await self._console.say(words.ANYWHERE)
        await self._open_shell()

    async def _end(self) -> None:
        unread = "".join(f"{line}\n" for line in self._lines).encode() + self._partial
        if (typed := self._tasks.get("typed")) and typed.done() and not typed.cancelled():
            unread += typed.result()
        for name in tuple(self._tasks):
            await self._stop(name)
        await self._between_lines()
        await self._close_shell()
        self._console.source.keep(unread)

    # Waiting for whichever comes first.

    async def _turn(self) -> None:
        if self._console.interactive and self._shell is None:
            await self._ask()
            return
        self._listen()
        done = await self._first()
        if (data := done.get("printed")) is not None:
            await self._printed(data)
        if (data := done.get("typed")) is not None and self._leave is None:
            await self._typed(data)
        if self._may_tell():
            await self._news()
        await self._work()
        if self._console.output.gone:
            self._leave = Leave.QUIT

    def _listen(self) -> None:
        self._start("changed", self._changes.__anext__)
        if shell := self._shell:
            self._start("printed", shell.read)
            if shell.clogged:
                self._start("flushed", shell.flush)
        if not (self._ended or self._lines or (self._shell and self._shell.clogged)):
            self._start("typed", self._console.source.read)

    def _start(self, name: str, wait: Callable[[], Awaitable[Any]]) -> None:
        """Begin to wait for one more of *name*, unless that is under way."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.ensure_future(wait())

    async def _stop(self, name: str) -> None:
        if task := self._tasks.pop(name, None):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _first(self) -> dict[str, Any]:
        """Return what has come; nothing at all after a quiet moment in which a line waits to be handed in."""
        waiting = bool(self._lines or self._ended) and not self._ready()
        await asyncio.wait(
            self._tasks.values(),
            timeout=QUIET_S if waiting else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        done = {name: task for name, task in self._tasks.items() if task.done()}
        if waiting and not done and self._shell:
            self._quiet = self._shell.is_read
        return {name: self._tasks.pop(name).result() for name in done}

    # The shell.

    async def _open_shell(self) -> None:
        if isinstance(self._session, Reading):
            await self._console.say(words.READING)
            return
        console = self._console
        self._shell = await Shell.start(self._session, console.size(), tuple(self._words), console.term)
        self._quiet = False

    async def _close_shell(self) -> None:
        for name in ("printed", "flushed"):
            await self._stop(name)  # Before its descriptor is closed.
        shell, self._shell = self._shell, None
        if shell:
            await shell.close()

    async def _printed(self, data: bytes) -> None:
        shell = self._shell
        if shell is None:
            return
        self._quiet = False
        if not data:
            await self._close_shell()
            await self._news()
            await self._console.say(words.SHELL_ENDED)
            return
        self._session.look_soon()
        for part in shell.marks.feed(data):
            if isinstance(part, Word):
                await self._do(part.text)
            else:
                await self._console.output.program(part)
            if self._shell is not shell or self._leave:
                return

    def _resize(self) -> None:
        if self._shell:
            self._shell.process.resize(self._console.size())

    def _interrupt(self) -> None:
        """SIGINT off the terminal: for what runs in the shell, if anything does; else for us."""
        if self._shell and self._shell.marks.place is Place.RUNNING:
            self._shell.write(INTERRUPT)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    # What is typed.

    async def _typed(self, data: bytes) -> None:
        if not data:
            self._ended = True
            if self._console.interactive:
                self._leave = Leave.QUIT
        elif self._console.interactive:
            await self._keys(data)
        else:
            *lines, self._partial = (self._partial + data).split(b"\n")
            self._lines.extend(line.rstrip(b"\r").decode(errors="replace") for line in lines)
        if self._ended and self._partial:
            self._lines.append(self._partial.decode(errors="replace"))
            self._partial = b""

    async def _keys(self, data: bytes) -> None:
        keys, escape, rest = data.partition(ESCAPE)
        if self._shell and keys:
            self._typed_at = self._shell.marks.prompts
            self._shell.write(keys)
        if escape:
            self._console.source.keep(rest)
            await self._ask()

    async def _ask(self) -> None:
        """Let the learner write one line for the lab, wherever the shell is."""
        await self._stop("typed")
        await self._console.tell([""])
        with line_by_line(self._console.source, self._console.output):
            line = await self._console.ask()
        if line is None and self._shell is None:
            self._leave = Leave.HOME
        elif line is None or "\x03" in line:
            pass
        elif line.lstrip(": ").split(" ")[0] in self._words:
            await self._do(line.lstrip(": "))
        elif self._shell is None:
            await self._in_another_shell(line)
        elif line.strip():
            await self._unknown(line.lstrip(": "))
        await self._prompt_again()

    async def _prompt_again(self) -> None:
        if self._shell and self._shell.marks.place is Place.PROMPT:
            await self._console.output.program(self._shell.marks.prompt)

    async def _in_another_shell(self, line: str) -> None:
        await self._open_shell()
        if line.strip() and self._shell:
            self._lines.appendleft(line)  # For its first prompt.

    # Whole lines.

    def _ready(self) -> bool:
        return self._shell is None or self._shell.marks.place is not Place.RUNNING or self._quiet

    async def _work(self) -> None:
        """Hand in the lines that came, as long as there is somebody who reads them."""
        while self._lines and self._leave is None and self._ready():
            await self._line(self._lines.popleft())
        if self._ended and not self._lines and self._leave is None and self._ready():
            await self._session.check_now()
            await self._news()
            self._leave = Leave.QUIT

    async def _line(self, line: str) -> None:
        marked = self._shell is not None and self._shell.marks.place is not Place.RUNNING
        word = _WORD.fullmatch(line)
        if word and word[1] in self._words and not marked:
            await self._between_lines()
            await self._do(f"{word[1]} {word[2]}")
        elif self._shell is None:
            await self._in_another_shell(line)
        else:
            self._shell.send(line)
        self._quiet = False

    async def _between_lines(self) -> None:
        if self._shell and not self._shell.marks.at_line_start:
            await self._console.tell([""])

    # What the lab says.

    def _may_tell(self) -> bool:
        if self._shell is None:
            return True
        marks = self._shell.marks
        if marks.place is Place.PROMPT:
            return not self._console.interactive or self._typed_at != marks.prompts
        return marks.place is Place.RUNNING and marks.at_line_start and self._shell.takes_lines

    async def _news(self) -> None:
        before, self._seen = self._seen, self._session.view
        if lines := list(self._console.teller.news(before, self._seen)):
            await self._between_lines()
            await self._console.tell(lines)
            if self._shell and not self._shell.marks.at_line_start:
                await self._prompt_again()

    # The words.

    async def _do(self, text: str) -> None:
        """Carry out a word, after a look at the live state: what was reached before it counts before it."""
        name, _, argument = text.strip().partition(" ")
        if name not in self._words:
            await self._unknown(text)
            return
        await self._session.check_now()
        await self._news()
        if name in ("check", "wait", "state", "reset") and isinstance(self._session, Reading):
            await self._console.say(words.READING)
        else:
            await self._words[name](argument.strip())

    async def _unknown(self, text: str) -> None:
        name = text.strip().split(" ")[0]
        hint = suggestion(name, self._words)
        await self._console.say(
            Text(
                words.UNKNOWN.es.format(word=name, hint=hint.es),
                words.UNKNOWN.en.format(word=name, hint=hint.en),
            )
        )

    async def _help(self, _: str) -> None:
        await self._console.say(words.HELP)
        if self._console.interactive:
            await self._console.say(words.ANYWHERE)

    async def _hint(self, _: str) -> None:
        before = self._session.view.step.hints_shown
        self._session.hint()
        step = self._session.view.step
        if step.hints_shown == before:
            await self._console.say(words.NO_MORE_HINTS)
        else:
            await self._console.tell(self._console.teller.hint(step, step.hints_shown))

    async def _check(self, _: str) -> None:
        await self._console.tell(self._console.teller.checks(self._session.view.step))

    async def _wait(self, argument: str) -> None:
        if argument and not argument.isdecimal():
            await self._console.say(words.SECONDS_MEANT.format(word=argument))
            return
        seconds = int(argument or WAIT_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._passed()
        await self._news()
        if not self._session.view.step.passed:
            await self._console.say(words.WAITED_IN_VAIN.format(seconds=seconds))

    async def _passed(self) -> None:
        async for view in self._session.changes():
            if view.step.passed:
                return

    async def _next(self, _: str) -> None:
        if self._session.view.index + 1 < len(self._session.view.steps):
            self._session.next()
            await self._text("")
        else:
            await self._console.say(words.LAST_STEP)

    async def _back(self, _: str) -> None:
        if self._session.view.index:
            self._session.previous()
            await self._text("")
        else:
            await self._console.say(words.FIRST_STEP)

    async def _text(self, _: str) -> None:
        self._seen = self._session.view
        await self._console.tell(self._console.teller.step(self._seen))

    async def _state(self, _: str) -> None:
        snapshots = self._port.snapshots()
        machine = self._session.machine
        sentences = state_sentences(await anext(snapshots), machine.name if machine else "")
        await self._console.say(*sentences)

    async def _reset(self, _: str) -> None:
        await self._close_shell()
        await self._session.reset()
        self._seen = self._session.view
        await self._console.say(words.RESET_DONE)
        await self._open_shell()

    async def _lang(self, argument: str) -> None:
        for language in LANGUAGES:
            if argument == language:
                self._console.language = self._session.language = language
                self._port.remember_language(language)
                await self._console.say(words.LANGUAGE)
                return
        await self._console.say(words.LANGUAGE_MEANT)

    async def _home(self, _: str) -> None:
        self._leave = Leave.HOME

    async def _quit(self, _: str) -> None:
        self._leave = Leave.QUIT
