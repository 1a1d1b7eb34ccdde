"""Make the store's members those of the masters that a cluster is to have: one change after the other.

Who comes is added as a learner, starts with an empty directory, and is promoted once it has caught up; who
goes hands leadership over if it leads, is removed, and then its directory goes. Each step is looked up in the
store before it is made, so that whoever is killed in between goes on with the next start: what counts is who
belongs by the members' own list, and who has data.
A member that votes and has lost its data does not know any more for whom, and what it has acknowledged: it is
removed, and comes again as somebody else.
Source: etcd, https://etcd.io/docs/v3.6/op-guide/runtime-configuration/ (replace a failed machine) and
learning/design-learner/; Ongaro's thesis, sections 4.2.1 (learners) and 4.2.2 (a leader that is removed).
Left out: several changes at once; masters that are to stay although their machines are gone.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import LabError
from kubelab.cluster.store.peers import PORT as PEER_PORT
from kubelab.cluster.store.service import (
    MemberError,
    MemberState,
    MemberStatus,
    NoLeaderError,
    StoreError,
    StoreTimeoutError,
)
from kubelab.language import Text

STEP_S = 60.0  # A busy machine's etcd adds nobody before all have heard each other for 5 s.
RETRY_S = 0.1

_Answer = TypeVar("_Answer")


class MemberList(Protocol):
    """What a store's members say and do together. See `service.ClusterService`."""

    @property
    def cluster_id(self) -> int: ...

    async def members(self) -> Sequence[MemberState]: ...

    async def member_add(self, peer_urls: tuple[str, ...], *, is_learner: bool = False) -> MemberState: ...

    async def member_remove(self, member: int) -> None: ...

    async def member_promote(self, member: int) -> None: ...

    async def status(self) -> MemberStatus: ...

    async def move_leader(self, target: int) -> None: ...


class Places(Protocol):
    """Where members run: each on the master of its name."""

    def has_data(self, name: str) -> bool: ...

    async def start(self, name: str) -> None:
        """Start the member that has data."""

    async def join(self, name: str, own: MemberState, cluster_id: int, all_: Sequence[MemberState]) -> None:
        """Start a member without data, or with too little, as *own*, which the others have added."""

    async def end(self, name: str) -> None: ...

    async def forget(self, name: str) -> None:
        """Delete the data of a member that has ended."""


def peer_url(name: str) -> str:
    """Return what the member on that master is called, which the machines' /etc/hosts understand."""
    return f"https://{name}:{PEER_PORT}"


async def make_members(
    store: MemberList, places: Places, target: Sequence[str], going: Sequence[str], clock: Clock
) -> None:
    """Have members on the masters in *target*, and none on those in *going*; others are nobody's business.

    Raises:
        LabError: a step does not come about; start again, and it goes on from there.
    """
    for name in target:
        await _include(store, places, name, clock)
    for member in await _surely(store.members, clock):
        if _master_of(member) in going:
            await _exclude(store, places, member, target, clock)


async def drop_strangers(store: MemberList, places: Places, names: Sequence[str], clock: Clock) -> None:
    """End the members on *names* that were removed and could not be forgotten any more."""
    known = {_master_of(member) for member in await _surely(store.members, clock)}
    for name in names:
        if name not in known and places.has_data(name):
            await places.end(name)
            await places.forget(name)


async def _include(store: MemberList, places: Places, name: str, clock: Clock) -> None:
    own = await _surely(lambda: _find_or_add(store, name), clock)
    if not own.is_learner and not places.has_data(name):
        await _surely(lambda: _remove(store, own.id), clock)
        own = await _surely(lambda: _find_or_add(store, name), clock)
    if own.is_learner or not places.has_data(name):
        if places.has_data(name):  # It may not even know yet who leads, and must be told again.
            await places.end(name)
        all_ = await _surely(store.members, clock)
        await places.join(name, own, store.cluster_id, all_)
    if own.is_learner:
        await _surely(lambda: _promote(store, own.id), clock)


async def _find_or_add(store: MemberList, name: str) -> MemberState:
    known = await _find(store, name)
    return known or await store.member_add((peer_url(name),), is_learner=True)


async def _promote(store: MemberList, member: int) -> None:
    """It may have been promoted although nobody could say so."""
    if any(each.id == member and each.is_learner for each in await store.members()):
        await store.member_promote(member)


async def _exclude(
    store: MemberList, places: Places, member: MemberState, target: Sequence[str], clock: Clock
) -> None:
    name = _master_of(member)
    await _surely(lambda: _lead_elsewhere(store, member, target), clock)
    await _surely(lambda: _remove(store, member.id), clock)
    await places.end(name)
    await places.forget(name)


async def _lead_elsewhere(store: MemberList, member: MemberState, target: Sequence[str]) -> None:
    if (await store.status()).leader == member.id and (heir := await _find(store, target[0])):
        await store.move_leader(heir.id)


async def _remove(store: MemberList, member: int) -> None:
    if any(each.id == member for each in await store.members()):
        await store.member_remove(member)


async def _find(store: MemberList, name: str) -> MemberState | None:
    return next((each for each in await store.members() if _master_of(each) == name), None)


def _master_of(member: MemberState) -> str:
    """Return whose it is: one that has never started has no name yet, but it was added by its URL."""
    if member.name:
        return member.name
    return next((url.removeprefix("https://").rpartition(":")[0] for url in member.peer_urls), "")


async def _surely(ask: Callable[[], Awaitable[_Answer]], clock: Clock) -> _Answer:
    """Ask until it is done: nobody may lead just now, a learner be behind, an etcd be too young to trust."""
    end_s = clock.monotonic_s() + STEP_S
    while True:
        try:
            return await ask()
        except (NoLeaderError, StoreTimeoutError, MemberError, ConnectionError) as error:
            if clock.monotonic_s() > end_s:
                raise LabError(_STUCK.format(why=error)) from error
        except StoreError as error:
            raise LabError(_STUCK.format(why=error)) from error
        await clock.sleep(RETRY_S)


_STUCK = Text(
    es="El almacén no cambia de miembros ({why}): mira si hay mayoría y vuelve a levantar el laboratorio, "
    "que sigue donde se quedó.",
    en="The store does not change its members ({why}): see whether there is a majority, and start the lab "
    "again, which goes on from there.",
)
