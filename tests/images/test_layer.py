"""A layer's archive becomes a directory in overlay's form, with all that a file has."""
# ruff: noqa: PTH115, PTH208

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from image_files import directory, entry, hard_link, symlink, tar

from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.layer import Unpacking, Whiteouts
from kubelab.cluster.images.tar import TarReader

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service+ep, revision 2


def unpack(path: Path, archive: bytes, whiteouts: Whiteouts = Whiteouts.TRUSTED) -> Path:
    path.mkdir(exist_ok=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Unpacking(fd, whiteouts).run(TarReader(io.BytesIO(archive)))
    finally:
        os.close(fd)
    return path


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path, name: str = "trusted.overlay.opaque") -> bool:
    return name in os.listxattr(path) and os.getxattr(path, name) == b"y"


@pytest.mark.root
@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_keep_owner_mode_time_and_content(tmp_path, format_):
    items = [
        directory("d", mode=0o1770, uid=7, gid=8, mtime=1_000_000),
        (entry("d/f", mode=0o4755, uid=1000, gid=1001, mtime=1_234_567), b"content"),
        (entry("d/" + "long/" * 30 + "name" * 20, mtime=5), b"x")
        if format_ != tarfile.USTAR_FORMAT
        else "d/g",
        symlink("d/l", "/etc/passwd"),
        entry("d/p", tarfile.FIFOTYPE, mode=0o600),
    ]
    root = unpack(
        tmp_path / "layer", tar([i if not isinstance(i, str) else (i, b"") for i in items], format_)
    )
    status = (root / "d/f").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1000, 1001, 0o4755)
    assert (status.st_mtime, (root / "d/f").read_bytes()) == (1_234_567, b"content")
    status = (root / "d").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o1770)
    assert status.st_mtime == 1_000_000  # Though it was written into after it was made.
    assert os.readlink(root / "d/l") == "/etc/passwd"
    assert stat.S_ISFIFO((root / "d/p").stat().st_mode)
    if format_ != tarfile.USTAR_FORMAT:
        assert (root / "d" / ("long/" * 30) / ("name" * 20)).read_bytes() == b"x"


@pytest.mark.root
def test_file_capabilities_and_user_attributes_are_kept_and_overlays_own_are_not(tmp_path):
    attributes = {
        "SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape"),
        "SCHILY.xattr.user.note": "mine",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
    }
    archive = tar([(entry("ping", uid=5, pax_headers=attributes), b"x")])
    file = unpack(tmp_path / "layer", archive) / "ping"
    assert set(os.listxattr(file)) == {"security.capability", "user.note"}
    assert os.getxattr(file, "security.capability") == CAPABILITY


def test_hard_links_are_one_file(tmp_path):
    archive = tar([directory("a"), ("a/one", b"x"), hard_link("two", "a/one"), hard_link("three", "/a/one")])
    root = unpack(tmp_path / "layer", archive)
    assert (root / "a/one").stat().st_nlink == 3
    assert (root / "two").samefile(root / "three")


def test_names_lead_through_links_inside_the_layer(tmp_path):
    links = [symlink("lib", "usr/lib"), symlink("up", "/../..")]
    root = unpack(tmp_path / "layer", tar([directory("usr/lib"), *links, ("lib/a", b"1"), ("up/b", b"2")]))
    assert (root / "usr/lib/a").read_bytes() == b"1"
    assert (root / "b").read_bytes() == b"2"  # `/../..` of the root is the root.


def test_missing_parents_are_made_and_a_later_entry_replaces_an_earlier_one(tmp_path):
    archive = tar(
        [("a/b/c", b"1"), ("x", b"old"), ("x", b"new"), directory("y"), ("y/in", b""), ("y", b"file")]
    )
    root = unpack(tmp_path / "layer", archive)
    assert stat.S_IMODE((root / "a/b").stat().st_mode) == 0o755
    assert (root / "x").read_bytes() == b"new"
    assert (root / "y").read_bytes() == b"file"


@pytest.mark.root
def test_whiteouts_take_overlays_form(tmp_path):
    archive = tar([("a/.wh.gone", b""), directory("b"), ("b/.wh..wh..opq", b""), (".wh..wh.plnk/1", b"aufs")])
    root = unpack(tmp_path / "trusted", archive)
    assert is_whiteout(root / "a/gone")
    assert is_opaque(root / "b")
    assert sorted(os.listdir(root)) == ["a", "b"]
    root = unpack(tmp_path / "user", archive, Whiteouts.USER)
    assert is_whiteout(root / "a/gone")
    assert is_opaque(root / "b", "user.overlay.opaque")
    root = unpack(tmp_path / "names", archive, Whiteouts.NAMES)
    assert (root / "a/.wh.gone").exists()
    assert (root / "b/.wh..wh..opq").exists()


@pytest.mark.root
@pytest.mark.parametrize("first", ["whiteout", "directory"])
def test_what_is_deleted_below_and_made_anew_here_hides_what_was_below(tmp_path, first):
    items = [(".wh.d", b""), directory("d")]
    items = items if first == "whiteout" else items[::-1]
    root = unpack(tmp_path / "layer", tar([*items, ("d/new", b"1"), ("f", b"here"), (".wh.f", b"")]))
    assert is_opaque(root / "d")
    assert (root / "f").read_bytes() == b"here"  # A whiteout is about lower layers only.


HOSTILE = {
    "a name that leads up": [("../out", b"x")],
    "a name that leads up in the middle": [("a/../../out", b"x")],
    "a hard link that leads up": [hard_link("l", "../../../etc/passwd")],
    "a hard link to what only the host has": [hard_link("l", "/etc/passwd")],
    "a hard link through a link to the host": [symlink("e", "/etc"), hard_link("l", "e/passwd")],
    "a hard link to a directory": [directory("d"), hard_link("l", "d")],
    "a hard link to itself": [hard_link("l", "l")],
    "a file through a link to nowhere": [symlink("e", "/etc"), ("e/passwd", b"x")],
    "a file through a link to itself": [symlink("a", "a"), ("a/x", b"x")],
    "a file below a file": [("a", b"x"), ("a/b", b"x")],
    "a disk": [entry("sda", tarfile.BLKTYPE, devmajor=8, devminor=0)],
    "a character device": [entry("kmsg", tarfile.CHRTYPE, devmajor=1, devminor=11)],
    "overlay's own whiteout": [entry("w", tarfile.CHRTYPE, devmajor=0, devminor=0)],
    "a whiteout of the directory itself": [("a/.wh..", b"")],
    "a whiteout of the one above": [("a/.wh...", b"")],
    "a file below a whiteout": [(".wh.a/b", b"x")],
    "a link without a target": [symlink("l", "")],
    "a name too long for a file": [("n" * 300, b"x")],
    "a directory too deep": [("/".join("d" * 300), b"x")],
    "an owner that is nobody's": [(entry("f", uid=0xFFFFFFFF, pax_headers={}), b"x")],
}


@pytest.mark.parametrize("items", HOSTILE.values(), ids=HOSTILE)
def test_what_no_image_needs_is_refused_in_one_sentence(tmp_path, items):
    (tmp_path / "in").mkdir()
    before = Path("/etc/passwd").stat()
    with pytest.raises(ImageError) as refusal:
        unpack(tmp_path / "in" / "layer", tar(items))
    after = Path("/etc/passwd").stat()
    assert (before.st_mtime_ns, before.st_nlink) == (after.st_mtime_ns, after.st_nlink)
    assert os.listdir(tmp_path) == ["in"]
    assert os.listdir(tmp_path / "in") == ["layer"]
    for sentence in (refusal.value.sentence.es, refusal.value.sentence.en):
        assert sentence.isprintable()
        assert len(sentence) < 400


def test_a_layer_of_too_many_entries_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("kubelab.cluster.images.layer.ENTRIES_MAX", 10)
    with pytest.raises(ImageError, match=r"more than 10|más de 10"):
        unpack(tmp_path / "layer", tar([hard_link(f"l{n}", "f") if n else ("f", b"x") for n in range(20)]))


def test_headers_without_end_are_refused(tmp_path):
    """Each is small enough by itself: what is said before an entry is bounded as a whole."""
    header = entry("f", pax_headers={"comment": "x" * 100_000})
    extended = header.create_pax_header(header.get_info(), "utf-8")[:-512]
    with pytest.raises(ImageError) as refusal:
        unpack(tmp_path / "layer", extended * 20)
    assert "header of" in refusal.value.sentence.en


def test_names_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("kubelab.cluster.images.layer.NAMES_BYTES_MAX", 1000)
    with pytest.raises(ImageError):
        unpack(tmp_path / "layer", tar([directory(f"d{number:0100}") for number in range(20)]))


def test_a_directory_that_may_not_be_written_to_is_filled_first(tmp_path):
    root = unpack(
        tmp_path / "layer", tar([directory("d", mode=0o500), ("d/f", b"x"), directory("d/e", mode=0)])
    )
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o500
    assert stat.S_IMODE((root / "d/e").stat().st_mode) == 0
