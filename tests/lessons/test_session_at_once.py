"""What a session does for who presses everything at once: nothing sticks, nothing is done to another step."""

import asyncio

import pytest
from lesson_files import spanish
from scratch_lab import ScratchLab
from test_session import lesson, reached, seconds, type_into

from kubelab.cluster.errors import LabError
from kubelab.lessons.format import Lesson
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.progress import Progress
from kubelab.lessons.session import Session

pytestmark = pytest.mark.root

# A process that is killed before it is seen was never there: nothing is solved before it is what it shall be.
SLOW = "setup: ['sleep 0.5; sleep $SECS & until pgrep -fx \"sleep $SECS\" >/dev/null; do sleep 0.05; done']"


def slow() -> Lesson:
    return parse_lesson(spanish("setup: [sleep $SECS &]", SLOW))


async def test_work_that_begins_while_a_step_is_set_up_leaves_nobody_busy(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, slow(), progress) as session:
        session.next()
        await reached(session, lambda view: view.busy is not None)
        solving = asyncio.create_task(session.fast_forward())
        await reached(session, lambda view: view.step.checks[0].observed.en.startswith("`sleep`"))
        assert session.view.busy is not None
        await solving
        assert session.view.busy is None


async def test_who_leaves_the_step_does_not_get_the_solution_of_another(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, slow(), progress) as session:
        session.next()
        await reached(session, lambda view: view.busy is not None)
        solving = asyncio.create_task(session.fast_forward())
        await asyncio.sleep(0)
        session.previous()
        with pytest.raises(LabError, match="two"):
            await solving
        assert not session.view.steps[1].passed
        assert session.view.busy is None
        wanted = f"'sleep {seconds(session)}'"
        begun = f"until pgrep -fx {wanted} >/dev/null; do sleep 0.05; done"
        counted = await type_into(session, begun, f"pgrep -fxc {wanted}")
        assert counted.splitlines()[-2].strip().endswith("1")  # The setup's; none was typed.


async def test_a_solution_ends_when_its_step_is_left(lab: ScratchLab, progress: Progress) -> None:
    endless = parse_lesson(spanish("solve: [sleep $SECS &]", "solve: [touch begun; sleep 3000, 'true']"))
    async with Session.open(lab, endless, progress) as session:
        solving = asyncio.create_task(session.fast_forward())
        await type_into(session, "until test -e begun; do sleep 0.1; done")
        session.next()
        async with asyncio.timeout(20):
            with pytest.raises(LabError, match="one"):
                await solving


async def test_a_reset_waits_for_the_solution_that_is_typed(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        solving = asyncio.create_task(session.fast_forward())
        await asyncio.sleep(0)
        await session.reset()
        await solving
        assert not session.view.step.passed
        assert session.view.busy is None


async def test_a_reset_that_is_under_way_when_the_lesson_is_left_leaves_no_machine(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        resetting = asyncio.create_task(session.reset())
        await reached(session, lambda view: view.busy is not None)
    await asyncio.wait([resetting])
    assert lab.machines == {}
    with pytest.raises(LabError):
        await session.reset()
    assert lab.machines == {}


async def test_a_lesson_that_has_one_more_variable_by_now_resumes_with_it(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        before = seconds(session)
    grown = parse_lesson(spanish("vars: {SECS:", "vars: {COLOUR: {pick: [red, blue]}, SECS:"))
    async with Session.open(lab, grown, progress) as session:
        colour = session.lesson.variables["COLOUR"]
        assert colour in ("red", "blue")
        assert seconds(session) == before
    async with Session.open(lab, grown, progress) as session:
        assert session.lesson.variables["COLOUR"] == colour
