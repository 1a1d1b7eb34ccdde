"""The terminal app: it holds what all screens share (language, the lab's state) and leads from one to the
other.

`run_app` is the entry, awaited on the lab's own event loop. The home screen is usable at once; the lab comes
up beside it. Leaving takes the lab down (`LabPort.close`) before the terminal is given back.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

# How long a lone Esc waits for the rest of a sequence. Textual's 100 ms are felt at each Esc in vim.
# Sequences arrive in one piece; for a slow line the variable can be set. Textual reads it when it is
# imported.
os.environ.setdefault("ESCDELAY", "25")

from textual.app import App
from textual.binding import BindingType
from textual.reactive import reactive

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.phases import Phase
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.language import Language
from kubelab.lessons.view import LessonEntry, Mode, TrackEntry, sentence_of
from kubelab.ui.driver import TerminalDriver
from kubelab.ui.home import HomeScreen
from kubelab.ui.lab_screen import LabScreen
from kubelab.ui.port import LabPort
from kubelab.ui.theme import PALETTE, RICH, SIXTEEN, theme_for

if TYPE_CHECKING:
    from kubelab.ui.lesson import LessonScreen

SNAPSHOT_S = 0.25  # At most four pictures a second.
FAREWELL_S = 1.0


class KubelabApp(App[None], inherit_bindings=False):
    """Textual's own bindings are not inherited: Ctrl+Q and Ctrl+P belong to the shell."""

    TITLE = "kubelab"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []

    language: reactive[Language] = reactive[Language]("en", init=False)

    def __init__(self, port: LabPort, language: Language) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.register_theme(RICH)
        self.register_theme(SIXTEEN)
        self.theme = theme_for(self.console.color_system).name
        self.ansi_theme_dark = PALETTE
        self.port = port
        self.set_reactive(KubelabApp.language, language)
        self.phases: tuple[Phase, ...] = ()
        self.lab_ready = False
        self.lab_failure: LabError | None = None
        self.snapshot = LabSnapshot()
        self._leaving = False

    def get_default_screen(self) -> LabScreen:
        return HomeScreen()

    def on_mount(self) -> None:
        self.run_worker(self._follow_start_up(), group="lab")
        self.run_worker(self._follow_snapshots(), group="lab")

    def catalog(self) -> Sequence[TrackEntry]:
        return self.port.catalog()

    # The lab's state.

    async def _follow_start_up(self) -> None:
        try:
            async for phase in self.port.start_up():
                others = tuple(known for known in self.phases if known.name != phase.name)
                before = next(
                    (i for i, known in enumerate(self.phases) if known.name == phase.name), len(others)
                )
                self.phases = (*others[:before], phase, *others[before:])
                self._lab_changed()
            self.lab_ready = True
        except LabError as error:
            self.lab_failure = error
        self._lab_changed()
        await asyncio.to_thread(_warm_up)

    async def _follow_snapshots(self) -> None:
        async for snapshot in self.port.snapshots():
            if snapshot != self.snapshot:
                self.snapshot = snapshot
                self._lab_changed()
            await asyncio.sleep(SNAPSHOT_S)

    def _lab_changed(self) -> None:
        below = self.screen_stack[-2:-1] if self.screen.is_modal else []  # It is seen behind a menu.
        for screen in (*below, self.screen):
            if isinstance(screen, LabScreen) and screen.is_mounted:
                screen.lab_changed()

    # Language.

    def action_language(self) -> None:
        self.language = "es" if self.language == "en" else "en"
        self.port.remember_language(self.language)

    def watch_language(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, LabScreen):
                screen.redraw()

    # From screen to screen. Screens that are not seen at once are imported when they are.

    def action_help(self) -> None:
        from kubelab.ui.help import HelpScreen

        self.push_screen(HelpScreen())

    def open_lesson(self, lesson_id: str, mode: Mode = Mode.LEARN, *, again: bool = False) -> None:
        from kubelab.ui.lesson import LessonScreen

        if not isinstance(self.screen, LessonScreen):  # Enter may be pressed twice.
            self.push_screen(LessonScreen(self._entry(lesson_id), mode, again=again))

    def reopen(self, screen: "LessonScreen", mode: Mode, *, again: bool = False) -> None:
        """Leave the lesson on *screen*, and enter it again in another way."""
        self.run_worker(self._reopen(screen, mode, again), group="leave")

    async def _reopen(self, screen: "LessonScreen", mode: Mode, again: bool) -> None:
        await self._go_home(screen)
        self.open_lesson(screen.entry.id, mode, again=again)

    def _entry(self, lesson_id: str) -> LessonEntry:
        return next(entry for track in self.catalog() for entry in track.lessons if entry.id == lesson_id)

    def go_home(self, screen: LabScreen) -> None:
        # Through the screen's own queue: one that is still being put together cannot be taken away.
        screen.call_later(self._start_for_home, screen)

    def _start_for_home(self, screen: LabScreen) -> None:
        self.run_worker(self._go_home(screen), group="leave")

    async def _go_home(self, screen: LabScreen) -> None:
        await screen.leave()
        while screen in self.screen_stack:
            await self.pop_screen()

    def complain(self, error: LabError) -> None:
        self.notify(sentence_of(error).in_(self.language), severity="error", timeout=12, markup=False)

    def action_leave(self) -> None:
        """Quit: leave the lesson, take the lab down, give the terminal back."""
        if not self._leaving:
            self._leaving = True
            self.run_worker(self._leave(), group="leave")

    async def _leave(self) -> None:
        farewell = self.set_timer(FAREWELL_S, self._say_farewell)
        for screen in reversed(self.screen_stack):
            if isinstance(screen, LabScreen):
                await screen.leave()
        self.workers.cancel_group(self, "lab")
        try:
            await self.port.close()
        finally:
            farewell.stop()
            self.exit()

    def _say_farewell(self) -> None:
        from kubelab.ui.farewell import FarewellScreen

        self.push_screen(FarewellScreen())


async def run_app(port: LabPort, language: Language) -> int:
    """Run the app until the learner quits; *port* is closed then. Cancelling asks it to quit, in good order.

    Returns the exit code: 0, or 1 after a bug of ours, whose traceback is on the terminal; *port* was not
    closed then, and the caller's own context managers take the lab down.
    """
    app = KubelabApp(port, language)
    running = asyncio.create_task(app.run_async())
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        app.call_later(app.action_leave)
        await running
        raise
    return app.return_code or 0


def _warm_up() -> None:
    """Import what a lesson needs while the learner chooses: 0.5 s, most of it cffi reading declarations."""
    import kubelab.ui.lesson
    import kubelab.ui.menu  # noqa: F401
    from kubelab.ui.emulator import Emulator
    from kubelab.ui.keyboard import KeyEncoder
    from kubelab.ui.mouse import MouseEncoder

    emulator = Emulator(8, 2, lambda reply: None)
    emulator.feed(b"\x1b[31mx")
    KeyEncoder().encode(emulator.handle, "a", "a")
    MouseEncoder().encode(emulator.handle, "left", 0, 0)
    list(emulator.dirty_rows())
    emulator.cursor()
