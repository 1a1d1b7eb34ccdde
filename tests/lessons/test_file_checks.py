"""Files as somebody sees them: what is compared, and that nothing leads out of a root or waits."""

import ctypes
import errno
import os
import socket
import struct
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from observed import HOST, SCOPE, check, found, process

from kubelab.language import Text
from kubelab.lessons.answering.beneath import open_beneath
from kubelab.lessons.answering.file import see
from kubelab.lessons.answering.patience import Patience
from kubelab.lessons.checks import Measure
from kubelab.lessons.checks.file_question import CONTENT_BYTES_MAX, FileAt, FileSeen
from kubelab.lessons.located import LessonError
from kubelab.lessons.observation import MachineState, Observation, Unseen
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK

HELLO = FileSeen("file", None, 0o644, 1000, 100, 6, "hello\n")
LINK = FileSeen("file", "b", 0o644, 0, 0, 0, "")
NOWHERE = FileSeen(target="gone")
PIPE = FileSeen("fifo", None, 0o600)
NOTHING = FileSeen()


def seen(*answers: FileSeen | Unseen, pid: int = 0) -> Observation:
    """Return what is seen with these answers of /x: without its content, and with it."""
    state = MachineState("minion-1", HOST, (process(8, "bash"), process(9, "jailed", root="/jail")))
    identity = (pid, pid, HOST["mnt"]) if pid else (0, 0, 0)
    given = {
        FileAt("minion-1", "/x", *identity, with_content=content): answer
        for answer in answers
        for content in (False, True)
    }
    return Observation({"minion-1": state}, answers=given)


@pytest.mark.parametrize(
    ("yaml", "answer", "verdict"),
    [
        ("file: /x", HELLO, PASSED),
        ("file: /x/", HELLO, PASSED),
        ("file: /x", NOTHING, NOT_YET),
        ("file: /x", NOWHERE, NOT_YET),
        ("{file: /x, absent: true}", NOTHING, PASSED),
        ("{file: /x, absent: true}", HELLO, NOT_YET),
        ("{file: /x, absent: true}", NOWHERE, NOT_YET),
        ("{file: /x, type: file}", HELLO, PASSED),
        ("{file: /x, type: directory}", HELLO, NOT_YET),
        ("{file: /x, type: fifo}", PIPE, PASSED),
        ("{file: /x, type: link}", LINK, PASSED),
        ("{file: /x, type: link}", NOWHERE, PASSED),
        ("{file: /x, type: file}", LINK, PASSED),
        ("{file: /x, type: link}", HELLO, NOT_YET),
        ("{file: /x, target: b}", LINK, PASSED),
        ("{file: /x, target: gone}", NOWHERE, PASSED),
        ("{file: /x, target: c}", LINK, NOT_YET),
        ("{file: /x, content: {eq: hello}}", HELLO, PASSED),
        ("{file: /x, content: {eq: hell}}", HELLO, NOT_YET),
        ("{file: /x, content: {eq: hello}}", PIPE, NOT_YET),
        ("{file: /x, contains: [ell, o]}", HELLO, PASSED),
        ("{file: /x, contains: [ell, a]}", HELLO, NOT_YET),
        ("{file: /x, matches: '^h.*o$'}", HELLO, PASSED),
        ("{file: /x, matches: '^o'}", HELLO, NOT_YET),
        ("{file: /x, mode: '0644'}", HELLO, PASSED),
        ("{file: /x, mode: '755'}", HELLO, NOT_YET),
        ("{file: /x, owner: 1000, group: 100}", HELLO, PASSED),
        ("{file: /x, owner: 0}", HELLO, NOT_YET),
        ("{file: /x, size: {lt: 1K}}", HELLO, PASSED),
        ("{file: /x, size: {ge: 1K}}", HELLO, NOT_YET),
        ("file: /x", Unseen(Text("ciego", "blind")), CANNOT),
    ],
)
def test_what_is_at_a_path(yaml: str, answer: FileSeen | Unseen, verdict: Verdict) -> None:
    assert found(yaml, seen(answer)).verdict is verdict


def test_it_is_seen_from_a_process_whose_answer_is_its_own() -> None:
    yaml = "{file: /x, of: {comm: %s}, contains: hello}"
    assert found(yaml % "bash", seen(HELLO, pid=8)).passed
    assert found(yaml % "bash", seen(HELLO, pid=9)).verdict is NOT_YET
    assert found(yaml % "nobody", seen(HELLO)).verdict is NOT_YET
    assert found(yaml % "jailed", seen(HELLO, pid=9)).look == "cat /proc/9/root/x"
    assert check(yaml % "nobody").questions(seen(), SCOPE) == frozenset()


@pytest.mark.parametrize(
    ("yaml", "answer", "observed", "look"),
    [
        ("file: /x", NOTHING, "/x does not exist", "ls -ld /x"),
        ("file: /x", NOWHERE, "/x is a link to gone, which leads nowhere", "ls -ld /x"),
        ("{file: /x, content: {eq: bye}}", HELLO, "its content is “hello”", "cat /x"),
        ("{file: /x, contains: bye}", PIPE, "/x is a fifo: it has no content", "cat /x"),
        ("{file: /x, mode: '755', owner: 0}", HELLO, "its mode is 0644; its owner is uid 1000", "stat /x"),
        ("{file: /x, type: directory}", LINK, "/x is a link to b, a file", "ls -ld /x"),
    ],
)
def test_what_is_amiss_is_said(yaml: str, answer: FileSeen, observed: str, look: str) -> None:
    finding = found(yaml, seen(answer))
    assert (finding.observed.en, finding.look) == (observed, look)


def test_content_that_a_terminal_would_obey_is_shown_harmless_and_short() -> None:
    finding = found("{file: /x, contains: x}", seen(FileSeen("file", content="\x1b[2J\n" + "a" * 100)))
    assert finding.observed.en == f"its content is “·[2J ⏎ {'a' * 55}…”"


@pytest.mark.parametrize(
    ("yaml", "value"),
    [
        ("file: /x", "hello"),
        ("{file: /x, field: size}", 6),
        ("{file: /x, field: mode}", "0644"),
        ("{file: /x, type: file}", "file"),
        ("{file: /x, field: target}", None),
    ],
)
def test_the_value_is_what_the_field_names(yaml: str, value: object) -> None:
    measure = check(yaml)
    assert isinstance(measure, Measure)
    assert measure.value(seen(HELLO), SCOPE) == value


@pytest.mark.parametrize(
    "yaml", ["{file: /x, mode: 0644}", "{file: /x, mode: rwx}", "{file: /x, matches: '('}"]
)
def test_what_is_no_mode_or_pattern_is_refused(yaml: str) -> None:
    with pytest.raises(LessonError):
        check(yaml)


@pytest.fixture
def jail(tmp_path: Path) -> Path:
    """A root directory beside which lies a secret."""
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "jail"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "motd").write_text("inside")
    return root


def look(root: Path, path: str) -> FileSeen:
    fd = os.open(root, os.O_PATH)
    try:
        return see(fd, path, with_content=True)
    finally:
        os.close(fd)


def test_links_are_followed_inside_the_root(jail: Path) -> None:
    (jail / "absolute").symlink_to("/etc/motd")
    (jail / "etc" / "relative").symlink_to("../../../etc/./motd")
    (jail / "dir").symlink_to("/etc")
    for path in ("/absolute", "/etc/relative", "/dir/motd", "dir/../etc//motd", "/../etc/motd"):
        assert look(jail, path).content == "inside"


def test_no_link_leads_out(jail: Path) -> None:
    secret = jail.parent / "secret"
    (jail / "absolute").symlink_to(secret)
    (jail / "upwards").symlink_to("../secret")
    (jail / "magic").symlink_to("/proc/self/root" + str(secret))
    for name in ("absolute", "upwards", "magic"):
        seen_ = look(jail, f"/{name}")
        assert (seen_.type, seen_.content) == ("", None)
        assert seen_.target is not None


def test_the_kernels_magic_links_do_not_lead_out_either() -> None:
    proc = Path("/proc/self")
    seen_ = look(proc, "/root")
    assert seen_.target == "/"
    assert look(proc, "/root/etc/passwd") == FileSeen()
    assert look(proc, "/cwd").type == ""


def test_links_in_circles_end(jail: Path) -> None:
    (jail / "a").symlink_to("b")
    (jail / "b").symlink_to("a")
    assert look(jail, "/a") == FileSeen(target="b")


def test_nothing_but_regular_files_is_read_and_a_fifo_makes_nobody_wait(jail: Path) -> None:
    os.mkfifo(jail / "pipe")
    assert look(jail, "/pipe").type == "fifo"
    assert look(jail, "/etc").type == "directory"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(jail / "sock"))
        assert look(jail, "/sock").type == "socket"
    assert look(Path("/dev"), "/zero").type == "device"
    assert all(look(jail, path).content is None for path in ("/pipe", "/etc", "/sock"))


_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10


def in_root(root_fd: int, path: str, *, follow: bool) -> int:
    """Return the inode that openat2(2) finds in the root, or the errno, negative."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    how = struct.pack("3Q", flags, 0, _RESOLVE_IN_ROOT)
    fd = libc.syscall(_OPENAT2, root_fd, path.encode(), how, len(how))
    if fd < 0:
        return -ctypes.get_errno()
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def walked(root_fd: int, path: str, *, follow: bool) -> int:
    try:
        fd = open_beneath(root_fd, path, follow=follow)
    except OSError as error:
        return -(error.errno or 0)
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


steps = st.lists(st.sampled_from(["a", "b", "dir", "..", ".", "file"]), min_size=1, max_size=5).map("/".join)
ways = st.tuples(st.sampled_from(["", "/", "../"]), steps).map("".join)


@given(st.fixed_dictionaries({"a": ways, "dir/a": ways, "dir/b": ways}), ways, st.booleans())
def test_the_walk_finds_what_the_kernel_finds_in_a_root(
    links: dict[str, str], path: str, follow: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "dir").mkdir()
        (root / "file").touch()
        (root / "dir" / "file").touch()
        for link, target in links.items():
            (root / link).symlink_to(target)
        root_fd = os.open(root, os.O_PATH)
        try:
            kernels = in_root(root_fd, path, follow=follow)
            assume(kernels not in (-errno.ENOSYS, -errno.EPERM))
            assert walked(root_fd, path, follow=follow) == kernels
        finally:
            os.close(root_fd)


def test_what_is_missing_or_below_a_file_is_not_there(jail: Path) -> None:
    assert look(jail, "/none") == look(jail, "/etc/motd/x") == look(jail, "/none/x") == FileSeen()


def test_so_much_is_read_and_no_more(jail: Path) -> None:
    (jail / "big").write_bytes(b"\xff" + b"a" * 2 * CONTENT_BYTES_MAX)
    big = look(jail, "/big")
    assert big.size_bytes == 2 * CONTENT_BYTES_MAX + 1
    assert big.content is not None
    assert len(big.content) == CONTENT_BYTES_MAX


def test_no_descriptor_is_left(jail: Path) -> None:
    (jail / "dir").symlink_to("/etc")
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in ("/dir/motd", "/none", "/dir/none", "/"):
        look(jail, path)
    root = os.open(jail, os.O_PATH)
    os.close(open_beneath(root, "/dir/motd", follow=True))
    os.close(root)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


ASKED = FileAt("m", "/x")


def test_what_keeps_us_waiting_is_answered_with_what_was_known_and_in_the_end_says_so() -> None:
    patience = Patience(held_s=0.01, overdue_s=3600)
    until_answered(patience, ASKED, 1)
    begun, release = threading.Event(), threading.Event()
    calls = []

    def hang() -> int:
        calls.append(1)
        begun.set()
        release.wait()
        return 2

    assert patience.answer(ASKED, hang) == 1
    until_answered(patience, FileAt("m", "/other"), 3)
    assert patience.answer(ASKED, hang) == 1
    begun.wait()
    patience._overdue_s = 0.05
    while not isinstance(patience.answer(ASKED, hang), Unseen):
        pass
    assert calls == [1]
    release.set()
    until_answered(patience, ASKED, 2)


def until_answered(patience: Patience, asked: FileAt, answer: int) -> None:
    """Ask until it is answered: on a busy machine a thread may not begin in the time that we are held."""
    while patience.answer(asked, lambda: answer) != answer:
        pass


def test_what_was_never_known_has_not_been_looked_at_yet() -> None:
    release = threading.Event()
    patience = Patience(held_s=0.01, overdue_s=3600)
    assert patience.answer(ASKED, release.wait) is None
    release.set()
