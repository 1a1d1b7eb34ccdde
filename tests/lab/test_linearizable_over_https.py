"""Clients of three API servers see one cluster, whatever fails: over HTTPS, through real cables.

Registers are ConfigMaps, written with and without the version that they replace; sets are those of a label.
What nobody knows the outcome of may have happened or not; of what was refused for want of a leader, or never
reached a server, it is known that it did not.
KUBELAB_LINEARIZABILITY_S lets it go on for longer than in the usual run, KUBELAB_LINEARIZABILITY_SEED begins
with another choice of operations and faults (their timing is the machine's). One that does not come to its
end tells the faults and who waits for whom, and always closes its lab.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count, pairwise, zip_longest
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from linearizability import UNKNOWN, GrowingSet, Model, Operation, Register, is_linearizable
from who_waits import told_after

from kubelab.cluster.client import kubeconfig
from kubelab.cluster.client.api import Api
from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.errors import ApiError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.linux.journal import undo
from kubelab.cluster.objects import CONFIGMAPS, Object

DURATION_S = float(os.environ.get("KUBELAB_LINEARIZABILITY_S", "4"))
SEED = int(os.environ.get("KUBELAB_LINEARIZABILITY_SEED", "6"))
MASTERS = ("master-1", "master-2", "master-3")
NAMESPACE = "default"
PATIENCE_S = 1.5  # Then a client asks for something else, and does not know what came of it.
OBJECTS_LAST_S = 1.0  # Then others are used: a short history of each has few operations of unknown outcome.
FAULT_S = 1.2
OPEN_S, LIMIT_S, CLOSE_S = 40, 40 + DURATION_S * 4, 20  # For a busy machine; 5, 3 + DURATION_S, 2 otherwise.

pytestmark = [pytest.mark.root, pytest.mark.timeout(OPEN_S + LIMIT_S + CLOSE_S + 15)]


@asynccontextmanager
async def three_masters(place: Path) -> AsyncIterator[Lab]:
    """Run a lab in the test's own task, which hears of its end; should it not close, what it has is taken
    from it."""
    directory = LabDirectory(place / "lab")
    config = LabConfig(directory=directory, masters=3, minions=1)
    async with AsyncExitStack() as closing, start_lab(config) as lab:
        with told_after(OPEN_S - 1):
            async with asyncio.timeout(OPEN_S):
                await lab.ready()
        try:
            yield lab
        finally:
            closing.enter_context(told_after(CLOSE_S, lambda: undo(directory.journal)))


def configmap(name: str, value: int, **labels: str) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": str(value)}}


def value_of(obj: Object) -> int:
    return int(obj["data"]["value"])


def version_of(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _surely_not_done(failure: Exception) -> bool:
    if isinstance(failure, ApiError):
        return failure.code < 500 or failure.message == "etcdserver: no leader"
    return isinstance(failure.__cause__, aiohttp.ClientConnectorError)


@dataclass
class History:
    """`acknowledged`: the versions that answers to writes have told, by the object's name."""

    registers: list[Operation] = field(default_factory=list)
    sets: list[Operation] = field(default_factory=list)
    acknowledged: dict[str, set[int]] = field(default_factory=dict)
    astonishing: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def record(
        self, kind: list[Operation], key: str, name: str, argument: Any, asking: Awaitable[Any]
    ) -> Any:
        """Wait for *asking*, and note what came of it; what surely did nothing is not noted."""
        called = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                result = await asking
        except (ApiError, ConnectionError, TimeoutError) as failure:
            if not _surely_not_done(failure):
                kind.append(Operation(key, name, argument, None, called, UNKNOWN))
            elif isinstance(failure, ApiError) and failure.code < 500:
                self.astonishing.append(f"{name} {key} {argument}: {failure.message}")
            await asyncio.sleep(0.05)
            return None
        kind.append(Operation(key, name, argument, result, called, time.perf_counter()))
        return result

    def told(self, kind: list[Operation], model: Model) -> str:
        """Return what shows how *kind* is not as *model* is."""
        objects = {operation.object for operation in kind}
        bad = {each for each in objects if not is_linearizable(model, [o for o in kind if o.object == each])}
        operations = sorted((o for o in kind if o.object in bad), key=lambda operation: operation.called)
        return "\n".join(map(str, (*operations, *self.faults)))

    def acknowledge(self, obj: Object) -> None:
        self.acknowledged.setdefault(obj["metadata"]["name"], set()).add(version_of(obj))


class Client:
    """One that uses *api*, and remembers what it has seen of each register."""

    def __init__(
        self, api: Api, history: History, chance: random.Random, values: Iterator[int], end_s: float
    ) -> None:
        self._api = api
        self._history = history
        self._chance = chance
        self._values = values
        self._end_s = end_s
        self._seen: dict[str, Object] = {}

    async def run(self) -> None:
        acts = (self.read, self.read, self.put, self.patch, self.swap, self.swap, self.add, self.read_set)
        while (left_s := self._end_s - time.perf_counter()) > 0:
            await asyncio.sleep(self._chance.random() * 0.03)
            number = int(left_s / OBJECTS_LAST_S)
            name = f"register-{number}-{self._chance.choice('ab')}"
            act = self._chance.choice(acts)
            await act(f"set-{number}" if act in (self.add, self.read_set) else name)

    async def read(self, name: str) -> None:
        async def asking() -> int:
            self._seen[name] = found = await self._api.get(CONFIGMAPS, NAMESPACE, name)
            return value_of(found)

        await self._history.record(self._history.registers, name, "read", None, asking())

    async def put(self, name: str) -> None:
        value = next(self._values)
        await self._write(name, value, self._api.update(CONFIGMAPS, configmap(name, value)))

    async def patch(self, name: str) -> None:
        value = next(self._values)
        patch = {"data": {"value": str(value)}}
        await self._write(name, value, self._api.patch(CONFIGMAPS, NAMESPACE, name, patch))

    async def _write(self, name: str, value: int, writing: Awaitable[Object]) -> None:
        async def asking() -> None:
            self._note(await writing)

        await self._history.record(self._history.registers, name, "write", value, asking())

    async def swap(self, name: str) -> None:
        """Replace what it has seen last, if nobody has replaced it since."""
        if (seen := self._seen.get(name)) is None:
            return
        value = next(self._values)

        async def asking() -> bool:
            wanted = configmap(name, value)
            wanted["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]
            try:
                self._note(await self._api.update(CONFIGMAPS, wanted))
            except ApiError as refusal:
                if not refusal.is_conflict:
                    raise
                del self._seen[name]
                return False
            return True

        await self._history.record(self._history.registers, name, "swap", (value_of(seen), value), asking())

    async def add(self, label: str) -> None:
        value = next(self._values)

        async def asking() -> None:
            new = configmap(f"element-{value}", value, set=label)
            self._history.acknowledge(await self._api.create(CONFIGMAPS, new))

        await self._history.record(self._history.sets, label, "add", value, asking())

    async def read_set(self, label: str) -> None:
        async def asking() -> frozenset[int]:
            found = await self._api.list(CONFIGMAPS, NAMESPACE, label_selector=f"set={label}")
            return frozenset(map(value_of, found.items))

        await self._history.record(self._history.sets, label, "read", None, asking())

    def _note(self, written: Object) -> None:
        self._seen[written["metadata"]["name"]] = written
        self._history.acknowledge(written)


class Watcher:
    """What a client is told that goes on, wherever a watch ended, with the version that it was told last."""

    def __init__(self, api: Api, since: str) -> None:
        self._api = api
        self._since = since
        self.told: list[tuple[str, str, int]] = []

    async def until_told_of(self, name: str) -> None:
        while not any(told == name for _, told, _ in self.told):
            try:
                await self._follow(name)
            except ConnectionError:
                await asyncio.sleep(0.05)
            except ApiError as refusal:
                assert refusal.code >= 500, refusal
                await asyncio.sleep(0.05)

    async def _follow(self, name: str) -> None:
        async with self._api.watch(CONFIGMAPS, NAMESPACE, resource_version=self._since) as events:
            async for event in events:
                self._since = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    told = event.object["metadata"]["name"]
                    self.told.append((event.type, told, version_of(event.object)))
                    if told == name:
                        return


class Nemesis:
    """Does what `kubelab fault` does: one thing or two, and takes them back after a while."""

    def __init__(self, lab: Lab, history: History, chance: random.Random) -> None:
        self._began_s = time.perf_counter()
        self._lab = lab
        self._history = history
        self._chance = chance

    async def run(self, end_s: float) -> None:
        while time.perf_counter() < end_s:
            for _ in range(self._chance.choice((1, 1, 2))):
                await self._break_something()
                await asyncio.sleep(self._chance.random() * FAULT_S / 2)
            await asyncio.sleep(self._chance.random() * FAULT_S)
            await self._lab.faults.heal_all()
            await asyncio.sleep(self._chance.random() * FAULT_S / 4)

    async def _break_something(self) -> None:
        faults, name = self._lab.faults, self._victim()
        peer = self._chance.choice([each for each in (*MASTERS, "minion-1") if each != name])
        program = self._chance.choice(("etcd", "kube-apiserver"))
        acts: Sequence[tuple[Callable[..., Awaitable[None]], tuple[str, ...]]] = (
            (faults.cut, (name,)),
            (faults.cut, (name, peer)),
            (faults.kill, (name, program)),
            (faults.restart, (name, program)),
            (faults.stop, (name, program)),
            (faults.stop, (name,)),
            (faults.kill, (name,)),
        )
        act, arguments = self._chance.choice(acts)
        if arguments[0] in self._lab.machines:
            self._history.faults.append(" ".join((act.__name__, *arguments)))
            print(f"{time.perf_counter() - self._began_s:.2f} s:", self._history.faults[-1])
            await act(*arguments)

    def _victim(self) -> str:
        """Half of the time the leader, of whom most is known and must not be lost."""
        state = self._lab.store()
        leader = state.leader if state else None
        return leader if leader and self._chance.random() < 0.5 else self._chance.choice(MASTERS)


async def surely(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until there is an answer; only for what may be done twice."""
    while True:
        try:
            return await ask()
        except (ApiError, ConnectionError) as failure:
            assert not isinstance(failure, ApiError) or failure.code >= 500, failure
            await asyncio.sleep(0.05)


async def surely_made(api: Api, obj: Object) -> None:
    """Nobody else makes it: if it exists it was made when no answer came back."""

    async def make() -> None:
        try:
            await api.create(CONFIGMAPS, obj)
        except ApiError as refusal:
            if refusal.reason != "AlreadyExists":
                raise

    await surely(make)


async def clients(lab: Lab, stack: AsyncExitStack) -> tuple[list[Api], list[Api]]:
    """Return those who ask another server when theirs fails, and those who do not."""
    config = kubeconfig.read(lab.directory.kubeconfig)
    urls = [f"https://{lab.machines[name].address}:6443" for name in MASTERS]

    async def client(*servers: str) -> Api:
        own = replace(config, server=servers[0], other_servers=servers[1:], tls_server_name="")
        return await stack.enter_async_context(
            HttpsApi.connect(own, open_socket=lab.machines["minion-1"].socket)
        )

    moving = [await client(*urls[index:], *urls[:index]) for index in range(3)]
    return moving, [await client(url) for url in urls]


async def test_clients_see_one_cluster_whatever_fails(tmp_path: Path) -> None:
    print(f"KUBELAB_LINEARIZABILITY_SEED={SEED}")
    history = History()
    async with three_masters(tmp_path) as lab:

        def standing() -> str:
            components = [f"{each.machine} {each.name} {each.state}" for each in lab.components]
            return f"faults: {history.faults}\nstill on: {lab.faults.active()}\n{components}"

        with told_after(LIMIT_S - 1, standing):
            async with asyncio.timeout(LIMIT_S):
                watchers = await use(lab, history)
    assert len(history.registers) > 20, history.faults
    assert not history.astonishing, history.faults
    assert is_linearizable(Register(), history.registers), history.told(history.registers, Register())
    assert is_linearizable(GrowingSet(), history.sets), history.told(history.sets, GrowingSet())
    for watcher in watchers:
        check_watched(watcher, watchers[0], history)


async def use(lab: Lab, history: History) -> list[Watcher]:
    """Have clients work while things fail; return who has watched, when all of them have seen the end."""
    chance, values = random.Random(SEED), count(1)
    async with AsyncExitStack() as stack:
        moving, staying = await clients(lab, stack)
        for number in range(int(DURATION_S / OBJECTS_LAST_S) + 1):
            for name in (f"register-{number}-a", f"register-{number}-b"):
                called = time.perf_counter()
                await surely_made(moving[0], configmap(name, 0))
                history.registers.append(Operation(name, "write", 0, None, called, time.perf_counter()))
        since = (await surely(lambda: moving[0].list(CONFIGMAPS, NAMESPACE))).resource_version
        watchers = [Watcher(api, since) for api in (*moving, *staying)]
        end_s = time.perf_counter() + DURATION_S
        async with asyncio.TaskGroup() as watching:
            for watcher in watchers:
                watching.create_task(watcher.until_told_of("last"))
            async with asyncio.TaskGroup() as tasks:
                for api in (*moving, *staying):
                    own = random.Random(chance.random())
                    tasks.create_task(Client(api, history, own, values, end_s).run())
                tasks.create_task(Nemesis(lab, history, chance).run(end_s))
            await _see_the_end(moving[0], history, chance, values)
    return watchers


async def _see_the_end(api: Api, history: History, chance: random.Random, values: Iterator[int]) -> None:
    """Have the last reads, when all is well again, in the history; and tell the watchers that this is it."""
    last = await surely(lambda: api.list(CONFIGMAPS, NAMESPACE))
    reader = Client(api, history, chance, values, 0)
    for name in sorted({operation.object for operation in history.registers}):
        await reader.read(name)
    for label in sorted({operation.object for operation in history.sets}):
        await reader.read_set(label)
    there = {each["metadata"]["name"] for each in last.items}
    assert not history.acknowledged.keys() - there, history.faults
    await surely_made(api, configmap("last", 0))


def check_watched(watcher: Watcher, other: Watcher, history: History) -> None:
    """Each acknowledged change was told once, and all in order, to everybody alike."""
    versions = [version for _, _, version in watcher.told]
    backwards = [(before, after) for before, after in pairwise(versions) if before >= after]
    assert not backwards, history.faults
    differing = [pair for pair in zip_longest(watcher.told, other.told) if pair[0] != pair[1]]
    assert not differing[:1], history.faults
    told = {(name, version) for _, name, version in watcher.told}
    missing = {(name, each) for name, made in history.acknowledged.items() for each in made} - told
    assert not missing, history.faults
    again = [each for each in watcher.told if each[0] == "ADDED" and each[1].startswith("register")]
    assert not again, history.faults
