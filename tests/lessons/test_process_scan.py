"""What a look at a machine's processes makes of what the kernel says of those that are just ending."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab.lessons.process_scan import ProcessScan

pytestmark = pytest.mark.root

PID = 67
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
