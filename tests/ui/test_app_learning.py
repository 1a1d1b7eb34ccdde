"""Predictions, what changed, several shells, the menu, tests and reviews, from a learner's chair."""

from dataclasses import replace

import pytest
from chair import Until, at_home, checks, focused, in_lesson, keys, markdown, said, seen, top
from demo_port import (
    CHANGES,
    EXPLANATION,
    FREE_QUESTION,
    PASSED_STEP,
    POD_STEP,
    QUESTION,
    TWO,
    DemoPort,
    DemoSession,
)
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static

from kubelab.lessons.view import Mode, OutcomeView, PredictionView
from kubelab.ui.app import KubelabApp
from kubelab.ui.home import HomeScreen
from kubelab.ui.lesson import LessonScreen
from kubelab.ui.menu import MenuScreen
from kubelab.ui.shells import SHELLS_MAX, Shells
from kubelab.ui.state_panes import ChangesView
from kubelab.ui.terminal import TerminalPane


def part(app: KubelabApp, name: str) -> str:
    """What a part of the step's question says; nothing if it is not shown."""
    widget = app.screen.query_one(f"#{name}", Static)
    return str(widget.content) if widget.display else ""


async def ask(pilot: Pilot[None], session: DemoSession, question: PredictionView, until: Until) -> None:
    session.publish_step(replace(POD_STEP, prediction=question))
    await until(pilot, lambda: "? Prediction" in markdown(pilot.app, "question"))  # type: ignore[arg-type]


def entries(app: KubelabApp) -> str:
    menu = app.screen.query_one("#menu", OptionList)
    return "\n".join(str(menu.get_option_at_index(i).prompt) for i in range(menu.option_count))


def title(pane: Widget) -> str:
    """What is written in the upper edge of *pane*."""
    return pane._border_title.plain if pane._border_title else ""


async def open_menu(pilot: Pilot[None], until: Until, key: str = "f12") -> None:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, MenuScreen) and is_ready(pilot.app.screen))


def is_ready(menu: MenuScreen) -> bool:
    return bool(menu.focused and menu.focused.region.area)


async def choose(pilot: Pilot[None], until: Until, *letters: str) -> None:
    await open_menu(pilot, until)
    await pilot.press(*letters)


# Predictions.


async def test_a_question_is_answered_by_letter_from_the_text_and_can_be_changed(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await ask(pilot, session, QUESTION, until)
        await until(pilot, lambda: "○ b) two: pause and that of web" in part(app, "choices"))
        assert "○ b) dos" not in part(app, "choices")
        await until(pilot, lambda: part(app, "told").startswith("F6 and then a, b or c, or click."))
        await pilot.press("f6")
        await until(pilot, lambda: part(app, "told").startswith("Press a, b or c, or click."))
        await pilot.press("c")
        await until(
            pilot, lambda: "● c) many: a pod is a virtual machine  ← your prediction" in part(app, "choices")
        )
        # What is typed next is a command, and no key of the text's.
        await until(pilot, lambda: focused(app) == "shell")
        await pilot.press("f6", "2")
        await until(pilot, lambda: "● b) two" in part(app, "choices"))
        await until(pilot, lambda: "You may change it" in part(app, "told"))


async def test_a_choice_can_be_clicked(until: Until) -> None:
    async with in_lesson(until, DemoPort(), size=(160, 45)) as (app, pilot, session):
        await ask(pilot, session, QUESTION, until)
        choices = app.screen.query_one("#choices")
        await until(pilot, lambda: "two" in part(app, "choices") and choices.region.height > 1)
        await pilot.pause()
        await pilot.click("#choices", offset=(6, 1))
        await until(pilot, lambda: "● b) two" in part(app, "choices"))


async def test_without_a_question_its_letters_do_what_they_do_elsewhere(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await ask(pilot, session, replace(QUESTION, outcome=OutcomeView(TWO, "two", right=False)), until)
        await pilot.press("f6", "a", "d")
        await until(pilot, lambda: "Press d once more" in top(app))
        assert session.view.step.prediction and session.view.step.prediction.answer == ""


@pytest.mark.parametrize(
    ("answer", "right", "said_so"),
    [
        ("two", True, "✓ It agrees with what you predicted."),
        ("one", False, "≠ It differs from what you predicted"),
    ],
)
async def test_then_the_live_system_answers_and_the_two_are_compared(
    until: Until, answer: str, right: bool, said_so: str
) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await ask(pilot, session, replace(QUESTION, answer=answer), until)
        session.answer_live(OutcomeView(TWO, "two", right, None if right else EXPLANATION))
        await until(pilot, lambda: said_so in part(app, "told"))
        assert f"You predicted: {'b' if right else 'a'}) " in part(app, "told")
        assert "▶ The live system answers: 2 → b) two: pause and that of web" in part(app, "told")
        explained = "`pause` keeps the namespaces"
        await until(pilot, lambda: (explained in markdown(app, "explanation")) is not right)


async def test_who_does_not_answer_is_told_all_the_same(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await ask(pilot, session, QUESTION, until)
        session.answer_live(OutcomeView(TWO, "two", right=False))
        await until(pilot, lambda: "You made no prediction.\n▶ The live" in part(app, "told"))
        assert "≠" not in part(app, "told")


async def test_a_free_answer_is_a_line(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await ask(pilot, session, FREE_QUESTION, until)
        await pilot.press("f6", "enter", *"q 1", "enter")
        await until(pilot, lambda: "You predicted: q 1" in part(app, "told"))
        answer = app.screen.query_one("#answer", Input)
        await until(pilot, lambda: answer.value == "q 1" and focused(app) == "shell")
        session.answer_live(OutcomeView(TWO, "", right=False))
        await until(pilot, lambda: "↔ Compare it with what you predicted." in part(app, "told"))
        await until(pilot, lambda: not answer.display)


async def test_the_menu_leads_to_the_question_whichever_panes_are_seen(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await ask(pilot, session, QUESTION, until)
        await pilot.press("f8")
        await choose(pilot, until, "a")
        await until(pilot, lambda: seen(app) == {"text", "shell"} and focused(app) == "text")
        await pilot.press("b")
        await until(pilot, lambda: "● b) two" in part(app, "choices"))


# What changed.


async def test_what_changed_is_seen_beside_the_state_where_it_is_broad(until: Until) -> None:
    async with in_lesson(until, DemoPort(), size=(160, 45)) as (app, pilot, session):
        view = app.screen.query_one(ChangesView)
        await until(pilot, lambda: "Nothing has changed" in said(view))
        session.different = CHANGES
        await until(pilot, lambda: "+ new pod default/web" in said(view))
        await until(pilot, lambda: "- gone /mnt/old (tmpfs)" in said(view))
        await until(pilot, lambda: title(view) == "What changed +3 -1 ~1")


async def test_what_changed_is_asked_for_only_while_it_is_seen(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await pilot.pause()
        assert session.asked_what_changed == 0
        await pilot.press("f7", "f7")
        await until(pilot, lambda: seen(app) == {"shell", "changes"} and session.asked_what_changed > 0)
        view = app.screen.query_one(ChangesView)
        await until(pilot, lambda: title(view) == "  Lesson   Live state  [What changed] ")
        await pilot.press("f7")
        await until(pilot, lambda: seen(app) == {"text", "shell"})
        await pilot.pause()
        asked = session.asked_what_changed
        app.screen.query_one(ChangesView).look()
        assert session.asked_what_changed == asked


async def test_a_panes_neighbours_are_a_click_away(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await pilot.click("#text", offset=(15, 0))
        await until(pilot, lambda: seen(app) == {"shell", "state"} and focused(app) == "state")
        await pilot.press("w")
        await until(pilot, lambda: seen(app) == {"shell", "changes"} and focused(app) == "changes")


# Shells.


def shell_names(app: KubelabApp) -> str:
    return title(app.screen.query_one(Shells).active)


async def test_another_shell_on_another_machine_is_a_terminal_of_its_own(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await choose(pilot, until, "x", "2")
        await until(pilot, lambda: len(session.shells) == 2)
        assert session.places == ["", "minion-2"]
        shells = app.screen.query_one(Shells)
        await until(pilot, lambda: shell_names(app) == "  1 minion-1  [2 minion-2]  · F11 ")
        await pilot.press("h", "i", "enter")
        await until(pilot, lambda: "hi\nhi" in shells.panes[1].screen_text())
        assert "hi" not in shells.panes[0].screen_text()
        await until(pilot, lambda: (shells.panes[0].region.area, focused(app)) == (0, "shell"))
        await pilot.press("f11")
        await until(pilot, lambda: "[1 minion-1]" in shell_names(app) and bool(shells.panes[0].region.area))
        await pilot.press("y", "enter")
        await until(pilot, lambda: "y\ny" in shells.panes[0].screen_text())


async def test_a_shell_that_ends_goes_away_but_the_last_one_stays(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await choose(pilot, until, "x", "1")
        await until(pilot, lambda: len(session.shells) == 2)
        shells = app.screen.query_one(Shells)
        await until(pilot, lambda: shells.panes[1].running)
        await pilot.press("ctrl+d")
        await until(pilot, lambda: len(shells.panes) == 1 and shells.active.has_focus)
        await until(pilot, lambda: shell_names(app) == " Shell on minion-1 ")
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "has ended" in shells.active.screen_text())
        await pilot.press("enter")
        await until(pilot, lambda: shells.active.running)


async def test_a_shell_that_writes_unseen_is_marked_and_a_click_shows_it(until: Until) -> None:
    port = DemoPort(shell=("sh", "-c", "read line; echo $line; cat"))
    async with in_lesson(until, port, size=(120, 36)) as (app, pilot, session):
        await choose(pilot, until, "x", "2")
        await until(pilot, lambda: len(session.shells) == 2)
        shells = app.screen.query_one(Shells)
        await until(pilot, lambda: shells.panes[1].running)
        shells.panes[0]._send(b"x\n")
        await until(pilot, lambda: "1 minion-1*" in shell_names(app))
        await pilot.click(shells.active, offset=(5, 0))
        await until(pilot, lambda: "[1 minion-1]" in shell_names(app))


async def test_a_reset_and_leaving_end_all_shells(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await choose(pilot, until, "x", "2")
        await until(pilot, lambda: len(session.shells) == 2)
        await choose(pilot, until, "r", "r")
        await until(pilot, lambda: session.places == ["", "minion-2", ""])
        await until(pilot, lambda: len(app.screen.query(TerminalPane)) == 1)
        await choose(pilot, until, "x", "2")
        await until(pilot, lambda: len(session.shells) == 4)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))
        assert [await shell.wait() for shell in session.shells] == [-9] * 4


async def test_there_are_not_more_shells_than_tabs(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubelab.ui.shells.SHELLS_MAX", 1)
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await choose(pilot, until, "x", "2")
        await until(pilot, lambda: f"There are {SHELLS_MAX} shells" in top(app))
        assert len(session.shells) == 1


# Fast-forward, and whatever takes time.


async def test_the_lesson_does_a_step_when_asked_twice(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await pilot.press("f6", "d")
        await until(pilot, lambda: "Press d once more" in top(app))
        assert session.calls == []
        await pilot.press("d")
        await until(pilot, lambda: top(app)[2:].startswith("Typing the solution…"))
        signs = set[str]()
        await until(pilot, lambda: bool(signs.add(top(app)[0]) or len(signs) > 1))
        await pilot.press("d", "d", "r", "r", "f3")  # Nothing waits, and nothing is begun twice.
        await until(pilot, lambda: "Hint 1" in markdown(app, "hints"))
        session.released.set()
        await until(pilot, lambda: "» Done by the lesson: Create a pod" in top(app))
        assert session.calls == ["fast_forward"]
        await pilot.press("n", "p")
        await until(pilot, lambda: "Step 1 of 2  »○  » done by the lesson" in top(app))


async def test_a_menu_entry_that_undoes_something_is_chosen_twice(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await open_menu(pilot, until)
        await pilot.press("r")
        await until(pilot, lambda: "Sure? Once more: begin the step again" in entries(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen))
        await open_menu(pilot, until)
        assert "Sure?" not in entries(app)
        await pilot.press("r", "r")
        await until(pilot, lambda: session.calls == ["reset"])


async def test_starting_over_opens_the_lesson_anew(until: Until) -> None:
    port = DemoPort()
    async with in_lesson(until, port) as (app, pilot, session):
        await pilot.press("f6", "o", "o")
        await until(pilot, lambda: port.opened[1:] == [("workloads/01-pod", Mode.LEARN, True)])
        await until(pilot, lambda: port.session is not session and bool(port.session and port.session.shells))
        assert port.lessons_left == ["workloads/01-pod"]
        await app.screen.leave()  # type: ignore[attr-defined]


# The menu.


async def test_the_menu_tells_everything_with_its_keys_and_does_it(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await open_menu(pilot, until)
        assert "F9  v  check now" in entries(app)
        assert "    d  have the lesson do this step" in entries(app)
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.language == "es")
        await open_menu(pilot, until)
        assert "F9  v  comprobar ahora" in entries(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: session.calls == ["check_now"])


async def test_the_menu_is_clicked_and_a_click_beside_it_closes_it(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await open_menu(pilot, until)
        await pilot.click("#menu", offset=(5, 2))
        await until(pilot, lambda: session.calls == ["check_now"] and isinstance(app.screen, LessonScreen))
        await open_menu(pilot, until)
        await pilot.click(offset=(1, 5))
        await until(pilot, lambda: isinstance(app.screen, LessonScreen))


async def test_the_key_bar_fits_80_columns_and_promises_no_more_than_there_is(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        english = "F1 Help F3 Hint F4 Back F5 Next F6 Focus F7 State F8 Zoom F10 Home F12 Menu"
        spanish = "F1 Ayuda F3 Pista F4 Atrás F5 Sigue F6 Foco F7 Estado F10 Inicio F12 Menú"
        await until(pilot, lambda: keys(app) == english)
        await pilot.press("f2")
        await until(pilot, lambda: keys(app) == spanish)
        await pilot.resize_terminal(120, 24)
        await until(pilot, lambda: "F2 EN" in keys(app) and "F9 Comprueba" in keys(app))
        assert "F11" not in keys(app)


# Tests.


async def test_a_test_shows_goals_only(until: Until) -> None:
    async with in_lesson(until, DemoPort(), mode=Mode.TEST_OUT) as (app, pilot, session):
        session.publish_step(replace(POD_STEP, prediction=QUESTION))
        await until(pilot, lambda: "Pod · test  Step 1 of 2" in top(app))
        await until(pilot, lambda: markdown(app, "body").startswith("Show that you know it already"))
        await until(pilot, lambda: checks(app).startswith("Goals\n✓ the pod default/web exists"))
        assert "see it with" not in checks(app)
        assert not app.screen.query_one("#prediction").display
        await until(pilot, lambda: "F10" in keys(app) and "F3" not in keys(app))
        await pilot.press("f3")
        await until(pilot, lambda: "no hints" in top(app))
        assert markdown(app, "hints") == ""
        await pilot.press("f6", "d", "d")
        await until(pilot, lambda: "no help" in top(app))
        assert session.calls == []


async def test_a_test_that_is_passed_is_celebrated(until: Until) -> None:
    async with in_lesson(until, DemoPort(), mode=Mode.TEST_OUT) as (app, pilot, session):
        done = tuple(replace(step, passed=True) for step in session.view.steps)
        session.publish(replace(session.view, steps=done))
        await until(pilot, lambda: "Test passed! Pod" in top(app))


async def test_a_lesson_becomes_a_test_and_back_from_the_menu(until: Until) -> None:
    port = DemoPort()
    async with in_lesson(until, port) as (app, pilot, _):
        await choose(pilot, until, "e", "e")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and "· test" in top(app))
        await until(pilot, lambda: bool(port.session and port.session.shells))
        await choose(pilot, until, "e")
        await until(
            pilot, lambda: [mode for _, mode, _ in port.opened] == [Mode.LEARN, Mode.TEST_OUT, Mode.LEARN]
        )
        await until(pilot, lambda: bool(port.session and port.session.shells))
        await app.screen.leave()  # type: ignore[attr-defined]


# Home.


def lessons(app: KubelabApp) -> str:
    shown = app.screen.query_one("#lessons", OptionList)
    return "\n".join(str(shown.get_option_at_index(i).prompt) for i in range(shown.option_count))


async def test_home_tells_which_lessons_are_due_for_review(until: Until) -> None:
    async with at_home(DemoPort()) as (app, pilot):
        banner = app.screen.query_one("#banner", Static)
        await until(pilot, lambda: "↻ 1 lesson to review today" in str(banner.content))
        await until(pilot, lambda: "review" in lessons(app))
        due, later = (line for line in lessons(app).splitlines() if "review" in line)
        assert due.split()[:2] == ["↻", "Replicas"]
        assert "review today" in due
        assert "by test   review in 12 days" in later
        assert later.split()[0] == "✓"


async def test_a_lesson_that_is_due_is_done_again_or_looked_at(until: Until) -> None:
    port = DemoPort()
    async with at_home(port) as (app, pilot):
        await pilot.press("down", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, MenuScreen) and is_ready(app.screen))
        assert "review it: from its beginning" in entries(app)
        assert "look at it as it was left" in entries(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))
        await open_menu(pilot, until, "enter")
        await pilot.press("r")
        await until(pilot, lambda: port.opened == [("workloads/02-replicas", Mode.LEARN, True)])
        await until(pilot, lambda: bool(port.session and port.session.shells))
        await app.screen.leave()  # type: ignore[attr-defined]


async def test_a_lesson_is_opened_as_a_test_from_homes_menu(until: Until) -> None:
    port = DemoPort()
    async with at_home(port) as (app, pilot):
        await pilot.press("down", "down")
        await open_menu(pilot, until, "m")
        assert "a  open “Pod”" in entries(app)
        assert "o  start the lesson over" in entries(app)
        await pilot.press("e")
        await until(pilot, lambda: port.opened == [("workloads/01-pod", Mode.TEST_OUT, False)])
        await until(pilot, lambda: bool(port.session and port.session.shells))
        await app.screen.leave()  # type: ignore[attr-defined]


async def test_a_check_that_changes_lays_out_no_text_again(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        body = app.screen.query_one("#body")
        await until(pilot, lambda: bool(body.children))  # All of its paragraphs come at once.
        before = list(body.children)
        session.publish_step(PASSED_STEP)
        await until(pilot, lambda: "Step passed!" in top(app))
        assert list(body.children) == before
