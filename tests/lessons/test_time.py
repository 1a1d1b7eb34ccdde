"""Checks about time: what held once, holds on end, or happened together; on a clock that the test moves."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lesson_files import source
from observed import check, machine, process

from kubelab.lessons.checks import Check, Finding, Scope, judge
from kubelab.lessons.duration import Duration
from kubelab.lessons.evaluation import StepState, begin, evaluate
from kubelab.lessons.format import StepCheck, StepStructure
from kubelab.lessons.located import LessonError, read_yaml
from kubelab.lessons.memory import Memory
from kubelab.lessons.observation import Observation
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.view import Verdict

SLEEP = machine(process(comm="sleep"))
CAT = machine(process(comm="cat"))
BOTH = machine(process(10, comm="sleep"), process(11, comm="cat"))
NOTHING = machine()


class Watcher:
    """Evaluates one check again and again, as a step does."""

    def __init__(self, yaml: str) -> None:
        self.check: Check = check(yaml)
        self.memory = Memory()

    def at(self, at_s: float, seen: Observation) -> Finding:
        self.memory = Memory(self.memory.notes, at_s)
        return judge(self.check, replace(seen, at_s=at_s), Scope("minion-1", self.memory))


def verdicts(yaml: str, moments: Iterable[tuple[float, Observation]]) -> list[Verdict]:
    watcher = Watcher(yaml)
    return [watcher.at(at_s, seen).verdict for at_s, seen in moments]


PASSED, NOT_YET = Verdict.PASSED, Verdict.NOT_YET


def test_edge_remembers_that_it_held() -> None:
    yaml = "all: [{edge: {process: {comm: sleep}}}, {process: {comm: sleep}, absent: true}]"
    assert verdicts(yaml, [(0, NOTHING), (1, SLEEP), (2, NOTHING)]) == [NOT_YET, NOT_YET, PASSED]


def test_hold_passes_once_the_check_held_for_so_long_without_a_break() -> None:
    yaml = "{hold: {process: {comm: sleep}}, for: 5s}"
    moments = [(0, SLEEP), (4.9, SLEEP), (5.0, SLEEP)]
    assert verdicts(yaml, moments) == [NOT_YET, NOT_YET, PASSED]


def test_a_break_starts_hold_anew() -> None:
    yaml = "{hold: {process: {comm: sleep}}, for: 5s}"
    moments = [(0, SLEEP), (3, NOTHING), (4, SLEEP), (8.9, SLEEP), (9, SLEEP)]
    assert verdicts(yaml, moments) == [NOT_YET, NOT_YET, NOT_YET, NOT_YET, PASSED]


def test_hold_asks_to_be_woken_when_its_time_is_over() -> None:
    watcher = Watcher("{hold: {process: {comm: sleep}}, for: 5s}")
    assert not watcher.at(1, NOTHING).passed
    assert watcher.memory.wake_at_s is None
    assert "not for 5 s on end yet" in watcher.at(2, SLEEP).observed.en
    assert watcher.memory.wake_at_s == 7


def test_within_passes_when_all_happened_close_together_in_any_order() -> None:
    yaml = "{within: 20s, checks: [{process: {comm: sleep}}, {process: {comm: cat}}]}"
    assert verdicts(yaml, [(0, SLEEP), (10, NOTHING), (20, CAT)]) == [NOT_YET, NOT_YET, PASSED]
    assert verdicts(yaml, [(0, CAT), (20, SLEEP)]) == [NOT_YET, PASSED]
    assert verdicts(yaml, [(0, SLEEP), (21, CAT)]) == [NOT_YET, NOT_YET]
    assert verdicts(yaml, [(0, SLEEP), (100, BOTH)]) == [NOT_YET, PASSED]


@given(st.lists(st.tuples(st.floats(0.01, 10), st.booleans()), min_size=1, max_size=30))
def test_hold_is_what_its_definition_says(steps: list[tuple[float, bool]]) -> None:
    """It passes exactly when all observations of the last five seconds, and the one before them, held."""
    watcher, at_s, history = Watcher("{hold: {process: {comm: sleep}}, for: 5s}"), 0.0, []
    for rest_s, holds in steps:
        at_s += rest_s
        history.append((at_s, holds))
        since_s = None
        for moment_s, held in history:
            since_s = (moment_s if since_s is None else since_s) if held else None
        expected = since_s is not None and at_s >= since_s + 5.0
        assert watcher.at(at_s, SLEEP if holds else NOTHING).passed == expected


@pytest.mark.parametrize(
    ("written", "seconds_s"),
    [("20s", 20), ("500ms", 0.5), ("2m", 120), ("3", 3), ("1.5s", 1.5), ("1h", 3600)],
)
def test_a_length_of_time_is_read_with_its_unit(written: str, seconds_s: float) -> None:
    assert Duration.read(read_yaml(written, "es.md")).seconds_s == seconds_s


@pytest.mark.parametrize("written", ["soon", "-3s", "5 days", "[1]"])
def test_what_is_no_length_of_time_is_refused(written: str) -> None:
    with pytest.raises(LessonError):
        Duration.read(read_yaml(written, "es.md"))


COUNT = "{process: {comm: sleep}, field: count}"
ONE, TWO = machine(process(10, "sleep")), machine(process(10, "sleep"), process(11, "sleep"))


def test_value_compares_what_another_check_sees() -> None:
    assert verdicts(f"{{value: {COUNT}, ge: 2}}", [(0, ONE), (1, TWO)]) == [NOT_YET, PASSED]
    assert verdicts("{value: {process: {comm: sleep}}, eq: 10}", [(0, NOTHING), (1, ONE)]) == [
        NOT_YET,
        PASSED,
    ]


def test_value_knows_from_where_it_grew() -> None:
    assert verdicts(f"{{value: {COUNT}, increased: 1}}", [(0, ONE), (1, ONE), (2, TWO)]) == [
        NOT_YET,
        NOT_YET,
        PASSED,
    ]


@pytest.mark.parametrize("counted", ["{object-count: pods}", "{store: revision}"])
def test_value_is_of_something_and_not_of_its_comparison(counted: str) -> None:
    expected = check(f"{{value: {counted}, increased: 1}}").expected(Scope("minion-1"))
    assert ": : " not in expected.es + expected.en


def test_value_knows_that_it_is_another_one() -> None:
    changed = "{value: {process: {comm: sleep}}, changed: true}"
    other = machine(process(12, "sleep"))
    assert verdicts(changed, [(0, ONE), (1, ONE), (2, NOTHING), (3, other)]) == [
        NOT_YET,
        NOT_YET,
        NOT_YET,
        PASSED,
    ]


STEADY = f"{{value: {COUNT}, steady: 5s}}"


def test_value_stayed_the_same_for_so_long_whatever_it_was_before() -> None:
    moments = [(0, ONE), (3, TWO), (7.9, TWO), (8, TWO)]
    assert verdicts(STEADY, moments) == [NOT_YET, NOT_YET, NOT_YET, PASSED]


def test_a_value_that_moves_again_is_steady_no_more() -> None:
    moments = [(0, ONE), (5, ONE), (6, TWO), (7, ONE), (11.9, ONE), (12, ONE)]
    assert verdicts(STEADY, moments) == [NOT_YET, PASSED, NOT_YET, NOT_YET, NOT_YET, PASSED]


def test_a_value_that_was_gone_is_steady_from_when_it_is_there_again() -> None:
    steady = "{value: {process: {comm: sleep}}, steady: 5s}"
    moments = [(0, ONE), (4, NOTHING), (5, ONE), (9.9, ONE), (10, ONE)]
    assert verdicts(steady, moments) == [NOT_YET, NOT_YET, NOT_YET, NOT_YET, PASSED]


def test_steady_asks_to_be_woken_when_its_time_is_over() -> None:
    watcher = Watcher(STEADY)
    assert not watcher.at(2, ONE).passed
    assert watcher.memory.wake_at_s == 7


def test_value_is_only_for_checks_that_have_one() -> None:
    with pytest.raises(LessonError, match=r"no value “all”|no hay valor «all»"):
        check("{value: {all: [{process: {comm: sleep}}]}, eq: 1}")


def test_what_nobody_watched_did_not_hold_on_end() -> None:
    """The learner was at another step meanwhile."""
    held = StepCheck(check("{hold: {process: {comm: sleep}}, for: 5s}"))
    step = replace(parse_lesson(source()).steps[0], structure=StepStructure("one", (held,), ("true",)))
    state = evaluate(step, StepState(), replace(SLEEP, at_s=0), Scope("minion-1"))
    assert state.wake_at_s == 5
    state = begin(state, None, ())
    assert state.wake_at_s is None
    state = evaluate(step, state, replace(SLEEP, at_s=100), Scope("minion-1"))
    assert not state.passed
    assert evaluate(step, state, replace(SLEEP, at_s=105), Scope("minion-1")).passed
