"""How the members of a real etcd are, as each of them says itself.

They are asked seldom while nothing changes, and often for a while after something has: nobody tells of an
election, which takes etcd one to two seconds.
Source: etcd, api/etcdserverpb/rpc.proto (StatusResponse) and etcdctl/ctlv3/command/ep_command.go, whose
`endpoint status --cluster` asks the URLs that the members advertise.
Left out, for an etcd does not tell it: votes, logs, whether a member without a leader stands for election.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from kubelab.cluster.clock import Clock
from kubelab.cluster.store.etcd_client import EtcdClient
from kubelab.cluster.store.service import MemberState, MemberStatus, StoreError

CALM_S, HURRIED_S = 2.0, 0.2
HURRY_LASTS_S = 3.0
ANSWER_S = 1.0  # Who does not answer by then is gone, or stands still.


@dataclass(frozen=True, slots=True)
class Standing:
    """One member; `status` is None while it does not answer, although its process may be there."""

    name: str
    status: MemberStatus | None = None
    is_there: bool = False

    @property
    def outline(self) -> tuple[object, ...]:
        """What is news when it changes: not every write."""
        if self.status is None:
            return self.name, self.is_there
        return self.name, self.status.leader, self.status.raft_term, self.status.is_learner


class EtcdStatuses:
    """What the members said last that *ask* asks; `keep_looking` is to run beside."""

    def __init__(self, ask: Callable[[], Awaitable[Sequence[Standing]]], clock: Clock) -> None:
        self.standings: tuple[Standing, ...] = ()
        self._ask = ask
        self._clock = clock
        self._hurry_until_s = 0.0
        self._called = asyncio.Event()

    def look_soon(self) -> None:
        """Something has happened that may change how they are."""
        self._hurry_until_s = self._clock.monotonic_s() + HURRY_LASTS_S
        self._called.set()

    async def keep_looking(self) -> None:
        """Ask until cancelled."""
        while True:
            self._called.clear()
            before, self.standings = self.standings, tuple(await self._ask())
            if _outline(before) != _outline(self.standings):
                self._hurry_until_s = self._clock.monotonic_s() + HURRY_LASTS_S
            await self._rest()

    async def _rest(self) -> None:
        if self._clock.monotonic_s() < self._hurry_until_s:
            await self._clock.sleep(HURRIED_S)
            return
        waking = asyncio.ensure_future(self._called.wait())
        resting = asyncio.ensure_future(self._clock.sleep(CALM_S))
        try:
            await asyncio.wait((waking, resting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (waking, resting):
                each.cancel()


async def asked(client: EtcdClient) -> MemberStatus | None:
    """Return how the one member is that *client* is of; None: it does not answer."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await client.status()
    except (StoreError, TimeoutError):
        return None


def standings_of(members: Iterable[MemberState], said: Iterable[MemberStatus | None]) -> tuple[Standing, ...]:
    """Return how *members* are by what some of them have *said*, in the order of their names."""
    statuses = {status.member: status for status in said if status}
    found = (Standing(member.name or f"{member.id:x}", statuses.get(member.id)) for member in members)
    return tuple(sorted(found, key=lambda standing: standing.name))


def _outline(standings: Iterable[Standing]) -> list[tuple[object, ...]]:
    return [standing.outline for standing in standings]
