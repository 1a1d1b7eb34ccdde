"""The lessons that come with kubelab: readable, complete, translated. `kubelab lesson test` proves them."""

from pathlib import Path

import pytest

from kubelab.cluster.errors import LabError
from kubelab.lessons.catalog import Catalog, beyond, lacking, tracks_path
from kubelab.lessons.lint import lint


def test_the_lessons_have_no_problems() -> None:
    assert [str(problem) for problem in lint()] == []


def test_each_track_comes_after_those_that_it_requires() -> None:
    seen: set[str] = set()
    for track in Catalog.load().tracks:
        assert set(track.requires) <= seen
        seen.add(track.id)


def test_every_wrong_attempt_stands_for_one_misconception() -> None:
    for lesson in Catalog.load().lessons():
        for step in lesson.steps:
            messages = [wrong.message for wrong in step.structure.wrong]
            assert messages, f"{lesson.id} {step.id}"
            assert len(messages) == len(set(messages))


def test_a_lesson_for_several_masters_can_be_read_on_a_smaller_cluster() -> None:
    lesson = Catalog.load().lesson("masters/03-raft")
    reason = lacking(lesson, beyond(1))
    assert reason
    assert "`kubelab --masters 3 --fresh`" in reason.en
    assert lacking(lesson, beyond(3)) is lacking(lesson, beyond(5)) is None


def test_lessons_are_found_where_the_environment_says(tmp_path: Path) -> None:
    assert tracks_path({"KUBELAB_LESSONS": str(tmp_path)}) == tmp_path
    with pytest.raises(LabError, match="KUBELAB_LESSONS"):
        Catalog.load(tmp_path)


def test_a_directory_without_lessons_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    (problem,) = lint([tmp_path])
    assert problem.file == str(tmp_path)


def test_a_program_that_several_lessons_hand_out_is_the_same_in_each() -> None:
    copies: dict[str, set[bytes]] = {}
    for path in tracks_path().glob("containers/*/files/cg"):
        copies.setdefault(path.name, set()).add(path.read_bytes())
    assert [len(contents) for contents in copies.values()] == [1]
