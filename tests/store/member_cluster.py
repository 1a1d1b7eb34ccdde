"""Members of one store in this process, over a network whose links can be cut, with real disks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.store.member import Member, start_member
from kubelab.cluster.store.member_config import MemberConfig, found_cluster
from kubelab.cluster.store.service import MemberState, NoLeaderError, StoreTimeoutError
from kubelab.cluster.store.transport import MemoryNetwork

_Result = TypeVar("_Result")

# Longer than the defaults by as much as a busy machine may hold up the loop.
SLOW = {"tick_s": 0.02, "heartbeat_ticks": 2, "election_ticks": 15}


@dataclass
class Members:
    """`running` by name; what each has on disk outlives it."""

    directory: Path
    cluster_id: int
    founders: tuple[MemberState, ...]
    options: dict[str, Any]
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    running: dict[str, Member] = field(default_factory=dict)
    _lives: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _ends: dict[str, asyncio.Event] = field(default_factory=dict)

    async def start(self, name: str, config: MemberConfig | None = None) -> Member:
        started: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._ends[name] = asyncio.Event()
        self._lives[name] = asyncio.create_task(self._live(name, config or self.config(name), started))
        await asyncio.wait([started, self._lives[name]], return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            await self._lives.pop(name)  # Raises why not.
        self.running[name] = started.result()
        return self.running[name]

    async def _live(self, name: str, config: MemberConfig, started: "asyncio.Future[Member]") -> None:
        transport = self.network.transport(config.id)
        async with start_member(config, self.directory / name, transport, SystemClock()) as member:
            started.set_result(member)
            await self._ends[name].wait()

    def config(self, name: str) -> MemberConfig:
        founder = next(each for each in self.founders if each.name == name)
        options: dict[str, Any] = {**SLOW, "hands_over": False, "request_timeout_s": 20.0, **self.options}
        return MemberConfig(founder.id, name, self.cluster_id, self.founders, **options)

    async def join(self, name: str, added: MemberState) -> Member:
        """Start a member that another one has added."""
        one = next(iter(self.running.values()))
        config = replace(
            self.config(self.founders[0].name),
            id=added.id,
            name=name,
            cluster=await one.members(),
            is_new_cluster=False,
        )
        return await self.start(name, config)

    async def stop(self, name: str) -> None:
        """Raises the LabError with which it has ended by itself."""
        del self.running[name]
        self._ends[name].set()
        await self._lives.pop(name)

    async def kill(self, name: str) -> None:
        self.running[name].kill()
        await self.stop(name)

    async def ended(self, member: Member) -> None:
        """Wait until *member* has ended by itself. Raises the LabError that tells why."""
        name = self.name(member)
        await asyncio.wait([self._lives[name]])
        await self.stop(name)

    async def stop_all(self) -> None:
        for name in tuple(self.running):
            await self.stop(name)

    async def leader(self) -> Member:
        """Wait until one leads that all who run follow."""
        await self.until(lambda: self._leader() is not None)
        leader = self._leader()
        assert leader is not None
        return leader

    def _leader(self) -> Member | None:
        views = [member.view().raft for member in self.running.values()]
        leaders = {view.leader for view in views}
        found = [member for member in self.running.values() if member.leads and leaders == {member.member_id}]
        return found[0] if found else None

    def others(self, *members: Member) -> list[Member]:
        return [member for member in self.running.values() if member not in members]

    def name(self, member: Member) -> str:
        return member.config.name

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what no event tells; the test's own time-out ends it."""
        while not holds():  # noqa: ASYNC110 - states of several members, which change without telling
            await asyncio.sleep(0.005)

    async def caught_up(self) -> None:
        """Wait until all who run have applied the same."""
        await self.until(lambda: len({each.view().applied_index for each in self.running.values()}) == 1)


@asynccontextmanager
async def store_members(
    directory: Path, names: tuple[str, ...] = ("one", "two", "three"), **options: Any
) -> AsyncIterator[Members]:
    """Run a new cluster until the block ends; options are `MemberConfig`'s."""
    urls = {name: f"https://192.0.2.{number}:2380" for number, name in enumerate(names, 1)}
    cluster = Members(directory, *found_cluster("test", urls), options)
    try:
        for name in names:
            await cluster.start(name)
        await cluster.leader()
        yield cluster
    finally:
        await cluster.stop_all()


async def surely(ask: Callable[[], Awaitable[_Result]]) -> _Result:
    """Ask until it is known to be done, as clients do; only for what may be done twice."""
    while True:
        try:
            return await ask()
        except (NoLeaderError, StoreTimeoutError):
            await asyncio.sleep(0.01)
