"""Pictures of every screen, in both languages and at the sizes that people have.

After a wanted change: `pytest tests/ui/test_snapshots.py --snapshot-update`, and look at the SVG files.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from demo_port import CHANGES, DEATH_STEP, EXPLANATION, PASSED_STEP, QUESTION, TWO, DemoPort
from textual.pilot import Pilot

from kubelab.language import LANGUAGES, Language, Text
from kubelab.lessons.view import OutcomeView, PredictionView
from kubelab.ui.app import KubelabApp
from kubelab.ui.lesson_bar import LessonBar
from kubelab.ui.state_panes import ChangesView
from kubelab.ui.step_pane import StepPane
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
STILL = 5  # So many looks at the screen, each after all that was to be done, see the same.
Snapshot = Callable[..., bool]


def app(language: Language, *, ready: bool = True, missing: tuple[Text, ...] = ()) -> KubelabApp:
    return KubelabApp(DemoPort(shell=SHELL, ready=ready, missing=missing), language)


async def wait(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the terminal's screen sends no event
        await asyncio.sleep(0.005)


async def come_to_rest(pilot: Pilot[None]) -> None:
    await wait(lambda: bool(pilot.app.snapshot.machines))  # type: ignore[attr-defined]
    await hold_still(pilot)


async def hold_still(pilot: Pilot[None]) -> None:
    """Wait until nothing moves any more: texts are laid out bit by bit, one widget after the other."""
    seen: list[str] = []
    while len(seen) < STILL or len(set(seen[-STILL:])) > 1:
        await pilot.pause()
        strips = pilot.app.screen._compositor.render_strips()
        seen.append("\n".join(strip.text for strip in strips))


async def open_lesson(pilot: Pilot[None], *keys: str) -> None:
    await come_to_rest(pilot)
    await pilot.press(*keys)
    await wait(lambda: bool(pilot.app.screen.query(TerminalPane)))
    shells = pilot.app.screen.query(TerminalPane)
    await wait(lambda: "42s" in shells.first().screen_text())
    await hold_still(pilot)


async def open_pod(pilot: Pilot[None]) -> None:
    await open_lesson(pilot, "down", "down", "enter")


async def open_pid(pilot: Pilot[None]) -> None:
    await open_lesson(pilot, "enter")


def pressing(*keys: str) -> Callable[[Pilot[None]], object]:
    async def run(pilot: Pilot[None]) -> None:
        await open_pod(pilot)
        await pilot.press(*keys)
        await hold_still(pilot)

    return run


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_home(snap_compare: Snapshot, language: Language, size: tuple[int, int]) -> None:
    missing = (Text("Falta nft: apt install nftables", "nft is missing: apt install nftables"),)
    assert snap_compare(app(language, missing=missing), terminal_size=size, run_before=come_to_rest)


def test_home_while_the_lab_comes_up(snap_compare: Snapshot) -> None:
    assert snap_compare(app("es", ready=False), terminal_size=(80, 24), run_before=hold_still)


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
    monkeypatch.setattr("kubelab.ui.lesson_bar.SPARKLES", ("✦",))

    async def pass_step(pilot: Pilot[None]) -> None:
        await open_pod(pilot)
        pilot.app.port.session.publish_step(PASSED_STEP)  # type: ignore[attr-defined]
        await wait(lambda: pilot.app.screen.query_one(LessonBar).has_class("-celebrates"))
        await hold_still(pilot)

    assert snap_compare(app("en"), terminal_size=(160, 45), run_before=pass_step)


def showing(
    question: PredictionView, *keys: str, outcome: OutcomeView | None = None
) -> Callable[[Pilot[None]], object]:
    """A short step with a question, whose changes are seen."""

    async def run(pilot: Pilot[None]) -> None:
        await open_pod(pilot)
        session = pilot.app.port.session  # type: ignore[attr-defined]
        session.different = CHANGES
        session.publish_step(replace(DEATH_STEP, prediction=question))
        await pilot.press(*keys)
        if outcome:
            session.answer_live(outcome)
        lesson = pilot.app.screen_stack[1]  # A menu may be over it.
        await wait(lambda: lesson.query_one(StepPane).prediction.open is (outcome is None))
        lesson.query_one(ChangesView).look()
        await hold_still(pilot)

    return run


@pytest.mark.parametrize("language", LANGUAGES)
def test_lesson_with_a_question(snap_compare: Snapshot, language: Language) -> None:
    run = showing(QUESTION, "f6", "b")
    assert snap_compare(app(language), terminal_size=(120, 36), run_before=run)


def test_lesson_that_answers_a_question(snap_compare: Snapshot) -> None:
    question = replace(QUESTION, answer="one")
    run = showing(question, outcome=OutcomeView(TWO, "two", right=False, explanation=EXPLANATION))
    assert snap_compare(app("es"), terminal_size=(160, 45), run_before=run)


def test_lesson_changes_in_the_texts_place(snap_compare: Snapshot) -> None:
    assert snap_compare(app("es"), terminal_size=(80, 24), run_before=showing(QUESTION, "f7", "f7"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_lesson_menu(snap_compare: Snapshot, language: Language) -> None:
    run = showing(QUESTION, "f12", "d")
    assert snap_compare(app(language), terminal_size=(80, 24), run_before=run)


def test_lesson_as_a_test(snap_compare: Snapshot) -> None:
    async def run(pilot: Pilot[None]) -> None:
        await open_lesson(pilot, "down", "down", "m", "e")

    assert snap_compare(app("es"), terminal_size=(80, 24), run_before=run)


def test_lesson_with_two_shells(snap_compare: Snapshot) -> None:
    async def run(pilot: Pilot[None]) -> None:
        await open_pod(pilot)
        await pilot.press("f12", "x", "2")
        await wait(lambda: len(pilot.app.screen.query(TerminalPane)) == 2)
        await wait(lambda: "42s" in pilot.app.screen.query(TerminalPane).last().screen_text())
        await hold_still(pilot)

    assert snap_compare(app("en"), terminal_size=(80, 24), run_before=run)


@pytest.mark.parametrize("language", LANGUAGES)
def test_help(snap_compare: Snapshot, language: Language) -> None:
    async def run(pilot: Pilot[None]) -> None:
        await come_to_rest(pilot)
        await pilot.press("f1")
        await hold_still(pilot)

    assert snap_compare(app(language), terminal_size=(80, 24), run_before=run)


@pytest.mark.parametrize("language", LANGUAGES)
def test_too_small(snap_compare: Snapshot, language: Language) -> None:
    assert snap_compare(app(language), terminal_size=(60, 20), run_before=hold_still)
