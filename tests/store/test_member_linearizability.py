"""Clients of three members that are killed, cut off and started again see one store.

KUBELAB_LINEARIZABILITY_S lets it go on for longer than in the usual run, KUBELAB_LINEARIZABILITY_SEED begins
with another choice of operations and faults (their timing is the machine's).
"""

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from linearizability import UNKNOWN, GrowingSet, Operation, Register, is_linearizable
from member_cluster import Members, store_members, surely

from kubelab.cluster.store.member import Member
from kubelab.cluster.store.requests import (
    Compare,
    CompareResult,
    CompareTarget,
    Put,
    Range,
    Txn,
    prefix_end,
)
from kubelab.cluster.store.service import NoLeaderError, StoreTimeoutError

DURATION_S = float(os.environ.get("KUBELAB_LINEARIZABILITY_S", "2.5"))
SEED = int(os.environ.get("KUBELAB_LINEARIZABILITY_SEED", "6"))
CLIENTS = 6
FEWEST = 20  # Operations, on however busy a machine.
KEYS_LAST_S = 1.0  # Then others are used: a short history of each has few operations of unknown outcome.


@dataclass(frozen=True)
class Keys:
    number: int

    @property
    def registers(self) -> tuple[bytes, bytes]:
        return b"register/%d/a" % self.number, b"register/%d/b" % self.number

    @property
    def set(self) -> bytes:
        return b"set/%d/" % self.number


@dataclass
class History:
    registers: list[Operation] = field(default_factory=list)
    sets: list[Operation] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def record(self, kind: list[Operation], key: bytes, name: str, argument: Any, asking: Any) -> None:
        """Wait for *asking*, and note what came of it; what surely did nothing is not noted."""
        called = time.perf_counter()
        try:
            result = await asking
        except NoLeaderError:
            return
        except StoreTimeoutError:
            kind.append(Operation(key, name, argument, None, called, UNKNOWN))
            await asyncio.sleep(0.02)
        else:
            kind.append(Operation(key, name, argument, result, called, time.perf_counter()))


async def _read(member: Member, key: bytes) -> int | None:
    found = await member.range(Range(key))
    return int(found.kvs[0].value) if found.kvs else None


async def _read_set(member: Member, prefix: bytes) -> frozenset[int]:
    found = await member.range(Range(prefix, prefix_end(prefix)))
    return frozenset(int(kv.key.removeprefix(prefix)) for kv in found.kvs)


async def _write(member: Member, key: bytes, value: int) -> None:
    await member.put(Put(key, b"%d" % value))


async def _swap(member: Member, key: bytes, old: int, new: int) -> bool:
    same = Compare(key, CompareTarget.VALUE, CompareResult.EQUAL, b"%d" % old)
    return (await member.txn(Txn((same,), (Put(key, b"%d" % new),)))).succeeded


async def _client(
    cluster: Members, history: History, chance: random.Random, values: Any, end_s: float
) -> None:
    known: dict[bytes, int] = {}
    while (left_s := end_s - time.perf_counter()) > 0 or len(history.registers) < FEWEST:
        await asyncio.sleep(chance.random() * 0.02)
        if not cluster.running:
            continue
        member, keys = chance.choice(list(cluster.running.values())), Keys(max(0, int(left_s / KEYS_LAST_S)))
        key, value = chance.choice(keys.registers), next(values)
        match chance.randrange(6):
            case 0:
                await history.record(history.registers, key, "write", value, _write(member, key, value))
                known[key] = value
            case 1:
                old = known.get(key, 0)
                asking = _swap(member, key, old, value)
                await history.record(history.registers, key, "swap", (old, value), asking)
            case 2 | 3:
                await history.record(history.registers, key, "read", None, _read(member, key))
            case 4:
                asking = _write(member, keys.set + b"%d" % value, 1)
                await history.record(history.sets, keys.set, "add", value, asking)
            case _:
                await history.record(history.sets, keys.set, "read", None, _read_set(member, keys.set))


async def _faults(cluster: Members, history: History, chance: random.Random, end_s: float) -> None:
    names = [founder.name for founder in cluster.founders]
    acts: list[Callable[[str], Any]] = [
        _kill_and_start,
        _isolate,
        _cut_one_way,
        _isolate_leader,
        _kill_leader,
    ]
    while time.perf_counter() < end_s:
        act, name = chance.choice(acts), chance.choice(names)
        history.faults.append(f"{act.__name__} {name}")
        await act(cluster, name, chance)
        cluster.network.heal()
        await asyncio.sleep(chance.random() * 0.2)


async def _kill_and_start(cluster: Members, name: str, chance: random.Random) -> None:
    await cluster.kill(name)
    await asyncio.sleep(chance.random() * 0.8)
    await cluster.start(name)


async def _kill_leader(cluster: Members, name: str, chance: random.Random) -> None:
    leaders = [each for each, member in cluster.running.items() if member.leads]
    await _kill_and_start(cluster, leaders[0] if leaders else name, chance)


async def _isolate(cluster: Members, name: str, chance: random.Random) -> None:
    cluster.network.isolate(cluster.running[name].member_id)
    await asyncio.sleep(chance.random() * 0.8)


async def _isolate_leader(cluster: Members, name: str, chance: random.Random) -> None:
    leaders = [each for each, member in cluster.running.items() if member.leads]
    await _isolate(cluster, leaders[0] if leaders else name, chance)


async def _cut_one_way(cluster: Members, name: str, chance: random.Random) -> None:
    sender = cluster.running[name].member_id
    for member in cluster.running.values():
        if member.member_id != sender:
            cluster.network.cut(sender, member.member_id)
    await asyncio.sleep(chance.random() * 0.8)


@pytest.mark.timeout(60 + DURATION_S * 10)
async def test_clients_see_one_store_whatever_fails(tmp_path: Path) -> None:
    chance, history = random.Random(SEED), History()
    values = iter(range(1, 1 << 60))
    options = {"request_timeout_s": 1.0, "snapshot_entries": 40, "catch_up_entries": 10}
    async with store_members(tmp_path, **options) as cluster:
        end_s = time.perf_counter() + DURATION_S
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                own = random.Random(chance.random())
                tasks.create_task(_client(cluster, history, own, values, end_s))
            tasks.create_task(_faults(cluster, history, chance, end_s))
        member = await cluster.leader()
        for keys in map(Keys, range(int(DURATION_S / KEYS_LAST_S) + 1)):
            for key in keys.registers:
                asking = surely(lambda key=key: _read(member, key))
                await history.record(history.registers, key, "read", None, asking)
            asking = surely(lambda keys=keys: _read_set(member, keys.set))
            await history.record(history.sets, keys.set, "read", None, asking)
        await cluster.caught_up()
        assert len({await surely(each.hash_kv) for each in cluster.running.values()}) == 1
    assert is_linearizable(Register(), history.registers), history
    assert is_linearizable(GrowingSet(), history.sets), history
