"""What a session does for who learns: predictions, changes, fast-forward, test-out, captures, another go."""

import pytest
from lesson_files import SPANISH, source, spanish
from scratch_lab import ScratchLab
from test_predictions import asked
from test_session import lesson, reached, seconds, type_into

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.change import About, Sign
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.patience import Patience
from kubelab.lessons.progress import Progress
from kubelab.lessons.record import Event, Outcome
from kubelab.lessons.session import Session
from kubelab.lessons.view import Mode

pytestmark = pytest.mark.root


async def test_a_prediction_and_the_live_answer_are_kept(lab: ScratchLab, progress: Progress) -> None:
    predicting = parse_lesson(asked())
    async with Session.open(lab, predicting, progress) as session:
        session.predict("none")
        session.predict("one")
        await type_into(session, f"sleep {seconds(session)} &")
        view = await reached(session, lambda view: view.step.passed)
        prediction = view.step.prediction
        assert prediction is not None
        assert prediction.outcome is not None
        assert (prediction.answer, prediction.outcome.choice, prediction.outcome.right) == (
            "one",
            "one",
            True,
        )
        session.predict("many")
        assert session.view.step.prediction == prediction
    async with Session.open(lab, predicting, progress) as session:
        assert session.view.step.prediction == prediction
    recorded = progress.lesson("demo/01-sleep")
    assert recorded is not None
    assert recorded.steps["one"].answer == "one"
    assert recorded.steps["one"].outcome == Outcome("1", "one")


async def test_what_changed_since_the_step_began_is_told(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        assert session.what_changed() == ()
        await type_into(session, f"sleep {seconds(session)} &")
        await reached(session, lambda view: view.step.passed)
        told = [(change.sign, change.about, change.what.en) for change in session.what_changed()]
        assert any(
            sign is Sign.NEW and about is About.PROCESS and what.endswith(f" sleep {seconds(session)}")
            for sign, about, what in told
        )


async def test_fast_forward_types_the_solution_and_what_it_started_stays(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        await session.fast_forward()
        assert session.view.step.passed
        assert session.view.step.skipped
        assert session.view.busy is None
        output = await type_into(session, "pgrep -fc 'sleep 100'")
        assert output.splitlines()[-2].strip().endswith("1")
        session.next()
        await session.fast_forward()
        assert session.view.finished
    recorded = progress.lesson("demo/01-sleep")
    assert recorded is not None
    assert all(step.skipped for step in recorded.steps.values())
    (completion,) = progress.completions("demo/01-sleep")
    assert completion.skipped == 2


async def test_a_solution_that_does_not_pass_is_told_and_nothing_is_skipped(
    lab: ScratchLab, progress: Progress
) -> None:
    useless = parse_lesson(spanish("solve: [sleep $SECS &]", "solve: ['true']"))
    async with Session.open(lab, useless, progress) as session:
        with pytest.raises(LabError, match="one"):
            await session.fast_forward(Patience(state_s=0.3))
        assert not session.view.step.skipped
        assert session.view.busy is None
        await type_into(session, f"sleep {seconds(session)} &")
        view = await reached(session, lambda view: view.step.passed)
        assert not view.step.skipped


async def test_a_test_out_shows_goals_and_no_help(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress, mode=Mode.TEST_OUT) as session:
        step = session.view.step
        assert "sleep" in step.body.en
        assert "At first." not in step.body.en
        assert step.hints == ()
        session.hint()
        assert session.view.step.hints_shown == 0
        with pytest.raises(LabError):
            await session.fast_forward()
        await type_into(session, f"sleep {seconds(session)} &")
        await reached(session, lambda view: view.step.passed)
        session.next()
        await reached(session, lambda view: view.step.checks[0].observed.en.startswith("`sleep`"))
        await type_into(session, f"pkill -f 'sleep {seconds(session)}'")
        await reached(session, lambda view: view.finished)
    (completion,) = progress.completions("demo/01-sleep")
    assert completion.tested_out


async def test_another_go_begins_at_the_beginning_and_keeps_what_was_completed(
    lab: ScratchLab, progress: Progress
) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        await session.fast_forward()
        session.next()
        await session.fast_forward()
    async with Session.open(lab, lesson(), progress, again=True) as session:
        assert session.view.index == 0
        assert not session.view.step.passed
    assert len(progress.completions("demo/01-sleep")) == 1


CAPTURING = (
    "  capture: {PID: {process: {comm: sleep}, field: machine-pid}}\n"
    "  checks:\n"
    "  - {value: {process: {comm: sleep}, field: machine-pid}, ne: $PID}\n"
    "  setup: [sleep 2000 &]\n"
    "  solve: [pkill sleep; sleep 2001 &]\n"
)


async def test_a_value_is_captured_when_the_step_begins_and_sticks(
    lab: ScratchLab, progress: Progress
) -> None:
    head, _, tail = SPANISH.partition("- id: one\n")
    capturing = parse_lesson(
        source(spanish=f"{head}- id: one\n{CAPTURING}  wrong:{tail.partition('  wrong:')[2]}")
    )
    async with Session.open(lab, capturing, progress) as session:
        await reached(session, lambda view: "PID" in session.lesson.variables)
        captured = session.lesson.variables["PID"]
        recorded = progress.lesson("demo/01-sleep")
        assert recorded is not None
        assert recorded.variables["PID"] == captured
        assert not session.view.step.passed
        await session.reset()
        await reached(session, lambda view: "PID" in session.lesson.variables)
        await type_into(session, "pkill sleep; sleep 2001 &")
        await reached(session, lambda view: view.step.passed)


async def test_the_journal_tells_what_happened(lab: ScratchLab, progress: Progress) -> None:
    async with Session.open(lab, lesson(), progress) as session:
        session.hint()
        await type_into(session, "sleep 7 &")
        view = await reached(session, lambda view: view.step.message is not None)
        assert view.step.message == Text("Eso es poco.", "That is little.")
        await session.reset()
        await session.fast_forward()
    told = [entry.what for entry in progress.journal("demo/01-sleep")]
    assert told == [Event.OPENED, Event.HINT, Event.MISCONCEPTION, Event.RESET, Event.SKIPPED]


async def test_a_setup_that_never_ends_is_told(
    lab: ScratchLab, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubelab.lessons.session.SETUP_TIMEOUT_S", 0.3)
    endless = parse_lesson(spanish("setup: [sleep $SECS &]", "setup: [sleep 1000]"))
    async with Session.open(lab, endless, progress) as session:
        session.next()
        view = await reached(session, lambda view: view.step.obstacle is not None)
        assert view.step.obstacle is not None
        assert "did not end within" in view.step.obstacle.en
