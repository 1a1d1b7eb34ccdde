"""Progress goes into a file and comes back whole; merging never takes anything back."""

import json
import sqlite3
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.lessons.located import LessonError
from kubelab.lessons.merge import merge, passed_steps
from kubelab.lessons.progress import Progress
from kubelab.lessons.record import LessonRecord, StepRecord
from kubelab.lessons.transfer import COLUMNS, FileFormat, export, parse

IDS = st.text(string.ascii_lowercase + string.digits + "-/", min_size=1, max_size=8)
TIMES = st.datetimes().map(lambda time: time.strftime(f"{time.year:04}-%m-%d %H:%M:%S"))
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.one_of(ANY_TEXT, st.integers(), st.booleans(), st.none(), st.lists(ANY_TEXT, max_size=2))


@st.composite
def steps(draw: st.DrawFn, id_: str) -> StepRecord:
    passed = draw(st.none() | TIMES)
    hints = draw(st.integers(0, 4))
    return StepRecord(id_, hints, draw(st.integers(0, hints)) if passed else None, passed)


@st.composite
def lessons(draw: st.DrawFn, id_: str) -> LessonRecord:
    ids = sorted(draw(st.sets(st.sampled_from(["one", "two", "three"]))))
    variables = draw(st.dictionaries(ANY_TEXT, VALUES, max_size=2))
    return LessonRecord(id_, draw(IDS), draw(IDS), variables, tuple(draw(steps(step)) for step in ids))


@st.composite
def progresses(draw: st.DrawFn) -> tuple[LessonRecord, ...]:
    return tuple(draw(lessons(id_)) for id_ in sorted(draw(st.sets(IDS, max_size=3))))


@pytest.mark.parametrize("format_", ["csv", "json"])
@settings(max_examples=30)
@given(records=progresses())
def test_what_is_exported_is_imported_the_same(
    format_: FileFormat, records: tuple[LessonRecord, ...]
) -> None:
    assert parse(export(records, format_), "file") == records


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


@settings(max_examples=30)
@given(mine=lessons("a/b"), theirs=lessons("a/b"))
def test_the_steps_come_out_the_same_whoever_is_first(mine: LessonRecord, theirs: LessonRecord) -> None:
    (one,), (other,) = merge([mine], [theirs]), merge([theirs], [mine])
    assert one.steps == other.steps


def test_the_earlier_pass_and_the_larger_count_of_hints_stay() -> None:
    mine = StepRecord("one", hints=1, hints_at_pass=1, passed="2026-02-01 10:00:00")
    theirs = StepRecord("one", hints=4, hints_at_pass=0, passed="2026-01-01 10:00:00")
    (record,) = merge([LessonRecord("a/b", "one", "s", {}, (mine,))], [_lesson(theirs)])
    assert record.steps == (StepRecord("one", 4, 0, "2026-01-01 10:00:00"),)


def _lesson(*records: StepRecord) -> LessonRecord:
    return LessonRecord("a/b", "one", "s", {"LIM": "32M"}, records)


GOOD = json.loads(export([_lesson(StepRecord("one"))], "json"))
HEADER = ",".join(COLUMNS)
ROW = "a/b,one,,0,,one,s,{}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "file:1: the column “lesson” must be there once."),
        ("hello", "file:1: there is no column “hello”"),
        ("{", "file:1: this is not valid JSON"),
        ("[1]", "file:1: a mapping"),
        ('{"format": 1,\n "lessons": [\n  {"lesson": "a"}]}', "file:3: “at” is missing."),
        ('{"format": 2,\n "lessons": []}', "file:1: format 2 is unknown"),
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
    with pytest.raises(LessonError) as caught:
        parse(text, "file")
    sentence = caught.value.sentence.in_("en")  # type: ignore[union-attr]
    assert sentence.startswith(says)
    assert "\n" not in sentence


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


def test_an_import_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite3"
    with Progress.open(path) as progress:
        progress.begin("a/b", {}, "one", seed="s")
        before = progress.export()
        unusable = LessonRecord("c/d", "one", "s", {}, (StepRecord("one", hints=2**70),))
        with pytest.raises((OverflowError, sqlite3.Error)):
            progress.merge([unusable])
        assert progress.export() == before
