"""A lesson as a conversation: the shell's output as it is, the lab's lines between, words for the lab.

On a terminal every key goes to the shell at once, so its line editing, vim and Ctrl+C are what they always
are. The lab's words are functions of that shell (see `marks`); Ctrl+] asks for one inside any other program.
Off the terminal lines go in one by one, each when the shell or a program reads; a word for the lab that would
go to another program is taken out before.

News (a passed step, a misconception) is told at once, but never into a line that somebody writes: at a prompt
where nothing is typed yet, or where a program's output has ended a line.

Of several shells one is in front, and has the keys; what the others print is kept until they are.
Left out: Ctrl+C while the lab itself works (`:solve`, `:reset`), which ends by itself in bounded time.
"""

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Any

from kubelab.language import Text
from kubelab.lessons.reading import Reading
from kubelab.lessons.session import Session
from kubelab.lessons.view import Mode
from kubelab.plain import words
from kubelab.plain.commands import Commands, Leave
from kubelab.plain.console import Console
from kubelab.plain.marks import ENTER_ALTERNATE, LEAVE_ALTERNATE, Place, Word
from kubelab.plain.port import LabPort
from kubelab.plain.shell import INTERRUPT, Shell
from kubelab.plain.shells import Shells
from kubelab.plain.streams import line_by_line
from kubelab.plain.waits import Waits

ESCAPE = b"\x1d"  # Ctrl+], as in telnet(1).
QUIET_S = 0.3  # So long nothing may be printed before we look whether a program reads.
_WORD = re.compile(r"\s*:([a-z]+)\b\s*(.*)")


class LessonTalk:
    """One lesson, from its first line until the learner leaves it: `run` says for where."""

    def __init__(self, session: Session | Reading, port: LabPort, console: Console) -> None:
        self.shells = Shells()
        self._session = session
        self._console = console
        self._commands = Commands(session, port, console, self)
        self._waits = Waits()
        self._changes = session.changes()
        self._seen = session.view
        self._untold: list[Text] = []  # What happened with the shells behind.
        self._lines: deque[str] = deque()
        self._partial = b""
        self._ended = False  # No more input will come.
        self._quiet = False  # A program waits for input, and has printed nothing for a moment.
        self._leave: Leave | None = None

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
        self.heard()
        await self._console.tell(self._console.teller.step(self._seen))
        if isinstance(self._session, Reading):
            await self._console.say(words.READING)
            return
        sentence = words.SHELL_IN_A_TEST if self._seen.mode is Mode.TEST_OUT else words.SHELL
        await self._console.say(sentence.format(machine=self._session.machine.name))
        if self._console.interactive:
            await self._console.say(words.ANYWHERE)
        await self._start_shell("")

    async def _end(self) -> None:
        unread = "".join(f"{line}\n" for line in self._lines).encode() + self._partial
        await self.recall_input()
        await self._waits.stop_all()
        await self._between_lines()
        await self.close_shells()
        self._console.source.keep(unread)

    def leave(self, where: Leave) -> None:
        self._leave = where

    # Waiting for whichever comes first.

    async def _turn(self) -> None:
        if self._console.interactive and self.shells.front is None:
            await self._ask()
            return
        self._listen()
        done = await self._first()
        for shell in [shell for shell in self.shells.open if ("printed", shell) in done]:
            await self._printed(shell, done[("printed", shell)])
        if (data := done.get("typed")) is not None and self._leave is None:
            await self._typed(data)
        if self._may_tell():
            await self.news()
        await self._work()
        if self._console.output.gone:
            self._leave = Leave.QUIT

    def _listen(self) -> None:
        self._waits.start("changed", self._changes.__anext__)
        for shell in self.shells.open:
            self._waits.start(("printed", shell), shell.read)
            if shell.clogged:
                self._waits.start(("flushed", shell), shell.flush)
        front = self.shells.front
        if not (self._ended or self._lines or (front and front.clogged)):
            self._waits.start("typed", self._console.source.read)

    async def _first(self) -> dict[Hashable, Any]:
        """Return what has come; nothing at all after a quiet moment in which a line waits to be handed in."""
        waiting = bool(self._lines or self._ended) and not self._ready()
        done = await self._waits.first(QUIET_S if waiting else None)
        if waiting and not done and self.shells.front:
            self._quiet = self.shells.front.is_read
        return done

    async def recall_input(self) -> None:
        """Stop reading; what was read in the meantime is for whoever reads next."""
        self._console.source.keep(await self._waits.stop("typed") or b"")

    # The shells.

    async def _start_shell(self, machine: str) -> Shell | None:
        """Start a shell and put it in front; "" is the lesson's own machine."""
        if isinstance(self._session, Reading):
            await self._console.say(words.READING)
            return None
        shell = await Shell.start(
            self._session,
            machine or self._session.machine.name,
            self.shells.free_number,
            self._console.size(),
            self._commands.names,
            self._console.term,
        )
        await self._put_in_front(shell)
        return shell

    async def _put_in_front(self, shell: Shell) -> None:
        """Give *shell* the keys; a full-screen program that was there leaves the screen."""
        if self.shells.front and self.shells.front.marks.alternate:
            await self._console.output.program(LEAVE_ALTERNATE)
        self.shells.bring(shell)
        self._quiet = False

    async def open_shell(self, machine: str) -> None:
        """Start one more and say so; the first of all needs no announcement."""
        others = bool(self.shells.open)
        shell = await self._start_shell(machine)
        if shell and others:
            await self._console.say(words.SHELL_OPENED.format(number=shell.number, machine=shell.machine))

    async def show_shell(self, shell: Shell) -> None:
        """Put *shell* in front, and let follow what it printed meanwhile."""
        await self._put_in_front(shell)
        await self._console.say(words.SHELL_RESUMED.format(number=shell.number, machine=shell.machine))
        if shell.has_news:
            await self._console.say(words.MEANWHILE_CUT if shell.kept.cut else words.MEANWHILE)
        if shell.marks.alternate:
            await self._console.output.program(ENTER_ALTERNATE)
        if kept := shell.kept.take():
            await self._emit(shell, kept)
        else:
            await self._prompt_again()
        shell.draw_again(self._console.size())

    async def _close(self, shell: Shell) -> None:
        for what in ("printed", "flushed"):
            await self._waits.stop((what, shell))  # Before its descriptor is closed.
        self.shells.remove(shell)
        await shell.close()

    async def close_shells(self) -> None:
        for shell in self.shells.open:
            await self._close(shell)

    async def _printed(self, shell: Shell, data: bytes) -> None:
        if shell not in self.shells.open:  # Another one's word has closed it.
            return
        if not data:
            await self._shell_ended(shell)
            return
        if shell is self.shells.front:
            self._quiet = False
        self._session.look_soon()
        await self._emit(shell, shell.marks.feed(data))

    async def _emit(self, shell: Shell, parts: Iterable[bytes | Word]) -> None:
        """Write out what *shell* printed, as long as it is in front; a word may end that."""
        for part in parts:
            if shell is not self.shells.front or self._leave:
                shell.kept.add(part)
            elif isinstance(part, Word):
                await self._commands.do(part.text)
            else:
                await self._console.output.program(part)

    async def _shell_ended(self, shell: Shell) -> None:
        front = shell is self.shells.front
        await self._close(shell)
        ended = words.OTHER_SHELL_ENDED.format(number=shell.number, machine=shell.machine)
        if not front:
            self._untold.append(ended)
            return
        await self.news()
        if self.shells.front:
            await self._console.say(ended)
            await self.show_shell(self.shells.front)
        else:
            await self._console.say(words.SHELL_ENDED)

    def _resize(self) -> None:
        for shell in self.shells.open:
            shell.resize(self._console.size())

    def _interrupt(self) -> None:
        """SIGINT off the terminal: for what runs in the shell, if anything does; else for us."""
        if self.shells.front and self.shells.front.marks.place is Place.RUNNING:
            self.shells.front.write(INTERRUPT)
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
        if keys and (front := self.shells.front):
            front.typed_at = front.marks.prompts
            front.write(keys)
        if escape:
            self._console.source.keep(rest)
            await self._ask()

    async def _ask(self) -> None:
        """Let the learner write one line for the lab, wherever the shell is."""
        await self._console.tell([""])
        front, line = self.shells.front, await self.read_line()
        if line is None and front is None:
            self._leave = Leave.HOME
        elif line is None or "\x03" in line:
            pass
        elif line.lstrip(": ").split(" ")[0] in self._commands.names:
            await self._commands.do(line.lstrip(": "))
        elif front is None:
            await self._in_another_shell(line)
        elif line.strip():
            await self._commands.unknown(line.lstrip(": "))
        if front is self.shells.front:
            await self._prompt_again()

    async def read_line(self) -> str | None:
        """Return the next line that is written, for the lab and no shell; None at the end of the input."""
        await self.recall_input()
        if self._console.interactive:
            with line_by_line(self._console.source, self._console.output):
                return await self._console.ask()
        while not (self._lines or self._ended):
            await self._typed(await self._console.source.read())
        return self._lines.popleft() if self._lines else None

    async def _prompt_again(self) -> None:
        if (front := self.shells.front) and front.marks.place is Place.PROMPT:
            await self._console.output.program(front.marks.prompt)

    async def _in_another_shell(self, line: str) -> None:
        await self._start_shell("")
        if line.strip() and self.shells.front:
            self._lines.appendleft(line)  # For its first prompt.

    # Whole lines.

    def _ready(self) -> bool:
        front = self.shells.front
        return front is None or front.marks.place is not Place.RUNNING or self._quiet

    async def _work(self) -> None:
        """Hand in the lines that came, as long as there is somebody who reads them."""
        while self._lines and self._leave is None and self._ready():
            await self._line(self._lines.popleft())
        if self._ended and not self._lines and self._leave is None and self._ready():
            await self._session.check_now()
            await self.news()
            self._leave = Leave.QUIT

    async def _line(self, line: str) -> None:
        word, front = _WORD.fullmatch(line), self.shells.front
        if word and word[1] in self._commands.names and self._is_ours(word):
            await self._take_out(line, f"{word[1]} {word[2]}")
        elif front is None:
            await self._in_another_shell(line)
        else:
            front.send(line)
        self._quiet = False

    def _is_ours(self, word: re.Match[str]) -> bool:
        """A bash at its prompt says it itself; what somebody predicts in own words is no command, though."""
        place = self.shells.front.marks.place if self.shells.front else Place.RUNNING
        return place is Place.RUNNING or (place is Place.PROMPT and word[1] == "predict" and bool(word[2]))

    async def _take_out(self, line: str, text: str) -> None:
        front = self.shells.front
        if front and front.marks.place is Place.PROMPT:
            await self._console.tell([line])
        else:
            await self._between_lines()
        await self._commands.do(text)
        await self._prompt_again()

    async def _between_lines(self) -> None:
        if self.shells.front and not self.shells.front.marks.at_line_start:
            await self._console.tell([""])

    # What the lab says.

    def _may_tell(self) -> bool:
        front = self.shells.front
        if front is None:
            return True
        if front.marks.place is Place.PROMPT:
            return not self._console.interactive or front.typed_at != front.marks.prompts
        return front.marks.place is Place.RUNNING and front.marks.at_line_start and front.takes_lines

    def heard(self) -> None:
        self._seen = self._session.view

    async def news(self) -> None:
        before, self._seen = self._seen, self._session.view
        teller, untold, self._untold = self._console.teller, self._untold, []
        lines = [line for text in untold for line in teller.say(text)]
        if lines := [*lines, *teller.news(before, self._seen)]:
            await self._between_lines()
            await self._console.tell(lines)
            if self.shells.front and not self.shells.front.marks.at_line_start:
                await self._prompt_again()
