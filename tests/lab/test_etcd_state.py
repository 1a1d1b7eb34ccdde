"""What a lab tells lessons of its store when that is a real etcd: who belongs to it, lives, leads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address
from pathlib import Path
from socket import socket

import pytest
from real_etcd import loopback_specs, running

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.lab.control_plane import ControlPlane
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.store.etcd_process import EtcdMember, EtcdSpec
from kubelab.cluster.store.state import StoreState


@pytest.fixture
def specs(tmp_path: Path) -> list[EtcdSpec]:
    return loopback_specs(tmp_path, 3, heartbeat_ms=20)


@pytest.fixture
async def members(specs: list[EtcdSpec]) -> AsyncIterator[list[EtcdMember]]:
    async with running(specs) as members:
        yield members


@pytest.fixture
async def plane(
    short_path: Path, specs: list[EtcdSpec], members: list[EtcdMember]
) -> AsyncIterator[ControlPlane]:
    """Yield the masters of a lab whose API servers do not run, but which asks the etcd how it is."""
    addresses = {"master-1": IPv4Address("127.0.0.1")}
    store = tuple(spec.client_url for spec in specs)
    plane = await ControlPlane.create(addresses, store, LabDirectory(short_path), SystemClock())
    async with plane.serving_host(0, socket):
        yield plane


async def until(plane: ControlPlane, holds: Callable[[StoreState], bool]) -> StoreState:
    """The test's own time-out ends it."""
    while not holds(state := plane.store_state()):
        plane.look_soon()
        await asyncio.sleep(0.02)
    return state


async def test_members_live_and_die_and_lead(plane: ControlPlane, members: list[EtcdMember]) -> None:
    names = tuple(member.spec.name for member in members)
    whole = await until(plane, lambda state: state.leader is not None and state.alive == names)
    assert (whole.members, whole.quorum, whole.elects) == (names, True, True)
    assert plane.store_view().engine.startswith("etcd 3.")

    leading = next(member for member in members if member.spec.name == whole.leader)
    leading.hold_down()
    others = tuple(name for name in names if name != whole.leader)
    left = await until(plane, lambda state: state.leader in others and state.alive == others)
    assert (left.members, left.quorum) == (names, True)
    assert whole.term is not None
    assert left.term is not None
    assert left.term > whole.term

    next(member for member in members if member.spec.name == left.leader).hold_down()
    last = tuple(name for name in others if name != left.leader)
    # Of an etcd without a leader it cannot be told whether it campaigns; and it may be late to answer.
    alone = (last, None, False, ["follower"])
    await until(plane, lambda state: (state.alive, state.leader, state.quorum, roles(plane)) == alone)

    for member in members:
        member.release()
    # Each is asked at a time of its own: in the midst of an election they may tell of different terms.
    again = await until(plane, lambda _: sorted(roles(plane)) == ["follower", "follower", "leader"])
    assert (again.alive, again.quorum) == (names, True)
    assert again.leader in names


def roles(plane: ControlPlane) -> list[str]:
    return [member.role for member in plane.store_view().members]
