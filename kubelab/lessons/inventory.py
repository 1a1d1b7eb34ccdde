"""What is on a lab: to compare before and after a lesson, for a lesson leaves nothing behind.

Left out: files on a machine (a scratch machine goes with its files; on a node they go with the lab).
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields

from kubelab.cluster.objects import EVENTS, LEASES, key_of, uid_of
from kubelab.lessons.checks.kinds import RESOURCES
from kubelab.lessons.lab import LabPort
from kubelab.lessons.process_scan import ProcessScan
from kubelab.lessons.watching import mounts

# What the cluster itself writes all the time: heartbeats, and events, which expire.
_RESTLESS = (EVENTS, LEASES)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Each thing as a line that names it."""

    machines: frozenset[str]
    processes: frozenset[str]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    objects: frozenset[str]

    def additions(self, before: "Inventory") -> tuple[str, ...]:
        """Return what is here and was not *before*."""
        return tuple(
            line
            for field in fields(self)
            for line in sorted(getattr(self, field.name) - getattr(before, field.name))
        )


async def take(lab: LabPort, *, with_cluster: bool) -> Inventory:
    objects = await _objects(lab) if with_cluster else frozenset()
    machines = lab.machines
    processes: set[str] = set()
    namespaces: set[str] = set()
    mounted: set[str] = set()
    for name, machine in machines.items():
        with ProcessScan(machine.pid) as scan:
            for process in scan.scan_all():
                processes.add(f"{name}: process {process.pid} {' '.join(process.argv) or process.comm}")
                namespaces.update(f"{name}: {kind}:[{inode}]" for kind, inode in process.namespaces.items())
        mounted.update(f"{name}: mount {line}" for line in _mounts(machine.pid))
    return Inventory(
        frozenset(machines), frozenset(processes), frozenset(namespaces), frozenset(mounted), objects
    )


def _mounts(pid: int) -> Iterator[str]:
    """Yield mount point, type and id of every mount that the process sees."""
    fd = os.open(f"/proc/{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, encoding="utf-8", errors="replace") as table:  # noqa: PTH123 -- it is a descriptor
        for mount in mounts.parse(table.read()):
            yield f"{mount.point} ({mount.type}, {mount.id})"


async def _objects(lab: LabPort) -> frozenset[str]:
    resources = [resource for resource in RESOURCES if resource not in _RESTLESS]
    lists = await asyncio.gather(*(lab.api.list(resource) for resource in resources))
    return frozenset(
        f"{resource.kind} {key_of(obj)} ({uid_of(obj)})"
        for resource, listed in zip(resources, lists, strict=True)
        for obj in listed.items
    )
