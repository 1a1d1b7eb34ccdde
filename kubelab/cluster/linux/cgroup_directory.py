"""The directories of a cgroup: made with what those above have to give, removed with all that is below.

Source: cgroups(7); Documentation/admin-guide/cgroup-v2.rst, Top-down Constraint; cgroup-v1/cgroups.rst, 1.5;
cgroup-v1/cpusets.rst.
"""
# ruff: noqa: PTH102, PTH106, PTH112 - the shim imports this, and pathlib is slow to

import errno
import os
import signal
import time
from collections.abc import Iterator

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroup_files import read, read_quietly, write

REMOVE_TIMEOUT_S = 5.0
_PASSING = (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT)


def create_directory(base: str, path: str, version: int, controllers: tuple[str, ...]) -> None:
    """Make *path* in a hierarchy's *base*; the one above is most often there, and is only looked after if it
    is not. v2's controllers are passed on down to it; a cpuset of v1 is made ready for processes."""
    directory = f"{base}/{path}"
    above = path.rpartition("/")[0]
    if version == 2 and controllers:
        if above:
            create_directory(base, above, version, controllers)
        _pass_on(os.path.join(base, above), controllers)
    try:
        os.mkdir(directory)
    except FileExistsError:
        return
    except FileNotFoundError:
        if not above:
            raise KernelError("mkdir", directory, errno.ENOENT) from None
        create_directory(base, above, version, controllers)
        create_directory(base, path, version, controllers)
        return
    except OSError as error:
        raise KernelError("mkdir", directory, error.errno or 0) from None
    if version == 1 and "cpuset" in controllers:
        _inherit_cpuset(directory)


def _pass_on(directory: str, controllers: tuple[str, ...]) -> None:
    path = os.path.join(directory, "cgroup.subtree_control")
    missing = set(controllers) - set(read(path).split())
    if missing:
        write(path, " ".join(f"+{controller}" for controller in sorted(missing)))


def _inherit_cpuset(directory: str) -> None:
    """Give a new cpuset of v1 what the one above has: empty, as it is made, it takes no process.

    Those below ours, a learner's too, get theirs from the kernel (clone_children).
    """
    if read(os.path.join(directory, "cpuset.cpus")).strip():
        return
    above = os.path.dirname(directory)
    for name in ("cpuset.cpus", "cpuset.mems"):
        write(os.path.join(directory, name), read(os.path.join(above, name)))
    write(os.path.join(directory, "cgroup.clone_children"), "1")


def remove_directory(directory: str, timeout_s: float = REMOVE_TIMEOUT_S) -> None:
    """Remove one cgroup directory of one hierarchy with everything below, killing what still runs there.

    Raises:
        KernelError: something keeps it busy beyond the timeout.
    """
    deadline_s = time.monotonic() + timeout_s
    while not _is_removed(directory, deadline_s):
        kill_below(directory)
        time.sleep(0.002)


def _is_removed(directory: str, deadline_s: float) -> bool:
    try:
        _remove_tree(directory)
    except OSError as error:
        if error.errno not in _PASSING or time.monotonic() > deadline_s:
            raise KernelError("rmdir", directory, error.errno or 0) from None
        return not os.path.isdir(directory)
    return True


def _remove_tree(directory: str) -> None:
    try:
        os.rmdir(directory)  # As good as always there is nothing below, and a listing costs ten times this.
    except OSError as error:
        if error.errno not in _PASSING:
            raise
        for below in _directories_below(directory):
            os.rmdir(below)


def kill_below(directory: str) -> None:
    """Kill all that is in the directory's cgroup and in those below."""
    for path in _directories_below(directory):
        for pid in read_quietly(os.path.join(path, "cgroup.procs")).split():
            _kill(int(pid))


def _directories_below(directory: str) -> Iterator[str]:
    """Yield the directory and all below it, innermost first."""
    for path, _, _ in os.walk(directory, topdown=False):
        yield path


def _kill(pid: int) -> None:
    try:
        # A pid of 0 is a process that our pid namespace cannot name.
        if pid > 0:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
