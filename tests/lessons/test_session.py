"""A session on a real machine: what is typed into the shell passes steps, and is kept."""

import asyncio
import os
from collections.abc import Callable

import pytest
from lesson_files import source, spanish
from scratch_lab import ScratchLab

from kubelab.cluster.machine.machine import WindowSize
from kubelab.language import Text
from kubelab.lessons.format import Lesson
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.progress import Progress
from kubelab.lessons.session import Session
from kubelab.lessons.typist import Typist
from kubelab.lessons.view import LessonView, Verdict

pytestmark = pytest.mark.root


def lesson() -> Lesson:
    return parse_lesson(source())


async def reached(session: Session, holds: Callable[[LessonView], bool]) -> LessonView:
    async with asyncio.timeout(20):
        async for view in session.changes():
            if holds(view):
                return view
    raise AssertionError("a session's changes do not end")


async def type_into(session: Session, *lines: str) -> str:
    typist = Typist(await session.shell(WindowSize()))
    await typist.prompt(until=lambda: False, timeout_s=20)
    for line in lines:
        await typist.type(line, until=lambda: False, timeout_s=20)
    return typist.output


def seconds(session: Session) -> int:
    value = session.lesson.variables["SECS"]
    assert isinstance(value, int)
    return value


async def test_a_step_passes_on_its_own_when_the_state_is_reached(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        assert session.view.step.checks[0].verdict is Verdict.NOT_YET
        await type_into(session, f"sleep {seconds(session)} &")
        view = await reached(session, lambda view: view.step.passed)
        assert view.step.debrief == Text("Bien.", "Good.")
        recorded = progress.lesson("demo/01-sleep")
        assert recorded is not None
        assert recorded.steps["one"].passed
    assert lab.machines == {}


async def test_a_wrong_attempt_gets_its_message_and_does_not_pass(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        await type_into(session, "sleep 7 &")
        view = await reached(session, lambda view: view.step.message is not None)
        assert view.step.message == Text("Eso es poco.", "That is little.")
        assert not view.step.passed


async def test_the_shell_begins_beside_the_lessons_files_with_the_variables_in_them(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        output = await type_into(session, "pwd; cat note.txt; hostname")
        assert "/root/things" in output
        assert f"sleep {seconds(session)}" in output
        assert "root@bench" in output


async def test_hints_are_shown_one_by_one_and_recorded(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        for shown in (1, 2, 3, 4, 4):
            session.hint()
            assert session.view.step.hints_shown == shown
    async with Session.open(lab, lesson(), progress) as session:
        assert session.view.step.hints_shown == 4


async def test_a_lesson_resumes_at_its_step_with_its_variables(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        before = seconds(session)
        session.next()
        assert session.view.index == 1
        session.next()
        assert session.view.index == 1
    async with Session.open(lab, lesson(), progress) as session:
        assert session.view.index == 1
        assert seconds(session) == before
        session.previous()
        assert session.view.index == 0


async def test_the_setup_of_a_step_has_run_when_its_checks_count(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        session.next()
        view = await reached(session, lambda view: view.step.checks[0].observed.en.startswith("`sleep`"))
        assert not view.step.passed
        await type_into(session, f"pkill -f 'sleep {seconds(session)}'")
        await reached(session, lambda view: view.step.passed)


async def test_the_lessons_own_setup_runs_before_that_of_each_step(
    lab: ScratchLab, progress: Progress
) -> None:
    both = spanish("shell: bench", "shell: bench\nsetup: [echo lesson >> order]")
    prepared = both.spanish.replace("setup: [sleep $SECS &]", "setup: [echo step >> order]")
    async with Session.open(lab, parse_lesson(source(spanish=prepared)), progress) as session:
        assert "lesson" in await type_into(session, "cat order")
        session.next()
        await session.begun()
        assert "lesson\r\nlesson\r\nstep" in await type_into(session, "cat order")


async def test_a_setup_that_fails_is_told_and_the_learner_goes_on(
    lab: ScratchLab, progress: Progress
) -> None:
    failing = parse_lesson(spanish("setup: [sleep $SECS &]", "setup: ['test -e ok || ls nowhere']"))
    async with Session.open(lab, failing, progress) as session:
        session.next()
        view = await reached(session, lambda view: view.step.obstacle is not None)
        assert view.step.obstacle
        assert "nowhere" in view.step.obstacle.en
        session.previous()
        await type_into(session, f"touch ok; sleep {seconds(session)} &")
        await reached(session, lambda view: view.index == 0 and view.step.passed)
        session.next()
        await reached(session, lambda view: view.index == 1 and view.step.obstacle is None)


async def test_a_lesson_resumes_at_a_step_whose_setup_fails(lab: ScratchLab, progress: Progress) -> None:
    failing = parse_lesson(spanish("setup: [sleep $SECS &]", "setup: ['false']"))
    async with Session.open(lab, failing, progress) as session:
        session.next()
    async with Session.open(lab, failing, progress) as session:
        assert session.view.step.obstacle
        await type_into(session, f"sleep {seconds(session)} &")
        await reached(session, lambda view: view.step.checks[0].observed.en.startswith("`sleep`"))
        await type_into(session, f"pkill -f 'sleep {seconds(session)}'")
        view = await reached(session, lambda view: view.step.passed)
        assert view.step.obstacle is None


async def test_what_the_shell_writes_is_followed_by_a_look(lab: ScratchLab, progress: Progress) -> None:
    """With the regular looks an hour apart."""
    async with Session.open(lab, lesson(), progress) as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kubelab.lessons.observe.SCAN_INTERVAL_S", 3600)
            session.look_soon()
            await asyncio.sleep(0.1)  # Any look from now on is one that was asked for.
            await type_into(session, f"sleep {seconds(session)} &")
            session.look_soon()
            await reached(session, lambda view: view.step.passed)


async def test_a_reset_brings_back_machine_and_files_and_the_step_is_to_be_done_again(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        await type_into(session, "rm note.txt", f"sleep {seconds(session)} &")
        await reached(session, lambda view: view.step.passed)
        machine = session.machine
        await session.reset()
        assert session.machine is not machine
        assert not session.view.step.passed
        await session.check_now()
        assert not session.view.step.passed
        assert f"sleep {seconds(session)}" in await type_into(session, "cat note.txt")


async def test_a_closed_session_ends_its_shells(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        shell = await session.shell(WindowSize())
        alive = os.pidfd_open(shell.pid)
    async with asyncio.timeout(20):
        await shell.wait()
    os.close(alive)


async def test_a_machine_that_cannot_be_looked_at_is_no_learners_mistake(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        machine = lab.machines.pop("bench")
        await session.check_now()
        assert session.view.step.checks[0].verdict is Verdict.CANNOT_CHECK
        assert "bench" in session.view.step.checks[0].observed.en
        lab.machines["bench"] = machine
        await session.check_now()
        assert session.view.step.checks[0].verdict is Verdict.NOT_YET
