"""The app on a real terminal: what a headless driver cannot show."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from local_pty import PLAIN_ENVIRONMENT, LocalProcess

from kubelab.cluster.machine.machine import WindowSize

PROGRAM = """
import asyncio, signal, sys
sys.path.insert(0, {tests!r})
from demo_port import DemoPort
from kubelab.ui.app import run_app

class Port(DemoPort):
    async def close(self):
        open({closed!r}, "w").close()

async def main():
    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await run_app(Port(shell=("bash", "--norc")), "en")

try:
    asyncio.run(main())
except asyncio.CancelledError:
    print("cancelled")
"""


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """The file that the lab leaves when it has been taken down."""
    return tmp_path / "closed"


async def start(closed: Path) -> LocalProcess:
    program = PROGRAM.format(tests=str(Path(__file__).parent), closed=str(closed))
    environment = {**PLAIN_ENVIRONMENT, "HOME": str(closed.parent)}
    return await LocalProcess.spawn([sys.executable, "-c", program], WindowSize(24, 80), environment)


async def read_until(process: LocalProcess, *wanted: bytes) -> bytes:
    seen = b""
    while not all(text in seen for text in wanted):
        try:
            seen += os.read(process.fd, 65536)
        except BlockingIOError:
            await asyncio.sleep(0.005)
    return seen


async def type_in_lesson(process: LocalProcess, line: bytes) -> None:
    await read_until(process, b"PID namespace")
    os.write(process.fd, b"\r")
    await read_until(process, b"Shell on lesson", b"$ ")
    os.write(process.fd, line + b"\r")


async def test_a_signal_in_a_lesson_takes_the_lab_down_and_gives_the_terminal_back(closed: Path) -> None:
    process = await start(closed)
    await type_in_lesson(process, b"echo a$((1+1))b")
    await read_until(process, b"a2b")
    process.kill(signal.SIGTERM)
    assert b"\x1b[?1049l" in await read_until(process, b"cancelled")
    assert await process.wait() == 0
    assert closed.exists()
    await process.close()


async def test_a_terminal_that_goes_away_in_a_flood_takes_the_lab_down_too(closed: Path) -> None:
    process = await start(closed)
    await type_in_lesson(process, b"yes flood")
    await read_until(process, b"flood")
    await read_until(process, b"flood")
    os.close(process.fd)
    await process.wait()
    assert closed.exists()
