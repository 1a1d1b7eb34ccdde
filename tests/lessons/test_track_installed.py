"""Installed tracks: in the catalog as long as they are what was agreed to, and never half."""

import fcntl
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lesson_files import SPANISH
from tracks_for_tests import english as english
from tracks_for_tests import repository, tar, track_yaml, tree_of, write

from kubelab.cluster.errors import LabError
from kubelab.lessons.catalog import Catalog
from kubelab.lessons.progress import Progress
from kubelab.lessons.thirdparty.fetching import Fetched
from kubelab.lessons.thirdparty.installed import InstalledTracks, Record, record_of
from kubelab.lessons.thirdparty.offer import (
    FaultyTrackError,
    Offer,
    look_over,
    offered_again,
    track_directories,
    wanted,
)
from kubelab.lessons.thirdparty.source import Source
from kubelab.lessons.tree import Tree, tree_hash

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
SOURCE = Source("git", "https://host/tracks.git", "v1")


def fetched(tree: Tree, source: Source = SOURCE) -> Fetched:
    return Fetched(source, "0123456789abcdef", tree)


def offer_of(tree: Tree, directory: str = "") -> Offer:
    return look_over(fetched(tree), directory)


@pytest.fixture
def installed(tmp_path: Path) -> InstalledTracks:
    return InstalledTracks(tmp_path / "data/tracks")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """kubelab's own tracks, for the catalog."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBELAB_LESSONS", str(tmp_path / "own"))
        write({f"mine/{path}": content for path, content in tree_of("mine").items()}, tmp_path / "own")
        yield tmp_path / "own"


def install(installed: InstalledTracks, tree: Tree) -> Record:
    offer = offer_of(tree)
    record = record_of(offer, NOW)
    with installed.staging() as staging:
        installed.install(offer, record, staging)
    return record


def copy_of(installed: InstalledTracks) -> Path:
    return installed.copy_of("puzzles", installed.record("puzzles"))


def left_out(installed: InstalledTracks) -> str:
    catalog = Catalog.load(installed=installed)
    assert [track.id for track in catalog.tracks] == ["mine"]
    (problem,) = catalog.problems
    assert problem.id == "puzzles"
    return problem.sentence.en


# What a source offers


def test_a_source_may_hold_a_track_at_its_root_or_several_below() -> None:
    nested = {f"deep/er/{path}": content for path, content in tree_of("inner").items()}
    assert track_directories(fetched(tree_of() | nested)) == [""]
    several = nested | {f"b/{path}": content for path, content in tree_of("b").items()}
    assert track_directories(fetched(several)) == ["b", "deep/er"]
    assert offer_of(several, "deep/er").id == "inner"


def test_a_source_without_a_track_is_refused() -> None:
    with pytest.raises(LabError, match=r"no track in https://host/tracks.git#v1"):
        track_directories(fetched({"README.md": b""}))


def test_only_what_a_learner_needs_is_installed() -> None:
    beside = {"README.md": b"", "LICENSE": b"", ".ci/evil": b"", "tests/x.py": b"", "02-draft/es.md": b""}
    offer = offer_of(tree_of() | beside)
    assert sorted(offer.tree) == sorted([*tree_of(), "README.md", "LICENSE"])


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        (
            "track.yaml",
            track_yaml(privileges="root-shell").encode(),
            r"01-sleep/es.md:\d+: this uses “setup”",
        ),
        ("track.yaml", track_yaml().replace("format: 1", "format: 7").encode(), "track.yaml:1: format 7"),
        ("track.yaml", b"\xff", "track.yaml: it cannot be read"),
        ("track.yaml", track_yaml().replace("[01-sleep]", "[]").encode(), "no lessons here"),
        ("01-sleep/es.md", SPANISH.replace("minutes: 5", "minutes: x").encode(), r"es.md:4: an integer"),
        ("01-sleep/es.md", SPANISH.replace("::: hint\nTres.\n:::\n", "").encode(), "has 3 hints"),
        ("01-sleep/en.md", None, "01-sleep/en.md: this file is missing"),
    ],
)
def test_a_track_with_mistakes_is_refused_with_all_of_them(
    path: str, content: bytes | None, says: str
) -> None:
    tree = {**tree_of(), path: content}
    with pytest.raises(FaultyTrackError) as caught:
        offer_of({name: text for name, text in tree.items() if text is not None})
    problems = "\n".join(map(str, caught.value.problems))
    assert re.search(says, problems), problems


def test_a_stale_translation_is_no_reason_to_refuse_a_third_party() -> None:
    """The lesson works in both languages, and its learners could not mend it."""
    tree = tree_of() | {"01-sleep/es.md": SPANISH.replace("Eso es poco.", "Es poquísimo.").encode()}
    (warning,) = offer_of(tree).warnings
    assert "this translates another text" in str(warning)


def under(directory: str, tree: Tree) -> Tree:
    return {f"{directory}/{path}": content for path, content in tree.items()}


def test_of_several_tracks_one_with_mistakes_keeps_back_all_but_those_that_are_named() -> None:
    several = under("a", tree_of("a")) | under("b", tree_of("b", privileges="")) | under("c", tree_of("c"))
    with pytest.raises(FaultyTrackError, match="the track in b has mistakes"):
        wanted(fetched(several))
    assert [offer.id for offer in wanted(fetched(several), ["c", "a", "c"])] == ["c", "a"]
    with pytest.raises(FaultyTrackError):
        wanted(fetched(several), ["a", "b"])


def test_two_tracks_of_one_id_are_refused() -> None:
    with pytest.raises(LabError, match="two tracks with the id “a”"):
        wanted(fetched(under("x", tree_of("a")) | under("y", tree_of("a"))))


def test_a_track_that_has_moved_inside_its_source_is_found_again() -> None:
    moved = under("x", tree_of("other")) | under("y", tree_of("puzzles"))
    assert offered_again(fetched(moved), "puzzles", "x").directory == "y"
    with pytest.raises(LabError, match="“gone” is no longer in"):
        offered_again(fetched(moved), "gone", "x")


# Installed


def test_an_installed_track_is_in_the_catalog_after_kubelabs_own(
    own: Path, installed: InstalledTracks
) -> None:
    record = install(installed, tree_of("puzzles"))
    install(installed, tree_of("another", more="requires: [puzzles]\n"))
    catalog = Catalog.load(installed=installed)
    assert [track.id for track in catalog.tracks] == ["mine", "puzzles", "another"]
    assert catalog.problems == ()
    assert (
        record
        == installed.record("puzzles")
        == Record(
            format=1,
            source=SOURCE,
            directory="",
            resolved="0123456789abcdef",
            tree=tree_hash(tree_of()),
            privileges=("root-shell", "setup"),
            agreed="2026-01-31T09:30:00+00:00",
        )
    )


def test_a_lesson_of_an_installed_track_takes_no_short_name_from_kubelabs_own(
    own: Path, installed: InstalledTracks
) -> None:
    install(installed, tree_of())
    catalog = Catalog.load(installed=installed)
    assert catalog.lesson("sleep").id == "mine/01-sleep"
    assert catalog.lesson("puzzles/01-sleep").id == "puzzles/01-sleep"


@pytest.mark.parametrize("damage", ["changed", "added", "removed", "linked", "huge", "all gone"])
def test_a_copy_that_is_not_what_was_agreed_to_is_left_out(
    own: Path, installed: InstalledTracks, damage: str
) -> None:
    install(installed, tree_of())
    copy = copy_of(installed)
    spanish = copy / "01-sleep/es.md"
    match damage:
        case "changed":
            spanish.write_text(spanish.read_text().replace("pkill -f", "pkill -x"))
        case "added":
            (copy / "01-sleep/files/evil.sh").write_text("#!/bin/sh")
        case "removed":
            (copy / "01-sleep/files/note.txt").unlink()
        case "linked":
            spanish.rename(copy.parent / "es.md")
            spanish.symlink_to(copy.parent / "es.md")
        case "huge":
            os.truncate(spanish, 1 << 40)
        case _:
            shutil.rmtree(copy)
    sentence = left_out(installed)
    assert "Track “puzzles” is left out: " in sentence
    assert "`kubelab track update puzzles`" in sentence
    assert "`kubelab track remove puzzles`" in sentence


def test_a_record_that_cannot_be_read_leaves_the_track_out(own: Path, installed: InstalledTracks) -> None:
    install(installed, tree_of())
    (installed.path / "puzzles/record.json").write_text("{")
    assert "cannot be read where track “puzzles” came from" in left_out(installed)
    installed.remove("puzzles")
    assert installed.ids() == []


def test_a_track_that_this_kubelab_cannot_read_is_left_out(own: Path, installed: InstalledTracks) -> None:
    """As if it had been installed by an older one, for which it was sound."""
    offer = offer_of(tree_of())
    tree = dict(offer.tree) | {"track.yaml": track_yaml().replace("format: 1", "format: 0").encode()}
    old = Offer(SOURCE, "x", "", offer.track, offer.privileges, tree)
    with installed.staging() as staging:
        installed.install(old, record_of(old, NOW), staging)
    assert "track.yaml:1: format 0 is unknown" in left_out(installed)


def test_a_track_that_uses_more_than_was_agreed_to_is_left_out(own: Path, installed: InstalledTracks) -> None:
    offer = offer_of(tree_of())
    record = record_of(Offer(SOURCE, "x", "", offer.track, ("root-shell",), offer.tree), NOW)
    with installed.staging() as staging:
        installed.install(offer, record, staging)
    assert "uses “setup”, which you did not agree to" in left_out(installed)


def test_a_track_that_kubelab_brings_by_now_is_left_out(own: Path, installed: InstalledTracks) -> None:
    install(installed, tree_of())
    write({f"puzzles/{path}": content for path, content in tree_of("puzzles").items()}, own)
    catalog = Catalog.load(installed=installed)
    assert [track.id for track in catalog.tracks] == ["mine", "puzzles"]
    assert "has another of that id" in catalog.problems[0].sentence.en


def test_the_home_screen_says_why_a_track_is_left_out(
    own: Path, installed: InstalledTracks, progress: Progress
) -> None:
    install(installed, tree_of())
    shutil.rmtree(copy_of(installed))
    mine, puzzles = Catalog.load(installed=installed).entries(progress, {})
    assert (mine.id, len(mine.lessons)) == ("mine", 1)
    assert "is left out" in puzzles.title.en
    assert puzzles.lessons == ()


def test_an_id_is_installed_once(installed: InstalledTracks) -> None:
    install(installed, tree_of())
    with pytest.raises(LabError, match="`kubelab track remove puzzles`"):
        install(installed, tree_of())
    assert [entry.name for entry in installed.path.iterdir() if entry.name != ".lock"] == ["puzzles"]


def test_another_state_takes_the_place_of_the_first_even_if_that_is_damaged(
    own: Path, installed: InstalledTracks
) -> None:
    first = install(installed, tree_of())
    (copy_of(installed) / "track.yaml").unlink()
    for tree in (tree_of(), tree_of(more="requires: [mine]\n")):
        offer = offer_of(tree)
        with installed.staging() as staging:
            installed.replace(offer, record_of(offer, NOW), staging)
        assert Catalog.load(installed=installed).problems == ()
    assert installed.record("puzzles").tree != first.tree
    assert len([entry for entry in (installed.path / "puzzles").iterdir() if entry.is_dir()]) == 1


def test_pins_are_kept_in_the_record(installed: InstalledTracks) -> None:
    install(installed, tree_of())
    assert installed.set_pinned("puzzles", pinned=True).pinned
    assert installed.record("puzzles").pinned
    installed.set_pinned("puzzles", pinned=False)
    assert not installed.record("puzzles").pinned


def test_what_is_not_installed_can_neither_be_pinned_nor_removed(installed: InstalledTracks) -> None:
    for act in (lambda: installed.set_pinned("x", pinned=True), lambda: installed.remove("x")):
        with pytest.raises(LabError, match="`kubelab track list`"):
            act()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(LabError, match=r"tracks are kept in .*file/tracks"),
        InstalledTracks(tmp_path / "file/tracks").staging(),
    ):
        pass


# Interruptions


def test_what_a_killed_one_was_staging_goes_with_the_next_change_and_what_is_at_work_stays(
    installed: InstalledTracks,
) -> None:
    with installed.staging() as at_work:
        left = write(tree_of(), installed.path / ".staging-left")
        with installed.staging():
            assert at_work.exists()
            assert not left.exists()


KILLED_AT_MANY_MOMENTS = """
import itertools, os, shutil, signal, sys
from pathlib import Path
from kubelab.cli import track
from kubelab.cli.command_line import kubelab_command
from kubelab.lessons import catalog
from kubelab.lessons.thirdparty import fetching, installed, offer

CHANGES = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "fcntl.flock")

def run(moment, place):
    shutil.copytree("before", place)
    os.environ["XDG_DATA_HOME"] = str(place)
    calls = itertools.count()

    def count(event, arguments):
        if event in CHANGES and next(calls) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    kubelab_command.main(["track", *sys.argv[1:]], standalone_mode=False)

for moment in itertools.count(0, 4):
    if (pid := os.fork()) == 0:
        run(moment, Path("after", str(moment)).absolute())
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != -signal.SIGKILL:
        sys.exit(status)
"""


@pytest.mark.parametrize("command", [["add", "x.tgz", "--yes"], ["update", "--yes"], ["remove", "puzzles"]])
def test_killed_at_any_moment_it_leaves_the_old_state_or_the_new_one(
    own: Path, tmp_path: Path, command: list[str]
) -> None:
    """At every fourth file that it opens, makes, renames, locks or removes."""
    source = Source.parse(str(tar(tmp_path / "x.tgz", tree=tree_of())))
    (tmp_path / "before").mkdir()
    if "add" not in command:
        old = look_over(Fetched(source, "x", tree_of(more="requires: [mine]\n")), "")
        before = InstalledTracks(tmp_path / "before/kubelab/tracks")
        with before.staging() as staging:
            before.install(old, record_of(old, NOW), staging)
    subprocess.run(
        [sys.executable, "-c", KILLED_AT_MANY_MOMENTS, *command],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    states: list[str] = []
    for moment in sorted((tmp_path / "after").iterdir(), key=lambda path: int(path.name)):
        installed = InstalledTracks(moment / "kubelab/tracks")
        assert Catalog.load(installed=installed).problems == ()
        states.append(installed.record("puzzles").tree if installed.ids() else "")
    changes = [now for then, now in itertools.pairwise(states) if now != then]
    assert changes == [tree_hash(tree_of()) if "remove" not in command else ""]


def test_of_two_at_once_one_installs_and_the_other_is_told(own: Path, tmp_path: Path) -> None:
    installed = InstalledTracks(tmp_path / "data/kubelab/tracks")
    repository(tmp_path / "repo", tree_of())
    with installed.staging() as staging:
        lock = os.open(staging.parent / ".lock", os.O_RDWR)
        command = [sys.executable, "-m", "kubelab", "track", "add", f"file://{tmp_path}/repo", "--yes"]
        environment = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data")}
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        os.close(lock)
        said = [process.communicate(timeout=30)[1].decode() for process in running]
    assert sorted(process.returncode for process in running) == [0, 1]
    assert "puzzles" in "".join(said)
    assert Catalog.load(installed=installed).problems == ()
    assert sorted(entry.name for entry in installed.path.iterdir()) == [".lock", "puzzles"]
