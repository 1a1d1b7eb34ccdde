"""The app from a learner's chair: every journey by keyboard, on a lab made of frozen views."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from chair import Until, at_home, checks, focused, in_lesson, keys, markdown, said, seen, top
from demo_port import CATALOG, PASSED_STEP, POD_STEP, DemoPort, DemoSession
from textual.widgets import OptionList, Static

from kubelab.cluster.errors import LabError
from kubelab.language import Language, Text
from kubelab.lessons.view import Mode
from kubelab.ui.help import HelpScreen
from kubelab.ui.home import HomeScreen
from kubelab.ui.lab_screen import TooSmall
from kubelab.ui.lesson import LessonScreen
from kubelab.ui.line_view import LineView
from kubelab.ui.terminal import TerminalPane
from kubelab.ui.theme import SIXTEEN

# Home.


async def test_home_lists_lessons_while_the_lab_still_comes_up(until: Until) -> None:
    async with at_home(DemoPort(ready=False)) as (app, pilot):
        lessons, lab = app.screen.query_one(OptionList), app.screen.query_one("#lab")
        await until(pilot, lambda: lessons.option_count == sum(1 + len(track.lessons) for track in CATALOG))
        await until(pilot, lambda: "… minion-1 and minion-2 register" in said(lab))
        await until(pilot, lambda: "Coming up" in said(lab))


async def test_home_tells_when_the_lab_is_ready(until: Until) -> None:
    port = DemoPort(ready=False)
    async with at_home(port) as (app, pilot):
        port.lab_is_ready.set()
        await until(pilot, lambda: "✓ Ready" in said(app.screen.query_one("#lab")))
        await until(pilot, lambda: "✗ minion-2" in said(app.screen.query_one("#lab")))


async def test_home_tells_why_the_lab_did_not_come_up(until: Until) -> None:
    port = DemoPort(failure=LabError(Text("El puerto 6443 está ocupado.", "Port 6443 is taken.")))
    async with at_home(port) as (app, pilot):
        await until(pilot, lambda: "Port 6443 is taken." in said(app.screen.query_one("#lab")))


async def test_home_tells_what_the_machine_lacks(until: Until) -> None:
    port = DemoPort(missing=(Text("Falta nft.", "nft is missing."),))
    async with at_home(port) as (app, pilot):
        sentences = app.screen.query_one("#sentences", Static)
        await until(pilot, lambda: sentences.content == "! nft is missing.")


async def test_the_first_unfinished_lesson_is_chosen(until: Until) -> None:
    async with at_home(DemoPort()) as (app, pilot):
        lessons = app.screen.query_one(OptionList)
        await until(pilot, lambda: lessons.highlighted_option is not None)
        option = lessons.highlighted_option
        assert option and option.id == "containers/01-pid"


async def test_a_lesson_that_cannot_run_here_is_open_for_reading_and_says_why(until: Until) -> None:
    async with at_home(DemoPort()) as (app, pilot):
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and "Step 1 of 2" in top(app))
        await until(pilot, lambda: seen(app) == {"text"})
        await until(pilot, lambda: "It needs cgroup delegation" in markdown(app, "obstacle"))
        await pilot.press("n", "h")
        await until(pilot, lambda: "Step 2 of 2" in top(app) and "Hint 1" in markdown(app, "hints"))
        await pilot.press("f6", "f7", "f8", "q")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))


async def test_the_language_changes_at_once_and_back(until: Until) -> None:
    async with at_home(DemoPort(), language="es") as (app, pilot):
        lessons = app.screen.query_one("#lessons")
        await until(pilot, lambda: "Ayuda" in keys(app) and "EN" in keys(app))
        await pilot.press("f2")
        await until(pilot, lambda: "Help" in keys(app) and lessons.border_title == "Lessons")
        await pilot.press("l")
        await until(pilot, lambda: lessons.border_title == "Lecciones")
        await until(pilot, lambda: app.port.remembered == ["en", "es"])


@pytest.mark.parametrize("key", ["f10", "q", "ctrl+c"])
async def test_quitting_takes_the_lab_down_first(until: Until, key: str) -> None:
    port = DemoPort()
    async with at_home(port) as (app, pilot):
        await pilot.press(key)
        await until(pilot, lambda: not app.is_running)
    assert port.closed


async def test_too_small_a_terminal_gets_one_sentence(until: Until) -> None:
    async with at_home(DemoPort(), size=(60, 20)) as (app, pilot):
        sentence, lessons = app.screen.query_one(TooSmall), app.screen.query_one("#lessons")
        for size in ((79, 24), (80, 23), (60, 20)):
            await pilot.resize_terminal(*size)
            said_so = f"{size[0]}×{size[1]}: enlarge it"
            await until(pilot, lambda said_so=said_so: said_so in str(sentence.content))
            await until(pilot, lambda: sentence.display and not lessons.region.area)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: lessons.region.area > 0)


# A lesson.


async def test_opening_waits_for_the_lab_and_shows_its_progress(until: Until) -> None:
    port = DemoPort(ready=False)
    async with at_home(port) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.is_mounted)
        opening = app.screen.query_one("#opening")
        await until(pilot, lambda: "… minion-1 and minion-2 register" in said(opening))
        port.lab_is_ready.set()
        await until(pilot, lambda: bool(port.session and port.session.shells))


async def test_opening_can_be_given_up(until: Until) -> None:
    async with at_home(DemoPort(ready=False)) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.is_mounted)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))


async def test_what_is_typed_while_the_lesson_opens_is_the_shells(until: Until) -> None:
    port = DemoPort(ready=False)
    async with at_home(port) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen) and app.screen.is_mounted)
        await pilot.press("l", "s", "space", "q", "enter")
        port.lab_is_ready.set()
        await until(pilot, lambda: bool(port.session and port.session.shells))
        await until(pilot, lambda: "ls q\nls q" in app.screen.query_one(TerminalPane).screen_text())
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))


async def test_choosing_a_lesson_twice_opens_it_once(until: Until) -> None:
    async with at_home(DemoPort()) as (app, pilot):
        app.open_lesson("workloads/01-pod")
        app.open_lesson("workloads/01-pod")
        assert len(app.screen_stack) == 2
        app.go_home(app.screen)
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))


async def test_leaving_twice_in_a_hurry_quits(until: Until) -> None:
    port = DemoPort()
    async with in_lesson(until, port) as (app, pilot, _):
        app.screen.action_leave()
        app.screen.action_leave()
        await until(pilot, lambda: not app.is_running)
    assert port.lessons_left == ["workloads/01-pod"]
    assert port.closed


async def test_what_the_shell_writes_makes_the_lesson_look_at_once(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (_, pilot, session):
        looks = session.looks
        await pilot.press("x")
        await until(pilot, lambda: session.looks > looks)


async def test_a_step_that_could_not_be_set_up_says_why(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        session.publish_step(replace(POD_STEP, obstacle=Text("No hay API.", "There is no API.")))
        await until(pilot, lambda: "There is no API." in markdown(app, "obstacle"))


async def test_a_machine_that_is_away_for_a_moment_does_not_disturb_the_screen(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        del session.machine
        app.screen.lab_changed()
        await pilot.press("f2")
        shell = app.screen.query_one(TerminalPane)
        await until(pilot, lambda: shell.border_title == " Terminal en minion-1 ")


async def test_the_step_is_read_and_its_checks_are_told_in_words(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await until(pilot, lambda: "Pod  Step 1 of 2  ●○" in top(app) and top(app).endswith("✓1 …1 ?1"))
        await until(pilot, lambda: "kubectl apply -f pod.yaml" in markdown(app, "body"))
        await until(pilot, lambda: bool(checks(app)))
        assert "✓ the pod default/web exists" in checks(app)
        assert "… the pod web is Running\n  observed: status.phase is Pending" in checks(app)
        assert "see it with: kubectl get pod web -o wide" in checks(app)
        assert "? its IP answers\n  cannot check: the pod has no IP yet" in checks(app)


async def test_the_shell_has_the_focus_and_gets_all_other_keys(until: Until) -> None:
    async with in_lesson(until, DemoPort(shell=("sh", "-c", "stty raw -echo; echo go; cat -v"))) as (
        app,
        pilot,
        _,
    ):
        shell = app.screen.query_one(TerminalPane)
        await until(pilot, lambda: "go" in shell.screen_text())
        await pilot.press("q", "n", "ctrl+q", "ctrl+p", "question_mark")
        await until(pilot, lambda: "qn^Q^P?" in shell.screen_text())
        assert isinstance(app.screen, LessonScreen)


async def test_hints_come_one_rung_at_a_time(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        assert markdown(app, "hints") == ""
        await pilot.press("f3")
        await until(pilot, lambda: markdown(app, "hints").startswith("**Hint 1 of 3**"))
        assert "Hint 2" not in markdown(app, "hints")
        await pilot.press("f3", "f3", "f3")
        await until(pilot, lambda: "Hint 3 of 3" in markdown(app, "hints"))
        await until(pilot, lambda: "no more hints" in top(app))


async def test_the_newest_hint_is_seen(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        text, hints = app.screen.query_one("#text"), app.screen.query_one("#hints")
        rungs = tuple(Text(f"Peldaño {n}. " * 30, f"Rung {n}. " * 30) for n in range(4))
        session.publish_step(replace(POD_STEP, hints=rungs, hints_shown=3))
        await until(pilot, lambda: "Hint 3" in markdown(app, "hints"))
        session.publish_step(replace(POD_STEP, hints=rungs, hints_shown=4))
        await until(pilot, lambda: "Hint 4" in markdown(app, "hints"))
        await until(pilot, lambda: hints.region.bottom == text.region.bottom and hints.region.height > 8)


async def test_a_misconception_is_named_and_seen(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        text, message = app.screen.query_one("#text"), app.screen.query_one("#message")
        session.publish_step(replace(POD_STEP, message=Text("No es una VM.", "It is no VM.")))
        await until(pilot, lambda: markdown(app, "message") == "**! Mind** · It is no VM.")
        await until(pilot, lambda: message.region.bottom <= text.region.bottom and bool(message.region))


async def test_escape_leads_back_to_the_shell(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await pilot.press("f6")
        await until(pilot, lambda: focused(app) == "text")
        await pilot.press("escape")
        await until(pilot, lambda: focused(app) == "shell")


async def test_a_step_that_begins_again_has_a_new_shell(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await pilot.press("f6", "r", "r")
        await until(pilot, lambda: len(session.shells) == 2)
        await until(pilot, lambda: app.screen.query_one(TerminalPane).running)
        assert "ended" not in app.screen.query_one(TerminalPane).screen_text()


async def test_a_step_passes_on_its_own_and_is_celebrated_without_stopping_anybody(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        assert markdown(app, "debrief") == ""
        session.publish_step(PASSED_STEP)
        await until(pilot, lambda: "Step passed! Create a pod" in top(app) and "F5: next" in top(app))
        await until(pilot, lambda: "Kubernetes does the same" in markdown(app, "debrief"))
        assert focused(app) == "shell"
        await pilot.press("f5")
        await until(pilot, lambda: "Step 2 of 2  ✓●" in top(app))


async def test_with_sixteen_colours_the_celebration_can_be_read(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        app.theme = SIXTEEN.name
        session.publish_step(PASSED_STEP)
        await until(pilot, lambda: "Step passed! Create a pod" in top(app))
        shown = [segment for segment in app.screen.query_one("#top").render_line(0) if segment.text.strip()]
        pairs = [(segment.style.color, segment.style.bgcolor) for segment in shown if segment.style]
        assert pairs
        # The terminal's own default text on its own default ground is readable; a colour on itself is not.
        assert [text for text, ground in pairs if text == ground and not (text and text.is_default)] == []


async def test_the_last_step_passed_is_the_lesson_passed(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        session.publish(replace(session.view, steps=(PASSED_STEP, session.view.steps[1]), index=1))
        await until(pilot, lambda: "Step 2 of 2" in top(app))
        session.publish_step(replace(session.view.step, passed=True))
        await until(pilot, lambda: "Lesson passed! Pod" in top(app) and "F10: home" in top(app))


async def test_steps_are_walked_to_both_ends(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await pilot.press("f4")
        await until(pilot, lambda: "first step" in top(app))
        await pilot.press("f5")
        await until(pilot, lambda: "Step 2 of 2  ○●" in top(app))
        await pilot.press("f5")
        await until(pilot, lambda: "last step" in top(app))


async def test_the_language_changes_in_the_middle_of_a_lesson(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await pilot.press("f2")
        await until(pilot, lambda: "Paso 1 de 2" in top(app))
        await until(pilot, lambda: "Un **pod** es un grupo" in markdown(app, "body"))
        await until(pilot, lambda: "se observa: status.phase es Pending" in checks(app))
        await until(pilot, lambda: session.language == "es")


async def test_in_80x24_f7_swaps_the_text_for_the_state(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await until(pilot, lambda: seen(app) == {"text", "shell"})
        await pilot.press("f7")
        await until(pilot, lambda: seen(app) == {"shell", "state"})
        await until(pilot, lambda: "● web Running 1/1" in said(app.screen.query_one("#state")))


async def test_a_hint_or_another_step_brings_the_text_back(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        for away, gone in (("f7", {"shell", "state"}), ("f8", {"shell"})):
            for key in ("f3", "f5", "f4"):
                await pilot.press(away)
                await until(pilot, lambda gone=gone: seen(app) == gone)
                await pilot.press(key)
                await until(pilot, lambda: seen(app) == {"text", "shell"})


async def test_with_room_text_shell_and_state_are_seen_together(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        for size in ((120, 24), (80, 45)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: seen(app) == {"text", "shell", "state"})
        await pilot.press("f7", "f7")
        await until(pilot, lambda: seen(app) == {"text", "shell"})
        await pilot.resize_terminal(160, 45)
        await until(pilot, lambda: seen(app) == {"text", "shell", "state", "changes"})


async def test_f6_moves_the_focus_and_f8_zooms_it(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await pilot.press("f8")
        shell = app.screen.query_one(TerminalPane)
        await until(pilot, lambda: seen(app) == {"shell"} and shell.size == (80, 21))
        await pilot.press("f8", "f6", "z")
        await until(pilot, lambda: seen(app) == {"text"})


async def test_f6_zooms_the_next_pane(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await pilot.press("f8", "f6")
        await until(pilot, lambda: seen(app) == {"text"} and focused(app) == "text")
        await pilot.press("f6")
        await until(pilot, lambda: seen(app) == {"shell"})


async def test_a_lesson_without_a_cluster_shows_its_machines_processes(until: Until) -> None:
    port = DemoPort()
    async with at_home(port, size=(160, 45)) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: bool(port.session and port.session.shells))
        await until(pilot, lambda: "◆ bash  PID namespace …2601" in said(app.screen.query_one("#state")))


async def test_checking_now_and_beginning_again(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, session):
        await pilot.press("f9")
        await until(pilot, lambda: session.calls == ["check_now"])
        await pilot.press("f6", "r")
        await until(pilot, lambda: "Press r once more" in top(app))
        assert session.calls == ["check_now"]
        await pilot.press("e", "r")
        assert session.calls == ["check_now"]
        await pilot.press("r")
        await until(pilot, lambda: session.calls == ["check_now", "reset"])


async def test_help_opens_over_the_lesson_and_closes(until: Until) -> None:
    async with in_lesson(until, DemoPort()) as (app, pilot, _):
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LessonScreen))


async def test_going_home_ends_the_shell_and_the_session(until: Until) -> None:
    port = DemoPort()
    async with in_lesson(until, port) as (app, pilot, session):
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))
        await until(pilot, lambda: port.lessons_left == ["workloads/01-pod"])
        assert await session.shells[0].wait() == -9


async def test_a_signal_or_quit_in_a_lesson_leaves_it_before_the_lab_goes_down(until: Until) -> None:
    port = DemoPort()
    async with in_lesson(until, port) as (app, pilot, _):
        app.action_leave()
        await until(pilot, lambda: not app.is_running)
    assert port.lessons_left == ["workloads/01-pod"]
    assert port.closed


async def test_a_lesson_that_cannot_be_set_up_leads_back_home(until: Until) -> None:
    class Refusing(DemoPort):
        @asynccontextmanager
        async def open_lesson(
            self, lesson_id: str, language: Language, mode: Mode = Mode.LEARN, *, again: bool = False
        ) -> AsyncIterator[DemoSession]:
            raise LabError(Text("No queda memoria.", "No memory is left."))
            yield

    async with at_home(Refusing()) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: bool(app._notifications))
        await until(pilot, lambda: isinstance(app.screen, HomeScreen))
        assert [notice.message for notice in app._notifications] == ["No memory is left."]


async def test_a_slow_farewell_says_what_it_does(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubelab.ui.app.FAREWELL_S", 0.01)

    class Slow(DemoPort):
        released = asyncio.Event()

        async def close(self) -> None:
            await self.released.wait()

    port = Slow()
    async with at_home(port) as (app, pilot):
        await pilot.press("q")
        await until(pilot, lambda: bool(app.screen.query("#farewell")))
        farewell = app.screen.query_one("#farewell", Static)
        await until(pilot, lambda: farewell.content == "Taking the lab down…")
        port.released.set()
        await until(pilot, lambda: not app.is_running)


async def test_a_line_that_stays_the_same_is_not_painted_again(until: Until) -> None:
    async with at_home(DemoPort()) as (app, pilot):
        view = app.screen.query_one("#lab", LineView)
        view.redraw()
        await until(pilot, lambda: not view._repaint_regions)
        view.redraw()
        assert not view._repaint_regions


async def test_keys_that_come_in_one_go_each_find_the_focus_where_the_last_one_put_it(until: Until) -> None:
    async with in_lesson(until, DemoPort(), size=(160, 45)) as (app, pilot, _):
        for _ in range(3):
            app.screen.action_focus_pane()
        app.screen.action_zoom()
        await until(pilot, lambda: seen(app) == {"changes"} and focused(app) == "changes")
