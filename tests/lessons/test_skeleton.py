"""A new lesson lints clean and proves itself, is in its track, and nothing that was there is touched."""

from pathlib import Path

import pytest
import yaml
from scratch_lab import ScratchLab

from kubelab.cluster.errors import LabError
from kubelab.lessons.catalog import Catalog, load_lesson
from kubelab.lessons.lint import lint
from kubelab.lessons.proof import prove
from kubelab.lessons.skeleton import create, register, writable_tracks

HEAD = "format: 1\nid: t\ntitle: {es: Pista, en: Track}  # both\n"


def test_a_new_lesson_in_a_new_track_lints_clean_and_is_in_the_catalog(tmp_path: Path) -> None:
    create(tmp_path, "demo/02-host-names")
    create(tmp_path, "demo/01-first")
    assert [str(problem) for problem in lint([tmp_path])] == []
    assert [lesson.id for lesson in Catalog.load(tmp_path).lessons()] == [
        "demo/01-first",
        "demo/02-host-names",
    ]


@pytest.mark.root
async def test_a_new_lesson_proves_itself(tmp_path: Path, lab: ScratchLab) -> None:
    create(tmp_path, "demo/01-first")
    proof = await prove(load_lesson(tmp_path / "demo/01-first"), "en", lab)
    assert proof.passed, str(proof)


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "demo/01-first/es.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(LabError, match="01-first"):
        create(tmp_path, "demo/01-first")
    assert [path.name for path in mine.parent.iterdir()] == ["es.md"]
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    "id_", ["uts", "demo/uts", "Demo/01-uts", "demo/1-uts", "../01-x", "demo/01-x/y", "a/01-"]
)
def test_an_id_that_is_none_is_refused_before_anything_is_written(tmp_path: Path, id_: str) -> None:
    with pytest.raises(LabError, match="containers/02-uts"):
        create(tmp_path, id_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("lessons:\n- 01-a\n- 03-c\n", "lessons:\n- 01-a\n- 02-b\n- 03-c\n"),
        ("lessons:\n  - 01-a  # first\n", "lessons:\n  - 01-a  # first\n  - 02-b\n"),
        ("lessons:\n- 03-c", "lessons:\n- 02-b\n- 03-c"),
        ("lessons:\n- 01-a", "lessons:\n- 01-a\n- 02-b\n"),
        ("lessons:\n- 01-a\nrequires: [u]\n", "lessons:\n- 01-a\n- 02-b\nrequires: [u]\n"),
        ("lessons: [01-a, 03-c]\nrequires: [u]\n", "lessons: [01-a, 02-b, 03-c]\nrequires: [u]\n"),
        ("lessons: []\n", "lessons: [02-b]\n"),
        ("lessons: 01-a\n", "lessons: [01-a, 02-b]\n"),
        ("lessons:\n- 02-b\n", "lessons:\n- 02-b\n"),
    ],
)
def test_the_track_gets_one_line_more_and_keeps_the_rest(written: str, becomes: str) -> None:
    assert register(HEAD + written, "track.yaml", "02-b") == HEAD + becomes
    assert "02-b" in yaml.safe_load(HEAD + becomes)["lessons"]


def test_an_installation_is_no_place_to_write_lessons(tmp_path: Path) -> None:
    assert writable_tracks({"KUBELAB_LESSONS": str(tmp_path)}) == tmp_path
