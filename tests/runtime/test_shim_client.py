"""The lab's side of a shim: what nobody waits for any more is not left behind."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab.cluster.runtime import messages
from kubelab.cluster.runtime.client import MachineGoneError, Shim

MORE = "x" * 10_000  # So that the socket is soon full.


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


async def test_requests_wait_in_turn_for_room_in_the_socket() -> None:
    lab, shim_end = messages.pair()
    shim = Shim("m", lab, os.open(os.devnull, os.O_RDONLY))
    asking = [
        asyncio.create_task(shim.request("count", {"number": number, "more": MORE})) for number in range(100)
    ]
    long = asyncio.create_task(shim.request("count", {"text": "x" * messages.PACKET_BYTES_MAX}))
    await asyncio.sleep(0)
    asking[90].cancel()
    shim_end.setblocking(False)
    taken = []
    while len(taken) < 100:
        with contextlib.suppress(BlockingIOError):
            message = messages.receive(shim_end)
            taken.append(message.body["params"])
            messages.send(shim_end, {"id": message.body["id"], "result": message.body["params"]})
        await asyncio.sleep(0)
    numbers = [number for number in range(100) if number != 90]
    assert [each.get("number") for each in taken] == [*numbers, None]
    assert [each["number"] for each in await asyncio.gather(*asking[:90], *asking[91:])] == numbers
    assert len((await long)["text"]) == messages.PACKET_BYTES_MAX
    shim.hang_up()
    shim.close()
    shim_end.close()


@pytest.mark.parametrize("how", ["the shim ends", "the lab hangs up"])
async def test_who_waits_for_room_is_told_when_the_machine_is_gone(how: str) -> None:
    lab, shim_end = messages.pair()
    shim = Shim("m", lab, os.open(os.devnull, os.O_RDONLY))
    asking = [asyncio.create_task(shim.request("count", {"more": MORE})) for _ in range(100)]
    await asyncio.sleep(0)
    if how == "the shim ends":
        shim_end.close()
    else:
        shim.hang_up()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(each) for each in told} == {MachineGoneError}
    shim.hang_up()
    shim.close()
    shim_end.close()


async def test_who_asks_a_machine_that_is_being_taken_down_is_told_that_it_is_gone() -> None:
    """Its init may live a moment longer and take what is sent, and nobody listens for the answer."""
    lab, shim_end = messages.pair()
    shim = Shim("m", lab, os.open(os.devnull, os.O_RDONLY))
    shim.hang_up()
    with pytest.raises(MachineGoneError):
        await shim.request("signal_session", {})
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
