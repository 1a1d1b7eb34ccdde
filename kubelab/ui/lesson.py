"""The lesson screen: the step's text, real shells, the live state; steps tick themselves off.

All keys are the shell's while it has the focus, but the function keys F1 to F12. What asks to be confirmed is
done by the same letter typed twice, or from the menu.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.worker import Worker, WorkerCancelled

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Process, WindowSize
from kubelab.language import Text
from kubelab.lessons.change import Change
from kubelab.lessons.view import LessonEntry, LessonView, Mode
from kubelab.ui import words
from kubelab.ui.cluster_picture import cluster_picture
from kubelab.ui.key_bar import Key
from kubelab.ui.lab_screen import LabScreen
from kubelab.ui.layout import (
    CLUSTER,
    FOCUS_ORDER,
    Pane,
    Panes,
    next_focus,
    room,
    sharing,
    turn_with,
    visible_panes,
)
from kubelab.ui.lesson_bar import LessonBar
from kubelab.ui.lesson_menu import lesson_entries, shell_entries
from kubelab.ui.line_view import LineView
from kubelab.ui.menu import MenuScreen
from kubelab.ui.opening import Opening
from kubelab.ui.picture import Line
from kubelab.ui.port import LessonSession, Place
from kubelab.ui.prediction import PredictionBox
from kubelab.ui.process_picture import process_picture
from kubelab.ui.shells import SHELLS_MAX, Shells
from kubelab.ui.state_panes import ChangesView, RaftPane, StateView
from kubelab.ui.step_pane import StepPane
from kubelab.ui.tabs import Tab, entitle, tabs_content

SHOWN_S = 0.03  # How long a view stays at the least; what comes meanwhile is shown as one.
_ASKS = {"r": words.RESET_ASKS, "d": words.FORWARD_ASKS, "o": words.START_OVER_ASKS}
_NAMES: dict[Pane, Text] = {
    "text": words.TEXT,
    "state": words.STATE,
    "raft": words.RAFT,
    "changes": words.CHANGES,
}


class LessonScreen(LabScreen):
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    LessonScreen #stage { display: none; height: 1fr; }
    LessonScreen #upper { height: 1fr; }
    LessonScreen .pane {
        border-top: solid $edge; border-title-color: $muted; border-subtitle-color: $warning;
        background: $background;
    }
    LessonScreen .pane:focus, LessonScreen .pane.-within {
        border-top: heavy $primary; border-title-color: $primary; border-title-style: bold;
    }
    LessonScreen #text { height: 5fr; }
    LessonScreen #shell { height: 6fr; }
    LessonScreen TerminalPane { background: $shell; color: $shell-text; }
    LessonScreen #lower { height: 10; layout: horizontal; }
    LessonScreen #lower > * { width: 1fr; height: 100%; }
    LessonScreen #lower.-both #changes { width: 54; }
    LessonScreen.-narrow.-short #lower { dock: top; height: 45%; }
    LessonScreen.-tall #lower { height: 14; }
    LessonScreen.-wide #upper { layout: horizontal; }
    LessonScreen.-wide #text { height: 100%; width: 9fr; }
    LessonScreen.-wide #shell { height: 100%; width: 11fr; }
    LessonScreen.-wide .pane { border: round $edge; }
    LessonScreen.-wide .pane:focus, LessonScreen.-wide .pane.-within { border: heavy $primary; }
    LessonScreen.-zoomed #lower { height: 100%; dock: top; }
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
        Binding("f11", "next_shell", priority=True, show=False),
        Binding("f12", "menu", priority=True, show=False),
        Binding("question_mark", "app.help", show=False),
        Binding("l", "app.language", show=False),
        Binding("h", "hint", show=False),
        Binding("p", "previous", show=False),
        Binding("n", "next", show=False),
        Binding("tab,shift+tab", "focus_pane", show=False),
        Binding("s", "state", show=False),
        Binding("w", "changes", show=False),
        Binding("f", "raft", show=False),
        Binding("z", "zoom", show=False),
        Binding("v", "check", show=False),
        Binding("t", "next_shell", show=False),
        Binding("d", "forward", show=False),
        Binding("r", "reset", show=False),
        Binding("o", "start_over", show=False),
        Binding("m", "menu", show=False),
        Binding("q", "leave", show=False),
        Binding("escape", "cancel", show=False),
    ]
    KEYS: ClassVar = (
        Key("F1", words.KEY_HELP, "app.help"),
        Key("F2", words.KEY_LANGUAGE, "app.language", rank=3),
        Key("F3", words.KEY_HINT, "hint"),
        Key("F4", words.KEY_PREVIOUS, "previous"),
        Key("F5", words.KEY_NEXT, "next"),
        Key("F6", words.KEY_FOCUS, "focus_pane"),
        Key("F7", words.KEY_STATE, "state"),
        Key("F8", words.KEY_ZOOM, "zoom", rank=2),
        Key("F9", words.KEY_CHECK, "check", rank=4),
        Key("F10", words.KEY_HOME, "leave"),
        Key("F11", words.KEY_SHELL, "next_shell", rank=5),
        Key("F12", words.KEY_MENU, "menu"),
    )

    def __init__(self, entry: LessonEntry, mode: Mode = Mode.LEARN, *, again: bool = False) -> None:
        super().__init__()
        self.entry = entry
        self.mode = mode
        self._again = again
        self.session: LessonSession | None = None
        self._place: Place | None = None  # Kept: while a step is reset there may be no machine to ask.
        self._view: LessonView | None = None
        self._attendance: Worker[None] | None = None
        self._zoomed: Pane | None = None
        self._room = room(0, 0)
        self._turn = 0  # How often F7 was pressed.
        self._views: Sequence[Pane] = CLUSTER
        self._left = False
        self.shells = Shells(self._start_shell, heard=self._look_soon, id="shell")

    def keys(self) -> Sequence[Key]:
        """Only what does something: no hints in a test, no panes where there is only text to read."""
        if self._view is None:
            return [key for key in self.KEYS if key.key in ("F1", "F2", "F10")]
        useless = {"F3"} if self.mode is Mode.TEST_OUT else set()
        if len(self.shells.panes) < 2:
            useless.add("F11")
        if not self._place:
            useless |= {"F6", "F7", "F8", "F9"}
        return [key for key in self.KEYS if key.key not in useless]

    def contents(self) -> Iterable[Widget]:
        yield LessonBar(self.entry.title, self.mode, self.lab_app.language, id="top")
        yield Opening(self.entry.title, id="opening")
        text = StepPane(id="text", classes="pane")
        state = StateView(self._draw_state, id="state", classes="pane")
        raft = RaftPane(id="raft", classes="pane")
        changes = ChangesView(self._what_changed, id="changes", classes="pane")
        lower = Container(state, raft, changes, id="lower")
        yield Container(Container(text, self.shells, id="upper"), lower, id="stage")

    def on_mount(self) -> None:
        self._attendance = self.run_worker(self._attend(), group="attendance")
        self.redraw()

    @property
    def _bar(self) -> LessonBar:
        return self.query_one(LessonBar)

    @property
    def _text(self) -> StepPane:
        return self.query_one(StepPane)

    @property
    def _changes(self) -> ChangesView:
        return self.query_one(ChangesView)

    # The lesson's life.

    async def _attend(self) -> None:
        app = self.lab_app
        try:
            lesson = app.port.open_lesson(self.entry.id, app.language, self.mode, again=self._again)
            async with lesson as session:
                self.session, self._place = session, session.machine
                async for view in session.changes():
                    self._show(view)
                    await asyncio.sleep(SHOWN_S)
        except LabError as error:
            app.complain(error)
            app.go_home(self)
        finally:
            self.session = None

    async def leave(self) -> None:
        """End the shells, then the session, each to its end."""
        await self.shells.end()
        if self._attendance:
            self._attendance.cancel()
            with contextlib.suppress(WorkerCancelled):
                await self._attendance.wait()

    async def _start_shell(self, size: WindowSize, machine: str) -> Process:
        if self.session is None:  # The lesson was left before its shell had a size to start with.
            raise LabError(_LEFT)
        return await self.session.shell(size, machine)

    def _look_soon(self) -> None:
        if self.session:
            self.session.look_soon()

    def _what_changed(self) -> Sequence[Change]:
        return self.session.what_changed() if self.session else ()

    def on_key(self, event: events.Key) -> None:
        """While the lesson opens nothing has the focus: what is typed then is meant for the shell."""
        # "r r" is typed as one: no word that was meant for the shell does it.
        self._bar.unsay(*(ask for letter, ask in _ASKS.items() if letter != event.key))
        first = self.shells.active
        if self.focused is None and not first.running and event.key != "escape":
            first.on_key(event)

    # What is shown.

    def _show(self, view: LessonView) -> None:
        before, self._view = self._view, view
        if before is None:
            self._begin()
        elif before.index != view.index:
            self._changes.begin_again()
        self._text.show(view, self.lab_app.language)
        self._bar.show(view)

    def _begin(self) -> None:
        self.query_one("#stage").display = True  # Classes would have every widget styled again.
        self.query_one(Opening).end()
        self._look_at_raft()
        self._arrange()
        if self._place:
            self.call_after_refresh(self._begin_shell)

    def _begin_shell(self) -> None:
        if self.session and self._place:  # The learner may have left already.
            self.shells.begin(self._place.name)
            self._name_panes()

    def redraw(self) -> None:
        super().redraw()
        if self.session:
            self.session.language = self.lab_app.language
        self._bar.language = self.lab_app.language
        if self._view:
            self._text.show(self._view, self.lab_app.language)
        self._changes.redraw()
        self.query_one(RaftPane).redraw()
        self._name_panes()
        self.lab_changed()

    def lab_changed(self) -> None:
        self._bar.redraw()
        self.query_one("#opening" if self.session is None else "#state", LineView).redraw()
        if self._look_at_raft() and self._view:
            self._arrange()

    def _look_at_raft(self) -> bool:
        """Show the store's members of now; where there are several, they are one more view from then on, in a
        lesson on several masters the first. Return whether they have become one."""
        raft = self.query_one(RaftPane)
        raft.show(self.lab_app.snapshot.store)
        of_cluster = self._place is not None and self._place.role != "scratch"
        if "raft" in self._views or not (raft.has_picture and of_cluster):
            return False
        self._views = ("raft", *CLUSTER) if self.entry.masters > 1 else (*CLUSTER, "raft")
        return True

    def _draw_state(self, width: int, height: int) -> list[Line]:
        snapshot, language = self.lab_app.snapshot, self.lab_app.language
        if self._place and self._place.role == "scratch":
            for machine in snapshot.machines:
                if machine.name == self._place.name:
                    return process_picture(machine, width, language)
            return [((self.say(words.NOTHING_YET), "muted"),)]
        return cluster_picture(snapshot, width, height, language)

    def _name_panes(self) -> None:
        wide = self.has_class("-wide")
        for pane in _NAMES:
            entitle(self.query_one(f"#{pane}"), tabs_content(self._tabs(pane)), wide=wide)
        self.shells.redraw()
        super().redraw()  # The key bar: another shell has come or gone.

    def _tabs(self, pane: Pane) -> list[Tab]:
        """Return the names of *pane* and of those that F7 shows in its place."""
        panes = sharing(self._room, self._views) if self._place else ()
        named = panes if pane in panes else (pane,)
        return [Tab(self._tab(each), f"screen.show_pane('{each}')", open=each == pane) for each in named]

    def _tab(self, pane: Pane) -> str:
        name = self.say(_NAMES[pane])
        score = self._changes.score if pane == "changes" and pane in self._visible() else ""
        return f"{name} {score}".rstrip()

    def on_changes_view_counted(self) -> None:
        self._name_panes()

    # Layout.

    def on_resize(self, event: events.Resize) -> None:
        present = room(*self.app.size)
        if present != self._room:
            self._room, self._turn = present, 0
        self._arrange()

    def _visible(self) -> Panes:
        if self._view and not self._place:
            return frozenset({"text"})  # Open for reading.
        return visible_panes(self._room, self._turn, self._zoomed, self._views)

    def _arrange(self) -> None:
        visible = self._visible()
        self.set_class(self._zoomed is not None, "-zoomed")
        for pane in FOCUS_ORDER:
            self.query_one(f"#{pane}").display = pane in visible
        self.query_one("#upper").display = bool(visible & {"text", "shell"})
        self.query_one("#lower").display = bool(visible & {"state", "raft", "changes"})
        self.query_one("#lower").set_class(
            "changes" in visible and bool(visible & {"state", "raft"}), "-both"
        )
        self._name_panes()
        self.call_after_refresh(self._changes.follow, seen="changes" in visible)
        if self._focused_pane() not in visible:
            self._focus(next_focus(visible, None))

    def _focused_pane(self) -> Pane | None:
        inside = self.focused.ancestors_with_self if self.focused else ()
        return next((node.id for node in inside if node.id in FOCUS_ORDER), None)

    def _focus(self, pane: Pane) -> None:
        if self._view:  # At once: `Widget.focus` comes later, and the next key may ask where the focus is.
            self.set_focus(self.shells.active if pane == "shell" else self.query_one(f"#{pane}"))

    def _bring(self, pane: Pane) -> None:
        """Have *pane* seen, whichever panes are: who asks for a hint wants to read the text."""
        if pane not in self._visible():
            self._zoomed, self._turn = None, turn_with(pane, self._room, self._turn, self._views)
            self._arrange()

    # Actions: reading.

    def action_hint(self) -> None:
        if not (self.session and self._view):
            return
        self._bring("text")
        step = self._view.step
        if self.mode is Mode.TEST_OUT:
            self._bar.say(words.TEST_HAS_NO_HINTS)
            return
        if step.hints_shown >= len(step.hints):
            self._bar.say(words.NO_HINTS)
        self.session.hint()

    def action_next(self) -> None:
        if self.session and self._view:
            self._bring("text")
            if self._view.index + 1 == len(self._view.steps):
                self._bar.say(words.LAST_STEP)
            self.session.next()

    def action_previous(self) -> None:
        if self.session and self._view:
            self._bring("text")
            if self._view.index == 0:
                self._bar.say(words.FIRST_STEP)
            self.session.previous()

    def action_answer(self) -> None:
        self._bring("text")
        self._text.seek_prediction()

    def action_predict(self, index: int) -> None:
        self._text.prediction.choose(index)

    def on_prediction_box_predicted(self, event: PredictionBox.Predicted) -> None:
        if self.session:
            self.session.predict(event.answer)
        if self._focused_pane() == "text" and "shell" in self._visible():
            self._focus("shell")  # What is typed next is a command; here its letters would be keys.

    # Actions: panes.

    def action_focus_pane(self) -> None:
        if self._zoomed:  # The next pane takes its place: there is no other one to see.
            unzoomed = visible_panes(self._room, self._turn, None, self._views)
            self._zoomed = next_focus(unzoomed, self._zoomed)
            self._arrange()
        self._focus(next_focus(self._visible(), self._focused_pane()))

    def action_state(self) -> None:
        self._zoomed = None
        self._turn += 1
        self._arrange()

    def action_changes(self) -> None:
        self.action_show_pane("changes")

    def action_raft(self) -> None:
        self.action_show_pane("raft")

    def action_show_pane(self, pane: Pane) -> None:
        if self._place and (pane != "raft" or pane in self._views):
            self._bring(pane)
            self._focus(pane)

    def action_zoom(self) -> None:
        self._zoomed = None if self._zoomed else self._focused_pane() or "shell"
        self._arrange()

    def action_cancel(self) -> None:
        if self.session is None:
            self.lab_app.go_home(self)
        elif "shell" in self._visible():
            self._focus("shell")

    # Actions: shells.

    def action_next_shell(self) -> None:
        self._bring("shell")
        self.shells.next()
        self._focus("shell")

    def action_show_shell(self, index: int) -> None:
        self.shells.show(index)
        self._focus("shell")

    def action_choose_machine(self) -> None:
        if self.session:
            entries = shell_entries(self.session.shell_machines())
            self.app.push_screen(MenuScreen(words.MENU_SHELLS_TITLE, entries))

    def action_new_shell(self, machine: str) -> None:
        if self.shells.full:
            self._bar.say(words.SHELLS_FULL.format(n=SHELLS_MAX))
        elif self.session:
            self._bring("shell")
            self.run_worker(self._open_shell(machine), group="shells")

    async def _open_shell(self, machine: str) -> None:
        await self.shells.open(machine)
        self._focus("shell")

    def on_shells_moved(self) -> None:
        self._name_panes()

    # Actions: the lesson.

    def action_menu(self) -> None:
        if self.session and self._view:
            machines = self.session.shell_machines() if self._place else ()
            raft = "raft" in self._views
            entries = lesson_entries(self._view, machines, len(self.shells.panes), raft=raft)
            self.app.push_screen(MenuScreen(words.MENU, entries))

    def action_check(self) -> None:
        if self.session and self._place:
            self.run_worker(self._check(self.session), group="check", exclusive=True)

    async def _check(self, session: LessonSession) -> None:
        await self._attempt(session.check_now())
        self._bar.say(words.CHECKED_NOW)

    def _confirmed(self, ask: Text, *, sure: bool) -> bool:
        """Ask once; whoever asks again while the question stands is sure."""
        sure = sure or self._bar.note is ask
        if sure:
            self._bar.unsay(ask)
        else:
            self._bar.say(ask)
        return sure

    def _free(self) -> LessonSession | None:
        """Return the session if it can be asked to do something that takes time."""
        return self.session if self._place and not self._bar.busy else None

    def action_reset(self, sure: bool = False) -> None:
        session = self._free()
        if session and self._confirmed(words.RESET_ASKS, sure=sure):
            self.run_worker(self._reset(session), group="work")

    async def _reset(self, session: LessonSession) -> None:
        self._bar.do(words.RESETTING)
        try:
            await self._attempt(session.reset())
            await self.shells.begin_again()
        finally:
            self._bar.do(None)
        self._changes.begin_again()
        self._bar.say(words.RESET_DONE)

    def action_forward(self, sure: bool = False) -> None:
        session = self._free()
        if not (session and self._view):
            return
        if self.mode is Mode.TEST_OUT:
            self._bar.say(words.TEST_HAS_NO_HINTS)
        elif self._view.step.passed:
            self._bar.say(words.PASSED_ALREADY)
        elif self._confirmed(words.FORWARD_ASKS, sure=sure):
            self.run_worker(self._forward(session), group="work")

    async def _forward(self, session: LessonSession) -> None:
        self._bar.do(words.FORWARDING)
        try:
            await self._attempt(session.fast_forward())
        finally:
            self._bar.do(None)

    def action_start_over(self, sure: bool = False) -> None:
        if self._free() and self._confirmed(words.START_OVER_ASKS, sure=sure):
            self.lab_app.reopen(self, self.mode, again=True)

    def action_test_out(self) -> None:
        if self._free():
            self.lab_app.reopen(self, Mode.TEST_OUT)

    def action_learn(self) -> None:
        if self._free():
            self.lab_app.reopen(self, Mode.LEARN)

    async def _attempt(self, action: Awaitable[None]) -> None:
        try:
            await action
        except LabError as error:
            self.lab_app.complain(error)

    def action_leave(self) -> None:
        """Go home; asked again while that is under way, as the home screen would be asked: quit."""
        if self._left:
            self.lab_app.action_leave()
        else:
            self._left = True
            self.lab_app.go_home(self)


_LEFT = Text(es="La lección se ha cerrado.", en="The lesson has been left.")
