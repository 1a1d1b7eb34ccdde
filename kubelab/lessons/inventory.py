"""What is on a lab: to compare before and after a lesson, for a lesson leaves nothing behind.

Mounts and namespaces are counted, not told apart by their numbers: a reset may have restarted the machine,
and then it has as many of them as before, but others.
Left out: files on a machine (a scratch machine goes with its files; on a node they go with the lab).
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.objects import EVENTS, LEASES, key_of, uid_of
from kubelab.lessons.checks import Needs
from kubelab.lessons.checks.kinds import RESOURCES
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import MachineState, Network, Unseen
from kubelab.lessons.observe import Observer

# What the cluster itself writes all the time: heartbeats, and events, which expire.
_RESTLESS = (EVENTS, LEASES)
SIGHT_TIMEOUT_S = 5.0  # Of a machine that restarts, or cannot be read while the computer has no time for it.


@dataclass(frozen=True, slots=True)
class Inventory:
    """Each thing as a line that names it, in the order in which they matter to who cleans up. `unseen`: the
    machines that could not be looked at, of which there is nothing in `lines` but the name."""

    lines: tuple[str, ...]
    unseen: frozenset[str] = frozenset()

    def additions(self, before: "Inventory") -> tuple[str, ...]:
        """Return what is here and was not *before*; of a machine that was not seen then, nobody knows."""
        new = (Counter(self.lines) - Counter(before.lines)).elements()
        return tuple(line for line in new if line.partition(":")[0] not in before.unseen)


async def take(lab: LabPort, *, with_cluster: bool) -> Inventory:
    """Look at every machine of *lab*, and at the cluster's objects if it has a cluster."""
    observer = Observer(lab, lambda: lab.machines, SystemClock(), hears_processes=False)
    async with observer.watching(Needs(processes=True)):
        machines = await _seen(observer)
    lines = [line for name in machines for line in _on_machine(name, machines[name])]
    unseen = frozenset(name for name, state in machines.items() if isinstance(state, Unseen))
    return Inventory((*lines, *(await _objects(lab) if with_cluster else ())), unseen)


async def _seen(observer: Observer) -> Mapping[str, MachineState | Unseen]:
    """Return the machines once each of them could be looked at: what was there and was not seen would count
    as left behind afterwards."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SIGHT_TIMEOUT_S):
            while not all(_is_seen(state) for state in observer.observation.machines.values()):
                observer.changed.clear()
                await observer.changed.wait()
                await observer.settle()
    return observer.observation.machines


def _is_seen(state: MachineState | Unseen) -> bool:
    if isinstance(state, Unseen):
        return False
    mounts, network = state.namespaces["mnt"], state.namespaces["net"]
    return isinstance(state.mounts.get(mounts), tuple) and isinstance(state.networks.get(network), Network)


def _on_machine(name: str, state: MachineState | Unseen) -> Iterator[str]:
    yield name
    if isinstance(state, Unseen):
        return
    for process in state.processes:
        yield f"{name}: process {process.pid} {' '.join(process.argv) or process.comm}"
    for path in state.cgroups:
        yield f"{name}: cgroup {path}"
    mounts = state.mounts.get(state.namespaces["mnt"], ())
    for mount in mounts if not isinstance(mounts, Unseen) else ():
        yield f"{name}: mount {mount.point} ({mount.type})"
    network = state.networks.get(state.namespaces["net"])
    if isinstance(network, Network):
        yield from (f"{name}: {line}" for line in _in_network(network))
    inodes = {(kind, inode) for process in state.processes for kind, inode in process.namespaces.items()}
    yield from (f"{name}: {kind} namespace" for kind, _ in sorted(inodes))


def _in_network(network: Network) -> Iterator[str]:
    yield from (f"link {link.name}" for link in network.links)
    yield from (f"address {address.address} dev {address.link}" for address in network.addresses)
    yield from (f"route {route.destination} dev {route.link}" for route in network.routes)
    for rule in network.rules if not isinstance(network.rules, Unseen) else ():
        yield f"nft rule {rule.family} {rule.table} {rule.chain}: {rule.text}"


async def _objects(lab: LabPort) -> list[str]:
    resources = [resource for resource in RESOURCES if resource not in _RESTLESS]
    lists = await asyncio.gather(*(lab.api.list(resource) for resource in resources))
    return [
        f"{resource.kind} {key_of(obj)} ({uid_of(obj)})"
        for resource, listed in zip(resources, lists, strict=True)
        for obj in listed.items
    ]
