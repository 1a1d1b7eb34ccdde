"""The lesson screen: the step's text, a real shell, the live state; steps tick themselves off.

All keys are the shell's while it has the focus, but the function keys F1 to F10.
"""

import contextlib
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.worker import Worker, WorkerCancelled

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Process, WindowSize
from kubelab.language import Text
from kubelab.lessons.view import LessonEntry, LessonView, Verdict, sentence_of
from kubelab.ui import words
from kubelab.ui.cluster_picture import cluster_picture
from kubelab.ui.key_bar import Key
from kubelab.ui.lab_screen import COLUMNS_WIDE, ROWS_TALL, LabScreen
from kubelab.ui.layout import FOCUS_ORDER, Pane, next_focus, visible_panes
from kubelab.ui.line_view import LineView
from kubelab.ui.picture import Line, Span, fitted, spread
from kubelab.ui.port import LessonSession, Place
from kubelab.ui.process_picture import process_picture
from kubelab.ui.step_pane import StepPane
from kubelab.ui.terminal import TerminalPane

if TYPE_CHECKING:
    from textual.timer import Timer

SPARKLES = "✧", "✦", "✶", "✦"
SPARKLE_S = 0.15
CELEBRATION_TICKS = 10

_SCORE: dict[Verdict, Span] = {
    Verdict.PASSED: ("✓", "good"),
    Verdict.NOT_YET: ("…", "busy"),
    Verdict.CANNOT_CHECK: ("?", "bad"),
}


class StateView(LineView, can_focus=True):
    """The live state; it scrolls where it does not fit."""

    DEFAULT_CSS = "StateView { scrollbar-gutter: stable; padding: 0 0 0 1; }"


class LessonScreen(LabScreen):
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    LessonScreen #top { height: 1; background: $panel; dock: top; padding: 0 1; }
    LessonScreen #top.-celebrates { background: $celebration; }
    LessonScreen #opening { padding: 1 2; }
    LessonScreen #stage { display: none; height: 1fr; }
    LessonScreen.-open #stage { display: block; }
    LessonScreen.-open #opening { display: none; }
    LessonScreen #upper { height: 1fr; }
    LessonScreen .pane {
        border-top: solid $edge; border-title-color: $muted; border-subtitle-color: $warning;
        background: $background;
    }
    LessonScreen .pane:focus {
        border-top: heavy $primary; border-title-color: $primary; border-title-style: bold;
    }
    LessonScreen #text { height: 5fr; }
    LessonScreen #shell { height: 6fr; background: $shell; color: $shell-text; }
    LessonScreen #state { height: 10; }
    LessonScreen.-narrow.-short #state { dock: top; height: 45%; }
    LessonScreen.-tall #state { height: 14; }
    LessonScreen.-wide #upper { layout: horizontal; }
    LessonScreen.-wide #text { height: 100%; width: 9fr; }
    LessonScreen.-wide #shell { height: 100%; width: 11fr; }
    LessonScreen.-wide .pane { border: round $edge; }
    LessonScreen.-wide .pane:focus { border: heavy $primary; }
    LessonScreen.-zoomed #state { height: 100%; dock: top; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "app.help", priority=True, show=False),
        Binding("f2", "app.language", priority=True, show=False),
        Binding("f3", "hint", priority=True, show=False),
        Binding("f4", "previous", priority=True, show=False),
        Binding("f5", "next", priority=True, show=False),
        Binding("f6", "focus_pane", priority=True, show=False),
        Binding("f7", "state", priority=True, show=False),
        Binding("f8", "zoom", priority=True, show=False),
        Binding("f9", "check", priority=True, show=False),
        Binding("f10", "leave", priority=True, show=False),
        Binding("question_mark", "app.help", show=False),
        Binding("l", "app.language", show=False),
        Binding("h", "hint", show=False),
        Binding("p", "previous", show=False),
        Binding("n", "next", show=False),
        Binding("tab,shift+tab", "focus_pane", show=False),
        Binding("s", "state", show=False),
        Binding("z", "zoom", show=False),
        Binding("c", "check", show=False),
        Binding("r", "reset", show=False),
        Binding("q", "leave", show=False),
        Binding("escape", "cancel", show=False),
    ]
    KEYS: ClassVar = (
        Key("F1", words.KEY_HELP, "app.help"),
        Key("F2", words.KEY_LANGUAGE, "app.language"),
        Key("F3", words.KEY_HINT, "hint"),
        Key("F4", words.KEY_PREVIOUS, "previous"),
        Key("F5", words.KEY_NEXT, "next"),
        Key("F6", words.KEY_FOCUS, "focus_pane"),
        Key("F7", words.KEY_STATE, "state"),
        Key("F8", words.KEY_ZOOM, "zoom"),
        Key("F9", words.KEY_CHECK, "check", essential=False),
        Key("F10", words.KEY_HOME, "leave"),
    )

    def __init__(self, entry: LessonEntry) -> None:
        super().__init__()
        self.entry = entry
        self.session: LessonSession | None = None
        self._place: Place | None = None  # Kept: while a step is reset there may be no machine to ask.
        self._view: LessonView | None = None
        self._attendance: Worker[None] | None = None
        self._zoomed: Pane | None = None
        self._state_toggled = False
        self._celebration: Timer | None = None
        self._ticks = 0
        self._note: Text | None = None
        self._reset_asked = False
        self._left = False
        self.shell = TerminalPane(self._start_shell, heard=self._look_soon, id="shell")

    def contents(self) -> Iterable[Widget]:
        yield LineView(self._draw_top, id="top")
        yield LineView(self._draw_opening, id="opening")
        text, state = StepPane(id="text"), StateView(self._draw_state, id="state")
        for pane in (text, self.shell, state):
            pane.add_class("pane")
        yield Container(Container(text, self.shell, id="upper"), state, id="stage")

    def on_mount(self) -> None:
        self._attendance = self.run_worker(self._attend(), group="attendance")
        self.redraw()

    # The lesson's life.

    async def _attend(self) -> None:
        app = self.lab_app
        try:
            async with app.port.open_lesson(self.entry.id, app.language) as session:
                self.session, self._place = session, session.machine
                async for view in session.changes():
                    self._show(view)
        except LabError as error:
            app.complain(error)
            app.go_home(self)
        finally:
            self.session = None

    async def leave(self) -> None:
        """End the shell, then the session, each to its end."""
        await self.shell.end()
        if self._attendance:
            self._attendance.cancel()
            with contextlib.suppress(WorkerCancelled):
                await self._attendance.wait()

    async def _start_shell(self, size: WindowSize) -> Process:
        assert self.session  # The shell is seen, and started, only once there is a session.
        return await self.session.shell(size)

    def _look_soon(self) -> None:
        if self.session:
            self.session.look_soon()

    def on_key(self, event: events.Key) -> None:
        """While the lesson opens nothing has the focus: what is typed then is meant for the shell."""
        if event.key != "r":
            self._reset_asked = False  # "r r" is typed as one: no word that was meant for the shell does it.
        if self.focused is None and not self.shell.running and event.key != "escape":
            self.shell.on_key(event)

    # What is shown.

    def _show(self, view: LessonView) -> None:
        before, self._view = self._view, view
        if before is None:
            self._begin()
        elif before.index != view.index:
            self._reset_asked, self._note = False, None
            self._end_celebration()
        elif view.step.passed and not before.step.passed:
            self._celebrate(view)
        self.query_one(StepPane).show(view, self.lab_app.language)
        self._redraw_top()

    def _begin(self) -> None:
        self.add_class("-open")
        self._arrange()
        self._name_panes()
        if self._place:
            self.call_after_refresh(self._begin_shell)

    def _begin_shell(self) -> None:
        if self.session:  # The learner may have left already.
            self.shell.focus()
            self.shell.restart()

    def redraw(self) -> None:
        super().redraw()
        if self.session:
            self.session.language = self.lab_app.language
        if self._view:
            self.query_one(StepPane).show(self._view, self.lab_app.language)
        self._name_panes()
        self.lab_changed()

    def lab_changed(self) -> None:
        self._redraw_top()
        self.query_one("#opening" if self.session is None else "#state", LineView).redraw()

    def _redraw_top(self) -> None:
        self.query_one("#top", LineView).redraw()

    def _name_panes(self) -> None:
        machine = self._place.name if self._place else ""
        names = {"text": words.TEXT, "state": words.STATE, "shell": words.SHELL.format(machine=machine)}
        room = (
            "" if self.app.size.width >= COLUMNS_WIDE else " "
        )  # A rule without corners needs air around its title.
        for pane, name in names.items():
            self.query_one(f"#{pane}").border_title = f"{room}{self.say(name)}{room}"
        self.shell.border_subtitle = self.say(words.HISTORY) if self.shell.in_history else None

    def _draw_top(self, width: int, height: int) -> list[Line]:
        title: Line = (("◆ ", "mark"), (self.say(self.entry.title), "strong"))
        if self._view is None:
            return [fitted(title, width)]
        left = self._celebration_line() or (*title, *self._step_line(self._view))
        return [spread(left, self._score(self._view), width)]

    def _step_line(self, view: LessonView) -> Line:
        n_of_count = self.say(words.STEP_OF.format(n=view.index + 1, count=len(view.steps)))
        dots: list[Span] = []
        for i, step in enumerate(view.steps):
            sign = "✓" if step.passed else "●" if i == view.index else "○"
            dots.append((sign, "good" if step.passed else "strong" if i == view.index else "muted"))
        note: Line = (("  " + self.say(self._note), "busy"),) if self._note else ()
        return ((f"  {n_of_count}  ", "plain"), *dots, *note)

    def _score(self, view: LessonView) -> Line:
        """How many checks are met, not yet met, and not checkable: also seen while the text is hidden."""
        verdicts = [check.verdict for check in view.step.checks]
        score: list[Span] = []
        for verdict, (sign, tone) in _SCORE.items():
            if count := verdicts.count(verdict):
                score.append((f" {sign}{count}", tone))
        return tuple(score)

    def _draw_opening(self, width: int, height: int) -> list[Line]:
        app = self.lab_app
        lines: list[Line] = [
            ((self.say(words.OPENING.format(title=self.say(self.entry.title))), "strong"),),
            (),
            *(
                ((("✓ ", "good") if phase.done else ("… ", "busy")), (self.say(phase.name), "plain"))
                for phase in app.phases
            ),
        ]
        if app.lab_failure:
            lines.append(((self.say(sentence_of(app.lab_failure)), "bad"),))
        elif not app.lab_ready:
            lines.append(((self.say(words.OPENING_WAITS), "muted"),))
        return [fitted(line, width) for line in [*lines, (), ((self.say(words.OPENING_CANCEL), "muted"),)]]

    def _draw_state(self, width: int, height: int) -> list[Line]:
        snapshot, language = self.lab_app.snapshot, self.lab_app.language
        if self._place and self._place.role == "scratch":
            for machine in snapshot.machines:
                if machine.name == self._place.name:
                    return process_picture(machine, width, language)
            return [((self.say(words.NOTHING_YET), "muted"),)]
        return cluster_picture(snapshot, width, height, language)

    # Celebration: a line at the top, gone with the next step.

    def _celebrate(self, view: LessonView) -> None:
        self._end_celebration()
        self._ticks = 0
        self.query_one("#top").add_class("-celebrates")
        self._celebration = self.set_interval(SPARKLE_S, self._sparkle, repeat=CELEBRATION_TICKS)

    def _sparkle(self) -> None:
        self._ticks += 1
        self._redraw_top()

    def _end_celebration(self) -> None:
        if self._celebration:
            self._celebration.stop()
            self._celebration = None
        self.query_one("#top").remove_class("-celebrates")

    def _celebration_line(self) -> Line:
        if self._celebration is None or self._view is None:
            return ()
        sparkle = SPARKLES[self._ticks % len(SPARKLES)]
        done = self._view.finished
        what = words.LESSON_PASSED if done else words.STEP_PASSED
        title = self._view.title if done else self._view.step.title
        then = words.LESSON_PASSED_NEXT if done else words.STEP_PASSED_NEXT
        said = self.say(what.format(title=self.say(title)))
        return ((f"{sparkle} {said} {sparkle} ", "good"), (f" {self.say(then)}", "strong"))

    # Layout.

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    def _visible(self) -> frozenset[Pane]:
        if self._view and not self._place:
            return frozenset({"text"})  # Open for reading.
        roomy = self.app.size.width >= COLUMNS_WIDE or self.app.size.height >= ROWS_TALL
        return visible_panes(roomy=roomy, state_toggled=self._state_toggled, zoomed=self._zoomed)

    def _arrange(self) -> None:
        visible = self._visible()
        self.set_class(self._zoomed is not None, "-zoomed")
        for pane in FOCUS_ORDER:
            self.query_one(f"#{pane}").display = pane in visible
        self.query_one("#upper").display = visible != {"state"}
        self._name_panes()
        if self._focused_pane() not in visible:
            self._focus(next_focus(visible, None))

    def _focused_pane(self) -> Pane | None:
        focused = self.focused.id if self.focused else None
        return cast("Pane", focused) if focused in ("text", "shell", "state") else None

    def _focus(self, pane: Pane) -> None:
        if self._view:
            self.query_one(f"#{pane}").focus()

    def on_terminal_pane_changed(self) -> None:
        self._name_panes()

    def on_terminal_pane_ended(self, event: TerminalPane.Ended) -> None:
        if not self.shell.ended:
            return  # A reset has started another one.
        if event.failure:
            self.shell.say(self.say(sentence_of(event.failure)))
        self.shell.say(self.say(words.SHELL_FAILED if event.failure else words.SHELL_ENDED))

    # Actions.

    def action_hint(self) -> None:
        if not (self.session and self._view):
            return
        self._show_text()
        step = self._view.step
        if step.hints_shown >= len(step.hints):
            self._say_on_top(words.NO_HINTS)
        self.session.hint()

    def action_next(self) -> None:
        if self.session and self._view:
            self._show_text()
            if self._view.index + 1 == len(self._view.steps):
                self._say_on_top(words.LAST_STEP)
            self.session.next()

    def action_previous(self) -> None:
        if self.session and self._view:
            self._show_text()
            if self._view.index == 0:
                self._say_on_top(words.FIRST_STEP)
            self.session.previous()

    def _show_text(self) -> None:
        """Whoever asks for a hint or another step wants to read it, whichever panes are shown."""
        if "text" not in self._visible():
            self._zoomed, self._state_toggled = None, False
            self._arrange()

    def _say_on_top(self, note: Text) -> None:
        self._note = note
        self._end_celebration()
        self._redraw_top()
        self.set_timer(4, lambda: self._unsay(note))

    def _unsay(self, note: Text) -> None:
        if self._note is note:
            self._note, self._reset_asked = None, False
            self._redraw_top()

    def action_focus_pane(self) -> None:
        self._focus(next_focus(self._visible(), self._focused_pane()))

    def action_state(self) -> None:
        self._zoomed = None
        self._state_toggled = not self._state_toggled
        self._arrange()

    def action_zoom(self) -> None:
        self._zoomed = None if self._zoomed else self._focused_pane() or "shell"
        self._arrange()

    def action_check(self) -> None:
        if self.session:
            self.run_worker(self._check(self.session), group="check", exclusive=True)

    async def _check(self, session: LessonSession) -> None:
        await self._attempt(session.check_now())
        self._say_on_top(words.CHECKED_NOW)

    def action_reset(self) -> None:
        if self.session and self._reset_asked:
            self.run_worker(self._reset(self.session), group="reset", exclusive=True)
        elif self.session:
            self._say_on_top(words.RESET_ASKS)
            self._reset_asked = True

    async def _reset(self, session: LessonSession) -> None:
        await self._attempt(session.reset())
        await self.shell.end()
        self.shell.forget()
        self.shell.restart()
        self._say_on_top(words.RESET_DONE)

    async def _attempt(self, action: Awaitable[None]) -> None:
        try:
            await action
        except LabError as error:
            self.lab_app.complain(error)

    def action_cancel(self) -> None:
        if self.session is None:
            self.lab_app.go_home(self)
        elif "shell" in self._visible():
            self._focus("shell")

    def action_leave(self) -> None:
        """Go home; asked again while that is under way, as the home screen would be asked: quit."""
        if self._left:
            self.lab_app.action_leave()
        else:
            self._left = True
            self.lab_app.go_home(self)
