"""The home screen: tracks and lessons with their progress, and the lab as it comes up."""

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from kubelab.language import Text
from kubelab.lessons.view import LessonEntry, LessonStatus, Mode, TrackEntry, sentence_of
from kubelab.ui import words
from kubelab.ui.home_menu import home_entries, is_due, review_entries, review_title
from kubelab.ui.key_bar import Key
from kubelab.ui.lab_screen import LabScreen
from kubelab.ui.line_view import LineView
from kubelab.ui.menu import MenuScreen
from kubelab.ui.picture import Line, fitted

COURSE_COLUMNS = 18
MACHINES_IN_LINES = 4
MACHINE_COLUMNS = 36
_STATUS = {
    LessonStatus.NEW: ("○", "$muted", words.NEW),
    LessonStatus.STARTED: ("◐", "$warning", words.STARTED),
    LessonStatus.PASSED: ("✓", "$success", words.PASSED),
}


_DUE = "↻", "$warning", words.PASSED


class HomeScreen(LabScreen):
    DEFAULT_CSS = """
    HomeScreen #banner { height: 2; padding: 0 2; margin: 1 0 0 0; }
    HomeScreen #panes { height: 1fr; padding: 0 1; }
    HomeScreen .pane {
        border: round $edge; border-title-color: $primary; border-title-style: bold; padding: 0 1;
        background: $background;
    }
    HomeScreen #lessons { height: 1fr; scrollbar-size-vertical: 1; }
    HomeScreen #lessons:focus { border: round $primary; background-tint: $background 0%; }
    HomeScreen #lessons > .option-list--option-disabled { color: $foreground; text-style: bold; }
    HomeScreen #lab { height: auto; max-height: 10; }
    HomeScreen #missing { height: auto; max-height: 7; color: $warning; }
    HomeScreen.-wide #panes { layout: grid; grid-size: 2 2; grid-columns: 3fr 2fr; grid-rows: 1fr auto; }
    HomeScreen.-wide #lessons { row-span: 2; height: 100%; }
    HomeScreen.-wide #lab { height: 100%; max-height: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,question_mark", "app.help", show=False),
        Binding("f2,l", "app.language", show=False),
        Binding("f10,q,ctrl+c,ctrl+q", "app.leave", show=False),
        Binding("f12,m", "menu", show=False),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]
    KEYS: ClassVar = (
        Key("↑↓", words.KEY_CHOOSE, "down"),
        Key("Enter", words.KEY_OPEN, "open"),
        Key("F1", words.KEY_HELP, "app.help"),
        Key("F2", words.KEY_LANGUAGE, "app.language"),
        Key("F10", words.KEY_QUIT, "app.leave"),
        Key("F12", words.KEY_MENU, "menu"),
    )

    def contents(self) -> Iterable[Widget]:
        yield Static(id="banner")
        lessons = OptionList(id="lessons", classes="pane", markup=False)
        lab = LineView(self._draw_lab, id="lab", classes="pane")
        missing = VerticalScroll(Static(id="sentences", markup=False), id="missing", classes="pane")
        yield Container(lessons, lab, missing, id="panes")

    def on_mount(self) -> None:
        self.redraw()
        self._highlight(None)
        self.query_one("#lessons").focus()

    def on_screen_resume(self) -> None:
        if self.is_mounted:
            self.redraw()

    def redraw(self) -> None:
        super().redraw()
        self.query_one("#banner", Static).update(self._banner())
        self._list_lessons()
        self._list_missing()
        self.lab_changed()

    def _banner(self) -> Content:
        due = sum(is_due(entry) for entry in self._entries())
        text = words.ONE_TO_REVIEW if due == 1 else words.TO_REVIEW.format(n=due)
        return Content.from_markup(
            "[bold $primary]◆ kubelab[/][bold $warning]$due[/]\n[$muted]  $motto[/]",
            due=f"   {self.say(text)}" if due else "",
            motto=self.say(words.MOTTO),
        )

    def _entries(self) -> list[LessonEntry]:
        return [entry for track in self.lab_app.catalog() for entry in track.lessons]

    def lab_changed(self) -> None:
        lab = self.query_one("#lab", LineView)
        lab.border_title = self.say(words.LAB)
        if not self.has_class("-wide"):
            lab.styles.height = len(self._draw_lab(80, 0)) + 2
        else:
            lab.styles.height = None
        lab.redraw()

    def on_resize(self) -> None:
        self.call_after_refresh(self.lab_changed)
        self.call_after_refresh(self._list_lessons)

    def _list_lessons(self) -> None:
        lessons = self.query_one("#lessons", OptionList)
        lessons.border_title = self.say(words.LESSONS)
        highlighted = lessons.highlighted_option.id if lessons.highlighted_option else None
        lessons.clear_options()
        for track in self.lab_app.catalog():
            lessons.add_options(self._options(track))
        if not lessons.option_count:
            lessons.add_option(Option(self.say(words.NO_LESSONS), disabled=True))
        self._highlight(highlighted)

    def _options(self, track: TrackEntry) -> list[Option]:
        heading = Option(Content(self.say(track.title)), disabled=True)
        return [heading, *(Option(self._lesson(entry), id=entry.id) for entry in track.lessons)]

    def _lesson(self, entry: LessonEntry) -> Content:
        sign, colour, word = _DUE if is_due(entry) else _STATUS[entry.status]
        word = words.BY_TEST if entry.tested_out and entry.status is LessonStatus.PASSED else word
        width = max(20, self.query_one("#lessons").scrollable_content_region.width - 2)
        course = self.say(_course(entry))
        minutes = self.say(words.MINUTES.format(n=entry.minutes)).rjust(7)
        right = f"{self.say(word):>10}  {course:>{COURSE_COLUMNS}} {minutes}"
        title = self.say(entry.title)
        room = width - len(right) - 5
        title = title if cell_len(title) <= room else set_cell_size(title, room - 1) + "…"
        line = Content.from_markup(
            f"  [{colour}]$sign[/] $title[$muted]$right[/]",
            sign=sign,
            title=set_cell_size(title, room + 1),
            right=right,
        )
        if entry.missing:
            line += Content.from_markup("\n    [$warning]! $why[/]", why=self.say(entry.missing))
        return line

    def _highlight(self, lesson_id: str | None) -> None:
        """Keep the cursor where it was, or put it on the first lesson not yet passed."""
        entries = self._entries()
        if lesson_id is None and entries:
            unfinished = (entry for entry in entries if entry.status is not LessonStatus.PASSED)
            lesson_id = next(unfinished, entries[0]).id
        lessons = self.query_one("#lessons", OptionList)
        if lesson_id is not None:
            lessons.highlighted = lessons.get_option_index(lesson_id)

    def _list_missing(self) -> None:
        missing = self.query_one("#missing")
        sentences = self.lab_app.port.missing()
        missing.display = bool(sentences)
        missing.border_title = self.say(words.MISSING)
        lines = "\n".join(f"! {self.say(sentence)}" for sentence in sentences)
        self.query_one("#sentences", Static).update(lines)

    def _draw_lab(self, width: int, height: int) -> list[Line]:
        app = self.lab_app
        if app.lab_failure:
            failure = self.say(sentence_of(app.lab_failure))
            return [((self.say(words.LAB_FAILED), "bad"),), ((failure, "plain"),)]
        lines: list[Line] = [
            ((("✓ ", "good") if phase.done else ("… ", "busy")), (self.say(phase.name), "plain"))
            for phase in app.phases
        ]
        lines.append(
            ((self.say(words.LAB_READY), "good"),)
            if app.lab_ready
            else ((self.say(words.LAB_STARTS), "muted"),)
        )
        if app.lab_ready:
            lines = lines[-1:] + self._machines(width)
        return [fitted(line, width) for line in lines]

    def _machines(self, width: int) -> list[Line]:
        """Return a line for each machine; where they are many, as many in a line as have room."""
        ready = {node.name: node.ready for node in self.lab_app.snapshot.nodes}
        machines: list[Line] = [
            (
                (
                    "  ✓ " if ready.get(machine.name, True) else "  ✗ ",
                    "good" if ready.get(machine.name, True) else "bad",
                ),
                (machine.name.ljust(12), "strong"),
                (f" {machine.address}", "muted"),
            )
            for machine in self.lab_app.snapshot.machines
        ]
        per_row = max(1, width // MACHINE_COLUMNS) if len(machines) > MACHINES_IN_LINES else 1
        return [
            tuple(
                span for each in machines[start : start + per_row] for span in fitted(each, MACHINE_COLUMNS)
            )
            for start in range(0, len(machines), per_row)
        ]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        entry = self._entry(event.option_id)
        if entry and is_due(entry):
            self.app.push_screen(MenuScreen(review_title(entry), review_entries(entry)))
        elif entry:
            self.lab_app.open_lesson(entry.id)

    def _entry(self, lesson_id: str | None) -> LessonEntry | None:
        return next((entry for entry in self._entries() if entry.id == lesson_id), None)

    def action_menu(self) -> None:
        highlighted = self.query_one("#lessons", OptionList).highlighted_option
        entry = self._entry(highlighted.id if highlighted else None)
        self.app.push_screen(MenuScreen(words.MENU, home_entries(entry)))

    def action_enter(self, lesson_id: str, mode: str = Mode.LEARN, again: bool = False) -> None:
        self.lab_app.open_lesson(lesson_id, Mode(mode), again=again)

    def action_open(self) -> None:
        self.query_one("#lessons", OptionList).action_select()

    def action_down(self) -> None:
        self.query_one("#lessons", OptionList).action_cursor_down()

    def action_up(self) -> None:
        self.query_one("#lessons", OptionList).action_cursor_up()


def _course(entry: LessonEntry) -> Text:
    """Return how far the learner is, or, of a lesson that was passed, when it is worth doing again."""
    days = entry.review_in_days
    if entry.status is not LessonStatus.PASSED or days is None:
        return words.STEPS.format(passed=entry.steps_passed, n=entry.steps)
    if days <= 0:
        return words.REVIEW_NOW
    return words.REVIEW_TOMORROW if days == 1 else words.REVIEW_LATER.format(n=days)
