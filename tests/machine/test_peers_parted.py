"""Members on machines of their own, whose cables are cut: they miss each other soon, and meet again."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from ground import Ground
from peer_members import Member, Peers, connected, introduce, until

from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.raft.messages import Message, MessageType
from kubelab.cluster.store import peer_connection

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

Three = tuple[Member, Member, Member]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def machines(ground: Ground) -> list[NamespacedMachine]:
    return [await ground.machine("master") for _ in range(3)]


@pytest_asyncio.fixture(loop_scope="module")
async def members(
    machines: list[NamespacedMachine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Three]:
    monkeypatch.setattr(peer_connection, "DEAD_PEER_S", 1)
    peers = Peers(tmp_path)
    async with AsyncExitStack() as stack:
        one, two, three = [
            await stack.enter_async_context(
                peers.member(number + 1, listener=listening(machine), dial=machine.socket)
            )
            for number, machine in enumerate(machines)
        ]
        introduce(one, two, three)
        await connected(one, two, three)
        yield one, two, three


def listening(machine: NamespacedMachine) -> socket.socket:
    sock = machine.socket()
    sock.bind((str(machine.address), 0))
    return sock


def say(sender: Member, *receivers: Member) -> None:
    ids = [each.network.member for each in receivers]
    sender.network.send([Message(MessageType.HEARTBEAT, sender.network.member, each, 1) for each in ids])


async def said_until(condition: Callable[[], bool], sender: Member, *receivers: Member) -> None:
    """Say something again and again: only who speaks misses an answer of the kernel's."""

    def holds() -> bool:
        say(sender, *receivers)
        return condition()

    await until(holds)


async def test_those_who_are_parted_miss_each_other_only_and_meet_again(
    ground: Ground, machines: list[NamespacedMachine], members: Three
) -> None:
    one, two, third = members
    await ground.network.cables.part(machines[0].name, machines[1].name)
    await said_until(lambda: one.network.connected == {3}, one, two, third)
    assert 3 not in one.heard.unreached
    await until(lambda: bool(third.heard.messages))
    assert two.heard.messages == []
    await ground.network.cables.join(machines[0].name, machines[1].name)
    await connected(*members)
    await said_until(lambda: bool(two.heard.messages), one, two)


async def test_who_is_cut_off_is_missed_by_who_only_listens_too(
    ground: Ground, machines: list[NamespacedMachine], members: Three
) -> None:
    one, two, third = members
    await ground.network.cut(machines[2].name)
    await until(lambda: 3 not in one.network.heard | two.network.heard and not third.network.heard)
    assert 2 in one.network.connected
    await ground.network.heal(machines[2].name)
    await connected(*members)


async def test_a_lossy_cable_loses_no_message_of_a_connection_that_lives(
    ground: Ground, machines: list[NamespacedMachine], members: Three
) -> None:
    one, two, _ = members
    await ground.network.cables.lose(machines[0].name, 0.1)
    for _ in range(20):
        say(one, two)
    await until(lambda: len(two.heard.messages) == 20 or bool(one.heard.unreached))
    await ground.network.cables.lose(machines[0].name, 0.0)
