"""The app from a learner's chair: what the tests do there, and what they see."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from demo_port import DemoPort, DemoSession
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Markdown, Static

from kubelab.language import Language
from kubelab.lessons.view import Mode
from kubelab.ui.app import KubelabApp
from kubelab.ui.layout import FOCUS_ORDER
from kubelab.ui.lesson import LessonScreen

Until = Callable[[Pilot[None], Callable[[], bool]], Awaitable[None]]


@asynccontextmanager
async def at_home(
    port: DemoPort, language: Language = "en", size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[KubelabApp, Pilot[None]]]:
    app = KubelabApp(port, language)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


@asynccontextmanager
async def in_lesson(
    until: Until, port: DemoPort, size: tuple[int, int] = (80, 24), mode: Mode = Mode.LEARN
) -> AsyncIterator[tuple[KubelabApp, Pilot[None], DemoSession]]:
    app = KubelabApp(port, "en")
    async with app.run_test(size=size) as pilot:
        app.open_lesson("workloads/01-pod", mode)
        await until(pilot, lambda: bool(port.session and port.session.shells))
        assert port.session
        yield app, pilot, port.session
        screen = app.screen
        if isinstance(screen, LessonScreen):
            await screen.leave()


def said(widget: Widget) -> str:
    """What a widget of one or more lines shows."""
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))


def top(app: KubelabApp) -> str:
    return said(app.screen.query_one("#top"))


def keys(app: KubelabApp) -> str:
    return said(app.screen.query_one("KeyBar"))


def checks(app: KubelabApp) -> str:
    return str(app.screen.query_one("#checks", Static).content)


def markdown(app: KubelabApp, part: str) -> str:
    return app.screen.query_one(f"#{part}", Markdown).source


def seen(app: KubelabApp) -> set[str]:
    return {pane for pane in FOCUS_ORDER if app.screen.query_one(f"#{pane}").region.area}


def focused(app: KubelabApp) -> str:
    """The pane that has the focus."""
    return next(node.id or "" for node in app.focused.ancestors_with_self if node.id) if app.focused else ""
