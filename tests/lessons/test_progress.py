"""Progress is kept when the call returns, and sticky until it is forgotten."""

import datetime
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lesson_files import source

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.catalog import Catalog
from kubelab.lessons.format import Track
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.progress import Completion, Event, Outcome, Progress, StepProgress, state_path
from kubelab.lessons.progress_file import SCHEMAS, VERSION
from kubelab.lessons.view import LessonEntry, LessonStatus

DAY = datetime.timedelta(days=1)


class Now:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.time


@pytest.fixture
def now() -> Now:
    return Now()


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


def test_captured_values_join_the_drawn_ones_until_their_step_is_reset(progress: Progress) -> None:
    progress.begin("a/b", {"LIM": "32M"}, "one", seed="s")
    progress.set_variables("a/b", {"PID": 7})
    progress.set_variables("a/b", {"PID": 8, "IP": "10.0.0.1"})
    assert variables(progress) == {"LIM": "32M", "PID": 8, "IP": "10.0.0.1"}
    progress.set_variables("a/b", {"IP": "10.0.0.2"}, forget=["PID"])
    assert variables(progress) == {"LIM": "32M", "IP": "10.0.0.2"}


def variables(progress: Progress) -> Mapping[str, Any]:
    recorded = progress.lesson("a/b")
    assert recorded is not None
    return recorded.variables


def test_an_attempt_that_another_app_has_begun_keeps_its_variables(progress: Progress) -> None:
    progress.begin("a/b", {"LIM": "32M"}, "one", seed="s")
    progress.begin("a/b", {"LIM": "48M"}, "one", seed="t")
    assert variables(progress) == {"LIM": "32M"}


def step(progress: Progress, id_: str = "one") -> StepProgress:
    recorded = progress.lesson("a/b")
    assert recorded is not None
    return recorded.steps[id_]


def test_a_prediction_and_its_outcome_are_kept_until_the_step_is_reset(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    progress.predict("a/b", "one", "swap")
    progress.predict("a/b", "one", "killed")
    assert step(progress) == StepProgress(answer="killed")
    progress.set_outcome("a/b", "one", "1", "killed")
    progress.set_passed("a/b", "one", passed=True)
    assert step(progress) == StepProgress(passed=True, answer="killed", outcome=Outcome("1", "killed"))
    progress.set_passed("a/b", "one", passed=False)
    assert step(progress) == StepProgress()


def test_what_was_seen_may_be_no_proper_text(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    progress.set_outcome("a/b", "one", "a\x00\n\udcff" + "x" * 300, "")
    assert step(progress).outcome == Outcome("a\x00\n?" + "x" * 300, "")
    (entry,) = progress.journal()
    assert entry.detail == "a\x00\n?" + "x" * 195 + "…"


def test_a_step_that_was_skipped_is_passed_by_hand_after_a_reset_only(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    progress.set_passed("a/b", "one", passed=True, skipped=True)
    progress.set_passed("a/b", "one", passed=True)
    assert step(progress) == StepProgress(passed=True, skipped=True)
    progress.set_passed("a/b", "one", passed=False)
    progress.set_passed("a/b", "one", passed=True)
    assert step(progress) == StepProgress(passed=True)


def test_the_journal_tells_what_happened_in_its_order(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    progress.note("a/b", "one", Event.OPENED)
    progress.predict("a/b", "one", "swap")
    progress.show_hint("a/b", "one", 1)
    progress.note("a/b", "one", Event.MISCONCEPTION, "ulimit-is-per-process")
    progress.set_passed("a/b", "one", passed=False)
    progress.set_passed("a/b", "one", passed=True)
    progress.set_outcome("a/b", "one", "1", "killed")
    progress.set_passed("a/b", "two", passed=True, skipped=True)
    progress.complete("a/b")
    progress.start_over("a/b")
    progress.forget("a/b")
    for nothing in (progress.start_over, progress.forget):
        nothing("a/b")
    progress.note("c/d", "one", Event.OPENED)
    assert [(entry.step, entry.what, entry.detail) for entry in progress.journal("a/b")] == [
        ("one", Event.OPENED, ""),
        ("one", Event.PREDICTED, "swap"),
        ("one", Event.HINT, "1"),
        ("one", Event.MISCONCEPTION, "ulimit-is-per-process"),
        ("one", Event.RESET, ""),
        ("one", Event.PASSED, ""),
        ("one", Event.OUTCOME, "killed: 1"),
        ("two", Event.SKIPPED, ""),
        ("", Event.COMPLETED, ""),
        ("", Event.STARTED_OVER, ""),
        ("", Event.FORGOTTEN, ""),
    ]
    assert [entry.lesson for entry in progress.journal()] == ["a/b"] * 11 + ["c/d"]


def test_what_changes_nothing_is_not_told(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    for _ in range(2):
        progress.predict("a/b", "one", "swap")
        progress.show_hint("a/b", "one", 2)
        progress.show_hint("a/b", "one", 1)
        progress.set_outcome("a/b", "one", "1", "")
        progress.set_passed("a/b", "one", passed=True)
        progress.complete("a/b")
    assert [entry.what for entry in progress.journal()] == [
        "predicted",
        "hint",
        "outcome",
        "passed",
        "completed",
    ]


def test_the_journal_is_append_only_whoever_writes(progress: Progress) -> None:
    progress.note("a/b", "one", Event.OPENED)
    for statement in ("DELETE FROM journal", "UPDATE journal SET step = 'two'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            progress._connection.execute(statement)


def test_a_completion_has_the_hints_the_skipped_steps_and_the_time_of_the_last_pass(
    now: Now, tmp_path: Path
) -> None:
    with Progress.open(tmp_path / "p.sqlite3", now) as progress:
        progress.begin("a/b", {}, "one", seed="s")
        progress.show_hint("a/b", "one", 2)
        progress.set_passed("a/b", "one", passed=True)
        progress.set_passed("a/b", "two", passed=True, skipped=True)
        now.time += DAY
        progress.show_hint("a/b", "one", 3)  # Looked at afterwards.
        progress.complete("a/b")
        progress.complete("a/b")
        assert progress.completions("a/b") == (Completion("2026-01-31 09:30:00", 2, 2, 1, attempt="s"),)
        progress.set_passed("a/b", "two", passed=False)
        progress.set_passed("a/b", "two", passed=True)
        progress.complete("a/b")
        assert progress.completions("a/b") == (Completion("2026-02-01 09:30:00", 2, 2, 0, attempt="s"),)


def test_starting_over_forgets_the_attempt_and_keeps_its_completion(now: Now, tmp_path: Path) -> None:
    with Progress.open(tmp_path / "p.sqlite3", now) as progress:
        for seed, tested_out in (("s", False), ("t", True)):
            now.time += DAY
            progress.begin("a/b", {"LIM": seed}, "one", seed=seed)
            progress.set_passed("a/b", "one", passed=True)
            progress.complete("a/b", tested_out=tested_out)
            recorded = progress.lesson("a/b")
            assert recorded is not None
            assert recorded.tested_out is tested_out
            progress.start_over("a/b")
            assert progress.lesson("a/b") is None
        assert progress.completions("a/b") == (
            Completion("2026-02-01 09:30:00", 0, 1, attempt="s"),
            Completion("2026-02-02 09:30:00", 0, 1, tested_out=True, attempt="t"),
        )


def test_an_attempt_with_no_passed_step_is_not_completed(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    progress.complete("a/b")
    progress.complete("never/opened")
    assert (progress.completions("a/b"), progress.journal()) == ((), ())


def test_a_change_for_which_there_is_no_space_is_told_and_not_made(progress: Progress) -> None:
    progress.begin("a/b", {}, "one", seed="s")
    pages = progress._connection.execute("PRAGMA page_count").fetchone()[0]
    progress._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LabError, match="database or disk is full"):
        progress.set_variables("a/b", {"LONG": "x" * 100_000})
    assert variables(progress) == {}
    progress.set_passed("a/b", "one", passed=True)
    assert step(progress).passed


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


def shown(progress: Progress, today: datetime.date) -> LessonEntry:
    (track,) = catalog().entries(progress, {}, today)
    return track.lessons[0]


def test_the_home_screen_shows_when_a_lesson_is_due_again(now: Now, tmp_path: Path) -> None:
    with Progress.open(tmp_path / "p.sqlite3", now) as progress:
        pass_all(progress)
        today = now.time.date()
        assert shown(progress, today).review_in_days == 1
        progress.complete("demo/01-sleep")
        assert shown(progress, today).review_in_days == 1
        assert catalog().to_review(progress, today) == ()
        assert catalog().to_review(progress, today + DAY) == ("demo/01-sleep",)
        progress.start_over("demo/01-sleep")
        entry = shown(progress, today + DAY)
        assert (entry.status, entry.steps_passed, entry.review_in_days) == (LessonStatus.PASSED, 0, 0)
        progress.forget("demo/01-sleep")
        assert shown(progress, today + DAY).review_in_days is None


def test_the_home_screen_shows_that_a_lesson_was_tested_out(progress: Progress) -> None:
    pass_all(progress)
    assert not shown(progress, datetime.date.today()).tested_out
    progress.complete("demo/01-sleep", tested_out=True)
    assert shown(progress, datetime.date.today()).tested_out
    progress.set_passed("demo/01-sleep", "two", passed=False)
    entry = shown(progress, datetime.date.today())  # Whoever does a step again has passed it all the same.
    assert (entry.status, entry.steps_passed, entry.tested_out) == (LessonStatus.PASSED, 1, True)


def pass_all(progress: Progress) -> None:
    progress.begin("demo/01-sleep", {}, "one", seed="s")
    for step in ("one", "two"):
        progress.set_passed("demo/01-sleep", step, passed=True)


def test_a_missing_capability_is_told_with_the_lesson_that_needs_it(progress: Progress) -> None:
    needy = parse_lesson(source(spanish=source().spanish.replace("minutes: 5", "minutes: 5\nneeds: [root]")))
    track = Track("demo", Text("Prueba", "Demo"), (needy,))
    why = Text("hace falta root", "root is needed")
    (entries,) = Catalog((track,)).entries(progress, {"root": why, "other": Text("", "")})
    assert entries.lessons[0].missing == why


@pytest.mark.parametrize("name", ["demo/01-sleep", "01-sleep", "sleep"])
def test_a_lesson_is_found_by_its_id_or_a_part_of_it(name: str) -> None:
    assert catalog().lesson(name).id == "demo/01-sleep"


def test_a_misspelt_lesson_gets_a_suggestion() -> None:
    with pytest.raises(LabError) as caught:
        catalog().lesson("demo/01-slep")
    assert isinstance(caught.value.sentence, Text)
    assert "did you mean “demo/01-sleep”?" in caught.value.sentence.en
