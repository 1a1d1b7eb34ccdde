"""How quick the lab is on this machine, beside what the kernel alone needs, in one run (`kubelab bench`).

The peer of a pod is unshare(1) making the same six namespaces around `true`: no image, no network, no
cgroup, no API, so a ratio to it says what all of these cost together.
Left out: other runtimes and orchestrators as peers.
"""

import asyncio
import contextlib
import math
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.objects import DEPLOYMENTS, PODS, Object
from kubelab.language import Text

PODS_IN_A_BURST = 30
IDLE_S = 5.0
P95_RUNS_MIN = 20  # Of fewer it is the worst.
UNSHARE = ("unshare", "--fork", "--pid", "--mount-proc", "--net", "--uts", "--ipc", "--cgroup", "true")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: the median of `runs`, how far they spread, and the peer's median, if it has one."""

    name: str
    unit: str
    median: float
    worst: float
    runs: int
    peer: str = ""
    peer_median: float | None = None
    p95: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.median / self.peer_median if self.peer_median else None


Measure = Callable[[Path, int], Coroutine[Any, Any, list[Figure]]]
"""Returns figures that were taken in a lab at that place, each in so many runs."""


async def measure(place: Path, runs: int) -> list[Figure]:
    """See `Measure`: the lab's own figures; several runs of each take about ten seconds a run."""
    directory = LabDirectory(place)
    return [await _lab_up(directory, runs), *await _in_one_lab(directory, runs)]


def render(figures: Sequence[Figure]) -> list[str]:
    """Return a table; it has a column for the 95th percentile if there is one to show."""
    has_p95 = any(figure.p95 is not None for figure in figures)
    names = ["median", *(["p95"] if has_p95 else []), "worst"]
    lines = [f"{'':42}{''.join(f'{name:>12}' for name in names)}{'runs':>6}   beside"]
    for figure in figures:
        p95 = [figure.worst if figure.p95 is None else figure.p95] if has_p95 else []
        spread = (figure.median, *p95, figure.worst)
        values = "".join(f"{value:>9.1f} {figure.unit:2}" for value in spread) + f"{figure.runs:>6}"
        lines.append(f"{figure.name:42}{values}   {_beside(figure)}".rstrip())
    return lines


def _beside(figure: Figure) -> str:
    if figure.peer_median is None:
        return ""
    return f"{figure.peer} {figure.peer_median:.1f} {figure.unit}: {figure.ratio:.2g}x"


def figure(
    name: str, unit: str, values: Sequence[float], peer: str = "", peers: Sequence[float] = ()
) -> Figure:
    peer_median = statistics.median(peers) if peers else None
    p95 = sorted(values)[math.ceil(len(values) * 0.95) - 1] if len(values) >= P95_RUNS_MIN else None
    return Figure(name, unit, statistics.median(values), max(values), len(values), peer, peer_median, p95)


async def _lab_up(directory: LabDirectory, runs: int) -> Figure:
    """From the command to all nodes Ready, interpreter and imports included."""
    times_ms = []
    for run in range(runs):
        click.echo(str(Text(es="Arranque {n}…", en="Start {n}…").format(n=run + 1)), err=True)
        begin = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kubelab", "up", "--quiet"),
            env={**os.environ, "KUBELAB_DIR": str(directory.path)},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            if not await process.stdout.readline():
                raise click.ClickException("`kubelab up` did not come up: its own words are above.")
            times_ms.append((time.perf_counter() - begin) * 1000)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
    return figure("kubelab up: command to nodes Ready", "ms", times_ms)


async def _in_one_lab(directory: LabDirectory, runs: int) -> list[Figure]:
    async with start_lab(LabConfig(directory=directory)) as lab:
        await lab.ready()
        async with Informer(lab.api, PODS, clock=SystemClock(), namespace="default") as pods:
            await pods.wait_synced()
            idle = await _idle_cpu(lab)
            one = await _one_pod(lab.api, pods, runs * 5)
            burst = await _burst(lab.api, pods, runs)
    return [*one, *burst, idle]


async def _one_pod(api: Api, pods: Informer, runs: int) -> list[Figure]:
    up, down, peer = [], [], []
    for run in range(runs):
        name = f"bench-{run}"
        async with _until(pods, lambda: _running(pods) == 1) as elapsed_ms:
            await api.create(PODS, _pod(name))
        up.append(elapsed_ms())
        async with _until(pods, lambda: not pods.objects()) as elapsed_ms:
            await api.delete(PODS, "default", name)
        down.append(elapsed_ms())
        peer.append(await _unshare_ms(1))
    return [
        figure("one pod: create to Running", "ms", up, "unshare(1)", peer),
        figure("one pod: delete to gone", "ms", down),
    ]


async def _burst(api: Api, pods: Informer, runs: int) -> list[Figure]:
    up, down = await deployed_ms(api, pods, PODS_IN_A_BURST, runs)
    peer = [await _unshare_ms(PODS_IN_A_BURST) for _ in range(runs)]
    name = f"{PODS_IN_A_BURST} pods"
    return [
        figure(f"{name}: create to all Running", "ms", up, f"{PODS_IN_A_BURST} unshare(1)", peer),
        figure(f"{name}: delete to all gone", "ms", down),
    ]


async def deployed_ms(api: Api, pods: Informer, count: int, runs: int) -> tuple[list[float], list[float]]:
    """Return how long a Deployment of *count* pods takes to run, and how long to be gone, in each run."""
    up, down = [], []
    for _ in range(runs):
        async with _until(pods, lambda: _running(pods) == count) as elapsed_ms:
            await api.create(DEPLOYMENTS, _deployment(count))
        up.append(elapsed_ms())
        async with _until(pods, lambda: not pods.objects()) as elapsed_ms:
            await api.delete(DEPLOYMENTS, "default", "bench")
        down.append(elapsed_ms())
    return up, down


async def _idle_cpu(lab: Lab) -> Figure:
    """The lab's own processes' share of one core while nothing happens."""
    import psutil

    await asyncio.sleep(1.0)  # Let what starting up has set off come to rest.
    lab_processes = [psutil.Process(), *(psutil.Process(machine.pid) for machine in lab.machines.values())]

    def cpu_s() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in lab_processes)

    before_s, begin = cpu_s(), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    return figure(
        "idle: share of one core", "%", [(cpu_s() - before_s) / (time.perf_counter() - begin) * 100]
    )


@asynccontextmanager
async def _until(pods: Informer, reached: Callable[[], bool]) -> AsyncIterator[Callable[[], float]]:
    """Wait at the end of the block until *reached*; yields the function that then tells the time in ms."""
    done = asyncio.Event()

    def look(_old: Object | None, _new: Object | None) -> None:
        if reached():
            done.set()

    begin = time.perf_counter()
    unsubscribe = pods.on_change(look)
    done.clear()  # What was there before does not count.
    try:
        yield lambda: (time.perf_counter() - begin) * 1000
        async with asyncio.timeout(60):
            await done.wait()
    finally:
        unsubscribe()


async def _unshare_ms(times: int) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        process = await asyncio.create_subprocess_exec(*UNSHARE)
        await process.wait()
    return (time.perf_counter() - begin) * 1000


def _running(pods: Informer) -> int:
    return sum(pod.get("status", {}).get("phase") == "Running" for pod in pods.objects())


def _pod(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": _SPEC,
    }


def _deployment(replicas: int) -> Object:
    template = {"metadata": {"labels": {"app": "bench"}}, "spec": _SPEC}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "bench"}}, "template": template},
    }


# A second of grace, for SIGTERM is lost on a shell that has not yet set its handler for it.
_SPEC = {
    "terminationGracePeriodSeconds": 1,
    "containers": [{"name": "idle", "image": "kubelab/shell"}],
}
