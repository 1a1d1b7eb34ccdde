"""How quick the store is: durable writes, reads, watches, a list, a failover (`kubelab bench store`).

The lab's own store stands twice beside a real etcd: *in process*, as the lab's API servers use it, its
members on one loop; and *by gRPC*, its members in a process of their own, asked by the very client that asks
etcd. All members keep their logs below one directory and talk over TLS; etcd has its default timings. The
client is Python and takes some 0.1 ms of a core for each call, which `etcdctl check perf` does not. All run
all the time and write in turns, so that whatever else this machine does meets each of them. One fdatasync of
this disk, in turns with the writes, is the yardstick of a durable write: it overwrites zeros, as a log does.
Left out: members on machines of their own (here all share this one's processors and its disk).
"""

import asyncio
import contextlib
import gc
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from kubelab.cli import store_load as load
from kubelab.cli.measurements import Figure, figure
from kubelab.cli.store_load import BESIDE_DISK, DISK, Rows
from kubelab.cli.store_members import leader_first, members
from kubelab.cluster.apiserver.pki import LOOPBACK, Authority
from kubelab.cluster.errors import LabError
from kubelab.cluster.store.engine import TlsFiles, open_etcd
from kubelab.cluster.store.etcd_process import Certificates, EtcdSpec, run_member
from kubelab.cluster.store.etcd_process_place import LoopbackPlace
from kubelab.cluster.store.service import KeyValueService, StoreError
from kubelab.language import Text

MEMBERS = (1, 3)
IN_PROCESS, BY_GRPC, ETCD = "in process", "by gRPC", "etcd"

Values = dict[tuple[str, str], list[float]]
"""Of several runs, by name and unit."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """`leader` is asked until `end_leader` has ended it, then `others` are."""

    leader: KeyValueService
    others: Sequence[KeyValueService] = ()
    end_leader: Callable[[], None] | None = None


async def measure(place: Path, runs: int) -> list[Figure]:
    """See `Measure`: about a minute a run."""
    taken: dict[str, Values] = {IN_PROCESS: {}, BY_GRPC: {}, ETCD: {}}
    for run in range(runs):
        for number in MEMBERS:
            here = place / f"{run}-{number}"
            here.mkdir()
            click.echo(str(_ROUND.format(run=run + 1, number=number)), err=True)
            async with AsyncExitStack() as stack:
                asked = {
                    IN_PROCESS: await stack.enter_async_context(_in_process(here / "own", number)),
                    BY_GRPC: await stack.enter_async_context(_by_grpc(here / "served", number)),
                    ETCD: await stack.enter_async_context(_etcd(here / "etcd", number)),
                }
                gc.freeze()  # As a lab does when it is up.
                try:
                    for way, rows in (await _rows(asked, here)).items():
                        _take(taken[way], _of(number, rows))
                except* StoreError as refused:
                    raise LabError(_BUSY.format(why=_first(refused))) from refused
                finally:
                    gc.unfreeze()
    return [*_beside_disk(taken), *_beside_etcd(taken)]


def _first(group: BaseExceptionGroup[StoreError]) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _take(values: Values, rows: Rows) -> None:
    for row, value in rows.items():
        values.setdefault(row, []).append(value)


def _beside_disk(taken: Mapping[str, Values]) -> Iterator[Figure]:
    """Yield how long a durable write takes, beside what the disk alone needs."""
    for number in MEMBERS:
        for way in (IN_PROCESS, ETCD):
            writes_us = taken[way].pop((f"{number}: {BESIDE_DISK}", "us"))
            disk_us = taken[way].pop((f"{number}: {DISK}", "us"))
            yield figure(
                f"{number} member{'s' * (number > 1)}, {way}: write p50", "us", writes_us, DISK, disk_us
            )


def _beside_etcd(taken: Mapping[str, Values]) -> Iterator[Figure]:
    for (name, unit), alone in taken[IN_PROCESS].items():
        if (name, unit) not in taken[ETCD]:
            yield figure(f"{name}, {IN_PROCESS}", unit, alone)
    for (name, unit), theirs in taken[ETCD].items():
        for way in (IN_PROCESS, BY_GRPC):
            if values := taken[way].get((name, unit)):
                made = figure(f"{name}, {way}", unit, values, ETCD, theirs)
                yield replace(made, worst=min(values)) if unit == "/s" else made


async def _rows(asked: Mapping[str, _Asked], place: Path) -> dict[str, Rows]:
    stores = {way: each.leader for way, each in asked.items()}
    rows = await load.writes(stores)
    for way, store in stores.items():
        rows[way] |= await load.reads(store)
        rows[way] |= await load.watching(store)
        rows[way] |= await load.listing(store)
        if way != BY_GRPC:
            rows[way] |= await load.writes_beside_disk(store, place)
    rows[IN_PROCESS] |= await load.delivery()
    for way, each in asked.items():
        if each.others and each.end_leader is not None:
            each.end_leader()
            rows[way]["failover", "ms"] = await load.failover_s(each.others) * 1e3
    return rows


@asynccontextmanager
async def _in_process(place: Path, number: int) -> AsyncIterator[_Asked]:
    async with members(place, number) as started:
        leader, *others = leader_first(started)
        yield _Asked(leader, others, leader.kill)


@asynccontextmanager
async def _by_grpc(place: Path, number: int) -> AsyncIterator[_Asked]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kubelab.cli.store_server", str(place), str(number)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not (line := await process.stdout.readline()):
            raise LabError(_SERVER_FAILED)
        where = json.loads(line)
        files = TlsFiles(Path(where["ca"]), Path(where["certificate"]), Path(where["key"]))
        async with open_etcd([where["url"]], files) as client:
            yield _Asked(client)
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def _etcd(place: Path, number: int) -> AsyncIterator[_Asked]:
    place.mkdir()
    authority = Authority.create(place / "pki", datetime.now(UTC))
    mine = authority.store_client()
    files = TlsFiles(authority.certificate_path, mine.certificate, mine.key)
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(run_member(spec, LoopbackPlace()))
            for spec in _specs(place, authority, number)
        ]
        for member in started:
            await member.ready()
        clients = [
            await stack.enter_async_context(open_etcd([member.spec.client_url], files)) for member in started
        ]
        leader = (await clients[0].status()).leader
        first = [(await client.status()).member for client in clients].index(leader)
        others = [client for client in clients if client is not clients[first]]
        yield _Asked(clients[first], others, started[first].hold_down)


def _specs(place: Path, authority: Authority, number: int) -> list[EtcdSpec]:
    ports = _free_ports(2 * number)
    names = [f"member-{each + 1}" for each in range(number)]
    peers = {name: f"https://{LOOPBACK}:{port}" for name, port in zip(names, ports, strict=False)}
    return [
        EtcdSpec(
            *(name, str(LOOPBACK), place / name, place / f"{name}.log", peers),
            certificates=_certificates(authority, name),
            peer_port=peer_port,
            client_port=client_port,
        )
        for name, peer_port, client_port in zip(names, ports, ports[number:], strict=False)
    ]


def _certificates(authority: Authority, name: str) -> Certificates:
    pair = authority.store_member(name, [LOOPBACK])
    return Certificates(authority.certificate_path, pair.certificate, pair.key)


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server((str(LOOPBACK), 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in bound]


def _of(number: int, rows: Rows) -> Rows:
    return {(f"{number}: {name}", unit): value for (name, unit), value in rows.items()}


_ROUND = Text(es="Vuelta {run}, miembros: {number}…", en="Round {run}, members: {number}…")
_BUSY = Text(
    es="Un almacén no ha podido con la carga ({why}): mídelo cuando esta máquina tenga menos que hacer.",
    en="A store has not coped with the load ({why}): measure when this machine has less to do.",
)
_SERVER_FAILED = Text(
    es="El almacén de la medición terminó con un error, que está arriba: repítela.",
    en="The measurement's store ended with an error, which is above: try again.",
)
