"""What happens in a directory, and what the kernel says when it was too much."""

from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.inotify import Inotify


def test_writes_and_directories_are_told_with_their_names(tmp_path: Path) -> None:
    with Inotify() as inotify:
        watch = inotify.watch(str(tmp_path))
        (tmp_path / "file").write_text("x")
        (tmp_path / "below").mkdir()
        events = {(event.watch, event.name, event.is_tree) for event in inotify.events()}
        assert events == {(watch, "file", False), (watch, "below", True)}
        assert list(inotify.events()) == []


def test_the_end_of_a_watched_directory_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "below"
    directory.mkdir()
    with Inotify() as inotify:
        watch = inotify.watch(str(directory))
        directory.rmdir()
        assert [(event.watch, event.name) for event in inotify.events()] == [(watch, "")]
        inotify.forget(watch)  # Which is gone by itself.


def test_lost_events_are_told_as_such(tmp_path: Path) -> None:
    count = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    file = tmp_path / "file"
    other = tmp_path / "other"
    with Inotify() as inotify:
        inotify.watch(str(tmp_path))
        with file.open("wb", buffering=0) as one, other.open("wb", buffering=0) as two:
            for _ in range(count):  # Two files by turns, for equal events in a row are one.
                one.write(b"x")
                two.write(b"x")
        assert 0 in {event.watch for event in inotify.events()}


def test_a_directory_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with Inotify() as inotify, pytest.raises(KernelError, match="nowhere"):
        inotify.watch(str(tmp_path / "nowhere"))
