"""What an author gets wrong is told with its line, however wrong it is: nothing else comes out of parsing."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lesson_files import SPANISH, source, spanish

from kubelab.lessons import evaluation
from kubelab.lessons.checks import CHECKS, Scope
from kubelab.lessons.compare import Comparison
from kubelab.lessons.evaluation import StepState
from kubelab.lessons.lint import lint_source
from kubelab.lessons.located import LessonError
from kubelab.lessons.observation import Observation
from kubelab.lessons.parse import parse_lesson

CHECK = "- process: {argv: sleep $SECS}\n  solve"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("checks:\n  " + CHECK, "checks: []\n  solve", "at least one belongs here"),
        ("solve: [sleep $SECS &]", "solve: []", "at least one belongs here"),
        ("do: [sleep 7 &]", "do: []", "at least one belongs here"),
        (CHECK, "- {all: []}\n  solve", "at least one belongs here"),
        (CHECK, "- {any: []}\n  solve", "at least one belongs here"),
        (CHECK, "- {within: 5s, checks: []}\n  solve", "at least one belongs here"),
        ("- id: two", "- id: one", "step “one” is there twice"),
        ("{SECS: {", "{'': {", "cannot be a name"),
        ("{SECS: {", "{'A B': {", "cannot be a name"),
        ("[1001, 1002]", "[2026-01-01]", "is a text or a number"),
        ("[1001, 1002]", "[.nan]", "is a text or a number"),
    ],
)
def test_what_could_not_work_later_is_refused_when_it_is_read(old: str, new: str, says: str) -> None:
    with pytest.raises(LessonError, match=f"es.md:[0-9]+: .*{says}") as caught:
        parse_lesson(spanish(old, new))
    assert caught.value.line > 1


def test_a_lesson_has_steps() -> None:
    text = "---\nformat: 1\ntitle: Nada\nminutes: 1\nsteps: []\n---\n"
    with pytest.raises(LessonError, match="at least one belongs here"):
        parse_lesson(source(spanish=text, english="---\nof: a\ntitle: Nothing\n---\n"))


@pytest.mark.parametrize("value", [[80, 443], {"app": "web"}, [{"port": 80}]])
def test_a_value_that_is_a_list_or_a_mapping_stands_in_a_check(value: Any) -> None:
    measured = "- {value: {object: service, name: web, field: .spec.ports}, eq: $PORTS}\n  solve"
    lesson = parse_lesson(spanish(CHECK, measured), {"SECS": 1001, "PORTS": value})
    check = lesson.steps[0].structure.checks[0].check
    assert isinstance(check, Comparison)
    assert check.eq == value


STRANGE: list[Any] = [
    None, True, -1, 3.5, float("inf"), 10**30, "", "x", "$SECS", "$", "{.a}", "{", "[", "1s", "-1s", "../x",
    "a in (", "(", "\\", "10.0.0.0/8", "32Mi", "=", [], {}, [1], {"a": 1}, [[]], {"eq": None},
]  # fmt: skip
EXAMPLES = [yaml.safe_load(kind.example) for kind in CHECKS.values() if kind.example]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container below *value* with each key into it."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in list(entries):
        yield value, key
        yield from _places(inner)


@given(st.data())
def test_whatever_is_written_is_a_lesson_or_a_mistake_with_its_line(data: st.DataObject) -> None:
    _, front, prose = SPANISH.split("---\n", 2)
    document = yaml.safe_load(front)
    document["steps"][0]["checks"].append(copy.deepcopy(data.draw(st.sampled_from(EXAMPLES))))
    for _ in range(data.draw(st.integers(0, 3))):
        container, key = data.draw(st.sampled_from(list(_places(document))))
        container[key] = copy.deepcopy(data.draw(st.sampled_from(STRANGE + EXAMPLES)))
    text = f"---\n{yaml.safe_dump(document, sort_keys=False)}---\n{prose}"
    try:
        lesson = parse_lesson(replace(source(), spanish=text))
    except LessonError as error:
        assert error.line >= 1
        return
    scope, seen = Scope(lesson.machine), Observation()
    states = tuple(evaluation.evaluate(step, StepState(), seen, scope) for step in lesson.steps)
    evaluation.draw(lesson, states, 0, scope)
    for step, state in zip(lesson.steps, states, strict=True):
        evaluation.questions(step, state, seen, scope)


CAPTURE = "- id: two\n  capture: {PID: {process: {comm: sleep}, field: machine-pid}}\n"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (CHECK, "- process: {argv: sleep $PID}\n  solve", ["$PID is not known yet: step “two” captures it"]),
        (
            "when: {process: {argv: sleep 7}}",
            "when: {process: {argv: sleep $PID}}",
            ["$PID is not known yet"],
        ),
        ("{comm: sleep}, field", "{comm: sleep$PID}, field", ["$PID is not known yet"]),
        ("    gone: true\n", "    gone: true\n  - process: {argv: sleep $PID}\n", []),
        ("solve: [sleep $SECS &]", "solve: [sleep $SECS & echo $PID]", []),
        ("do: [sleep 7 &]", "do: [sleep 7 & echo $PID]", []),
        (CHECK, "- {not: {value: {process: {comm: a}, field: uid}}}\n  solve", ["is compared with nothing"]),
        (CHECK, "- {not: {value: {process: {comm: a}, field: uid}, ne: 0}}\n  solve", []),
    ],
)
def test_lint_tells_what_can_be_read_and_cannot_be_meant(old: str, new: str, told: list[str]) -> None:
    text = SPANISH.replace("- id: two\n", CAPTURE)
    assert old in text
    problems = lint_source(source(spanish=text.replace(old, new, 1)))
    assert [part in problem.sentence.en for part, problem in zip(told, problems, strict=True)] == [
        True
    ] * len(told)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("sleep $SECS &\n```", "sleep 1000 && " * 3 + "sleep $SECS &\n```", []),
        ("sleep $SECS &\n```", "sleep 1000 && " * 4 + "sleep $SECS &\n```", ["this line of code has 68"]),
        ("Duerme $SECS segundos.", "Duerme " * 20, []),
        ("title: Una lección", f"title: {'a' * 21}", []),
        ("title: Una lección", f"title: {'a' * 22}", ["the title has 22 columns"]),
    ],
)
def test_lint_tells_what_a_terminal_has_no_room_for(old: str, new: str, told: list[str]) -> None:
    assert old in SPANISH
    problems = lint_source(source(spanish=SPANISH.replace(old, new, 1)))
    room = [problem for problem in problems if "has room for" in problem.sentence.en]
    assert [part in problem.sentence.en for part, problem in zip(told, room, strict=True)] == [True] * len(
        told
    )
    assert all(problem.advice for problem in room)
