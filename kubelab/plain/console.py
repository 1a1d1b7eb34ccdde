"""The learner's side of the conversation: where it is read from and told to, in which language."""

import os
from collections.abc import Iterable

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import WindowSize
from kubelab.language import Language, Text
from kubelab.plain.streams import Input, Output
from kubelab.plain.telling import Teller

COLUMNS = 80
COLUMNS_OFF_THE_TERMINAL = 1000  # The shell's line editor must not scroll sideways in what a pipe records.
PROMPT = "kubelab> "


class Console:
    """`interactive`: keys come one by one from a terminal; else whole lines come from somewhere."""

    def __init__(self, language: Language, source: Input, output: Output) -> None:
        self.language = language
        self.source = source
        self.output = output
        self.interactive = os.isatty(source.fd) and os.isatty(output.fd)

    @property
    def teller(self) -> Teller:
        return Teller(self.language, self.size().columns if os.isatty(self.output.fd) else None)

    @property
    def term(self) -> str:
        """TERM for the lesson's shell; without a terminal nobody could carry out what others mean."""
        return (os.environ.get("TERM") or "dumb") if self.interactive else "dumb"

    def size(self) -> WindowSize:
        if not os.isatty(self.output.fd):
            return WindowSize(columns=COLUMNS_OFF_THE_TERMINAL)
        size = os.get_terminal_size(self.output.fd)
        return WindowSize(rows=size.lines or 24, columns=size.columns or COLUMNS)

    async def tell(self, lines: Iterable[str]) -> None:
        await self.output.lines(lines)

    async def say(self, *texts: Text) -> None:
        await self.tell(line for text in texts for line in self.teller.say(text))

    async def complain(self, error: LabError) -> None:
        sentence = error.sentence
        await self.say(sentence if isinstance(sentence, Text) else Text(sentence, sentence))

    async def ask(self) -> str | None:
        """Return the learner's next line; None at the end of input. Who types sees a prompt."""
        typed = os.isatty(self.source.fd)
        if typed:
            await self.output.prompt(PROMPT)
        line = None if self.output.gone else await self.source.line()
        if line is None and typed:
            await self.tell([""])
        return line
