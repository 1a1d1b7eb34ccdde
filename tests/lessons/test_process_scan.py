"""What a look at a machine's processes makes of what the kernel says of those that are just ending."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab.lessons.process_scan import ProcessScan

pytestmark = pytest.mark.root

PID = 67
SLOW_TO_END = """
import ctypes, os, signal, sys
assert ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0) == 0
if os.fork() == 0:
    signal.pause()
print(flush=True)
signal.pause()
"""  # The one inside ends, but stays a zombie, because it has its parent outside, who takes no notice.
IN_ROOT = "import os, signal, sys; os.chroot(sys.argv[1]); print(flush=True); signal.pause()"


@pytest.fixture
def ended_map() -> Iterator[int]:
    """A descriptor by which the uid_map of a process is opened that has ended since it was found."""
    process = subprocess.Popen(["sleep", "infinity"])
    fd = os.open(f"/proc/{process.pid}/uid_map", os.O_PATH)
    process.kill()
    process.wait()
    yield fd
    os.close(fd)


@pytest.fixture
def scan(tmp_path: Path, ended_map: int) -> Iterator[ProcessScan]:
    """A scan of a machine whose process PID ends when its uid_map is opened."""
    place = tmp_path / "proc" / str(PID)
    place.mkdir(parents=True)
    for each in Path("/proc/self").iterdir():
        if each.name in {
            "stat",
            "status",
            "cgroup",
            "cmdline",
            "comm",
            "schedstat",
            "oom_score_adj",
            "environ",
        }:
            shutil.copyfile(each, place / each.name)
    (place / "uid_map").symlink_to(f"/proc/{os.getpid()}/fd/{ended_map}")
    with subprocess.Popen([sys.executable, "-c", IN_ROOT, str(tmp_path)], stdout=subprocess.PIPE) as init:
        assert init.stdout is not None
        init.stdout.readline()
        with ProcessScan(init.pid) as made:
            yield made
        init.kill()


def test_the_kernel_says_so_of_a_process_that_has_ended_just_now(ended_map: int) -> None:
    with pytest.raises(OSError) as told:
        os.open(f"/proc/self/fd/{ended_map}", os.O_RDONLY)
    assert told.value.errno == errno.EINVAL


def test_who_ends_while_his_ids_are_read_has_ended(scan: ProcessScan) -> None:
    scan.note(PID)
    assert scan.processes == ()


@pytest.fixture
def lasting_end() -> Iterator[int]:
    """The first process of a pid namespace, which will be a while about ending when it is killed."""
    with subprocess.Popen(["unshare", "--pid", "--fork", "--mount", "sleep", "infinity"]) as unshare:
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
        first = ""
        while not first or Path(f"/proc/{first}/comm").read_text() != "sleep\n":
            first = children.read_text().strip()
        command = [sys.executable, "-c", SLOW_TO_END, f"/proc/{first}/ns/pid"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            parent.stdout.readline()
            yield int(first)
            parent.kill()


def test_who_is_about_ending_is_what_he_was(lasting_end: int) -> None:
    """Or nobody would be told of the end of a process in a namespace, for it is in none any more."""
    with ProcessScan(os.getpid()) as scan:
        scan.scan(budget_s=60)
        was = next(each for each in scan.processes if each.pid == lasting_end)
        os.kill(lasting_end, signal.SIGKILL)
        while Path(f"/proc/{lasting_end}/cmdline").read_bytes():
            pass
        scan.note(lasting_end)
        scan.scan(budget_s=60)
        assert next(each for each in scan.processes if each.pid == lasting_end) == was
        assert was.argv == ("sleep", "infinity")
        assert was.namespaces.keys() >= {"mnt", "pid"}
