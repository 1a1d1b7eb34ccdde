"""A cgroup of the running kernel for a test, and processes in it."""

import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree, detect

ENTER = 'for d in $1; do echo 0 > "$d/cgroup.procs"; done; shift; exec "$@"'
SPIN = ("sh", "-c", "while :; do :; done")
_numbers = itertools.count()


@contextlib.contextmanager
def new_cgroup(tree: CgroupTree | None = None) -> Iterator[Cgroup]:
    cgroup = (tree or detect()).at(f"kubelab-test-{os.getpid()}-{next(_numbers)}")
    cgroup.create()
    try:
        yield cgroup
    finally:
        cgroup.remove()


@contextlib.contextmanager
def running(cgroup: Cgroup, *command: str, **options: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the command in the cgroup, and wait until it is there; it is killed at the end."""
    arguments = ["sh", "-c", ENTER, "sh", " ".join(cgroup.directories), *command]
    process = subprocess.Popen(arguments, **options)  # type: ignore[call-overload]
    try:
        until(lambda: process.poll() is not None or _is_in(process.pid, cgroup))
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _is_in(pid: int, cgroup: Cgroup) -> bool:
    """It enters one hierarchy after the other."""
    files = (Path(directory, "cgroup.procs") for directory in cgroup.directories)
    return all(str(pid) in file.read_text().split() for file in files)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come; the test's own time-out ends it otherwise."""
    while not condition():
        time.sleep(0.002)
