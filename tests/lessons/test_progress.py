"""Progress is on the disk when the call returns, and sticky until it is forgotten."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from lesson_files import source

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.catalog import Catalog
from kubelab.lessons.format import Track
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.progress import Progress, StepProgress, state_path
from kubelab.lessons.progress_file import SCHEMAS, VERSION
from kubelab.lessons.view import LessonStatus


def test_a_lesson_that_was_never_opened_has_no_progress(progress: Progress) -> None:
    assert progress.lesson("demo/01-sleep") is None


def test_variables_step_hints_and_passes_are_kept(progress: Progress) -> None:
    progress.begin("a/b", {"LIM": "32M", "N": 3}, "one", seed="s")
    progress.show_hint("a/b", "one", 2)
    progress.set_passed("a/b", "one", passed=True)
    progress.go_to("a/b", "two")
    recorded = progress.lesson("a/b")
    assert recorded is not None
    assert (recorded.seed, recorded.variables, recorded.step) == ("s", {"LIM": "32M", "N": 3}, "two")
    assert recorded.steps == {"one": StepProgress(hints_shown=2, passed=True)}


def test_a_step_can_be_done_again_and_its_hints_stay_recorded(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    progress.show_hint("a/b", "one", 3)
    progress.set_passed("a/b", "one", passed=True)
    progress.set_passed("a/b", "one", passed=False)
    recorded = progress.lesson("a/b")
    assert recorded is not None
    assert recorded.steps["one"] == StepProgress(hints_shown=3, passed=False)


def test_forgetting_a_lesson_forgets_all_of_it(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    progress.set_passed("a/b", "one", passed=True)
    progress.forget("a/b")
    assert progress.lesson("a/b") is None


def test_progress_survives_a_kill_right_after_the_call(tmp_path: Path) -> None:
    path = tmp_path / "progress.sqlite3"
    program = (
        "import os, signal, sys; from pathlib import Path; from kubelab.lessons.progress import Progress;"
        "p = Progress.open(Path(sys.argv[1])); p.begin('a/b', {}, 'one', seed='s');"
        "p.set_passed('a/b', 'one', passed=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert killed.returncode == -9
    with Progress.open(path) as progress:
        recorded = progress.lesson("a/b")
    assert recorded is not None
    assert recorded.steps["one"].passed


def test_the_language_that_was_chosen_last_is_kept(progress: Progress) -> None:
    assert progress.language() is None
    progress.set_language("en")
    progress.set_language("es")
    assert progress.language() == "es"


@pytest.mark.parametrize("version", range(1, VERSION))
def test_progress_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    path = tmp_path / "progress.sqlite3"
    with closing(sqlite3.connect(path)) as old:
        for statement in (line for schema in SCHEMAS[:version] for line in schema):
            old.execute(statement)
        old.execute("INSERT INTO lesson VALUES ('a/b', 's', '{\"LIM\": \"32M\"}', 'two')")
        old.execute("INSERT INTO step VALUES ('a/b', 'one', 2, 1, '2026-01-31 09:30:00')")
        old.execute(f"PRAGMA user_version = {version}")
        old.commit()
    with Progress.open(path) as progress:
        recorded = progress.lesson("a/b")
        assert recorded is not None
        assert (recorded.seed, recorded.variables, recorded.step) == ("s", {"LIM": "32M"}, "two")
        assert recorded.steps == {"one": StepProgress(hints_shown=2, passed=True)}
        assert recorded.passed_at == "2026-01-31 09:30:00"
        assert (progress.completions("a/b"), progress.journal()) == ((), ())
        progress.set_language("en")
        assert progress.language() == "en"


def test_a_file_that_is_no_progress_is_named_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "progress.sqlite3"
    path.write_text("something else altogether, and long enough to be no header at all\n" * 20)
    with pytest.raises(LabError, match=str(path)):
        Progress.open(path)


def test_progress_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "progress.sqlite3"
    with Progress.open(path) as progress:
        progress._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LabError, match="version 99"):
        Progress.open(path)


def test_progress_is_kept_under_the_xdg_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_path() == tmp_path / "kubelab" / "progress.sqlite3"


def catalog() -> Catalog:
    return Catalog((Track("demo", Text("Prueba", "Demo"), (parse_lesson(source()),)),))


def test_the_home_screen_shows_how_far_each_lesson_is(progress: Progress) -> None:
    def entry() -> tuple[LessonStatus, int]:
        (track,) = catalog().entries(progress, {})
        return track.lessons[0].status, track.lessons[0].steps_passed

    assert entry() == (LessonStatus.NEW, 0)
    progress.begin("demo/01-sleep", {}, "one", seed="s")
    assert entry() == (LessonStatus.STARTED, 0)
    progress.set_passed("demo/01-sleep", "one", passed=True)
    assert entry() == (LessonStatus.STARTED, 1)
    progress.set_passed("demo/01-sleep", "two", passed=True)
    assert entry() == (LessonStatus.PASSED, 2)


def test_a_missing_capability_is_told_with_the_lesson_that_needs_it(progress: Progress) -> None:
    needy = parse_lesson(source(spanish=source().spanish.replace("minutes: 5", "minutes: 5\nneeds: [root]")))
    track = Track("demo", Text("Prueba", "Demo"), (needy,))
    why = Text("hace falta root", "root is needed")
    (shown,) = Catalog((track,)).entries(progress, {"root": why, "other": Text("", "")})
    assert shown.lessons[0].missing == why


@pytest.mark.parametrize("name", ["demo/01-sleep", "01-sleep", "sleep"])
def test_a_lesson_is_found_by_its_id_or_a_part_of_it(name: str) -> None:
    assert catalog().lesson(name).id == "demo/01-sleep"


def test_a_misspelt_lesson_gets_a_suggestion() -> None:
    with pytest.raises(LabError) as caught:
        catalog().lesson("demo/01-slep")
    assert isinstance(caught.value.sentence, Text)
    assert "did you mean “demo/01-sleep”?" in caught.value.sentence.en
