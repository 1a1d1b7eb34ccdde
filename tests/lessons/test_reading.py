"""A lesson that cannot be done here is read, and says why."""

from lesson_files import source

from kubelab.language import Text
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.reading import Reading
from kubelab.lessons.view import Verdict

WHY = Text("Hace falta root.", "Root is needed.")


def reading() -> Reading:
    return Reading(parse_lesson(source()), WHY, "en")


async def test_every_step_says_why_it_cannot_be_done_and_none_is_passed() -> None:
    steps = reading().view.steps
    assert [step.obstacle for step in steps] == [WHY, WHY]
    assert not any(step.passed for step in steps)
    assert steps[0].checks[0].verdict is Verdict.NOT_YET


async def test_its_pages_are_turned_as_far_as_they_go_and_its_hints_shown() -> None:
    lesson = reading()
    seen = []
    async for view in lesson.changes():
        seen.append((view.index, view.step.hints_shown))
        if len(seen) == 4:
            break
        [lesson.hint, lesson.next, lesson.next][len(seen) - 1]()
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 0)]
    lesson.previous()
    lesson.previous()
    assert lesson.view.index == 0


def test_its_variables_have_values() -> None:
    assert "$SECS" not in reading().view.step.body.en
