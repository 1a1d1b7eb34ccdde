"""Lines are typed as a learner types them: each at the prompt."""

import asyncio
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

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
