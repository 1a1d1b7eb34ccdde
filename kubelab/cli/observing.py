"""What it costs to observe a lesson's machine, and how soon a step ticks (`kubelab bench lessons`).

The cost is this process's share of one core, its loop and an idle master included; "plain" is without the
proc connector, as in a container. The latency is from the moment when a line is sent to a shell on the
machine, so that the time which its command takes is in it, to the session's view that says passed.
Left out: API objects.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from kubelab.cli.measurements import Figure, figure
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.machine.machine import Machine
from kubelab.language import Text
from kubelab.lessons.checks.check import Needs
from kubelab.lessons.format import Lesson, LessonSource
from kubelab.lessons.observe import Observer
from kubelab.lessons.parse import parse_lesson, text_hash
from kubelab.lessons.progress import Progress
from kubelab.lessons.session import Session

PROCESSES = 200
COST_S = 5.0
TRIALS_A_RUN = 10
PATIENCE_S = 20.0
MACHINE = "bench"

_CHURN = "while :; do sleep 0.1; done"
_CROWD = f"for i in $(seq {PROCESSES}); do sleep 1000000 & done; touch /tmp/crowded; wait"
_CROWDED = "while ! [ -e /tmp/crowded ]; do sleep 0.1; done"
_PIDS = "P=/sys/fs/cgroup/pids; [ -d $P ] || P=/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that a learner may do, {n} times: the check, and the line that makes it pass."""

    name: str
    check: str
    line: str


DEEDS = (
    Deed("a process starts", "{process: {argv: sleep 100{n}}}", "sleep 100{n} &"),
    Deed("a file is written", "{file: /tmp/bench, contains: word{n}.}", "echo word{n}. > /tmp/bench"),
    Deed(
        "something is mounted",
        "{mount: /tmp/at{n}, type: tmpfs}",
        "mkdir /tmp/at{n}; mount -t tmpfs none /tmp/at{n}",
    ),
    Deed("a link is made", "{link: bench{n}}", "ip link add bench{n} type bridge"),
    Deed(
        "a limit is set",
        "{cgroup: bench, field: pids.max, eq: 10{n}}",
        f"{_PIDS}; mkdir -p $P/bench; echo 10{{n}} > $P/bench/pids.max",
    ),
)


async def measure(place: Path, runs: int) -> list[Figure]:
    """See `Measure`: what observing costs, and how soon a step ticks; about a minute a run."""
    async with start_lab(LabConfig(minions=0, directory=LabDirectory(place))) as lab:
        await lab.ready()
        return [*await _costs(lab, runs), *[await _latency(lab, deed, place, runs) for deed in DEEDS]]


async def _costs(lab: Lab, runs: int) -> list[Figure]:
    async with lab.scratch(MACHINE) as machine, AsyncExitStack() as stack:
        crowd = await machine.spawn(["sh", "-c", _CROWD])
        stack.push_async_callback(crowd.close)
        await (await machine.spawn(["sh", "-c", _CROWDED])).wait()
        figures: list[Figure] = []
        for kind, hears_processes in (("events", True), ("plain", False)):
            figures += await _cost(lab, machine, kind, hears_processes, runs)
        return figures


async def _cost(lab: Lab, machine: Machine, kind: str, hears_processes: bool, runs: int) -> list[Figure]:
    _tell(Text(f"Coste de observar ({kind})…", f"Cost of observing ({kind})…"))
    observer = Observer(lab, lambda: [MACHINE], SystemClock(), hears_processes=hears_processes)
    async with observer.watching(Needs(processes=True)):
        idle = [await _cpu_percent() for _ in range(runs)]
        churn = await machine.spawn(["sh", "-c", _CHURN])
        try:
            busy = [await _cpu_percent() for _ in range(runs)]
        finally:
            await churn.close()
    title = f"{PROCESSES} processes, {kind}"
    return [figure(f"{title}: idle", "%", idle), figure(f"{title}: 10 forks/s", "%", busy)]


async def _cpu_percent() -> float:
    """This process's share of one core while nothing else happens in it."""
    await asyncio.sleep(0.5)
    used_s, begin_s = time.process_time(), time.perf_counter()
    await asyncio.sleep(COST_S)
    return (time.process_time() - used_s) / (time.perf_counter() - begin_s) * 100


async def _latency(lab: Lab, deed: Deed, place: Path, runs: int) -> Figure:
    _tell(Text(f"Cuánto tarda un paso en marcarse ({deed.name})…", f"How soon a step ticks ({deed.name})…"))
    trials = runs * TRIALS_A_RUN
    with Progress.open(place / f"{DEEDS.index(deed)}.sqlite3") as progress:
        async with (
            Session.open(lab, _lesson(deed, trials), progress) as session,
            _Shell.on(session.machine) as sh,
        ):
            times_ms = [await _trial(session, sh, deed, number) for number in range(trials)]
    return figure(f"{deed.name}: to the ticked step", "ms", times_ms)


async def _trial(session: Session, shell: "_Shell", deed: Deed, number: int) -> float:
    await session.begun()
    # Anywhere between two of our looks.
    await asyncio.sleep(random.uniform(0.3, 0.7))  # noqa: S311 -- no secret
    begin_s = time.perf_counter()
    shell.type(deed.line.replace("{n}", str(number)))
    async with asyncio.timeout(PATIENCE_S):
        async for view in session.changes():
            if view.step.passed:
                break
    took_ms = (time.perf_counter() - begin_s) * 1000
    session.next()
    return took_ms


class _Shell:
    """A shell that reads lines from a pipe: it shows nothing, so nobody looks because it wrote."""

    def __init__(self, stdin: int) -> None:
        self._stdin = stdin

    @classmethod
    @asynccontextmanager
    async def on(cls, machine: Machine) -> AsyncIterator["_Shell"]:
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        try:
            process = await machine.spawn(["sh"], stdin=theirs)
            try:
                yield cls(ours)
            finally:
                await process.close()
        finally:
            os.close(theirs)
            os.close(ours)

    def type(self, line: str) -> None:
        os.write(self._stdin, f"{line}\n".encode())


def _lesson(deed: Deed, trials: int) -> Lesson:
    """Return a lesson in which *deed* is to be done so many times, a step each."""
    steps = "".join(
        f"- id: s{n}\n  checks: [{deed.check.replace('{n}', str(n))}]\n  solve: [':']\n"
        for n in range(trials)
    )
    text = "".join(f"## {n} {{#s{n}}}\n\n{n}\n\n" for n in range(trials))
    spanish = f"---\nformat: 1\ntitle: bench\nminutes: 1\nshell: {MACHINE}\nsteps:\n{steps}---\n{text}"
    english = f"---\nof: {text_hash(spanish)}\ntitle: bench\n---\n{text}"
    return parse_lesson(LessonSource("bench/01-bench", "bench", spanish, english))


def _tell(text: Text) -> None:
    click.echo(str(text), err=True)
