"""Pictures of every screen, in both languages and at the sizes that people have.

After a wanted change: `pytest tests/ui/test_snapshots.py --snapshot-update`, and look at the SVG files.
"""

import asyncio
from collections.abc import Callable

import pytest
from demo_port import PASSED_STEP, DemoPort
from textual.pilot import Pilot

from kubelab.language import LANGUAGES, Language, Text
from kubelab.ui.app import KubelabApp
from kubelab.ui.terminal import TerminalPane

# A shell whose screen is always the same: prompt, colours, wide characters.
SCREEN = (
    r"printf '\033[1;32mminion-1\033[0m:\033[34m~\033[0m# kubectl get pods\r\n"
    r"NAME   READY   STATUS    RESTARTS   AGE\r\n"
    r"web    1/1     \033[32mRunning\033[0m   0          42s\r\n"
    r"\033[1;32mminion-1\033[0m:\033[34m~\033[0m# '; exec sleep 60"
)
SHELL = ("sh", "-c", SCREEN)
SIZES = [(80, 24), (160, 45)]
Snapshot = Callable[..., bool]


def app(language: Language, *, ready: bool = True, missing: tuple[Text, ...] = ()) -> KubelabApp:
    return KubelabApp(DemoPort(shell=SHELL, ready=ready, missing=missing), language)


async def wait(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the terminal's screen sends no event
        await asyncio.sleep(0.005)


async def come_to_rest(pilot: Pilot[None]) -> None:
    await wait(lambda: bool(pilot.app.snapshot.machines))  # type: ignore[attr-defined]
    await pilot.pause()


async def open_lesson(pilot: Pilot[None], *keys: str) -> None:
    await come_to_rest(pilot)
    await pilot.press(*keys)
    await wait(lambda: bool(pilot.app.screen.query(TerminalPane)))
    shells = pilot.app.screen.query(TerminalPane)
    await wait(lambda: "42s" in shells.first().screen_text())
    await pilot.pause()


async def open_pod(pilot: Pilot[None]) -> None:
    await open_lesson(pilot, "up", "enter")


async def open_pid(pilot: Pilot[None]) -> None:
    await open_lesson(pilot, "enter")


def pressing(*keys: str) -> Callable[[Pilot[None]], object]:
    async def run(pilot: Pilot[None]) -> None:
        await open_pod(pilot)
        await pilot.press(*keys)
        await pilot.pause()

    return run


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_home(snap_compare: Snapshot, language: Language, size: tuple[int, int]) -> None:
    missing = (Text("Falta nft: apt install nftables", "nft is missing: apt install nftables"),)
    assert snap_compare(app(language, missing=missing), terminal_size=size, run_before=come_to_rest)


def test_home_while_the_lab_comes_up(snap_compare: Snapshot) -> None:
    assert snap_compare(app("es", ready=False), terminal_size=(80, 24))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_lesson(snap_compare: Snapshot, language: Language, size: tuple[int, int]) -> None:
    assert snap_compare(app(language), terminal_size=size, run_before=open_pod)


def test_lesson_state_in_the_texts_place(snap_compare: Snapshot) -> None:
    assert snap_compare(app("en"), terminal_size=(80, 24), run_before=pressing("f7"))


def test_lesson_zoomed_shell(snap_compare: Snapshot) -> None:
    assert snap_compare(app("en"), terminal_size=(80, 24), run_before=pressing("f8"))


def test_lesson_with_hints(snap_compare: Snapshot) -> None:
    assert snap_compare(app("en"), terminal_size=(160, 45), run_before=pressing("f3", "f3"))


def test_lesson_without_a_cluster(snap_compare: Snapshot) -> None:
    assert snap_compare(app("en"), terminal_size=(160, 45), run_before=open_pid)


def test_step_passed(snap_compare: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubelab.ui.lesson.SPARKLES", ("✦",))

    async def pass_step(pilot: Pilot[None]) -> None:
        await open_pod(pilot)
        pilot.app.port.session.publish_step(PASSED_STEP)  # type: ignore[attr-defined]
        await pilot.pause()
        await pilot.pause()

    assert snap_compare(app("en"), terminal_size=(160, 45), run_before=pass_step)


@pytest.mark.parametrize("language", LANGUAGES)
def test_help(snap_compare: Snapshot, language: Language) -> None:
    assert snap_compare(app(language), press=["f1"], terminal_size=(80, 24))


@pytest.mark.parametrize("language", LANGUAGES)
def test_too_small(snap_compare: Snapshot, language: Language) -> None:
    assert snap_compare(app(language), terminal_size=(60, 20))
