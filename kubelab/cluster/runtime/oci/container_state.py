"""What is known of a container: the specification's state, and what the runtime needs to find it again.

Source: OCI runtime specification, runtime.md, State; proc(5): a pid that was given to somebody else since has
another start time. A container is `created` as long as its first process waits for `start`, which the FIFO
beside its state shows; `paused` is runc's word.
"""
# ruff: noqa: PTH110

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree
from kubelab.cluster.linux.processes import stat_of

OCI_VERSION = "1.2.0"


@dataclass(frozen=True, slots=True)
class Container:
    """`started` is the first process's start time in the kernel's ticks. `tree`, `cgroup`: where its cgroup
    is, as it was when the container was made."""

    id: str
    bundle: str
    pid: int
    started: int
    created: str
    cgroup_path: str
    tree: list[dict[str, Any]]
    annotations: Mapping[str, str] = field(default_factory=dict)
    rootfs: str = ""
    owner: str = ""

    @property
    def cgroup(self) -> Cgroup:
        return CgroupTree.from_json(self.tree).at(self.cgroup_path)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def is_alive(container: Container) -> bool:
    stat = stat_of(container.pid)
    return stat is not None and stat.state not in "ZX" and stat.start_ticks == container.started


def status_of(container: Container, fifo: str) -> str:
    """Return created, running, paused or stopped."""
    if not is_alive(container):
        return "stopped"
    if os.path.exists(fifo):
        return "created"
    return "paused" if is_frozen(container.cgroup) else "running"


def is_frozen(cgroup: Cgroup) -> bool:
    try:
        return cgroup.read("cgroup.freeze") == "1"
    except KernelError:
        return False


def document(container: Container, status: str, pid: int | None = None) -> dict[str, Any]:
    """Return the state as the specification has it; *pid* as whoever reads it sees the process."""
    alive = status != "stopped"
    return {
        "ociVersion": OCI_VERSION,
        "id": container.id,
        "status": status,
        "pid": (container.pid if pid is None else pid) if alive else 0,
        "bundle": container.bundle,
        "rootfs": container.rootfs,
        "created": container.created,
        "owner": container.owner,
        "annotations": dict(container.annotations),
    }
