"""Containers whose maker was killed before they were whole: what of them there is, and taking it back.

Who makes a container writes down first, in its directory, who he is and which cgroup he will make
(`making.json`), and as soon as it is born the container's first process; the container's own state takes the
note's place. So a directory without a state whose maker has ended is nobody's: the next `create`, of whatever
id, and `delete` take it back. Makers and removers of directories hold a lock on the root meanwhile
(flock(2)), which the kernel takes from who is killed: nobody sees half of a reservation.
Source: runc, delete.go, which removes the directory alone.
"""
# ruff: noqa: PTH123

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree
from kubelab.cluster.linux.processes import start_ticks_of

NOTE = "making.json"


@dataclass(frozen=True, slots=True)
class Making:
    """A note of a container that is being made; `pid`: of its first process, 0 as long as there is none.
    `started`, `maker_started` are their start times in the kernel's ticks."""

    maker: int
    maker_started: int
    pid: int = 0
    started: int = 0
    cgroup_path: str = ""
    tree: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def begun() -> "Making":
        return Making(os.getpid(), start_ticks_of(os.getpid()) or 0)

    def in_cgroup(self, cgroup: Cgroup, tree: CgroupTree) -> "Making":
        return replace(self, cgroup_path=cgroup.path, tree=tree.to_json())

    def of_process(self, pid: int) -> "Making":
        return replace(self, pid=pid, started=start_ticks_of(pid) or 0)

    @property
    def is_going_on(self) -> bool:
        return start_ticks_of(self.maker) == self.maker_started

    def write(self, directory: str) -> None:
        temporary = f"{directory}/{NOTE}.new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        os.replace(temporary, f"{directory}/{NOTE}")  # noqa: PTH105

    def take_back(self) -> None:
        """End what was made.

        Raises:
            KernelError: its cgroup cannot be removed.
        """
        if self.pid and start_ticks_of(self.pid) == self.started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self.cgroup_path:
            CgroupTree.from_json(self.tree).at(self.cgroup_path).remove()


def read(directory: str) -> Making | None:
    """Return the note of the directory; None: there is none, or it was not written to its end."""
    try:
        with open(f"{directory}/{NOTE}", encoding="utf-8") as file:
            return Making(**json.load(file))
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def locked(root: str) -> Iterator[None]:
    """Keep others from making and removing directories in the root; there has to be one."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
