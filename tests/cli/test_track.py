"""`kubelab track`, as it is typed: what is told, what is asked, and what stays when the answer is no."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from kubelab.cli import run
from kubelab.lessons.skeleton import create

PROGRAM = (sys.executable, "-m", "kubelab", "track")


class Learner:
    """Types commands where tracks and progress are in a place of their own."""

    def __init__(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]
    ) -> None:
        self.place = place
        self._monkeypatch = monkeypatch
        self._said = said
        monkeypatch.chdir(place)
        monkeypatch.delenv("KUBELAB_LESSONS", raising=False)
        monkeypatch.setenv("KUBELAB_LANG", "en")
        monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
        monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))

    def types(self, *arguments: str, code: int = 0, group: str = "track") -> str:
        """Run the command where no terminal is; return all that it said."""
        # In this process: it is the same, and starts no interpreter a hundred times.
        self._monkeypatch.setattr(sys, "argv", ["kubelab", group, *arguments])
        self._said.readouterr()
        ended_with = run()
        said = "".join(self._said.readouterr())
        assert ended_with == code, said
        return said

    def is_asked(self, *arguments: str, answer: str, code: int, language: str = "en") -> str:
        """Type the command on a terminal, and the answer to what it asks; return all that was said."""
        child = pexpect.spawn(
            PROGRAM[0],
            [*PROGRAM[1:], *arguments],
            cwd=str(self.place),
            env=os.environ | {"KUBELAB_LANG": language},
            encoding="utf-8",
            timeout=50,
            dimensions=(40, 120),
        )
        child.expect(r"\[[sy]/N\] ")
        said = child.before
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code, child.before
        return said + child.before

    def git(self, *arguments: str) -> str:
        who = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return subprocess.run(
            ["git", "-C", str(self.place / "repo"), *arguments],
            env=os.environ | who | {"GIT_CONFIG_GLOBAL": os.devnull},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self) -> str:
        """Commit all that is in `repo`; return the short commit."""
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "--short=12", "HEAD")


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Learner:
    create(tmp_path / "repo", "puzzles/01-first")
    return Learner(tmp_path, monkeypatch, capsys)


def grow(learner: Learner, privileges: str) -> None:
    """Let the track's lesson set something up."""
    track = learner.place / "repo/puzzles"
    spanish, file = track / "01-first/es.md", track / "track.yaml"
    spanish.write_text(spanish.read_text().replace("- id: begin\n", "- id: begin\n  setup: ['true']\n"))
    file.write_text(file.read_text().replace("[root-shell]", f"[{privileges}]"))


def test_whoever_adds_a_track_is_told_what_it_may_do_and_asked(learner: Learner) -> None:
    said = learner.is_asked("add", "repo", answer="no", code=1)
    assert "Puzzles (puzzles), lessons: 1" in said
    assert "- root-shell: a root shell on machines of the lab" in said
    assert "Agree only if you trust whoever wrote this." in said.replace("\r\n", " ")
    assert "Nothing was installed." in said
    assert "No tracks are installed" in learner.types("list")
    said = learner.is_asked("add", "repo", answer="sí", code=0, language="es")
    assert "- root-shell: un shell de root en máquinas del laboratorio" in said
    assert "✓ puzzles está instalado" in said


def test_where_nobody_can_be_asked_it_takes_yes(learner: Learner) -> None:
    assert "say --yes if you trust it" in learner.types("add", "repo", code=1)
    assert "No tracks are installed" in learner.types("list")
    assert "✓ puzzles is installed" in learner.types("add", "repo", "--yes")


def test_the_life_of_a_track_from_a_repository(learner: Learner) -> None:
    first = learner.commit()
    url = f"file://{learner.place}/repo"
    learner.types("add", url, "--yes")
    listed = learner.types("list")
    assert "✓ puzzles  Puzzles  lessons: 1" in listed
    assert f"{url}  {first}" in listed
    shown = learner.types("show", "puzzles")
    assert f"commit: {learner.git('rev-parse', 'HEAD')}" in shown
    assert re.search(r"puzzles/01-first +5 min +First", shown)
    assert f"puzzles: unchanged ({first})." in learner.types("update")

    spanish = learner.place / "repo/puzzles/01-first/es.md"
    spanish.write_text(spanish.read_text().replace("minutes: 5", "minutes: 7"))
    second = learner.commit()
    assert f"puzzles: pinned to {first}." in learner.types("pin", "puzzles")
    assert f"puzzles: pinned to {first}, it stays." in learner.types("update", "puzzles")
    assert "[pinned]" in learner.types("list")
    learner.types("unpin", "puzzles")
    assert f"puzzles: {first} → {second}" in learner.types("update")
    assert "  7 min" in learner.types("show", "puzzles")

    assert "your progress stays" in learner.types("remove", "puzzles")
    assert "No tracks are installed" in learner.types("list")


def test_an_update_that_may_do_more_asks_again_and_otherwise_stays_where_it_is(learner: Learner) -> None:
    first = learner.commit()
    learner.types("add", f"file://{learner.place}/repo", "--yes")
    grow(learner, "root-shell, setup")
    second = learner.commit()
    assert "there is no terminal here to ask on" in learner.types("update", code=1)
    said = learner.is_asked("update", answer="", code=0)
    assert "asks for more than the one that you agreed to" in said
    assert "- setup: run its author's commands" in said
    assert f"puzzles: it stays at {first}." in said
    assert f"puzzles: {first} → {second}" in learner.is_asked("update", answer="y", code=0)
    assert "- setup:" in learner.types("show", "puzzles")


def test_a_track_with_mistakes_is_not_installed_and_they_are_named(learner: Learner) -> None:
    grow(learner, "root-shell")
    said = learner.types("add", "repo", "--yes", code=1)
    place = learner.place / "repo/puzzles"
    assert f"{place}/01-first/es.md:11: this uses “setup”, which the track does not declare" in said
    assert f"kubelab: the track in {place} has mistakes and is not installed" in said
    assert "No tracks are installed" in learner.types("list")


def test_a_faulty_update_leaves_what_was_there(learner: Learner) -> None:
    learner.types("add", "repo", "--yes")
    grow(learner, "root-shell")
    assert "01-first/es.md:11: " in learner.types("update", code=1)
    assert "✓ puzzles" in learner.types("list")


def test_what_was_changed_by_hand_is_left_out_everywhere_and_an_update_mends_it(learner: Learner) -> None:
    learner.types("add", "repo", "--yes", "--pin")
    (english,) = learner.place.glob("data/kubelab/tracks/puzzles/*/puzzles/01-first/en.md")
    english.write_text(english.read_text() + "\n")
    listed = learner.types("list", code=1)
    assert "✗ puzzles" in listed
    assert "its content is not what you agreed to" in listed
    lessons = learner.types("list", group="lesson")
    assert "containers/07-pid" in lessons
    assert "Track “puzzles” is left out: its content is not what you agreed to." in lessons
    assert "as it should be" in learner.types("update")
    assert "✓ puzzles" in learner.types("list")


def test_what_was_pinned_and_changed_and_is_gone_from_its_source_is_told(learner: Learner) -> None:
    learner.types("add", "repo", "--yes", "--pin")
    (english,) = learner.place.glob("data/kubelab/tracks/puzzles/*/puzzles/01-first/en.md")
    english.unlink()
    spanish = learner.place / "repo/puzzles/01-first/es.md"
    spanish.write_text(spanish.read_text().replace("minutes: 5", "minutes: 7"))
    assert "`kubelab track unpin puzzles`" in learner.types("update", code=1)


def test_one_track_that_is_beyond_mending_keeps_no_other_from_its_update(learner: Learner) -> None:
    create(learner.place / "repo", "riddles/01-first")
    learner.types("add", "repo", "--yes")
    (learner.place / "data/kubelab/tracks/puzzles/record.json").write_text("{")
    said = learner.types("update", code=1)
    assert "puzzles: it cannot be read where track “puzzles” came from" in said
    assert "riddles: unchanged" in said
    assert "✗ puzzles" in learner.types("list", code=1)
    learner.types("remove", "puzzles")
    assert "✓ riddles" in learner.types("list")


def test_mistakes_in_ones_own_lessons_do_not_hide_what_is_installed(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner.types("add", "repo", "--yes")
    create(learner.place / "own", "mine/01-first")
    (learner.place / "own/mine/track.yaml").write_text("{")
    monkeypatch.setenv("KUBELAB_LESSONS", str(learner.place / "own"))
    assert "✓ puzzles" in learner.types("list")
    assert "puzzles/01-first" in learner.types("show", "puzzles")


def test_an_id_that_is_taken_is_refused_with_what_to_do(learner: Learner) -> None:
    learner.types("add", "repo", "--yes")
    assert "`kubelab track update puzzles`" in learner.types("add", "repo", "--yes", code=1)
    other = learner.place / "other"
    (learner.place / "repo").rename(other)
    said = learner.types("add", "other", "--yes", code=1)
    assert f"from {learner.place}/repo: take it away first with `kubelab track remove puzzles`" in said
    create(other / "mine", "containers/01-mine")
    said = learner.types("add", "other/mine", "--yes", code=1)
    assert "kubelab, or KUBELAB_LESSONS, has a track “containers” already" in said


def test_of_several_tracks_all_are_added_or_those_that_are_named(learner: Learner) -> None:
    create(learner.place / "repo", "riddles/01-first")
    assert "there is no track “riddle” there; there are: puzzles, riddles." in learner.types(
        "add", "repo", "--yes", "--only", "riddle", code=1
    )
    learner.types("add", "repo", "--yes", "--only", "riddles")
    assert "puzzles" not in learner.types("list").replace(str(learner.place), "")
    learner.types("remove", "riddles")
    said = learner.types("add", "repo", "--yes")
    assert "✓ puzzles is installed" in said
    assert "✓ riddles is installed" in said


def test_the_authors_commands_know_installed_tracks(learner: Learner) -> None:
    learner.types("add", "repo", "--yes")
    assert "First (puzzles/01-first, 5 min)" in learner.types("preview", "first", group="lesson")
    assert "No problems" in learner.types("lint", "puzzles/01-first", group="lesson")
    assert "No problems" in learner.types("lint", "puzzles", group="lesson")
    assert "no lesson “puzzle”" in learner.types("lint", "puzzle", group="lesson", code=1)


@pytest.mark.parametrize("command", ["add", "list", "show", "update", "pin", "unpin", "remove"])
def test_every_command_explains_itself(learner: Learner, command: str) -> None:
    assert command in learner.types(command, "--help")


@pytest.mark.parametrize("arguments", [["add"], ["pin"], ["remove"], ["show"], ["ad", "x"]])
def test_a_command_that_is_written_wrongly_is_refused_as_such(learner: Learner, arguments: list[str]) -> None:
    learner.types(*arguments, code=2)
