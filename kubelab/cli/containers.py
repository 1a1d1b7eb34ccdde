"""How quick containers and pods are, beside other runtimes and Docker swarm, in one run (`kubelab bench
runtime`).

Ours are measured at the container runtime, as a kubelet calls it; "by the API" is the whole way, from a
Deployment by controller, scheduler and kubelet. A peer that is not installed is named and left out.
A container is measured beside the same of others: both in a sandbox that stands already. A pod has a sandbox
and a link to its machine besides, and no OCI runtime makes either: beside it is a container with namespaces
of its own. Ours are started by the machine's one shim, two to four at once, theirs by eight programs at once,
so on a machine that has other work to do theirs get more of it.
Left out: podman, which calls crun; images from a registry.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from kubelab.cli import oci_runtimes, swarm
from kubelab.cli.measurements import Figure, deployed_ms, figure
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import start_lab
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.journal import Journal, undo
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.namespaced import MachineSpec, start_cgroups, start_machine
from kubelab.cluster.machine.network import PhysicalNetwork, start_network
from kubelab.cluster.objects import PODS as POD_KIND
from kubelab.cluster.runtime.cri import Container, ContainerSpec, Sandbox, SandboxSpec
from kubelab.cluster.runtime.pods import PodRuntime, start_pods
from kubelab.language import Text

NODES = 3
PODS = 100
CONTAINERS = 50
WIDTH = 8  # So many at a time, of a peer that is a program for each.
ONES = 20  # Single containers in each run.
TICK_S = 0.002

_IMAGE = "kubelab/shell"
_STAY = ("sleep", "infinity")
_AT_A_TIME = f", {WIDTH} at a time"
_STANDING = "{}, both in a standing sandbox"
_OWN_NAMESPACES = "{}, a container with its own namespaces but no link"


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with its runtime. `pid`: of its init, the shim."""

    pid: int
    runtime: PodRuntime
    logs: Path


@dataclass(frozen=True, slots=True)
class Pod:
    node: Node
    uid: str
    sandbox: Sandbox
    container: Container


async def measure(place: Path, runs: int) -> list[Figure]:
    """See `Measure`; about a minute a run, most of it the peers'."""
    with Journal.open(place / "journal") as journal:
        async with start_network(journal) as network, _nodes(place, network, journal) as nodes:
            figures = [*await _single(place, nodes[0], runs), *await _crowd(nodes, network, place, runs)]
    undo(place / "journal")
    return [*figures, await _by_the_api(place / "lab", runs)]


@asynccontextmanager
async def _nodes(place: Path, network: PhysicalNetwork, journal: Journal) -> AsyncIterator[list[Node]]:
    async with start_cgroups(journal) as cgroups, AsyncExitStack() as stack:
        images = await in_thread(ImageStore.open, place / "images")
        nodes = []
        for index in range(NODES):
            pods = network.plan.pod_network(index)
            spec = MachineSpec(
                f"minion-{index + 1}", "minion", network.plan.machine("minion", index), pods=pods
            )
            machine = await stack.enter_async_context(start_machine(spec, network, cgroups, journal))
            runtime = await stack.enter_async_context(start_pods(machine.shim, pods, images))
            nodes.append(Node(machine.pid, runtime, place / "logs" / machine.name))
        yield nodes


async def _single(place: Path, node: Node, runs: int) -> list[Figure]:
    """Containers in a standing sandbox, and such with one of their own, beside each other runtime that is
    here."""
    async with oci_runtimes.found(place) as peers:
        _absent(set(oci_runtimes.NAMES) - {peer.name for peer in peers})
        times_ms: dict[str, _Times] = {"": _Times(), **{peer.name: _Times() for peer in peers}}
        for run in range(runs):
            _tell(
                Text(es="Contenedores sueltos, {n} de {of}…", en="Single containers, {n} of {of}…"), run, runs
            )
            await _time_ours(node, run, times_ms[""])
            for peer in peers:
                await _time_peer(peer, times_ms[peer.name])
    return [
        each
        for row, name, peer_name in (
            ("one", "one container of `true`: start to removed", _STANDING),
            ("many", f"{CONTAINERS} containers: start to all running", _STANDING + _AT_A_TIME),
            ("one_pod", "one pod of `true`: start to removed", _OWN_NAMESPACES),
            (
                "many_pods",
                f"{CONTAINERS} pods: start to all running",
                _OWN_NAMESPACES + _AT_A_TIME,
            ),
        )
        for each in _beside(name, {who: getattr(times, row) for who, times in times_ms.items()}, peer_name)
    ]


@dataclass(frozen=True, slots=True)
class _Times:
    """Of one runtime. `one_pod` and `many_pods` are, of a peer, containers with namespaces of their own: it
    makes no links."""

    one: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    one_pod: list[float] = field(default_factory=list)
    many_pods: list[float] = field(default_factory=list)


async def _time_ours(node: Node, run: int, times_ms: _Times) -> None:
    uid = f"standing-{run}"
    await node.runtime.run_sandbox(SandboxSpec(uid, "default", uid, uid))
    times_ms.one.extend([await _one_ms(node, uid) for _ in range(ONES)])
    times_ms.many.append(await _many_ms(node, uid))
    await node.runtime.remove_sandbox(uid)
    times_ms.one_pod.extend([await _one_pod_ms(node, f"one-{run}-{number}") for number in range(ONES)])
    times_ms.many_pods.append(await _many_pods_ms(node))


async def _time_peer(peer: oci_runtimes.OciRuntime, times_ms: _Times) -> None:
    async with peer.sandbox(_STAY) as pid:
        true, stay = peer.bundle(["true"], pid), peer.bundle(_STAY, pid)
        times_ms.one.extend([await peer.run_ms(true) for _ in range(ONES)])
        times_ms.many.append(await peer.start_many_ms(stay, CONTAINERS, WIDTH))
    true, stay = peer.bundle(["true"]), peer.bundle(_STAY)
    times_ms.one_pod.extend([await peer.run_ms(true) for _ in range(ONES)])
    times_ms.many_pods.append(await peer.start_many_ms(stay, CONTAINERS, WIDTH))


async def _crowd(nodes: list[Node], network: PhysicalNetwork, place: Path, runs: int) -> list[Figure]:
    """A hundred pods on three nodes, beside Docker swarm if it is here."""
    up, down, lag, memory_kib = [], [], [], []
    for run in range(runs):
        _tell(Text(es="100 pods, {n} de {of}…", en="100 pods, {n} of {of}…"), run, runs)
        before_kib = _private_kib(nodes)
        async with _lag_ms() as lags_ms:
            begin = time.perf_counter()
            pods = await _start(nodes, PODS, _STAY)
            up.append((time.perf_counter() - begin) * 1000)
            memory_kib.append((_private_kib(nodes, pods) - before_kib) / PODS)
            begin = time.perf_counter()
            await _remove(pods)
            down.append((time.perf_counter() - begin) * 1000)
        lag.append(lags_ms[len(lags_ms) * 99 // 100])
    theirs_up, theirs_down = await _swarm(place, network, runs)
    peer = f"docker swarm, {NODES} engines"
    return [
        figure(f"{PODS} pods on {NODES} nodes: start to all running", "ms", up, peer, theirs_up),
        figure(f"{PODS} pods on {NODES} nodes: removed", "ms", down, peer, theirs_down),
        figure("meanwhile: the loop's lag, 99th percentile", "ms", lag),
        figure("private memory for a pod beside its program", "KiB", memory_kib),
    ]


async def _swarm(place: Path, network: PhysicalNetwork, runs: int) -> tuple[list[float], list[float]]:
    if absent := swarm.missing():
        _absent(absent)
        return [], []
    up, down = [], []
    _tell(Text(es="Docker swarm…", en="Docker swarm…"))
    async with swarm.start_swarm(place, network, NODES) as engines:
        for _ in range(runs):
            up.append(await engines.run_ms(PODS))
            down.append(await engines.remove_ms())
    return up, down


async def _by_the_api(place: Path, runs: int) -> Figure:
    _tell(Text(es="100 pods por la API…", en="100 pods by the API…"))
    config = LabConfig(minions=NODES, directory=LabDirectory(place))
    async with start_lab(config) as lab:
        await lab.ready()
        async with Informer(lab.api, POD_KIND, clock=SystemClock(), namespace="default") as pods:
            await pods.wait_synced()
            up, _ = await deployed_ms(lab.api, pods, PODS, runs)
    return figure(f"{PODS} pods by the API: Deployment to all Running", "ms", up)


async def _one_ms(node: Node, uid: str) -> float:
    """Return how long a container in that sandbox takes, from its start to when nothing is left of it."""
    begin = time.perf_counter()
    async with node.runtime.exits() as exits:
        container = await node.runtime.start_container(uid, _spec(node, uid, ("true",)))
        await anext(end async for end in exits if end.id == container.id)
    return (time.perf_counter() - begin) * 1000


async def _many_ms(node: Node, uid: str) -> float:
    begin = time.perf_counter()
    specs = [_spec(node, f"{uid}-{number}", _STAY) for number in range(CONTAINERS)]
    await asyncio.gather(*(node.runtime.start_container(uid, spec) for spec in specs))
    return (time.perf_counter() - begin) * 1000


async def _one_pod_ms(node: Node, uid: str) -> float:
    begin = time.perf_counter()
    async with node.runtime.exits() as exits:
        pod = await _pod(node, uid, ("true",))
        await anext(end async for end in exits if end.id == pod.container.id)
    await node.runtime.remove_sandbox(uid)
    return (time.perf_counter() - begin) * 1000


async def _many_pods_ms(node: Node) -> float:
    begin = time.perf_counter()
    pods = await _start([node], CONTAINERS, _STAY)
    took_ms = (time.perf_counter() - begin) * 1000
    await _remove(pods)
    return took_ms


async def _start(nodes: Sequence[Node], count: int, argv: Sequence[str]) -> list[Pod]:
    """Start *count* pods at once, on the nodes in turn."""
    turns = enumerate(itertools.islice(itertools.cycle(nodes), count))
    return await asyncio.gather(*(_pod(node, f"pod-{number}", argv) for number, node in turns))


async def _remove(pods: Sequence[Pod]) -> None:
    await asyncio.gather(*(pod.node.runtime.remove_sandbox(pod.uid) for pod in pods))


async def _pod(node: Node, uid: str, argv: Sequence[str]) -> Pod:
    sandbox = await node.runtime.run_sandbox(SandboxSpec(uid, "default", uid, uid))
    container = await node.runtime.start_container(uid, _spec(node, uid, argv))
    return Pod(node, uid, sandbox, container)


def _spec(node: Node, name: str, argv: Sequence[str]) -> ContainerSpec:
    return ContainerSpec("main", _IMAGE, tuple(argv), {}, node.logs / name / "main.log")


@asynccontextmanager
async def _lag_ms() -> AsyncIterator[list[float]]:
    """Fill the list that this yields, at the end in order, with how late the loop's timers were meanwhile."""
    lags_ms: list[float] = []

    async def tick() -> None:
        while True:
            due_s = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            lags_ms.append((time.perf_counter() - due_s) * 1000)

    async with background(tick()):
        yield lags_ms
    lags_ms.sort()


def _private_kib(nodes: Sequence[Node], pods: Sequence[Pod] = ()) -> float:
    """Return what this process, the shims and the pods' pause processes have to themselves."""
    pids = ["self", *(str(node.pid) for node in nodes), *(str(pod.sandbox.pid) for pod in pods)]
    return sum(_private_kib_of(Path(f"/proc/{pid}/smaps_rollup")) for pid in pids)


def _private_kib_of(file: Path) -> float:
    fields = (line.split() for line in file.read_text("ascii").splitlines()[1:])
    return sum(float(words[1]) for words in fields if words[0].startswith("Private_"))


def _beside(name: str, times_ms: Mapping[str, list[float]], peer: str) -> list[Figure]:
    """Return ours beside each of the others, or alone."""
    theirs = {other: values for other, values in times_ms.items() if other}
    if not theirs:
        return [figure(name, "ms", times_ms[""])]
    return [figure(name, "ms", times_ms[""], peer.format(other), values) for other, values in theirs.items()]


def _absent(names: Iterable[str]) -> None:
    if named := ", ".join(sorted(names)):
        _tell(
            Text(es="Faltan aquí, y se dejan fuera: {names}", en="Not here, and left out: {names}").format(
                names=named
            )
        )


def _tell(text: Text, run: int = 0, of: int = 0) -> None:
    click.echo(str(text.format(n=run + 1, of=of)), err=True)
