"""Lines are typed as a learner types them: each at the prompt."""

import asyncio
import os
import pty
import select
import time
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from kubelab.lessons.typist import Typist


@dataclass(frozen=True, slots=True)
class Terminal:
    fd: int


@asynccontextmanager
async def shell(directory: Path) -> AsyncIterator[Typist]:
    near, far = pty.openpty()
    command = ("setsid", "--ctty", "bash", "--norc", "--noprofile", "-i")
    env = {"PS1": "a@b:~# ", "TERM": "xterm", "PATH": os.environ["PATH"]}
    bash = await asyncio.create_subprocess_exec(
        *command, stdin=far, stdout=far, stderr=far, cwd=directory, env=env
    )
    os.close(far)
    try:
        typist = Typist(cast(Any, Terminal(near)))
        await typist.prompt(until=lambda: False, timeout_s=20)
        yield typist
    finally:
        bash.kill()
        await bash.wait()
        os.close(near)


async def test_a_line_that_had_done_enough_is_let_through_before_the_next_is_typed(tmp_path: Path) -> None:
    async with shell(tmp_path) as typist:
        await typist.type("timeout --foreground 0.5 cat > taken", until=lambda: True, timeout_s=20)
        await typist.type("echo $((40 + 2))", until=lambda: False, timeout_s=20)
    assert "42" in typist.output
    assert (tmp_path / "taken").read_text() == ""


async def test_what_never_ends_is_interrupted_at_once(tmp_path: Path) -> None:
    async with shell(tmp_path) as typist:
        await typist.type("cat > taken", until=lambda: True, timeout_s=20)
        await typist.type("^C", until=lambda: False, timeout_s=20)
        await typist.type("echo $((40 + 2))", until=lambda: False, timeout_s=20)
    assert "42" in typist.output


async def test_the_rest_of_the_prompt_before_is_not_taken_for_the_prompt_after_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Readline writes a prompt in two pieces, and on a busy machine the second one comes late."""
    monkeypatch.setattr("kubelab.lessons.typist.QUIET_S", 0.001)
    near, far = pty.openpty()
    tty.setraw(far)
    try:
        typist = Typist(cast(Any, Terminal(near)))
        os.write(far, b"\x1b[?2004h")
        await typist.prompt(until=lambda: False, timeout_s=20)
        os.write(far, b"a@b:~# ")
        typing = asyncio.create_task(typist.type("ls", until=lambda: False, timeout_s=20))
        assert await asyncio.to_thread(os.read, far, 10) == b"ls\n"
        await asyncio.to_thread(until_taken, near)  # So the rest of the prompt is read by itself.
        os.write(far, b"ls\r\n\x1b[?2004l\r")
        os.write(far, b"file\r\n\x1b[?2004h")
        await typing
        assert "file" in typist.output
    finally:
        os.close(near)
        os.close(far)


def until_taken(fd: int) -> None:
    while select.select([fd], [], [], 0)[0]:
        time.sleep(0.001)


async def test_at_the_prompt_an_interrupt_brings_another_one(tmp_path: Path) -> None:
    async with shell(tmp_path) as typist:
        await typist.type("^C", until=lambda: False, timeout_s=20)
        await typist.type("echo $((40 + 2))", until=lambda: False, timeout_s=20)
    assert "42" in typist.output
