"""The authors' commands and those for progress, as they are typed: the program itself, on files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


class Author:
    """Types commands where lessons and progress are in a place of their own."""

    def __init__(self, place: Path) -> None:
        self.lessons = place / "lessons"
        self.environment = {
            **os.environ,
            "KUBELAB_LESSONS": str(self.lessons),
            "KUBELAB_LANG": "en",
            "XDG_STATE_HOME": str(place / "state"),
        }

    def types(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "kubelab", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
        )
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


def test_a_lesson_is_begun_read_changed_and_accepted(author: Author) -> None:
    said = author.types("lesson", "new", "demo/01-first")
    assert f"{author.lessons}/demo/01-first/es.md\n" in said
    assert "demo/01-first is there already" in author.types("lesson", "new", "demo/01-first", code=1)
    assert "No problems" in author.types("lesson", "lint", str(author.lessons))
    assert "=== 1/1 The first step [begin]" in author.types("lesson", "preview", "demo/01-first")
    assert "El primer paso" in author.types("lesson", "preview", "first", "--lang", "es", "--step", "begin")
    spanish = author.lessons / "demo/01-first/es.md"
    spanish.write_text(spanish.read_text().replace("Observa", "Mira"))
    assert "en.md:2: this translates another text" in author.types("lesson", "translate", "first", code=1)
    assert "up to date" in author.types("lesson", "translate", str(spanish.parent), "--accept")
    assert "up to date" in author.types("lesson", "translate", "first")


def test_a_half_written_lesson_stops_no_other_one(author: Author) -> None:
    author.types("lesson", "new", "demo/01-first")
    author.types("lesson", "new", "demo/02-second")
    english = author.lessons / "demo/01-first/en.md"
    english.unlink()
    assert "there is no translation yet" in author.types("lesson", "translate", "demo/01-first", code=1)
    assert f"{english}: this file is missing." in author.types("lesson", "lint", "demo", code=1)
    assert "up to date" in author.types("lesson", "translate", "demo/02-second")
    assert "The first step" in author.types("lesson", "preview", "demo/02-second")


def test_what_no_machine_can_be_asked_for_is_a_problem(author: Author) -> None:
    author.types("lesson", "new", "demo/01-first")
    spanish = author.lessons / "demo/01-first/es.md"
    spanish.write_text(spanish.read_text().replace("needs: [root]", "needs: [root, cgroup.memroy]"))
    said = author.types("lesson", "lint", "demo", code=1)
    assert "es.md:6: there is no capability “cgroup.memroy”; did you mean “cgroup.memory”?" in said


def test_the_reference_is_printed(author: Author) -> None:
    assert author.types("lesson", "reference").startswith("# Writing lessons: format 1\n")


def test_progress_is_exported_and_imported(author: Author, tmp_path: Path) -> None:
    file = tmp_path / "class.csv"
    row = "a/b,one,2026-01-31 09:30:00,2,1,one,s,{}"
    file.write_text(f"lesson,step,passed,hints,hints-at-pass,at,seed,variables\n{row}\n")
    assert "Read 1 lessons; passed steps that you did not have: 1." in author.types(
        "progress", "import", str(file)
    )
    assert row in author.types("progress", "export", "--format", "csv")
    assert '"lesson": "a/b"' in author.types("progress", "export")
    author.types("progress", "export", str(tmp_path / "mine.csv"))
    mine = (tmp_path / "mine.csv").read_text()
    assert mine.splitlines()[1] == f"{row},,,,,[]"
    assert "passed steps that you did not have: 0." in author.types(
        "progress", "import", str(tmp_path / "mine.csv")
    )


def test_a_bad_file_is_refused_in_one_line(author: Author, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text('{"format": 1,\n "lesons": []}\n')
    said = author.types("progress", "import", str(file), code=1)
    assert said == f"kubelab: {file}:2: there is no key “lesons”; did you mean “lessons”?\n"


def test_an_export_that_cannot_be_written_is_told(author: Author, tmp_path: Path) -> None:
    said = author.types("progress", "export", str(tmp_path / "no" / "where.json"), code=1)
    assert "where.json cannot be written (No such file or directory)" in said
    assert said.count("\n") == 1
