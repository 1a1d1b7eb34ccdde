"""A lab whose store gets other members before its masters start: what `membership` needs of it.

So does one whose masters have lost disks, as long as the others are a majority: their members come anew.
The members that have data run first, on all machines; then they change; then those that stay are the lab's.
What a master keeps goes when it goes: its directory, and its certificates.
"""

import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.membership import MemberList
from kubelab.cluster.lab.program import Program
from kubelab.cluster.lab.raft_member import RaftMember
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.engine import EtcdOnMaster
from kubelab.cluster.store.etcd_client import EtcdClient
from kubelab.cluster.store.member import Member
from kubelab.cluster.store.segment import disk_errors
from kubelab.cluster.store.service import MemberState, MemberStatus, NoLeaderError

Engine = RaftMember | EtcdOnMaster


class MembersOfMasters:
    """See `membership.Places`. *program* names the program that runs a master's member."""

    def __init__(self, engines: Mapping[str, Engine], program: Callable[[str], Program]) -> None:
        self._engines = engines
        self._program = program

    def has_data(self, name: str) -> bool:
        return self._engines[name].has_data

    async def start(self, name: str) -> None:
        await self._program(name).start()

    async def join(self, name: str, own: MemberState, cluster_id: int, all_: Sequence[MemberState]) -> None:
        self._engines[name].join(own, cluster_id, all_)
        await self.start(name)

    async def end(self, name: str) -> None:
        await self._program(name).end()

    async def forget(self, name: str) -> None:
        directory = self._engines[name].directory
        with disk_errors(directory):
            if directory.exists():
                await in_thread(shutil.rmtree, directory)


@asynccontextmanager
async def member_list(
    engines: Mapping[str, Engine], machines: Mapping[str, NamespacedMachine], asked: str
) -> AsyncIterator[MemberList]:
    """Yield what the members say together; a real etcd is asked from the machine of the master *asked*.

    Raises:
        LabError: the real etcd does not answer.
    """
    engine = engines[asked]
    if isinstance(engine, RaftMember):
        yield _RunningMembers([each for each in engines.values() if isinstance(each, RaftMember)])
        return
    async with engine.opened(machines[asked]) as client:
        assert isinstance(client, EtcdClient)
        yield client


class _RunningMembers:
    """The lab's own members: whichever runs is asked, and the leader to go."""

    def __init__(self, engines: Iterable[RaftMember]) -> None:
        self._engines = tuple(engines)

    @property
    def cluster_id(self) -> int:
        return self._any().cluster_id

    async def members(self) -> Sequence[MemberState]:
        return await self._any().members()

    async def member_add(self, peer_urls: tuple[str, ...], *, is_learner: bool = False) -> MemberState:
        return await self._any().member_add(peer_urls, is_learner=is_learner)

    async def member_remove(self, member: int) -> None:
        await self._any().member_remove(member)

    async def member_promote(self, member: int) -> None:
        await self._any().member_promote(member)

    async def status(self) -> MemberStatus:
        return await self._any().status()

    async def move_leader(self, target: int) -> None:
        leader = next((member for member in self._running() if member.leads), None)
        if leader is None:
            raise NoLeaderError
        await leader.move_leader(target)

    def _any(self) -> Member:
        """Return the leader, or who else runs."""
        running = sorted(self._running(), key=lambda member: not member.leads)
        if not running:
            raise NoLeaderError
        return running[0]

    def _running(self) -> list[Member]:
        stores = (engine.store for engine in self._engines)
        return [store.member for store in stores if store and store.answers]


def forget_master(directory: LabDirectory, name: str) -> None:
    """Delete what the master *name* kept, and its certificates. Raises LabError."""
    with disk_errors(directory.masters):
        if (directory.masters / name).exists():
            shutil.rmtree(directory.masters / name)
        for path in directory.pki.rglob(f"*-{name}.*"):
            path.unlink()
