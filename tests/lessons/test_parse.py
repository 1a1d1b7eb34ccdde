"""Lesson format 1: what it means, and how each mistake in it is named by file, line and remedy."""

import pytest
from lesson_files import SPANISH, source, spanish

from kubelab.language import Text
from kubelab.lessons.lint import lint_source
from kubelab.lessons.located import LessonError
from kubelab.lessons.parse import parse_lesson, parse_track, text_hash


def error_of(old: str, new: str) -> LessonError:
    with pytest.raises(LessonError) as caught:
        parse_lesson(spanish(old, new))
    return caught.value


def line_of(fragment: str, text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if fragment in line)


def test_a_step_has_its_text_in_both_languages() -> None:
    one, two = parse_lesson(source()).steps
    assert one.title == Text("Dormir", "Sleep")
    assert two.body == Text("Despierta.", "Wake up.")
    assert [hint.en for hint in two.hints] == ["One.", "Two.", "Three.", "Four."]
    assert one.debrief == Text("Bien.", "Good.")
    assert one.messages["too-short"] == Text("Eso es poco.", "That is little.")


def test_the_body_is_the_text_without_the_containers_and_with_the_prediction_as_a_quotation() -> None:
    body = parse_lesson(source(), {"SECS": 1002}).steps[0].body.en
    assert body == "At first.\n\nSleep 1002 seconds.\n\n> What will happen?\n\nAnd more text."


def test_a_fence_inside_a_hint_stays_whole() -> None:
    assert parse_lesson(source()).steps[0].hints[3].es == "```\nsleep 1001 &\n```"


def test_variables_are_put_into_checks_and_solutions() -> None:
    step = parse_lesson(source(), {"SECS": 1002}).steps[0]
    assert step.structure.solve == ("sleep 1002 &",)
    assert "sleep 1002" in repr(step.structure.checks[0].check)


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("minutes: 5", "minuts: 5", "minuts: 5", "did you mean “minutes”"),
        ("minutes: 5", "minutes: soon", "minutes: soon", "an integer belongs here"),
        ("minutes: 5\n", "", "format: 1", "“minutes” is missing"),
        ("format: 1", "format: 2", "format: 2", "this kubelab reads 1"),
        ("- process: {argv: sleep $SECS}\n", "- proces: {}\n", "- proces:", "did you mean “process”"),
        ("process: {argv: sleep 7}", "process: {arg: sleep 7}", "{arg: sleep 7}", "did you mean “argv”"),
        ("gone: true", "gone: maybe", "gone: maybe", "true or false belongs here"),
        ("mode: level", "mode: levle", "mode: levle", "mode is “edge” or “level”"),
        ("message: too-short", "message: too-shrot", "wrong:", "did you mean “too-short”"),
        ("  solve: [sleep $SECS &]\n", "", "- id: one", "“solve” is missing"),
        ("minutes: 5", "minutes: [5", "vars:", "this is not valid YAML"),
        ("minutes: 5", "minutes: 5\nminutes: 6", "minutes: 6", "is there twice"),
        ("{pick: [1001, 1002]}", "{pick: []}", "vars:", "has no values to pick from"),
        ("{#two}", "", "## Despertar", "a step's title carries its id"),
        ("{#two}", "{#tow}", "{#tow}", "did you mean “two”"),
        ("::: debrief\nBien.", "::: debreif\nBien.", "::: debreif", "did you mean “debrief”"),
        ("::: message too-short", "::: message", "::: message", "this block has an id"),
        ("Listo.\n:::", "Listo.", "::: debrief", "the ::: that closes “debrief” is missing"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_line_and_remedy(old: str, new: str, at: str, says: str) -> None:
    error = error_of(old, new)
    text = SPANISH.replace(old, new, 1)
    assert error.file == "01-sleep/es.md"
    lines = [number for number, line in enumerate(text.splitlines(), 1) if at in line]
    assert error.line in lines, f"line {error.line}: {error.problem.en}"
    assert says in error.problem.en
    assert str(error.sentence.in_("es") if isinstance(error.sentence, Text) else "").startswith(
        "01-sleep/es.md:"
    )


def test_an_unknown_jsonpath_is_an_error_at_its_line() -> None:
    error = error_of(
        "- process: {argv: sleep $SECS}\n  solve", "- {object: pod, name: x, field: '{.a[}'}\n  solve"
    )
    assert "in the JSONPath is not understood" in error.problem.en


def test_an_unknown_kind_of_object_gets_a_suggestion() -> None:
    error = error_of("- process: {argv: sleep $SECS}\n  solve", "- {object: pot, name: x}\n  solve")
    assert "did you mean “pod”?" in error.problem.en


def test_steps_in_another_order_than_in_the_front_matter_are_refused() -> None:
    swapped = SPANISH.replace("{#one}", "{#swap}").replace("{#two}", "{#one}").replace("{#swap}", "{#two}")
    with pytest.raises(LessonError, match=r"el orden|the order"):
        parse_lesson(source(spanish=swapped.replace("message too-short", "message other")))


def test_a_file_without_front_matter_says_so() -> None:
    with pytest.raises(LessonError, match=r"01-sleep/en.md:1: .*---"):
        parse_lesson(source(english="# Hello"))


def test_a_track_names_its_lessons_in_both_languages() -> None:
    track = parse_track("format: 1\nid: a\ntitle: {es: A, en: B}\nlessons: [01-x]\n", "track.yaml")
    assert track.lessons == ("01-x",)
    with pytest.raises(LessonError, match=r"«en»|“en”"):
        parse_track("format: 1\nid: a\ntitle: {es: A}\nlessons: []\n", "track.yaml")


def test_a_sound_lesson_has_no_problems() -> None:
    assert lint_source(source()) == ()


def test_a_translation_of_another_text_is_stale_and_the_new_hash_is_told() -> None:
    changed = spanish("Eso es poco.", "Eso es poquísimo.")
    (problem,) = lint_source(changed)
    assert problem.file == "01-sleep/en.md"
    assert f"of: {text_hash(changed.spanish)}" in problem.sentence.en


def test_a_change_of_checks_alone_makes_no_translation_stale() -> None:
    assert lint_source(spanish("gone: true", "absent: true")) == ()


def test_a_missing_hint_is_a_problem_at_its_step() -> None:
    problems = lint_source(spanish("::: hint\nTres.\n:::\n", ""))
    assert any("has 3 hints, not 4" in problem.sentence.en for problem in problems)


def test_what_runs_on_a_cluster_of_others_looks_at_its_api_alone() -> None:
    anywhere = spanish("minutes: 5\n", "minutes: 5\nbackends: [netns, kubernetes]\n")
    told = [problem.sentence.en for problem in lint_source(anywhere)]
    assert told == [
        "on kubernetes the lesson needs “cluster”, and “shell” names no machine.",
        "on kubernetes no machine can be seen, and step “one” looks at them: take “kubernetes” off backends.",
        "on kubernetes no machine can be seen, and step “two” looks at them: take “kubernetes” off backends.",
    ]


def test_a_misspelt_variable_in_a_check_is_told_and_one_of_the_shell_is_not() -> None:
    misspelt = spanish(
        "process: {argv: sleep $SECS}\n  solve: [sleep $SECS &]",
        "process: {argv: sleep $SECSS}\n  solve: [sleep $HOME &]",
    )
    told = [problem.sentence.en for problem in lint_source(misspelt)]
    assert told == ["there is no variable “SECSS”; did you mean “SECS”?"]


def test_a_files_permissions_are_no_mode_of_the_step() -> None:
    written = "- {file: /root/x, mode: '0600'}\n  - {file: /root/y, mode: level}"
    first, second = parse_lesson(spanish("- process: {argv: sleep $SECS}", written)).steps[0].structure.checks
    assert (first.mode, second.mode) == ("edge", "level")
    assert "384" in repr(first.check)  # 0o600
