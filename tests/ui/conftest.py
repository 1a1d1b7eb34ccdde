"""Waiting for what must come, without sleeping for it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

PATIENCE_S = 40.0

Until = Callable[[Pilot[None], Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Let the app run until a condition holds. The test's own time-out might be raised in a callback of the
    app's, where it is lost: so a vain wait ends by itself."""

    async def wait(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the terminal's screen sends no event
                # Not pilot.pause(), which waits for an idle CPU: a flood never lets it.
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is to be pressed twice may be pressed so slowly as a busy machine presses it."""
    monkeypatch.setattr("kubelab.ui.lesson_bar.NOTE_S", 3600)


@pytest.fixture(autouse=True)
def _truecolor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are of a good terminal, whatever the one that runs the tests is."""
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", "truecolor")
