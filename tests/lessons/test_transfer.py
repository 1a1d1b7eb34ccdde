"""Progress goes into a file and comes back whole; merging never takes anything back."""

import csv
import io
import json
import sqlite3
import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.language import Text
from kubelab.lessons.located import LessonError
from kubelab.lessons.merge import merge, passed_steps
from kubelab.lessons.progress import Progress
from kubelab.lessons.record import Completion, Entry, Event, LessonRecord, Outcome, StepRecord
from kubelab.lessons.transfer import COLUMNS, COLUMNS_1, export, parse

IDS = st.text(string.ascii_lowercase + string.digits + "-/", min_size=1, max_size=8)
TIMES = st.datetimes().map(lambda time: time.strftime(f"{time.year:04}-%m-%d %H:%M:%S"))
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.one_of(ANY_TEXT, st.integers(), st.booleans(), st.none(), st.lists(ANY_TEXT, max_size=2))


MOMENTS = st.builds("{}.{:06}".format, TIMES, st.integers(0, 999_999))
WORDS = st.one_of(ANY_TEXT, st.sampled_from(["=1+1", '"', "-1", "\r\n", "@SUM(A1)", "swap"]))
OUTCOMES = st.builds(Outcome, WORDS, WORDS)


@st.composite
def steps(draw: st.DrawFn, id_: str) -> StepRecord:
    passed = draw(st.none() | TIMES)
    hints = draw(st.integers(0, 4))
    at_pass = draw(st.integers(0, hints)) if passed else None
    skipped = passed is not None and draw(st.booleans())
    return StepRecord(id_, hints, at_pass, passed, skipped, draw(WORDS), draw(st.none() | OUTCOMES))


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    count = draw(st.integers(1, 9))
    skipped = draw(st.integers(0, count))
    return Completion(
        draw(TIMES),
        draw(st.integers(0, 40)),
        count,
        skipped,
        draw(st.booleans()),
        draw(st.sampled_from("stu")),
    )


@st.composite
def lessons(draw: st.DrawFn, id_: str) -> LessonRecord:
    """As `merge` writes it: everything in its order, one completion of an attempt."""
    ids = sorted(draw(st.sets(st.sampled_from(["one", "two", "three"]))))
    variables = draw(st.dictionaries(ANY_TEXT, VALUES, max_size=2))
    attempt = LessonRecord(id_, draw(IDS), draw(IDS), variables, tuple(draw(steps(step)) for step in ids))
    record = draw(st.just(attempt) | st.just(LessonRecord(id_, "", "", {})))
    done = draw(st.lists(completions(), max_size=2))
    journal = draw(
        st.lists(st.builds(Entry, MOMENTS, st.just(id_), IDS, st.sampled_from(Event), ANY_TEXT), max_size=3)
    )
    (whole,) = merge([], [replace(record, completions=tuple(done), journal=tuple(journal))])
    return whole


@st.composite
def progresses(draw: st.DrawFn) -> tuple[LessonRecord, ...]:
    return tuple(draw(lessons(id_)) for id_ in sorted(draw(st.sets(IDS, max_size=3))))


@settings(max_examples=50)
@given(records=progresses())
def test_what_is_exported_as_json_is_imported_the_same(records: tuple[LessonRecord, ...]) -> None:
    assert parse(export(records, "json"), "file") == records


@settings(max_examples=50)
@given(records=progresses())
def test_what_is_exported_as_csv_is_imported_the_same_but_for_the_journal(
    records: tuple[LessonRecord, ...],
) -> None:
    kept = tuple(replace(one, journal=()) for one in records if one.begun or one.completions)
    assert parse(export(records, "csv"), "file") == kept


@settings(max_examples=30)
@given(record=lessons("a/b"))
def test_no_cell_of_words_is_a_formula(record: LessonRecord) -> None:
    for row in csv.DictReader(io.StringIO(export([record], "csv"), newline="")):
        assert not {row[column][:1] for column in ("answer", "outcome", "outcome-choice")} & set("=+-@\t\r")


@settings(max_examples=30)
@given(mine=progresses(), theirs=progresses())
def test_merging_loses_no_passed_step_and_no_lesson(
    mine: tuple[LessonRecord, ...], theirs: tuple[LessonRecord, ...]
) -> None:
    merged = merge(mine, theirs)
    assert passed_steps(merged) == passed_steps(mine) | passed_steps(theirs)
    assert {record.lesson for record in merged} == {record.lesson for record in (*mine, *theirs)}


@settings(max_examples=30)
@given(mine=progresses(), theirs=progresses())
def test_merging_twice_is_merging_once_and_mine_keeps_its_variables(
    mine: tuple[LessonRecord, ...], theirs: tuple[LessonRecord, ...]
) -> None:
    merged = merge(mine, theirs)
    assert merge(merged, theirs) == merge(merged, mine) == merged
    drawn = {record.lesson: (record.seed, record.variables, record.at) for record in merged}
    for record in mine:
        assert drawn[record.lesson] == (record.seed, record.variables, record.at)


@settings(max_examples=50)
@given(mine=lessons("a/b"), theirs=lessons("a/b"))
def test_all_but_the_attempt_comes_out_the_same_whoever_is_first(
    mine: LessonRecord, theirs: LessonRecord
) -> None:
    (one,), (other,) = merge([mine], [theirs]), merge([theirs], [mine])
    assert (one.steps, one.completions, one.journal) == (other.steps, other.completions, other.journal)


@settings(max_examples=50)
@given(first=progresses(), second=progresses(), third=progresses())
def test_in_which_pairs_machines_are_joined_makes_no_difference(
    first: tuple[LessonRecord, ...], second: tuple[LessonRecord, ...], third: tuple[LessonRecord, ...]
) -> None:
    assert merge(merge(first, second), third) == merge(first, merge(second, third))


@settings(max_examples=50)
@given(mine=lessons("a/b"), theirs=lessons("a/b"))
def test_merging_loses_no_attempt_that_was_completed_and_no_line_of_the_journal(
    mine: LessonRecord, theirs: LessonRecord
) -> None:
    (merged,) = merge([mine], [theirs])
    assert {one.attempt for one in merged.completions} == {
        one.attempt for one in (*mine.completions, *theirs.completions)
    }
    assert set(merged.journal) == {*mine.journal, *theirs.journal}
    assert list(merged.journal) == sorted(merged.journal)


def test_the_earlier_pass_and_the_larger_count_of_hints_stay() -> None:
    mine = StepRecord("one", hints=1, hints_at_pass=1, passed="2026-02-01 10:00:00")
    theirs = StepRecord("one", hints=4, hints_at_pass=0, passed="2026-01-01 10:00:00")
    assert _merged_step(mine, theirs) == StepRecord("one", 4, 0, "2026-01-01 10:00:00")


def test_a_step_done_by_hand_is_not_skipped_however_early_it_was_skipped() -> None:
    mine = StepRecord("one", passed="2026-01-01 10:00:00", skipped=True)
    theirs = StepRecord("one", hints_at_pass=0, passed="2026-02-01 10:00:00")
    assert _merged_step(mine, theirs) == theirs


def test_a_prediction_with_its_outcome_stays() -> None:
    mine = StepRecord("one", answer="swap")
    theirs = StepRecord("one", answer="killed", outcome=Outcome("1", "killed"))
    assert _merged_step(mine, theirs) == theirs


def test_of_an_attempts_two_completions_the_later_one_stays() -> None:
    early, late = (
        Completion("2026-01-01 10:00:00", 3, 2, 1, attempt="s"),
        Completion("2026-01-02 10:00:00", 5, 2, attempt="s"),
    )
    other = Completion("2026-01-01 12:00:00", 0, 2, attempt="t")
    lesson = LessonRecord("a/b", "", "", {})
    (merged,) = merge([replace(lesson, completions=(early, other))], [replace(lesson, completions=(late,))])
    assert merged.completions == (other, late)


def test_an_attempt_is_taken_where_none_is_under_way() -> None:
    assert merge([LessonRecord("a/b", "", "", {})], [_lesson()]) == (_lesson(),)


def _merged_step(mine: StepRecord, theirs: StepRecord) -> StepRecord:
    (record,) = merge([_lesson(mine)], [_lesson(theirs)])
    (step,) = record.steps
    return step


def _lesson(*records: StepRecord) -> LessonRecord:
    return LessonRecord("a/b", "one", "s", {"LIM": "32M"}, records)


GOOD = json.loads(export([_lesson(StepRecord("one"))], "json"))
HEADER = ",".join(COLUMNS_1)
ROW = "a/b,one,,0,,one,s,{}"
HEADER_2 = ",".join(COLUMNS)
DONE = Completion("2026-01-31 09:30:00", 2, 4, attempt="s")
JOURNAL = (Entry("2026-01-31 09:30:00.000001", "a/b", "one", Event.OPENED),)
WHOLE = export([replace(_lesson(), completions=(DONE,), journal=JOURNAL)], "json")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "file:1: the column “lesson” must be there once."),
        ("hello", "file:1: there is no column “hello”"),
        ("{", "file:1: this is not valid JSON"),
        ("[1]", "file:1: a mapping"),
        ('{"format": 1,\n "lessons": [\n  {"lesson": "a"}]}', "file:3: “at” is missing."),
        ('{"format": 3,\n "lessons": []}', "file:1: format 3 is unknown"),
        ('{"format": ' + "1" * 5000 + "}", "file:1: this is not valid JSON"),
        ('{"format": 1, "lessons": ' + "[" * 400 + "]" * 400 + "}", "file:1: a mapping"),
        ('{"format": 1, "lessons": ' + "[" * 100_000, "file:1: it is nested too deeply."),
        (json.dumps(GOOD).replace('"LIM"', '"\\ud800"'), "file:1: there is half a Unicode character."),
        (f"{HEADER_2}\n{ROW},no,,,,", "file:2: yes or nothing belongs in skipped, not “no”."),
        (f'{HEADER_2}\n{ROW},,"""a",,,', "file:2: answer has no valid JSON"),
        (f'{HEADER_2}\n{ROW},,"""\\ud800""",,,', "file:2: there is half a Unicode character."),
        (f"{HEADER_2}\n{ROW},,,,,[1]", "file:2: a mapping"),
        (f"{HEADER_2}\n{ROW},,,,,[{{}}]", "file:2: “at” is missing."),
        (f"{HEADER},answer,answer\n", "file:1: the column “answer” must be there once."),
        (f"{HEADER}\na/b,one,,{'1' * 5000},,one,s,{{}}", "file:2: “111"),
        ('{"format": 1,\n "lesons": []}', "file:2: there is no key “lesons”; did you mean “lessons”?"),
        (json.dumps(GOOD, indent=1).replace('"hints": 0', '"hints": "x"'), "file:14: an integer"),
        (
            json.dumps(GOOD, indent=1).replace('"hints": 0', '"hints": -1'),
            "file:12: -1 is no number of hints",
        ),
        (json.dumps(GOOD).replace("32M", "\\ud800"), "file:1: there is half a Unicode character."),
        (f"{HEADER}\na/b,one,,{2**70},,one,s,{{}}", f"file:2: {2**70} is no number of hints"),
        (f"{HEADER}\n{ROW}\na/b", "file:3: there are 1 values, not 8."),
        (f"{HEADER}\n{ROW}\n\na/b,one,,many,,one,s,{{}}", "file:4: “many” is no number of hints."),
        (f"{HEADER}\na/b,one,today,,,one,s,{{}}", "file:2: “today” is no time like 2026-01-31 09:30:00."),
        (f"{HEADER}\na/b,one,,,,one,s,nothing", "file:2: variables has no valid JSON"),
        (f"{HEADER}\n,one,,,,one,s,{{}}", "file:2: the lesson's id is missing."),
        (f"{HEADER}\na/b,,,2,,one,s,{{}}", "file:2: “step” is missing."),
        (f'{HEADER}\na/b,"one,,,', "file:2: this is not valid CSV"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence_with_its_line(text: str, says: str) -> None:
    assert refusal(text).startswith(says)


def refusal(text: str) -> str:
    with pytest.raises(LessonError) as caught:
        parse(text, "file")
    sentence = caught.value.sentence
    assert isinstance(sentence, Text)
    assert "\n" not in sentence.en
    return sentence.en


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ('"opened"', '"opend"', "file:23: there is no event “opend”; did you mean “opened”?"),
        ("09:30:00.000001", "9:30", "file:23: “2026-01-31 9:30” is no time"),
        ("09:30:00.000001", "99:30:00", "file:23: “2026-01-31 99:30:00” is no time"),
        ('"detail"', '"details"', "file:27: there is no key “details”"),
        ('"2026-01-31 09:30:00"', '"2026-1-31 09:30:00"', "file:13: “2026-1-31 09:30:00” is no time"),
        ('"skipped": 0', '"skipped": 5', "file:13: of 4 steps, 5 cannot be skipped."),
        ('"steps": 4', f'"steps": {2**70}', f"file:13: of {2**70} steps, 0 cannot be skipped."),
        ('"hints": 2', '"hints": 10000', "file:13: 10000 is no number of hints"),
        ('"tested-out": false', '"tested-out": 0', "file:18: true or false"),
    ],
)
def test_a_bad_journal_or_completion_is_refused_with_its_line(good: str, bad: str, says: str) -> None:
    assert good in WHOLE
    assert refusal(WHOLE.replace(good, bad)).startswith(says)


def test_files_of_the_first_format_are_read() -> None:
    step = StepRecord("one", 2, 1, "2026-01-31 09:30:00")
    fields = {"step": "one", "passed": step.passed, "hints": 2, "hints-at-pass": 1}
    lesson = {"lesson": "a/b", "at": "one", "seed": "s", "variables": {"LIM": "32M"}, "steps": [fields]}
    assert parse(json.dumps({"format": 1, "lessons": [lesson]}), "file") == (_lesson(step),)
    row = 'a/b,one,2026-01-31 09:30:00,2,1,one,s,"{""LIM"": ""32M""}"'
    assert parse(f"\ufeff{HEADER}\r\n{row}\r\n", "file") == (_lesson(step),)


def test_progress_moves_from_one_machine_to_another(tmp_path: Path) -> None:
    with Progress.open(tmp_path / "old" / "p.sqlite3") as old, Progress.open(tmp_path / "new.sqlite3") as new:
        old.begin("a/b", {"LIM": "32M"}, "two", seed="s")
        old.show_hint("a/b", "one", 3)
        old.set_passed("a/b", "one", passed=True)
        new.begin("a/b", {"LIM": "48M"}, "one", seed="t")
        new.set_passed("a/b", "two", passed=True)
        assert new.merge(old.export()) == 1
        assert new.merge(old.export()) == 0
        (record,) = new.export()
        assert record.variables == {"LIM": "48M"}
        assert {(step.step, step.hints, bool(step.passed)) for step in record.steps} == {
            ("one", 3, True),
            ("two", 0, True),
        }


def test_everything_moves_even_of_a_lesson_that_was_started_over(tmp_path: Path) -> None:
    with Progress.open(tmp_path / "old.sqlite3") as old, Progress.open(tmp_path / "new.sqlite3") as new:
        old.begin("a/b", {}, "one", seed="s")
        old.predict("a/b", "one", "swap")
        old.set_outcome("a/b", "one", "1", "killed")
        old.set_passed("a/b", "one", passed=True, skipped=True)
        old.complete("a/b", tested_out=True)
        new.merge(parse(export(old.export(), "json"), "file"))
        assert new.export() == old.export()
        assert new.lesson("a/b") == old.lesson("a/b")
        old.start_over("a/b")
        new.forget("a/b")
        new.merge(old.export())
        assert new.lesson("a/b") is None
        assert new.completions("a/b") == old.completions("a/b")
        assert new.merge(old.export()) == 0
        assert [entry.what for entry in new.journal()] == [
            *("predicted", "outcome", "skipped", "tested-out", "started-over", "forgotten")
        ]


def test_an_import_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite3"
    with Progress.open(path) as progress:
        progress.begin("a/b", {}, "one", seed="s")
        before = progress.export()
        unusable = LessonRecord("c/d", "one", "s", {}, (StepRecord("one", hints=2**70),))
        with pytest.raises((OverflowError, sqlite3.Error)):
            progress.merge([unusable])
        assert progress.export() == before
