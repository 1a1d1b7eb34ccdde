"""A machine's process is closed, and whoever waits for that can be stopped at any moment."""

import asyncio
import os
import socket

import pytest

from kubelab.cluster.machine.namespaced import MachineProcess
from kubelab.cluster.runtime import messages
from kubelab.cluster.runtime.client import Shim, ShimProcess

PID = 7


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancellation_is_not_lost_that_comes_as_the_process_ends(steps: int) -> None:
    """It would go on to ask for more, and wait for that."""
    lab, shim_end = messages.pair()
    shim = Shim("m", lab, os.open(os.devnull, os.O_RDONLY))
    process = await _started(shim, shim_end)
    closing = asyncio.create_task(MachineProcess(shim, process, -1).close())
    await asyncio.sleep(0)
    asked = messages.receive(shim_end)
    assert asked
    messages.send(shim_end, {"id": asked.body["id"], "result": {"count": 1}})
    messages.send(shim_end, {"event": "exit", "pid": PID, "exit_code": 0, "at_s": 1.0})
    await process.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    shim.hang_up()
    shim.close()
    shim_end.close()


async def _started(shim: Shim, shim_end: socket.socket) -> ShimProcess:
    starting = asyncio.create_task(shim.start("spawn", {}))
    await asyncio.sleep(0)
    asked = messages.receive(shim_end)
    assert asked
    pidfd = os.pidfd_open(os.getpid())
    messages.send(shim_end, {"id": asked.body["id"], "result": {"pid": PID}}, [pidfd])
    os.close(pidfd)
    return (await starting)[0]
