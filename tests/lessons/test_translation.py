"""What of a translation is stale or missing is told by step and part; only a complete one can be accepted."""

import subprocess
from pathlib import Path

import pytest
from lesson_files import ENGLISH, SPANISH

from kubelab.lessons.parse import text_hash
from kubelab.lessons.translation import accept_translation, problems


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "demo" / "01-sleep"
    path.mkdir(parents=True)
    (path / "es.md").write_text(SPANISH)
    (path / "en.md").write_text(ENGLISH.replace("HASH", text_hash(SPANISH)))
    return path


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def told(directory: Path) -> list[str]:
    return [problem.sentence.en for problem in problems(directory)]


def git(directory: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", directory, *who, *arguments], check=True, capture_output=True)


def test_a_complete_translation_of_todays_text_has_no_problem(directory: Path) -> None:
    assert told(directory) == []


def test_a_change_of_checks_alone_makes_no_translation_stale(directory: Path) -> None:
    rewrite(directory / "es.md", "minutes: 5", "minutes: 6")
    assert told(directory) == []


def test_a_stale_translation_is_told_with_both_hashes(directory: Path) -> None:
    rewrite(directory / "es.md", "Despierta.", "Despierta ya.")
    (sentence,) = told(directory)
    assert text_hash(SPANISH) in sentence
    assert text_hash((directory / "es.md").read_text()) in sentence


def test_with_git_it_is_told_which_parts_have_changed(directory: Path) -> None:
    git(directory, "init", "--quiet")
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "-m", "First")
    rewrite(directory / "es.md", "Despierta.", "Despierta ya.")
    git(directory, "commit", "--quiet", "-am", "Second")
    rewrite(directory / "es.md", "Eso es poco.", "Muy poco.")
    _, *changed = told(directory)
    assert changed == [
        "in step “one” the Spanish has changed: message too-short.",
        "in step “two” the Spanish has changed: text.",
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("::: message too-short\nThat is little.\n:::\n", "", "step “one” lacks: message too-short."),
        ("::: hint\nTwo.\n:::\n", "", "step “two” lacks: hint 4."),
        ("::: debrief\nDone.\n:::\n", "", "step “two” lacks: debrief."),
    ],
)
def test_a_part_that_is_missing_is_told_and_keeps_it_from_being_accepted(
    directory: Path, old: str, new: str, says: str
) -> None:
    rewrite(directory / "es.md", "Despierta.", "Despierta ya.")
    rewrite(directory / "en.md", old, new)
    before = (directory / "en.md").read_text()
    assert says in told(directory)
    assert [problem.sentence.en for problem in accept_translation(directory)] == [says]
    assert (directory / "en.md").read_text() == before


def test_a_step_that_is_missing_is_told(directory: Path) -> None:
    text = (directory / "en.md").read_text()
    (directory / "en.md").write_text(text[: text.index("## Wake")])
    assert told(directory) == ["step “two” is missing."]


def test_a_lesson_without_a_translation_is_told(directory: Path) -> None:
    (directory / "en.md").unlink()
    assert told(directory) == ["there is no translation yet."]
    assert [problem.sentence.en for problem in accept_translation(directory)] == told(directory)


def test_accepting_changes_the_hash_and_nothing_else(directory: Path) -> None:
    rewrite(directory / "es.md", "Despierta.", "Despierta ya.")
    assert accept_translation(directory) == ()
    assert told(directory) == []
    current = text_hash((directory / "es.md").read_text())
    assert (directory / "en.md").read_text() == ENGLISH.replace("HASH", current)
