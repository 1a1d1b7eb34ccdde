"""A program of the lab's own process dies, comes back and fails as a process under a supervisor does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import pytest_asyncio
from ground import Ground, ground_at

from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError, LabError
from kubelab.cluster.lab.keeper import Keeper
from kubelab.cluster.lab.program import Goodbye, Program
from kubelab.cluster.linux.background import background, forever
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.service import NoLeaderError

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

Life = Callable[[], AbstractAsyncContextManager[None]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground_at(tmp_path_factory.mktemp("lab") / "journal") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def machine(ground: Ground) -> NamespacedMachine:
    return await ground.machine()


@asynccontextmanager
async def supervised(
    machine: NamespacedMachine, life: Life, clock: VirtualClock
) -> AsyncIterator[tuple[Program, Keeper]]:
    @asynccontextmanager
    async def polite(_: Suspension) -> AsyncIterator[Goodbye]:
        async with life():
            yield _no_goodbye

    async with Keeper() as keeper:
        program = Program("kubelet", machine, polite, keeper, clock)
        yield program, keeper


async def _no_goodbye() -> None:
    pass


async def rounds() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError("the store's member does not run"),
        NoLeaderError(),
        ApiError(503, "", "etcdserver: request timed out"),
        ApiError(409, "Conflict", "the object has been modified"),
    ],
)
async def test_what_passes_by_itself_does_not_fail_a_start(machine, failure):
    """A restart of the API server while its etcd is dead: it comes up when that does."""
    clock, failures = VirtualClock(), [failure, failure]

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        if failures:
            raise failures.pop()
        yield

    async with supervised(machine, life, clock) as (program, _):
        starting = asyncio.ensure_future(program.start())
        while not starting.done():
            await clock.advance(0.1)
        await starting
        assert program.state == "running"
        await program.kill()


async def test_what_a_person_has_to_mend_fails_a_start(machine):
    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        raise LabError("the port is in use")
        yield

    async with supervised(machine, life, VirtualClock()) as (program, _):
        with pytest.raises(LabError, match="port"):
            await program.start()
        assert program.state == "dead"


async def test_who_ends_already_is_not_cut_short_by_a_kill(ground):
    """The machine loses its power, and then each of its programs is killed: what they hold is released."""
    machine, released, leaving = await ground.machine(), list[str](), asyncio.Event()

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        yield
        leaving.set()
        await rounds()
        released.append("the socket")

    async with supervised(machine, life, VirtualClock()) as (program, _):
        await program.start()
        machine.kill()
        await leaving.wait()
        await program.kill()
        assert released == ["the socket"]


async def test_who_waits_to_come_up_is_killed(machine):
    began = asyncio.Event()

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        began.set()
        await forever()
        yield

    async with supervised(machine, life, VirtualClock()) as (program, _):
        starting = asyncio.ensure_future(program.start())
        await began.wait()
        starting.cancel()
        await asyncio.wait([starting])
        await program.kill()
        assert program.state == "dead"


async def test_a_kill_that_meets_a_failure_counts(machine):
    """`asyncio.TaskGroup` forgets that its task was cancelled when one of its own fails at that moment."""
    fails, lives = asyncio.Event(), list[int]()

    async def fail() -> None:
        await fails.wait()
        raise ConnectionResetError("the store has ended")

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        lives.append(len(lives))
        async with background(fail()):
            yield

    async with supervised(machine, life, VirtualClock()) as (program, _):
        await program.start()
        fails.set()
        await program.kill()
        assert (lives, program.state) == ([0], "dead")
