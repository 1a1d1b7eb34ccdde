"""A lab that makes and ends pods as its chance has it, as a program that somebody may kill at any moment.

`cycles.py PLACE SEED CYCLES` prints a line of JSON for all that it makes, as soon as it is there, one for
each cycle that has come to its end, and at last what it found left over in itself.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.journal import Journal
from kubelab.cluster.linux.processes import start_ticks_of
from kubelab.cluster.machine.namespaced import MachineSpec, NamespacedMachine, start_cgroups, start_machine
from kubelab.cluster.machine.network import PhysicalNetwork, start_network
from kubelab.cluster.runtime.cri import ContainerSpec, EmptyDir, Mount, SandboxSpec, volume_path
from kubelab.cluster.runtime.pods import PodRuntime, start_pods

IMAGES = ("kubelab/shell", "kubelab/web:1")
SHIM_KILLED, CANCELLED, PAUSE_KILLED, OWN_USERS = 0.04, 0.2, 0.15, 0.1
SETTLE_S = 30.0
COMMANDS = (("sleep", "100"), ("sh", "-c", "sleep 50 & exec sleep 100"), ("true",), ("no-such-command",))


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def tell_process(pid: int) -> None:
    tell(process=[pid, start_ticks_of(pid)])


@dataclass
class Life:
    """One machine after the other, with pods that come and go. `made` counts them, for their names."""

    chance: random.Random
    place: Path
    made: int = 0

    async def cycle(self, machine: NamespacedMachine, runtime: PodRuntime) -> None:
        """A pod with its volume and containers, any of which may end at any moment."""
        self.made += 1
        uid = f"pod-{self.made}"
        making = asyncio.create_task(self.make(uid, runtime))
        if self.chance.random() < CANCELLED:
            await asyncio.wait({making}, timeout=self.chance.uniform(0, 0.03))
            making.cancel()
        await asyncio.wait({making})
        if not making.cancelled() and (error := making.exception()) and not isinstance(error, LabError):
            raise error
        for pid in runtime.pids(uid)[0 if self.chance.random() < PAUSE_KILLED else 1 :]:
            if self.chance.random() < 0.5:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await runtime.remove_sandbox(uid)

    async def make(self, uid: str, runtime: PodRuntime) -> None:
        own_users = self.chance.random() < OWN_USERS
        volume = EmptyDir("own", in_memory=self.chance.random() < 0.3)
        await runtime.set_up_volumes(uid, [volume])
        sandbox = await runtime.run_sandbox(SandboxSpec(uid, "default", uid, uid, host_users=not own_users))
        tell_process(sandbox.pid)
        mount = Mount("/own", volume_path(uid, volume), sub_path="part" if self.chance.random() < 0.3 else "")
        for number in range(self.chance.randrange(3)):
            await self.start(uid, runtime, f"c{number}", mount)

    async def start(self, uid: str, runtime: PodRuntime, name: str, mount: Mount) -> None:
        image, command = self.chance.choice(IMAGES), self.chance.choice(COMMANDS)
        spec = ContainerSpec(
            name=name, image=image, command=command, env={}, log_path=self.place / "log", mounts=(mount,)
        )
        with contextlib.suppress(LabError):
            container = await runtime.start_container(uid, spec)
            tell_process(container.pid)
            if self.chance.random() < 0.2:
                process = await runtime.exec(container.id, ["true"])
                await process.close()


@dataclass(frozen=True)
class Footprint:
    """What this process, its machine and the machine's init hold."""

    descriptors: int
    of_the_init: int
    mounts: int
    cgroups: int
    links: int
    files: tuple[str, ...]

    def has_more_than(self, earlier: "Footprint") -> bool:
        """Less than before is no leak: the link of a pod may not have been gone yet when it was looked at."""
        counts = ("descriptors", "of_the_init", "mounts", "cgroups", "links")
        grown = any(getattr(self, name) > getattr(earlier, name) for name in counts)
        return grown or not set(self.files) <= set(earlier.files)

    @staticmethod
    def of(machine: NamespacedMachine) -> "Footprint":
        root = Path(f"/proc/{machine.pid}/root")
        pods = (root / "run/kubelab/pods", root / "var/lib/kubelet/pods")
        return Footprint(
            descriptors=_count("/proc/self/fd"),
            of_the_init=_count(f"/proc/{machine.pid}/fd"),
            mounts=len(Path(f"/proc/{machine.pid}/mountinfo").read_text().splitlines()),
            cgroups=sum(_count_directories(f"{top}/kubepods") for top in machine.cgroups.at("").directories),
            links=len(Path(f"/proc/{machine.pid}/net/dev").read_text().splitlines()),
            files=tuple(str(path) for top in pods if top.exists() for path in top.rglob("*")),
        )


def _count(directory: str) -> int:
    return len(list(Path(directory).iterdir()))


def _count_directories(directory: str) -> int:
    return sum(path.is_dir() for path in Path(directory).rglob("*"))


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def machine_in(
    stack: AsyncExitStack, journal: Journal, network: PhysicalNetwork, images: ImageStore
) -> AsyncIterator[tuple[NamespacedMachine, PodRuntime]]:
    cgroups = await stack.enter_async_context(start_cgroups(journal))
    pods = network.plan.pod_network(0)
    spec = MachineSpec("minion-1", "minion", network.plan.machine("minion", 0), pods=pods)
    async with start_machine(spec, network, cgroups, journal) as machine:
        tell_process(machine.pid)
        async with start_pods(machine.shim, pods, images) as runtime:
            yield machine, runtime


async def live_on_a_machine(
    life: Life, stack: AsyncExitStack, ground: tuple[object, ...], cycles: int
) -> int:
    """Return how many cycles there were until the machine's init was killed, or all are done."""
    before: Footprint | None = None
    async with machine_in(stack, *ground) as (machine, runtime):  # type: ignore[arg-type]
        for number in range(cycles):
            if life.chance.random() < SHIM_KILLED:
                killing = asyncio.get_running_loop().call_later(life.chance.uniform(0, 0.02), machine.kill)
                with contextlib.suppress(LabError):
                    await life.cycle(machine, runtime)
                killing.cancel()
                if machine.shim.gone.is_set():
                    tell(cycle=1)
                    return number + 1
            else:
                await life.cycle(machine, runtime)
            tell(cycle=1)
            if number == 3:
                before = Footprint.of(machine)
        after = Footprint.of(machine)
        deadline_s = time.monotonic() + SETTLE_S
        # The kernel takes links down some time after the last process of their network namespace.
        while before and after.has_more_than(before) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.01)
            after = Footprint.of(machine)
        if before and after.has_more_than(before):
            tell(left=f"{before} became {after}")
    return cycles


async def main(place: Path, seed: int, cycles: int) -> None:
    life = Life(random.Random(seed), place)
    images = ImageStore.open(place / "images")
    with Journal.open(place / "journal") as journal:
        async with AsyncExitStack() as stack:
            network = await stack.enter_async_context(start_network(journal))
            warm: int | None = None
            while cycles > 0:
                async with AsyncExitStack() as of_machine:
                    cycles -= await live_on_a_machine(life, of_machine, (journal, network, images), cycles)
                warm = warm or rss_bytes()
                tell(rss_bytes=rss_bytes(), warm_bytes=warm, descriptors=_count("/proc/self/fd"))
    tell(ended=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
