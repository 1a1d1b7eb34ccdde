"""Cables that are cut, slow or lossy: real packets between real machines, and all as before afterwards."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
import pytest_asyncio
from ground import Ground

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.namespaces import call_in_network
from kubelab.cluster.linux.netlink import Netlink
from kubelab.cluster.linux.nftables import list_ruleset
from kubelab.cluster.linux.traffic_control import Slowness, discipline
from kubelab.cluster.machine.cable import CableFaults
from kubelab.cluster.machine.namespaced import MachineSpec, NamespacedMachine, start_machine

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

PORT = 9000
LAST = b"last "
Three = tuple[NamespacedMachine, NamespacedMachine, NamespacedMachine]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def machines(ground: Ground) -> Three:
    return await ground.machine(), await ground.machine(), await ground.machine()


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def healed(ground: Ground) -> AsyncIterator[None]:
    yield
    await ground.network.cables.heal_all()
    assert ground.network.cables.faults == CableFaults()
    assert call_in_network(ground.network._netns_fd, lambda: list_ruleset(ground.network._netns_fd)) == ""


class Post:
    """Datagrams between machines: `send` sends one, `arrived` tells those that came before a last one."""

    def __init__(self, stack: AsyncExitStack, *machines: NamespacedMachine) -> None:
        self._numbers = itertools.count()
        self._sockets: dict[str, socket.socket] = {}
        self._addresses = {machine.name: (str(machine.address), PORT) for machine in machines}
        for machine in machines:
            sock = stack.enter_context(machine.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(self._addresses[machine.name])
            self._sockets[machine.name] = sock

    def send(self, sender: NamespacedMachine, receiver: NamespacedMachine, words: bytes) -> None:
        self._sockets[sender.name].sendto(words, self._addresses[receiver.name])

    async def receive(self, receiver: NamespacedMachine) -> bytes:
        async with asyncio.timeout(20):
            while (word := await self._next(receiver)).startswith(LAST):
                pass  # Of an earlier question, sent more than once.
            return word

    async def arrived(self, sender: NamespacedMachine, receiver: NamespacedMachine) -> list[bytes]:
        """A cable that was put back in carries nothing for a moment: the last is sent until it comes."""
        last = LAST + b"%d" % next(self._numbers)
        words: list[bytes] = []
        async with asyncio.timeout(20):
            while not words or words[-1] != last:
                self.send(sender, receiver, last)
                words += await self._all_that_come(receiver)
        return [word for word in words if not word.startswith(LAST)]

    async def _all_that_come(self, receiver: NamespacedMachine) -> list[bytes]:
        words: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            while not (words and words[-1].startswith(LAST)):
                words.append(await asyncio.wait_for(self._next(receiver), 0.1))
        return words

    async def _next(self, receiver: NamespacedMachine) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._sockets[receiver.name], 100)


@pytest_asyncio.fixture(loop_scope="module")
async def post(machines: Three) -> AsyncIterator[Post]:
    """The three know each other's hardware addresses already, so no packet waits for an answer to ARP."""
    async with AsyncExitStack() as stack:
        post = Post(stack, *machines)
        for one in machines:
            for other in machines:
                assert await post.arrived(one, other) == []
        yield post


async def test_between_two_that_are_parted_nothing_passes_and_each_reaches_the_third(
    ground: Ground, machines: Three, post: Post
) -> None:
    one, two, third = machines
    await ground.network.cables.part(one.name, two.name)
    for sender, receiver in ((one, two), (two, one), (one, third), (third, two)):
        post.send(sender, receiver, b"while parted")
    assert await post.receive(third) == b"while parted"
    assert await post.receive(two) == b"while parted"  # The third's.
    await ground.network.cables.join(two.name, one.name)
    assert await post.arrived(one, two) == []
    assert await post.arrived(two, one) == []


async def test_a_connection_bears_being_parted_for_a_while(ground: Ground, machines: Three) -> None:
    one, two, _ = machines
    loop = asyncio.get_running_loop()
    with two.socket() as listener, one.socket() as client:
        listener.bind((str(two.address), PORT))
        listener.listen()
        await loop.sock_connect(client, (str(two.address), PORT))
        server, _ = await loop.sock_accept(listener)
        with server:
            await ground.network.cables.part(one.name, two.name)
            await loop.sock_sendall(client, b"held up")
            answer = asyncio.ensure_future(loop.sock_recv(server, 100))
            await asyncio.sleep(0)
            assert not answer.done()
            await ground.network.cables.join(one.name, two.name)
            assert await answer == b"held up"


async def test_who_is_cut_off_reaches_nobody_and_the_others_each_other(
    ground: Ground, machines: Three, post: Post
) -> None:
    one, two, third = machines
    await ground.network.cut(one.name)
    post.send(two, one, b"while cut")
    post.send(two, third, b"beside")
    assert await post.receive(third) == b"beside"
    await ground.network.heal(one.name)
    assert b"while cut" not in await post.arrived(two, one)


async def test_of_a_lossy_cables_packets_some_are_lost_each_way(
    ground: Ground, machines: Three, post: Post
) -> None:
    one, two, third = machines
    await ground.network.cables.lose(one.name, 0.5)
    for number in range(100):
        for sender, receiver in ((one, two), (two, one), (two, third)):
            post.send(sender, receiver, b"%d" % number)
    # Asked while it still loses: packets may be on their way.
    assert 20 < len(await post.arrived(one, two)) < 80
    assert 20 < len(await post.arrived(two, one)) < 80
    assert len(await post.arrived(two, third)) == 100


async def test_faults_add_up_and_each_is_taken_back_by_itself(ground: Ground, machines: Three) -> None:
    cables, (one, two, third) = ground.network.cables, machines
    await cables.part(one.name, two.name)
    await cables.part(two.name, third.name)
    await cables.lose(one.name, 0.1)
    await cables.join(one.name, two.name)
    assert cables.faults == CableFaults(
        parted=frozenset({frozenset((two.name, third.name))}), lost={one.name: 0.1}
    )
    assert len(cables.faults.drops()) == 4


async def test_a_rate_bounds_what_a_cable_carries_each_way(
    ground: Ground, machines: Three, post: Post
) -> None:
    """What comes faster waits in a short queue, and is lost when that is full. So slow a cable would take ten
    seconds for all: nobody sends that slowly."""
    one, two, _ = machines
    await ground.network.cables.slow(one.name, Slowness(rate_bits_per_s=100_000))
    assert kinds(ground, one) == ["tbf", "tbf"]
    for _ in range(100):
        post.send(one, two, bytes(1400))
        post.send(two, one, bytes(1400))
    assert len(await post.receive(one)) == len(await post.receive(two)) == 100
    await ground.network.cables.slow(one.name, Slowness())
    assert kinds(ground, one) == ["", ""]
    assert len(await post.arrived(one, two)) < 90
    assert len(await post.arrived(two, one)) < 90


async def test_a_delay_is_netems_or_refused_in_one_sentence(ground: Ground, machines: Three) -> None:
    one, two, _ = machines
    cables, slow = ground.network.cables, Slowness(delay_s=0.05)
    try:
        await cables.slow(one.name, slow)
    except LabError as error:
        assert "sch_netem" in str(error)
        assert (cables.faults.slow, kinds(ground, one)) == ({}, ["", ""])
        return
    assert kinds(ground, one) == ["netem", "netem"]
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    ping = await two.spawn(["ping", "-c1", str(one.address)])
    assert await ping.wait() == 0
    assert loop.time() - begin_s >= 0.1  # There and back.


async def test_without_netem_an_earlier_rate_stays(ground: Ground, machines: Three) -> None:
    one, *_ = machines
    rate = Slowness(rate_bits_per_s=8_000_000)
    await ground.network.cables.slow(one.name, rate)
    try:
        await ground.network.cables.slow(one.name, Slowness(delay_s=0.001))
    except LabError as error:
        assert "sch_netem" in str(error)
        assert ground.network.cables.faults.slow == {one.name: rate}
        assert kinds(ground, one) == ["tbf", "tbf"]


async def test_a_machine_that_is_started_again_finds_its_cable_as_it_was(ground: Ground) -> None:
    spec = MachineSpec("minion-9", "minion", ground.network.plan.machine("minion", 8))
    cables, rate = ground.network.cables, Slowness(rate_bits_per_s=8_000_000)
    async with started(ground, spec):
        await cables.cut(spec.name)
        await cables.slow(spec.name, rate)
    async with started(ground, spec) as again:
        assert (is_up(ground, spec.name), kinds(ground, again)) == (False, ["tbf", "tbf"])
        await cables.heal(spec.name)
        assert is_up(ground, spec.name)


async def test_what_is_done_while_a_machine_is_off_holds_when_it_is_on(ground: Ground) -> None:
    spec = MachineSpec("minion-9", "minion", ground.network.plan.machine("minion", 8))
    await ground.network.cables.cut(spec.name)
    async with started(ground, spec):
        assert not is_up(ground, spec.name)


async def test_a_scratch_machine_takes_its_faults_with_it(ground: Ground) -> None:
    spec = MachineSpec("once", "scratch", ground.network.plan.machine("scratch", 50))
    cables = ground.network.cables
    async with started(ground, spec):
        await cables.cut(spec.name)
        await cables.part(spec.name, "scratch-1")
        await cables.lose(spec.name, 0.1)
    assert cables.faults == CableFaults()


def started(ground: Ground, spec: MachineSpec) -> AbstractAsyncContextManager[NamespacedMachine]:
    return start_machine(spec, ground.network, ground.cgroups, ground.journal)


def kinds(ground: Ground, machine: NamespacedMachine) -> list[str]:
    """Return what slows the cable at its two ends."""
    ends = ((ground.network._netns_fd, machine.name), (machine._netns_fd, "eth0"))
    return [_kind(fd, link) for fd, link in ends]


def _kind(netns_fd: int, link: str) -> str:
    def look() -> str:
        with Netlink() as netlink:
            return discipline(netlink, netlink.index(link))

    return call_in_network(netns_fd, look)


def is_up(ground: Ground, name: str) -> bool:
    def look() -> bool:
        with Netlink() as netlink:
            link = netlink.link(name)
            return link is not None and link.up

    return call_in_network(ground.network._netns_fd, look)
