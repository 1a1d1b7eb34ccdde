"""The embedded terminal with real programs on real ptys."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from local_pty import LocalProcess
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import WindowSize
from kubelab.ui.terminal import TerminalPane

Until = Callable[[Pilot[None], Callable[[], bool]], Awaitable[None]]
BASH = ("bash", "--norc", "--noprofile", "-i")


class TerminalApp(App[None]):
    CSS = "TerminalPane { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar = []

    def __init__(self, *argv: str) -> None:
        super().__init__()
        self.argv = argv
        self.processes: list[LocalProcess] = []
        self.ends: list[LabError | None] = []

    def compose(self) -> ComposeResult:
        yield TerminalPane(self.start)

    async def start(self, size: WindowSize) -> LocalProcess:
        if not self.argv:
            raise LabError("no machine to run on")
        self.processes.append(await LocalProcess.spawn(self.argv, size))
        return self.processes[-1]

    def on_terminal_pane_ended(self, event: TerminalPane.Ended) -> None:
        self.ends.append(event.failure)

    @property
    def pane(self) -> TerminalPane:
        return self.query_one(TerminalPane)


@asynccontextmanager
async def running(
    *argv: str, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[TerminalApp, Pilot[None]]]:
    app = TerminalApp(*argv)
    async with app.run_test(size=size) as pilot:
        app.pane.focus()
        app.pane.restart()
        await pilot.pause()
        yield app, pilot
        await app.pane.end()


async def type_in(pilot: Pilot[None], text: str) -> None:
    pilot.app.query_one(TerminalPane).post_message(events.Paste(text))
    await pilot.press("enter")


def shown(app: TerminalApp) -> str:
    return app.pane.screen_text()


def painted(app: TerminalApp) -> str:
    """What the widget paints, not what the emulator holds."""
    pane = app.pane
    return "\n".join(pane.render_line(y).text.rstrip() for y in range(pane.size.height))


async def test_bash_has_job_control_and_the_widgets_size(until: Until) -> None:
    async with running(*BASH, size=(100, 30)) as (app, pilot):
        await type_in(pilot, "stty size; set -o | grep monitor")
        await until(pilot, lambda: "\n30 100\n" in shown(app))
        await until(pilot, lambda: re.search(r"\nmonitor\s+on\n", shown(app)) is not None)


async def test_a_resize_reaches_the_program(until: Until) -> None:
    async with running(*BASH) as (app, pilot):
        await until(pilot, lambda: app.pane.running)
        await pilot.resize_terminal(61, 17)
        await until(pilot, lambda: os.get_terminal_size(app.processes[0].fd) == (61, 17))
        await type_in(pilot, "stty size")
        await until(pilot, lambda: "17 61" in shown(app))


async def test_what_is_painted_is_what_the_emulator_holds(until: Until) -> None:
    async with running(*BASH) as (app, pilot):
        await type_in(pilot, "printf 'a\\033[31mb\\033[0m日本\\n%s' done")
        await until(pilot, lambda: "\nab日本\ndone" in painted(app))


async def test_ctrl_c_interrupts(until: Until) -> None:
    async with running(*BASH) as (app, pilot):
        await type_in(pilot, "sh -c 'echo in front; exec sleep 1000'")
        await until(pilot, lambda: "\nin front" in shown(app))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "^C" in shown(app))
        await type_in(pilot, "echo back=$?")
        await until(pilot, lambda: "back=130" in shown(app))


async def test_a_flood_leaves_the_app_awake_and_ctrl_c_ends_it(until: Until) -> None:
    async with running(*BASH) as (app, pilot):
        await type_in(pilot, "yes flood")
        await until(pilot, lambda: shown(app).count("flood") > 20)
        for _ in range(20):  # Messages are handled, though the flood never pauses.
            handled = asyncio.Event()
            app.call_later(handled.set)
            await handled.wait()
        app.pane.post_message(events.Key("ctrl+c", "\x03"))
        await until(pilot, lambda: "^C" in shown(app))


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_vim_edits_on_the_alternate_screen(until: Until, tmp_path: Path, size: tuple[int, int]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("first\n")
    async with running(*BASH, size=size) as (app, pilot):
        await type_in(pilot, f"vim -u NONE -N {file}")
        await until(pilot, lambda: "first" in painted(app) and "~" in painted(app))
        await pilot.press("o", "s", "e", "c", "o", "n", "d", "escape", "up", "x")
        await pilot.press("colon", "w", "q", "enter")
        await until(pilot, lambda: file.read_text() == "firs\nsecond\n")
        await until(pilot, lambda: "~" not in painted(app))


async def test_less_scrolls_by_keys_and_by_the_wheel(until: Until) -> None:
    async with running("sh", "-c", "seq 1000 | less", size=(80, 24)) as (app, pilot):
        await until(pilot, lambda: "\n22\n23\n" in shown(app) + "\n")
        await pilot.press("space")
        await until(pilot, lambda: shown(app).startswith("24\n"))
        app.pane.post_message(_wheel_down(app.pane))
        await until(pilot, lambda: shown(app).startswith("27\n"))
        await pilot.press("q")
        await until(pilot, lambda: app.ends == [None])


async def test_top_paints_the_whole_screen(until: Until) -> None:
    async with running("top", size=(90, 20)) as (app, pilot):
        await until(pilot, lambda: "PID" in painted(app) and "COMMAND" in painted(app))
        await pilot.press("q")
        await until(pilot, lambda: app.ends == [None])


async def test_the_wheel_goes_back_in_history_and_a_key_returns(until: Until) -> None:
    async with running(*BASH) as (app, pilot):
        await type_in(pilot, "seq 100; printf 'r%sy' ead")
        await until(pilot, lambda: "ready" in shown(app))
        await pilot.press("shift+pageup")
        await until(pilot, lambda: app.pane.in_history and "\n80\n" in painted(app))
        await pilot.press("x")
        await until(pilot, lambda: not app.pane.in_history and "ready" in painted(app))


async def test_a_mouse_that_a_program_asks_for_is_reported(until: Until) -> None:
    script = "stty -echo raw; printf '\\033[?1000h\\033[?1006hgo'; head -c 20 | cat -v"
    async with running("sh", "-c", script) as (app, pilot):
        await until(pilot, lambda: "go" in shown(app))
        await pilot.click(TerminalPane, offset=(4, 2))
        await pilot.click(TerminalPane, offset=(4, 2))
        await until(pilot, lambda: "^[[<0;5;3M^[[<0;5;3m" in shown(app))


async def test_a_paste_is_bracketed_for_a_program_that_asks(until: Until) -> None:
    async with running("sh", "-c", "stty -echo raw; printf '\\033[?2004hgo'; head -c 17 | cat -v") as (
        app,
        pilot,
    ):
        await until(pilot, lambda: "go" in shown(app))
        app.pane.post_message(events.Paste("hello"))
        await until(pilot, lambda: "^[[200~hello^[[201~" in shown(app))


async def test_the_cursor_has_the_shape_that_the_program_chose(until: Until) -> None:
    async with running("sh", "-c", "printf 'x\\033[6 q'; cat") as (app, pilot):
        await until(pilot, lambda: painted(app).startswith("x▏"))


async def test_when_the_shell_ends_it_says_so_and_enter_starts_a_new_one(until: Until) -> None:
    async with running(*BASH) as (app, pilot):
        await type_in(pilot, "exit 3")
        await until(pilot, lambda: app.ends == [None])
        app.pane.say("It ended.")
        await until(pilot, lambda: "It ended." in shown(app))
        await pilot.press("a", "enter")
        await until(pilot, lambda: len(app.processes) == 2 and app.pane.running)
        await until(pilot, lambda: "It ended." not in shown(app))


async def test_a_shell_that_cannot_start_says_why(until: Until) -> None:
    async with running() as (app, pilot):
        await until(pilot, lambda: [str(end) for end in app.ends] == ["no machine to run on"])


async def test_what_a_program_says_last_is_not_lost(until: Until) -> None:
    async with running("sh", "-c", "seq 300; echo the end") as (app, pilot):
        await until(pilot, lambda: app.ends == [None])
        assert "the end" in shown(app)


async def test_the_program_is_gone_with_the_pane(until: Until) -> None:
    async with running(*BASH) as (app, pilot):
        await until(pilot, lambda: app.pane.running)
    assert await app.processes[0].wait() == -9


def _wheel_down(pane: TerminalPane) -> events.MouseScrollDown:
    return events.MouseScrollDown(
        pane, 4, 4, 0, 0, button=0, shift=False, meta=False, ctrl=False, screen_x=4, screen_y=4
    )


async def test_a_program_that_is_wanted_before_there_is_room_starts_when_there_is(until: Until) -> None:
    app = TerminalApp(*BASH)
    async with app.run_test() as pilot:
        app.pane.display = False
        await pilot.pause()
        app.pane.restart()
        await pilot.pause()
        assert not app.processes
        app.pane.display = True
        await until(pilot, lambda: "$" in shown(app))
        await app.pane.end()
        await pilot.resize_terminal(61, 17)
        await pilot.pause()
        assert len(app.processes) == 1
