"""The lab's side of a shim: what nobody waits for any more is not left behind."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab.cluster.runtime import messages
from kubelab.cluster.runtime.client import Shim


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("given_up_first", [True, False])
async def test_a_process_whose_start_is_given_up_as_its_answer_comes_is_ended(
    sleeper: "subprocess.Popen[bytes]", *, given_up_first: bool
) -> None:
    lab, shim_end = messages.pair()
    shim = Shim("m", lab, os.open(os.devnull, os.O_RDONLY))
    starting = asyncio.create_task(shim.start("exec", {}))
    shim.on_event("give up", lambda _: starting.cancel())
    await asyncio.sleep(0)
    number = messages.receive(shim_end).body["id"]
    pidfd = os.pidfd_open(sleeper.pid)
    before = open_files()
    answer = {"id": number, "result": {"pid": 7}}
    for body in ({"event": "give up"}, answer) if given_up_first else (answer, {"event": "give up"}):
        messages.send(shim_end, body, [pidfd, pidfd] if body is answer else ())
    await asyncio.wait({starting})
    assert starting.cancelled()
    assert await asyncio.to_thread(sleeper.wait) == -signal.SIGKILL
    messages.send(shim_end, {"event": "exit", "pid": 7, "exit_code": 137, "at_s": 1.0})
    await heard(shim, shim_end)
    assert open_files() == before
    os.close(pidfd)
    shim.hang_up()
    shim.close()
    shim_end.close()


async def heard(shim: Shim, shim_end: socket.socket) -> None:
    """Return when the lab has read all that was sent."""
    done = asyncio.Event()
    shim.on_event("last", lambda _: done.set())
    messages.send(shim_end, {"event": "last"})
    await done.wait()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
