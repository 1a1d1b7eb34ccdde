"""Short ways to do something on a machine and to wait until it was observed."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from pprint import pformat

from scratch_lab import ScratchLab

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.machine.machine import Machine
from kubelab.lessons.checks.check import Needs
from kubelab.lessons.observation import MachineState, Process
from kubelab.lessons.observe import Observer

PATIENCE_S = 20


@asynccontextmanager
async def observed(
    lab: ScratchLab, *, hears_processes: bool = True
) -> AsyncIterator[tuple[Machine, Observer]]:
    """A scratch machine called lab, and its observer."""
    async with lab.scratch("lab") as machine:
        observer = Observer(lab, lambda: list(lab.machines), SystemClock(), hears_processes=hears_processes)
        async with observer.watching(Needs(processes=True)):
            observer.begin()
            yield machine, observer


async def run(machine: Machine, script: str) -> None:
    complaints = os.memfd_create("stderr")
    try:
        process = await machine.spawn(["sh", "-ec", script], stderr=complaints)
        code = await process.wait()
        assert code == 0, os.pread(complaints, 4096, 0).decode()
    finally:
        os.close(complaints)


@asynccontextmanager
async def running(machine: Machine, script: str) -> AsyncIterator[None]:
    """Run *script* beside the block, and end it with it."""
    process = await machine.spawn(["sh", "-ec", script])
    try:
        yield
    finally:
        await process.close()


def seen(observer: Observer) -> MachineState:
    state = observer.observation.machines["lab"]
    assert isinstance(state, MachineState), state
    return state


async def until(observer: Observer, holds: Callable[[MachineState], object]) -> MachineState:
    """Wait until what was observed *holds*; nothing is asked of the observer but to tell of changes."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds(seen(observer)):
                await observer.changed.wait()
                observer.changed.clear()
    except TimeoutError:
        raise AssertionError(f"never seen; the last was\n{pformat(seen(observer), width=200)}") from None
    return seen(observer)


def named(state: MachineState, comm: str) -> list[Process]:
    return [process for process in state.processes if process.comm == comm]


def one(state: MachineState, comm: str) -> Process:
    (process,) = named(state, comm)
    return process


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
