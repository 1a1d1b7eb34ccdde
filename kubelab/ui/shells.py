"""The shells of a lesson, on one machine or several: one is seen, the names of all are tabs in its edge.

Each is a terminal of its own, and keeps running unseen; one that has written something meanwhile is marked.
A shell that ends goes away, but the last one stays, says so, and Enter starts another.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message

from kubelab.cluster.machine.machine import Process, WindowSize
from kubelab.lessons.view import sentence_of
from kubelab.ui import words
from kubelab.ui.lab_screen import LabScreen
from kubelab.ui.tabs import Tab, entitle, tabs_content
from kubelab.ui.terminal import TerminalPane

SHELLS_MAX = 9
WROTE = "*"

Start = Callable[[WindowSize, str], Awaitable[Process]]


class Shells(Container):
    class Moved(Message):
        """A shell has come, gone or moved to the front."""

    DEFAULT_CSS = "Shells TerminalPane { height: 100%; width: 100%; }"

    def __init__(self, start: Start, *, heard: Callable[[], None], id: str | None = None) -> None:  # noqa: A002 - Textual's name
        """*start* starts a shell of a size on a machine, "" for the lesson's own; *heard* is called whenever
        a shell has written something."""
        super().__init__(id=id)
        self._start = start
        self._heard = heard
        self._home = ""
        self._machines: dict[TerminalPane, str] = {}  # In the order of the tabs.
        self._wrote: set[TerminalPane] = set()
        self.active = self._new("")

    def compose(self) -> ComposeResult:
        yield self.active

    @property
    def panes(self) -> list[TerminalPane]:
        return list(self._machines)

    @property
    def full(self) -> bool:
        return len(self._machines) >= SHELLS_MAX

    def begin(self, home: str) -> None:
        """Start the first shell, on the lesson's own machine, *home*."""
        self._home = home
        self.active.focus()
        self.active.restart()

    async def open(self, machine: str) -> None:
        """Start another shell, on *machine*, and show it."""
        pane = self._new("" if machine == self._home else machine)
        await self.mount(pane)
        self._show(pane)
        self.call_after_refresh(pane.restart)

    def show(self, index: int) -> None:
        """Show the shell with the tab *index*, the first after the last."""
        self._show(self.panes[index % len(self._machines)])

    def next(self) -> None:
        self.show(self.panes.index(self.active) + 1)

    async def end(self) -> None:
        """End all programs, and return when they are gone."""
        await asyncio.gather(*(pane.end() for pane in self._machines))

    async def begin_again(self) -> None:
        """End all shells and start the first one anew, on the lesson's own machine."""
        await self.end()
        first, *others = self.panes
        self._machines[first] = ""
        for pane in others:
            if pane in self._machines:  # Its end was not told yet.
                await self._remove(pane)
        first.forget()
        self.call_after_refresh(first.restart)  # It may have been hidden: its size comes with the refresh.

    def redraw(self) -> None:
        """Name all shells: the language, the room or their number changed."""
        title = tabs_content(self._tabs(), " · F11" if len(self._machines) > 1 else "")
        entitle(self.active, title, wide=self._screen.has_class("-wide"))
        history = self._screen.say(words.HISTORY) if self.active.in_history else None
        if self.active.border_subtitle != history:
            self.active.border_subtitle = history

    def _tabs(self) -> list[Tab]:
        if len(self._machines) == 1:
            (machine,) = self._machines.values()
            return [Tab(self._screen.say(words.SHELL.format(machine=machine or self._home)), "")]
        return [
            Tab(
                f"{number + 1} {machine or self._home}{WROTE if pane in self._wrote else ''}",
                f"screen.show_shell({number})",
                open=pane is self.active,
            )
            for number, (pane, machine) in enumerate(self._machines.items())
        ]

    @property
    def _screen(self) -> LabScreen:
        return cast("LabScreen", self.screen)

    def _new(self, machine: str) -> TerminalPane:
        pane = TerminalPane(lambda size: self._start(size, self._machines[pane]), classes="pane")
        pane.heard = partial(self._hear, pane)
        self._machines[pane] = machine
        return pane

    def _hear(self, pane: TerminalPane) -> None:
        self._heard()
        if pane is not self.active and pane not in self._wrote:
            self._wrote.add(pane)
            self.redraw()

    def _show(self, pane: TerminalPane) -> None:
        had_focus = self.active.has_focus
        self.active = pane
        self._wrote.discard(pane)
        for other in self._machines:
            other.display = other is pane
        if had_focus:
            pane.focus()
        self.post_message(self.Moved())

    async def _remove(self, pane: TerminalPane) -> None:
        if pane is self.active:
            self.show(max(0, self.panes.index(pane) - 1) if pane is not self.panes[0] else 1)
        del self._machines[pane]
        self._wrote.discard(pane)
        self.post_message(self.Moved())
        await pane.remove()

    def on_terminal_pane_changed(self) -> None:
        self.redraw()

    async def on_terminal_pane_ended(self, event: TerminalPane.Ended) -> None:
        pane = event.pane
        if not pane.ended or pane not in self._machines:
            return  # A reset has started another one, or has taken it away.
        failure = self._screen.say(sentence_of(event.failure)) if event.failure else ""
        if len(self._machines) > 1:
            if failure:
                self.notify(failure, severity="error", markup=False)
            await self._remove(pane)
            return
        if failure:
            pane.say(failure)
        pane.say(self._screen.say(words.SHELL_FAILED if failure else words.SHELL_ENDED))
