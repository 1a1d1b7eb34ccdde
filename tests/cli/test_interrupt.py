"""However a program ends early, its clean-up runs first: on a signal, and on a bug in a callback."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubelab.cli.interrupt import SIGNALS, interruptible
from kubelab.cluster.linux import cgroups


@pytest.fixture
def said() -> list[str]:
    return []


async def hold(said: list[str]) -> str:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0)
        said.append("cleaned up")
    return "never"


def test_without_a_signal_the_result_comes_back() -> None:
    async def answer() -> int:
        return 42

    assert interruptible(answer()) == 42


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_once_and_cleanly(said: list[str], number: signal.Signals) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.call_soon(os.kill, os.getpid(), number)
        loop.call_soon(os.kill, os.getpid(), number)
        return await hold(said)

    assert interruptible(main()) is None
    assert said == ["cleaned up"]


def test_a_bug_in_a_callback_ends_it_after_the_clean_up(said: list[str]) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    async def main() -> str:
        asyncio.get_running_loop().call_soon(bug)
        return await hold(said)

    with pytest.raises(ZeroDivisionError):
        interruptible(main())
    assert said == ["cleaned up"]


@pytest.mark.root
def test_a_measurement_that_is_stopped_takes_its_lab_down(short_path: Path) -> None:
    command = [sys.executable, "-m", "kubelab", "bench", "lessons", "--runs", "1"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(short_path)}
    ) as program:
        assert program.stderr
        assert program.stderr.readline()  # What it measures first: it has a lab by now.
        (place,) = short_path.glob("kubelab-bench-*")
        header, *_ = (place / "journal").read_text("utf-8").splitlines()
        program.send_signal(signal.SIGTERM)
        program.stderr.read()
    assert program.returncode == 130
    assert not list(short_path.iterdir())
    # Where its cgroups were is known; whoever walks through all there are meets those that others remove.
    assert not [
        directory
        for directory in cgroups.detect().at(f"kubelab-{json.loads(header)['token']}").directories
        if Path(directory).exists()
    ]
