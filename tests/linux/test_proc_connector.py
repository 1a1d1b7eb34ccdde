"""The kernel tells of processes that begin, become another program, and end; of threads it is not asked."""

import asyncio
import os
import threading

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.namespaces import call_in_thread
from kubelab.cluster.linux.proc_connector import ProcConnector

pytestmark = pytest.mark.root


async def heard(connector: ProcConnector, pid: int) -> None:
    """Wait for the exec of *pid* among whatever happens on this host."""
    readable = asyncio.Event()
    asyncio.get_running_loop().add_reader(connector, readable.set)
    try:
        async with asyncio.timeout(20):
            while pid not in connector.events(1000):
                readable.clear()
                await readable.wait()
    finally:
        asyncio.get_running_loop().remove_reader(connector)


async def test_a_program_that_starts_is_told_by_its_pid() -> None:
    with ProcConnector() as connector:
        process = await asyncio.create_subprocess_exec("true")
        await heard(connector, process.pid)
        await process.wait()


async def test_what_is_lost_in_a_flood_is_an_event() -> None:
    """Nobody listens while thousands start: reading ends all the same, and later events come again."""
    with ProcConnector() as connector:
        flood = "for i in $(seq 3000); do (:) & done; wait"
        await (await asyncio.create_subprocess_exec("sh", "-c", flood)).wait()
        while list(connector.events(1000)):
            pass
        process = await asyncio.create_subprocess_exec("true")
        await heard(connector, process.pid)
        await process.wait()


def test_threads_are_not_told_of() -> None:
    """Whatever else happens on this host meanwhile, it is not two thousand processes."""
    with ProcConnector() as connector:
        for _ in range(2000):
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()
        assert len(list(connector.events(10_000))) < 2000


def test_in_a_network_namespace_of_ones_own_it_is_not_granted() -> None:
    def ask() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        with pytest.raises(KernelError):
            ProcConnector()

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- only their number counts
    call_in_thread(ask)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
