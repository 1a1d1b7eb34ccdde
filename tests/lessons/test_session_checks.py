"""Checks on the lesson itself: hints, resets, the language; and solutions that do what is done in the app."""

import pytest
from lesson_files import spanish
from observed import SCOPE, check, found
from scratch_lab import ScratchLab
from test_session import reached

from kubelab.lessons.checks import judge
from kubelab.lessons.checks.check import Scope
from kubelab.lessons.format import Lesson
from kubelab.lessons.memory import Memory
from kubelab.lessons.observation import Observation, SessionState
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.progress import Progress
from kubelab.lessons.proof import prove
from kubelab.lessons.session import Session
from kubelab.lessons.view import Verdict


def seen(hints: int = 0, resets: int = 0, language: str = "es") -> Observation:
    return Observation(session=SessionState(hints, resets, language))


def test_each_figure_of_a_session_compares() -> None:
    assert not found("{session: hints, ge: 1}", seen()).passed
    assert found("{session: hints, ge: 1}", seen(hints=2)).passed
    assert found("{session: resets, eq: 1}", seen(resets=1)).passed
    assert found("{session: language, eq: en}", seen(language="en")).passed
    assert found("{session: hints, ge: 1}", seen(hints=2)).observed.en == "2"


def test_where_nobody_tells_of_the_session_it_was_not_looked_at_yet() -> None:
    assert found("{session: hints, ge: 1}", Observation()).verdict is Verdict.NOT_YET


def test_that_the_language_was_changed_is_seen_by_its_value() -> None:
    changed = check("{value: {session: language}, changed: true}")
    memory = Memory()
    assert not judge(changed, seen(), Scope(SCOPE.machine, memory)).passed
    assert judge(changed, seen(language="en"), Scope(SCOPE.machine, memory)).passed


def about_itself(checks: str, solve: str) -> Lesson:
    """Return the small lesson whose first step is about the lesson itself."""
    wanted = spanish(
        "- process: {argv: sleep $SECS}\n  solve: [sleep $SECS &]", f"{checks}\n  solve: {solve}"
    )
    return parse_lesson(wanted)


@pytest.mark.root
async def test_what_is_done_in_the_app_passes_a_step_by_itself(lab: ScratchLab, progress: Progress) -> None:
    checks = "- {session: hints, ge: 1}\n  - {value: {session: language}, changed: true}"
    async with Session.open(lab, about_itself(checks, "['true']"), progress) as session:
        session.hint()
        session.language = "en"
        await reached(session, lambda view: view.step.passed)


@pytest.mark.root
async def test_a_reset_is_counted_and_skipping_ahead_does_what_is_done_in_the_app(
    lab: ScratchLab, progress: Progress
) -> None:
    checks = "- {session: resets, ge: 1}\n  - {session: hints, ge: 1}\n  - {file: /root/after}"
    lesson = about_itself(checks, "[<hint>, touch /root/before, <reset>, touch /root/after]")
    async with Session.open(lab, lesson, progress) as session:
        await session.fast_forward()
        assert session.view.step.passed
        assert session.view.step.skipped
        assert session.view.step.hints_shown == 1


@pytest.mark.root
async def test_a_proof_does_what_is_done_in_the_app(lab: ScratchLab) -> None:
    checks = "- {value: {session: language}, changed: true}\n  - {session: hints, ge: 1}"
    proof = await prove(about_itself(checks, "[<hint>, <language>, <language>]"), "es", lab)
    assert proof.passed, str(proof)


@pytest.mark.root
async def test_a_shell_is_left_when_what_it_is_in_was_seen(lab: ScratchLab) -> None:
    checks = "- {hold: {process: {comm: dash}}, for: 1s}"
    proof = await prove(about_itself(checks, "[dash, exit]"), "es", lab)
    assert proof.passed, str(proof)
