"""What a track may be made of: regular files with names that stay inside, few and small enough."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import socket
import stat
import subprocess
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracks_for_tests import english as english
from tracks_for_tests import member, tar, tree_of, write

from kubelab.cluster.errors import LabError
from kubelab.lessons.thirdparty.archive import read_archive
from kubelab.lessons.tree import Gathering, Limits, below, directories_of, read_tree, tree_hash, write_tree

SMALL = Limits(entries=10, file_bytes=100, total_bytes=250, depth=3)


def test_a_directory_is_read_as_its_files_without_what_belongs_to_version_control(tmp_path: Path) -> None:
    write({"a/b.txt": b"1", ".git/config": b"2", "a/.git/x": b"3", ".gitignore": b"4"}, tmp_path)
    assert read_tree(tmp_path) == {".gitignore": b"4", "a/b.txt": b"1"}


def test_a_link_to_a_file_inside_stands_for_a_copy_of_it(tmp_path: Path) -> None:
    write({"shared/x.sh": b"#!", "01-a/files/y": b""}, tmp_path)
    (tmp_path / "01-a/files/x.sh").symlink_to("../../shared/x.sh")
    (tmp_path / "again").symlink_to("./01-a/files/x.sh")
    tree = read_tree(tmp_path)
    assert tree["01-a/files/x.sh"] == tree["again"] == b"#!"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("/etc/passwd", "leads out"),
        ("../../etc/passwd", "leads out"),
        ("..", "leads out"),
        ("nowhere", "leads to no file in here"),
        (".", "leads to no file in here"),
        ("link", "leads to no file in here"),
    ],
)
def test_any_other_link_is_refused(tmp_path: Path, target: str, says: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(LabError, match=says):
        read_tree(tmp_path)


def test_a_fifo_or_a_socket_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(LabError, match="“fifo” is no regular file"):
        read_tree(tmp_path)
    (tmp_path / "fifo").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(LabError, match="“socket” is no regular file"):
            read_tree(tmp_path)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"big": bytes(101)}, "too big"),
        ({f"f{n}": bytes(90) for n in range(3)}, "too big"),
        ({f"f{n}": b"" for n in range(11)}, "more than 10 files"),
        ({"a/b/c/d": b""}, "more than 3 directories deep"),
        ({"line\nbreak": b""}, "a name that is refused"),
        ({"\x1b[31m": b""}, "a name that is refused"),
        ({"back\\slash": b""}, "a name that is refused"),
    ],
)
def test_what_is_beyond_the_limits_is_refused(tmp_path: Path, tree: dict[str, bytes], says: str) -> None:
    write(tree, tmp_path)
    with pytest.raises(LabError, match=says) as caught:
        read_tree(tmp_path, limits=SMALL)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_links_count_as_much_as_the_copies_that_they_stand_for(tmp_path: Path) -> None:
    write({"a": bytes(100)}, tmp_path)
    for name in "bcd":
        (tmp_path / name).symlink_to("a")
    with pytest.raises(LabError, match="too big"):
        read_tree(tmp_path, limits=SMALL)


names = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=8)
paths = st.lists(st.one_of(names, st.sampled_from(["..", ".", "", "a"])), max_size=5).map("/".join)


@given(st.dictionaries(paths, st.binary(max_size=20), max_size=5))
@settings(max_examples=150, deadline=None)
def test_whatever_the_names_are_the_files_land_below_the_directory_or_nowhere(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, bytes]
) -> None:
    gathering = Gathering("x")
    try:
        for path, content in entries.items():
            gathering.add_file(path, io.BytesIO(content))
        tree = gathering.finish()
    except LabError:
        return
    place = tmp_path_factory.mktemp("tree")
    write_tree(tree, place / "inside")
    assert read_tree(place / "inside") == tree
    assert [entry.name for entry in place.iterdir()] == ["inside"]


def test_the_hash_is_what_coreutils_say(tmp_path: Path) -> None:
    tree = {"b": b"2", "a/c": b"", "a.b": b"3", "á": b"4", "a b": b"5", "Z": b"6"}
    write(tree, tmp_path)
    command = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    said = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert said.stdout.split()[0] == tree_hash(tree) == tree_hash(read_tree(tmp_path))


def test_a_part_of_a_tree_has_paths_from_there() -> None:
    tree = {"x/track.yaml": b"1", "x/01-a/es.md": b"2", "track.yaml": b"3", "xy/track.yaml": b"4"}
    assert below(tree, "x") == {"track.yaml": b"1", "01-a/es.md": b"2"}
    assert below(tree, "") == tree
    assert directories_of(tree, "track.yaml") == ["", "x", "xy"]


# Archives


def test_what_belongs_to_version_control_is_left_out_of_an_archive_too(tmp_path: Path) -> None:
    tree = {"t/.git/config": b"1", "t/.git/hooks/x": b"2", "t/.gitignore": b"3"}
    link = member("t/.git/link", tarfile.SYMTYPE, "/etc/passwd")
    assert read_archive(tar(tmp_path / "x.tgz", link, tree=tree)) == {"t/.gitignore": b"3"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_read_however_it_is_compressed_and_named(tmp_path: Path, mode: str) -> None:
    tree = tree_of()
    made = tar(tmp_path / "download", member("dir", tarfile.DIRTYPE), tree=tree, mode=mode)
    assert read_archive(made) == dict(sorted(tree.items()))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_is_read_with_its_links(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        archive.writestr("t/a", b"1")
        archive.writestr(zipfile.ZipInfo("t/dir/"), b"")
        link = zipfile.ZipInfo("t/b")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "a")
    assert read_archive(tmp_path / "x.zip") == {"t/a": b"1", "t/b": b"1"}


@pytest.mark.parametrize(
    ("evil", "says"),
    [
        (member("../evil"), "leads out"),
        (member("a/../../evil"), "leads out"),
        (member("/etc/evil"), "leads out"),
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "leads out"),
        (member("a/link", tarfile.SYMTYPE, "../../x"), "leads out"),
        (member("hard", tarfile.LNKTYPE, "good"), "is no regular file"),
        (member("hard", tarfile.LNKTYPE, "/etc/passwd"), "is no regular file"),
        (member("null", tarfile.CHRTYPE), "is no regular file"),
        (member("disk", tarfile.BLKTYPE), "is no regular file"),
        (member("fifo", tarfile.FIFOTYPE), "is no regular file"),
        (member("good"), "is there twice"),
        (member("./good"), "is there twice"),
        (member("good/below"), "is there twice"),
        (member("."), "is there twice"),
        (member("a\x1b]0;x\x07"), "a name that is refused"),
    ],
)
def test_a_hostile_member_of_a_tar_is_refused(tmp_path: Path, evil: tarfile.TarInfo, says: str) -> None:
    made = tar(tmp_path / "x.tgz", evil, tree={"good": b"1"})
    with pytest.raises(LabError, match=says) as caught:
        read_archive(made)
    assert "\x1b" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.tgz"]


@pytest.mark.parametrize(
    ("name", "attributes", "says"),
    [
        ("../evil", 0, "leads out"),
        ("/etc/evil", 0, "leads out"),
        ("..\\evil", 0, "a name that is refused"),
        ("fifo", stat.S_IFIFO << 16, "is no regular file"),
        ("disk", stat.S_IFBLK << 16, "is no regular file"),
        ("link", stat.S_IFLNK << 16, "leads out"),
    ],
)
def test_a_hostile_member_of_a_zip_is_refused(tmp_path: Path, name: str, attributes: int, says: str) -> None:
    evil = zipfile.ZipInfo(name)
    evil.external_attr = attributes
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(evil, "/etc/passwd")
    with pytest.raises(LabError, match=says):
        read_archive(tmp_path / "x.zip")


def _huge_file() -> bytes:
    """Return a tar that says that it has 8 GiB of zeros, and begins to have them."""
    info = tarfile.TarInfo("zeros")
    info.size = 8 << 30
    return info.tobuf() + bytes(24 << 20)


def _huge_header() -> bytes:
    """Return a tar whose extended header alone is beyond all limits."""
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, 8 << 30
    return info.tobuf(format=tarfile.GNU_FORMAT) + bytes(24 << 20)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("content", [_huge_file, _huge_header])
def test_a_decompression_bomb_ends_at_the_limits(
    tmp_path: Path, compress: Callable[[bytes], bytes], content: Callable[[], bytes]
) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(compress(content()))
    tracemalloc.start()
    with pytest.raises(LabError, match=r"too big|no end"):
        read_archive(bomb, Limits(file_bytes=1 << 20, total_bytes=2 << 20))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20 << 20


def test_a_zip_bomb_ends_at_the_limits(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50 << 20))
    with pytest.raises(LabError, match="too big"):
        read_archive(tmp_path / "x.zip")


def test_an_xz_that_wants_gigabytes_to_be_decompressed_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 28}]
    (tmp_path / "x.xz").write_bytes(lzma.compress(b"x", filters=filters))
    with pytest.raises(LabError, match="Memory usage limit exceeded"):
        read_archive(tmp_path / "x.xz")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"hello", b"PK\x03\x04", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"),
        gzip.compress(b"x", mtime=0),
    ],
)
def test_what_is_no_archive_or_cut_off_is_told_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LabError) as caught:
        read_archive(tmp_path / "x")
    assert str(caught.value).startswith("x: ")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_anywhere_is_a_refusal_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("damaged")
    mode = data.draw(st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]))
    whole = bytearray(tar(place / "x", tree=tree_of(), mode=mode).read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[at] ^= data.draw(st.integers(1, 255))
    (place / "x").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(LabError):
        read_archive(place / "x")
