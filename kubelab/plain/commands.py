"""The words for the lab within a lesson, and what each does.

Every word is in English in both languages, as commands are; what it says is in the learner's.
"""

from collections.abc import Awaitable, Callable, Container
from enum import Enum, auto
from typing import Protocol

from kubelab.cluster.errors import LabError
from kubelab.language import LANGUAGES, Text
from kubelab.lessons.located import suggestion
from kubelab.lessons.reading import Reading
from kubelab.lessons.session import Session
from kubelab.lessons.view import Mode, PredictionView
from kubelab.plain import words
from kubelab.plain.console import Console
from kubelab.plain.difference import ALL, KINDS, difference_sentences
from kubelab.plain.port import LabPort
from kubelab.plain.prediction import letters, meant
from kubelab.plain.shell import INTERRUPT, Shell
from kubelab.plain.shells import SHELLS_MAX, Shells
from kubelab.plain.state import state_sentences
from kubelab.plain.waits import Waits

WAIT_S = 30
_YES = ("yes", "y", "sí", "si", "s")
_OF_THE_LIVE_STATE = frozenset(
    ("check", "wait", "state", "reset", "predict", "changed", "shells", "shell", "solve", "skip")
)
_HELP = frozenset(("hint", "solve", "skip"))


class Leave(Enum):
    HOME = auto()
    QUIT = auto()


class Talk(Protocol):
    """What the words need of the conversation in which they are said."""

    @property
    def shells(self) -> Shells: ...

    async def news(self) -> None:
        """Tell what is new in the view."""

    def heard(self) -> None:
        """What the view says by now is known: it is no news any more."""

    async def recall_input(self) -> None:
        """Leave what is typed from now on to somebody else."""

    async def read_line(self) -> str | None:
        """Return the learner's next line, whoever reads otherwise; None at the end."""

    async def open_shell(self, machine: str) -> None: ...

    async def show_shell(self, shell: Shell) -> None: ...

    async def close_shells(self) -> None: ...

    def leave(self, where: Leave) -> None: ...


class Commands:
    def __init__(self, session: Session | Reading, port: LabPort, console: Console, talk: Talk) -> None:
        self._session = session
        self._port = port
        self._console = console
        self._talk = talk
        self._unconfirmed = ""  # The word that waits to be said again.
        self._words: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "hint": self._hint,
            "check": self._check,
            "wait": self._wait,
            "next": self._next,
            "back": self._back,
            "text": self._text,
            "predict": self._predict,
            "changed": self._changed,
            "state": self._state,
            "shells": self._shells,
            "shell": self._shell,
            "reset": self._reset,
            "solve": self._solve,
            "skip": self._skip,
            "lang": self._lang,
            "home": self._home,
            "quit": self._quit,
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._words)

    async def do(self, text: str) -> None:
        """Carry out a word, after a look at the live state: what was reached before it counts before it."""
        name, _, argument = text.strip().partition(" ")
        if name not in self._words:
            await self.unknown(text)
            return
        await self._session.check_now()
        await self._talk.news()
        if name in _OF_THE_LIVE_STATE and isinstance(self._session, Reading):
            await self._console.say(words.READING)
        elif name in _HELP and self._session.view.mode is Mode.TEST_OUT:
            await self._console.say(words.NOT_IN_A_TEST)
        else:
            await self._carry_out(name, argument.strip())

    async def _carry_out(self, name: str, argument: str) -> None:
        try:
            await self._words[name](argument)
        except LabError as error:
            await self._console.complain(error)
        if name not in ("solve", "skip"):
            self._unconfirmed = ""

    async def unknown(self, text: str) -> None:
        name = text.strip().split(" ")[0]
        hint = suggestion(name, self._words)
        await self._console.say(
            Text(
                words.UNKNOWN.es.format(word=name, hint=hint.es),
                words.UNKNOWN.en.format(word=name, hint=hint.en),
            )
        )

    @property
    def _live(self) -> Session:
        assert isinstance(self._session, Session)
        return self._session

    async def _help(self, _: str) -> None:
        await self._console.say(words.HELP)
        if self._console.interactive:
            await self._console.say(words.ANYWHERE)

    # The step.

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
        interrupted = await self._interrupted(seconds)
        await self._talk.news()
        if not self._session.view.step.passed:
            in_vain = words.WAIT_INTERRUPTED if interrupted else words.WAITED_IN_VAIN
            await self._console.say(in_vain.format(seconds=seconds))

    async def _interrupted(self, seconds: float) -> bool:
        """Wait until the step is passed, at most so long; tell whether Ctrl+C ended that."""
        await self._talk.recall_input()
        waits = Waits()
        waits.start("passed", self._passed)
        if self._console.interactive:
            await self._say_that_we_wait(seconds)
            waits.start("interrupt", self._interrupt_key)
        try:
            return "interrupt" in await waits.first(seconds)
        finally:
            await waits.stop_all()

    async def _say_that_we_wait(self, seconds: float) -> None:
        """From then on Ctrl+C is for us, and no longer for what the shell may still do."""
        if not self._session.view.step.passed:
            await self._console.say(words.WAITING.format(seconds=seconds))

    async def _interrupt_key(self) -> None:
        """Return once Ctrl+C is typed; other keys are for the shell, later."""
        source, keys = self._console.source, b""
        try:
            while INTERRUPT not in keys and (data := await source.read()):
                keys += data
        finally:
            before, interrupt, after = keys.partition(INTERRUPT)
            source.keep(after if interrupt else before)

    async def _passed(self) -> None:
        async for view in self._session.changes():
            if view.step.passed:
                return

    async def _next(self, _: str) -> None:
        if self._session.view.index + 1 < len(self._session.view.steps):
            self._session.next()
            await self._at_another_step()
        else:
            await self._console.say(words.LAST_STEP)

    async def _back(self, _: str) -> None:
        if self._session.view.index:
            self._session.previous()
            await self._at_another_step()
        else:
            await self._console.say(words.FIRST_STEP)

    async def _at_another_step(self) -> None:
        """Read the step. The prompt comes when it is set up: what was done before would not count."""
        await self._text("")
        if isinstance(self._session, Session):
            await self._telling_meanwhile(self._session.begun)

    async def _text(self, _: str) -> None:
        self._talk.heard()
        await self._console.tell(self._console.teller.step(self._session.view))

    async def _reset(self, _: str) -> None:
        await self._talk.close_shells()
        await self._telling_meanwhile(self._live.reset)
        self._talk.heard()
        await self._console.say(words.RESET_DONE)
        await self._talk.open_shell("")

    async def _telling_meanwhile(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do what takes a while, and tell what happens until it is done."""
        waits, changes = Waits(), self._session.changes()
        waits.start("work", work)
        try:
            done: Container[object] = ()
            while "work" not in done:
                waits.start("change", changes.__anext__)
                done = await waits.first(None)
                await self._talk.news()
        finally:
            await waits.stop_all()

    # The question.

    async def _predict(self, argument: str) -> None:
        prediction = self._session.view.step.prediction
        if prediction is None:
            await self._console.say(words.NO_QUESTION)
        elif prediction.outcome:
            await self._console.say(words.ANSWERED_ALREADY)
        else:
            await self._answer(prediction, argument or await self._asked(prediction))

    async def _asked(self, prediction: PredictionView) -> str:
        await self._console.tell(self._console.teller.asked(prediction))
        await self._console.say(words.ANSWER_ASKED)
        return (await self._talk.read_line() or "").strip()

    async def _answer(self, prediction: PredictionView, said: str) -> None:
        answer = meant(prediction, said)
        if not said or "\x03" in said:
            await self._console.say(words.NO_ANSWER)
        elif answer is None:
            await self._console.say(words.WHICH_CHOICE.format(word=said, letters=letters(prediction)))
        else:
            self._live.predict(answer)
            answered = self._session.view.step.prediction or prediction
            told = self._console.teller.answer(answered)
            await self._console.say(words.PREDICTED.format(answer=told))

    # The live state.

    async def _changed(self, kind: str) -> None:
        if kind not in ("", ALL, *KINDS):
            await self._console.say(words.CHANGE_KINDS.format(kinds=", ".join(KINDS)))
            return
        await self._console.say(*difference_sentences(self._live.what_changed(), kind))

    async def _state(self, _: str) -> None:
        snapshots = self._port.snapshots()
        shell = self._talk.shells.front
        machine = shell.machine if shell else self._live.machine.name
        await self._console.say(*state_sentences(await anext(snapshots), machine))

    # The shells.

    async def _shells(self, _: str) -> None:
        lines = [self._line(shell) for shell in self._talk.shells.open]
        await self._console.say(*(lines or (words.NO_SHELL,)))
        machines = ", ".join(self._live.shell_machines())
        await self._console.say(words.SHELL_PLACES.format(machines=machines))

    def _line(self, shell: Shell) -> Text:
        sentence = words.SHELL_LINE_NEWS if shell.has_news else words.SHELL_LINE
        if shell is self._talk.shells.front:
            sentence = words.SHELL_LINE_FRONT
        return sentence.format(number=shell.number, machine=shell.machine)

    async def _shell(self, argument: str) -> None:
        machine, shell = self._which_shell(argument)
        if shell and shell is self._talk.shells.front:
            await self._console.say(words.SHELL_SAME.format(number=shell.number, machine=shell.machine))
        elif shell:
            await self._talk.show_shell(shell)
        elif machine is None:
            await self._console.say(words.SHELL_MEANT.format(word=argument))
        elif len(self._talk.shells.open) >= SHELLS_MAX:
            await self._console.say(words.SHELLS_FULL.format(count=SHELLS_MAX))
        else:
            await self._talk.open_shell(machine)

    def _which_shell(self, argument: str) -> tuple[str | None, Shell | None]:
        """Return on which machine to open one, or which open one is meant; neither if there is none such."""
        shells, (name, _, new) = self._talk.shells, argument.partition(" ")
        if name.isdecimal():
            return None, shells.numbered(int(name))
        if name == "new":
            return shells.front.machine if shells.front else "", None
        if name not in self._live.shell_machines():
            return None, None
        return name, None if new.strip() == "new" else shells.on(name)

    # The solution.

    async def _solve(self, argument: str) -> None:
        if self._session.view.step.passed:
            await self._console.say(words.PASSED_ALREADY)
        elif await self._confirmed("solve", argument):
            await self._telling_meanwhile(self._live.fast_forward)

    async def _skip(self, argument: str) -> None:
        if not self._session.view.step.passed:
            if not await self._confirmed("skip", argument):
                return
            await self._telling_meanwhile(self._live.fast_forward)
        if not self._session.view.finished:
            await self._next("")

    async def _confirmed(self, word: str, argument: str) -> bool:
        if argument.casefold() in _YES or self._unconfirmed == word:
            self._unconfirmed = ""
            return True
        self._unconfirmed = word
        await self._console.say(words.CONFIRM.format(word=word))
        return False

    # The conversation.

    async def _lang(self, argument: str) -> None:
        for language in LANGUAGES:
            if argument == language:
                self._console.language = self._session.language = language
                self._port.remember_language(language)
                await self._console.say(words.LANGUAGE)
                return
        await self._console.say(words.LANGUAGE_MEANT)

    async def _home(self, _: str) -> None:
        self._talk.leave(Leave.HOME)

    async def _quit(self, _: str) -> None:
        self._talk.leave(Leave.QUIT)
