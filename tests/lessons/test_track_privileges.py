"""What a track may do: declared, no less than it does. And strangers' files that mean harm to readers."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lesson_files import ENGLISH, SPANISH, source
from tracks_for_tests import english as english
from tracks_for_tests import track_yaml, tree_of, write

from kubelab.cluster.errors import LabError
from kubelab.language import LANGUAGES
from kubelab.lessons.lint import lint, lint_track
from kubelab.lessons.located import LessonError, read_yaml
from kubelab.lessons.parse import parse_lesson, parse_track
from kubelab.lessons.privileges import PRIVILEGES, WORDS, uses
from kubelab.lessons.track_files import load_source, track_source


def used(spanish: str, files: dict[str, bytes] | None = None) -> dict[str, tuple[str, int]]:
    lesson = source(spanish=spanish)
    lesson = type(lesson)(lesson.id, lesson.path, lesson.spanish, lesson.english, files or {})
    parse_lesson(lesson)
    return {use.privilege: (use.file, use.line) for use in uses(lesson)}


def line_of(fragment: str, text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if fragment in line)


NO_SETUP = SPANISH.replace("  setup: [sleep $SECS &]\n", "")


def test_every_lesson_has_a_root_shell_and_one_may_have_no_more() -> None:
    assert used(NO_SETUP) == {"root-shell": ("01-sleep/es.md", 0)}


def test_commands_that_run_by_themselves_are_setup() -> None:
    assert used(SPANISH)["setup"] == ("01-sleep/es.md", line_of("setup:", SPANISH))
    cleaning = NO_SETUP.replace("minutes: 5\n", "minutes: 5\ncleanup: pkill sleep\n")
    assert used(cleaning)["setup"] == ("01-sleep/es.md", line_of("cleanup:", cleaning))
    assert "setup" not in used(NO_SETUP.replace("minutes: 5\n", "minutes: 5\ncleanup: []\n"))


def test_a_cluster_is_a_privilege() -> None:
    lesson = NO_SETUP.replace("shell: bench", "cluster: {}\nshell: minion-1")
    assert used(lesson)["cluster"] == ("01-sleep/es.md", line_of("cluster:", lesson))


def test_a_cluster_of_the_learners_own_is_another() -> None:
    lesson = NO_SETUP.replace("minutes: 5\n", "minutes: 5\nbackends: [netns, kubernetes]\n")
    assert used(lesson)["kubeconfig"] == ("01-sleep/es.md", line_of("backends:", lesson))
    assert "kubeconfig" not in used(lesson.replace(", kubernetes", ""))


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"\x7fELF\x02"])
def test_a_file_that_can_be_run_is_a_privilege(content: bytes) -> None:
    assert used(NO_SETUP, {"run": content})["executables"] == ("01-sleep/files/run", 0)
    assert "executables" not in used(NO_SETUP, {"run": b"#"})


def test_each_privilege_is_explained_in_both_languages() -> None:
    assert set(WORDS) == set(PRIVILEGES)
    assert all(words.in_(language) for words in WORDS.values() for language in LANGUAGES)


def test_what_is_used_and_not_declared_is_a_problem_at_its_line() -> None:
    (problem,) = lint_track(track_source(tree_of(privileges="root-shell"), "./mine"))
    assert (problem.file, problem.line) == ("./mine/01-sleep/es.md", line_of("setup:", SPANISH))
    assert "uses “setup”, which the track does not declare" in problem.sentence.en
    assert "./mine/track.yaml" in problem.sentence.en
    assert not problem.advice


def test_what_is_declared_and_not_used_is_advice() -> None:
    (problem,) = lint_track(track_source(tree_of(privileges="root-shell, setup, cluster"), "./mine"))
    assert (problem.file, problem.line, problem.advice) == ("./mine/track.yaml", 4, True)


def test_the_authors_lint_says_so_as_well(tmp_path: Path) -> None:
    write(tree_of(privileges="cluster"), tmp_path / "puzzles")
    said = [str(problem) for problem in lint([tmp_path])]
    assert [line.partition("“")[2].partition("”")[0] for line in said] == ["root-shell", "setup", "cluster"]


def test_a_privilege_that_there_is_not_gets_a_suggestion() -> None:
    with pytest.raises(LessonError, match=r"track.yaml:4: .*did you mean “setup”"):
        parse_track(track_yaml(privileges="setp"), "track.yaml")


# What lint did not see before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("format: 1", "format: 2", "track.yaml:1: format 2 is unknown"),
        ("01-sleep]", "01-sleep, 02-gone]", "track.yaml: “02-gone” is in lessons, and there is no such"),
        ("01-sleep]", "]", "track.yaml: “01-sleep” is missing from lessons"),
        ("id: puzzles", "id: [", ": this is not valid YAML"),
    ],
)
def test_a_broken_track_file_is_a_problem(tmp_path: Path, old: str, new: str, says: str) -> None:
    tree = tree_of()
    tree["track.yaml"] = tree["track.yaml"].replace(old.encode(), new.encode())
    write(tree, tmp_path / "puzzles")
    assert any(says in str(problem) for problem in lint([tmp_path]))


# Files that mean harm


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lessons: [01-sleep]", "lessons: [../../../etc]"),
        ("lessons: [01-sleep]", "lessons: [/etc]"),
        ("lessons: [01-sleep]", "lessons: [sleep]"),
        ("lessons: [01-sleep]", "lessons: ['01-sleep/..']"),
        ("lessons: [01-sleep]", "lessons: [01-sleep, 01-sleep]"),
        ("id: puzzles", "id: ../puzzles"),
        ("id: puzzles", "id: .hidden"),
        ("id: puzzles", "id: Puzzles"),
        ("id: puzzles", f"id: {'x' * 41}"),
    ],
)
def test_a_name_that_leads_out_of_where_tracks_are_kept_is_refused(old: str, new: str) -> None:
    text = track_yaml()
    assert old in text
    with pytest.raises(LessonError, match=r"cannot be a name here|is there twice"):
        parse_track(text.replace(old, new), "track.yaml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("shell: bench", "shell: ../../cgroup"),
        ("shell: bench", "shell: a/b"),
        ("shell: bench", "shell: Bench"),
        ("shell: bench", "shell: -x"),
        ("shell: bench", "shell: longer-than-a-cable"),
        ("files: things", "files: ../etc"),
        ("files: things", "files: /etc"),
        ("files: things", "files: a/../../b"),
        ("files: things", "files: .ssh"),
        ("shell: bench", "shell: $SECS"),
    ],
)
def test_a_machine_or_directory_that_leads_elsewhere_is_refused_at_its_line(old: str, new: str) -> None:
    text = SPANISH.replace(old, new).replace(
        "[1001, 1002]", "['../x', '../y']" if "$" in new else "[1001, 1002]"
    )
    with pytest.raises(LessonError, match="cannot be a name here") as caught:
        parse_lesson(source(spanish=text))
    assert caught.value.line == line_of(new, text)


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "aliases are no part of the format"),
        ("a: &a [*a]", "aliases are no part of the format"),
        pytest.param("[" * 200_000, "nested too deeply", id="lists in lists"),
        pytest.param("a: " + "{b: " * 2000, "nested too deeply", id="maps in maps"),
        ("a: \x00", "special characters are not allowed"),
        ('a: "\\e[2J"', "a control character \\(U\\+001B\\)"),
        ('"\\e": 1', "a control character"),
        ('a: "\\u202e"', "a control character \\(U\\+202E\\)"),
        ("a: 2024-13-45", "not valid YAML \\(timestamp"),
        (f"a: {'9' * 5000}", "not valid YAML \\(int"),
        ("a: !!int ''", "not valid YAML \\(int"),
        ("a: !!bool x", "not valid YAML \\(bool"),
        ("a: !!float ''", "not valid YAML \\(float"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("a: !!binary x", "not valid YAML"),
    ],
)
def test_yaml_that_means_harm_is_refused_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(LessonError, match=says):
        read_yaml(text, "x.yaml")


def test_text_that_a_terminal_would_obey_is_refused_at_its_line() -> None:
    text = SPANISH.replace("Despierta.", "Despierta.\x1b]52;c;ZXZpbA==\x07")
    with pytest.raises(LessonError, match="a control character") as caught:
        parse_lesson(source(spanish=text))
    assert caught.value.line == line_of("Despierta.", text)


broken = st.tuples(
    st.sampled_from([SPANISH, ENGLISH.replace("HASH", "x")]),
    st.lists(
        st.tuples(
            st.integers(0, 900),
            st.integers(0, 5),
            st.sampled_from(
                [*"\n:-#{}[]&*!|>'\"%@`$, ", "---\n", ":::", "## ", "::: hint\n", "{#one}", "{#", "~", "1"]
            ),
        ),
        max_size=6,
    ),
)


@given(broken)
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_in_a_lesson_it_parses_or_is_refused(
    case: tuple[str, list[tuple[int, int, str]]],
) -> None:
    whole, edits = case
    text = whole
    for at, length, put in edits:
        text = text[:at] + put + text[at + length :]
    changed = source(spanish=text) if whole is SPANISH else source(english=text)
    with contextlib.suppress(LabError):
        parse_lesson(changed)


def test_the_files_of_a_lesson_are_not_followed_out_of_it(tmp_path: Path) -> None:
    place = write(tree_of(), tmp_path) / "01-sleep"
    (place / "files/passwd").symlink_to("/etc/passwd")
    with pytest.raises(LabError, match="“passwd” leads out"):
        load_source(place)
