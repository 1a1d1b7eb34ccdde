"""What is seen while a lesson opens: the lab coming up, the lesson being set up, a sign that moves."""

from typing import cast

from kubelab.language import Text
from kubelab.lessons.view import sentence_of
from kubelab.ui import words
from kubelab.ui.lab_screen import LabScreen
from kubelab.ui.lesson_bar import MOVING, TICK_S
from kubelab.ui.line_view import LineView
from kubelab.ui.picture import Line, fitted


class Opening(LineView):
    DEFAULT_CSS = "Opening { padding: 1 2; }"

    def __init__(self, title: Text, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(self._picture, id=id)
        self._title = title
        self._ticks = 0

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK_S, self._tick)

    def end(self) -> None:
        self._timer.stop()
        self.display = False

    def _tick(self) -> None:
        self._ticks += 1
        self.redraw()

    def _picture(self, width: int, height: int) -> list[Line]:
        screen = cast("LabScreen", self.screen)
        app, say = screen.lab_app, screen.say
        moving = f"{MOVING[self._ticks % len(MOVING)]} "
        lines: list[Line] = [
            ((moving, "busy"), (say(words.OPENING.format(title=say(self._title))), "strong")),
            (),
            *(
                ((("✓ ", "good") if phase.done else ("… ", "busy")), (say(phase.name), "plain"))
                for phase in app.phases
            ),
        ]
        if app.lab_failure:
            lines.append(((say(sentence_of(app.lab_failure)), "bad"),))
        elif not app.lab_ready:
            lines.append(((say(words.OPENING_WAITS), "muted"),))
        return [fitted(line, width) for line in [*lines, (), ((say(words.OPENING_CANCEL), "muted"),)]]
