"""What goes into a container and what comes out of it: exec, attach, terminals, standard input, logs."""
# ruff: noqa: ASYNC110

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from pod_node import Node

from kubelab.cluster.runtime import log_rotation
from kubelab.cluster.runtime.cri import Attachment, Container, StartError
from kubelab.cluster.runtime.terminal import WindowSize

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

STAY = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


async def read(fd: int, until: bytes = b"\0never") -> bytes:
    """Return what can be read up to *until* or the end."""
    loop = asyncio.get_running_loop()
    got = b""
    while until not in got:
        ready = loop.create_future()
        loop.add_reader(fd, ready.set_result, None)
        try:
            await ready
        finally:
            loop.remove_reader(fd)
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # EIO: the terminal's other side is gone.
            return got
        if not chunk:
            return got
        got += chunk
    return got


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ends[0], False)
    try:
        yield ends
    finally:
        for fd in ends:
            with contextlib.suppress(OSError):
                os.close(fd)


@contextlib.asynccontextmanager
async def attached(node: Node, container: Container) -> AsyncIterator[Attachment]:
    attachment = await node.runtime.attach(container.id)
    try:
        yield attachment
    finally:
        attachment.close()


async def output_of(node: Node, container: Container, *command: str) -> tuple[bytes, int]:
    with pipe() as (out, theirs):
        process = await node.runtime.exec(container.id, command, stdout=theirs)
        os.close(theirs)
        return await read(out), await process.wait()


async def test_a_command_runs_where_the_container_s_own_does(node):
    pod = await node.sandbox()
    container = await node.named(pod, STAY, env={"A": "of the pod"}, cwd="/srv")
    script = 'echo "$A $(pwd) $(cat /proc/1/comm) $(hostname)"; ls /proc/self/fd | wc -l; exit 3'
    told, exit_code = await output_of(node, container, "sh", "-c", script)
    assert told.decode() == f"of the pod /srv sh {pod.uid}\n4\n"
    assert exit_code == 3
    limited = "head -1 /proc/self/cgroup; grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status"
    own = await node.logged(await node.named(pod, f"{limited}; {STAY}"), "Seccomp:")  # The last of the lines.
    told, _ = await output_of(node, container, "sh", "-c", limited)
    assert [line.split(" ", 3)[3] for line in own.splitlines()] == told.decode().splitlines()


async def test_a_command_s_streams_are_the_caller_s(node):
    container = await node.named(await node.sandbox(), STAY)
    with pipe() as (stdin, ours), pipe() as (out, theirs), pipe() as (error, their_error):
        os.set_blocking(stdin, True)  # The container's end, which `tr` expects to wait for it.
        command = ("sh", "-c", "tr a-z A-Z; echo wrong >&2")
        process = await node.runtime.exec(
            container.id, command, stdin=stdin, stdout=theirs, stderr=their_error
        )
        os.write(ours, b"quiet\n")
        for fd in (ours, theirs, their_error):
            os.close(fd)
        assert await read(out) == b"QUIET\n"
        assert await read(error) == b"wrong\n"
        assert await process.wait() == 0


async def test_a_command_may_have_a_terminal_that_changes_its_size(node):
    container = await node.named(await node.sandbox(), STAY)
    script = "tty; stty size; read line; stty size; echo got $line"
    process = await node.runtime.exec(container.id, ("sh", "-c", script), terminal=WindowSize(30, 100))
    assert b"/dev/pts/0\r\n30 100\r\n" in await read(process.fd, b"30 100\r\n")
    process.resize(WindowSize(40, 120))
    os.write(process.fd, b"it\n")
    assert b"40 120\r\ngot it\r\n" in await read(process.fd)
    assert await process.wait() == 0
    await process.close()


async def test_closing_kills_the_command_and_leaves_the_container(node):
    container = await node.named(await node.sandbox(), STAY)
    deaf = ("sh", "-c", "trap '' HUP; echo up; sleep infinity")
    process = await node.runtime.exec(container.id, deaf, terminal=WindowSize())
    await read(process.fd, b"up")
    await process.close()
    assert await process.wait() == 137
    assert (await output_of(node, container, "echo", "alive")) == (b"alive\n", 0)


async def test_a_missing_command_and_a_missing_container_are_told(node):
    container = await node.named(await node.sandbox(), STAY)
    with pytest.raises(StartError, match='exec: "nosuch": executable file not found'):
        await node.runtime.exec(container.id, ("nosuch",))
    await node.runtime.stop_container(container.id, 5)
    for call in (node.runtime.exec(container.id, ("true",)), node.runtime.attach(container.id)):
        with pytest.raises(StartError, match="is not running"):
            await call


async def test_several_are_attached_and_the_log_has_it_all_the_same(node):
    script = "read go; echo out; read go; echo err >&2; read go; echo last"
    container = await node.named(await node.sandbox(), script, stdin=True)
    async with attached(node, container) as one, attached(node, container) as two:
        os.write(one.stdin, b"go\n")
        for each in (one, two):
            assert await read(each.stdout, b"\n") == b"out\n"
        os.write(one.stdin, b"go\n")
        for each in (one, two):
            assert await read(each.stderr, b"\n") == b"err\n"
        os.write(two.stdin, b"go\n")
        assert [await read(each.stdout) for each in (one, two)] == [b"last\n", b"last\n"]
    log = await node.logged(container, "last")
    assert [line.split(" ", 2)[1] for line in log.splitlines()] == ["stdout", "stderr", "stdout"]


async def test_who_is_attached_and_reads_slowly_loses_nothing(node):
    script = "read go; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo done >&2"
    container = await node.named(await node.sandbox(), script, stdin=True)
    async with attached(node, container) as slow, attached(node, container) as gone:
        gone.close()
        os.write(slow.stdin, b"go\n")
        await node.logged(container, "xx")
        assert len(await read(slow.stdout)) == 3_000_001


async def test_standard_input_ends_with_the_first_who_was_attached_if_it_is_for_once(node):
    container = await node.named(await node.sandbox(), "cat; echo end", stdin=True, stdin_once=True)
    async with attached(node, container) as attachment:
        os.write(attachment.stdin, b"words\n")
        attachment.close_stdin()
        assert await read(attachment.stdout) == b"words\nend\n"


async def test_standard_input_stays_open_for_the_next(node):
    container = await node.named(await node.sandbox(), "cat", stdin=True)
    for word in (b"first\n", b"second\n"):
        async with attached(node, container) as attachment:
            os.write(attachment.stdin, word)
            assert await read(attachment.stdout, word) == word


async def test_a_container_may_have_a_terminal(node):
    script = "stty size; tty; read line; stty size; echo got $line"
    container = await node.named(await node.sandbox(), script, stdin=True, tty=True)
    await node.logged(container, "/dev/")
    node.runtime.resize_terminal(container.id, WindowSize(50, 150))
    async with attached(node, container) as attachment:
        assert attachment.stderr == -1
        os.write(attachment.stdin, b"it\n")
        assert b"50 150\r\ngot it\r\n" in await read(attachment.stdout)
    await node.logged(container, "got it")
    assert b"stdout F got it\r\n" in node.log_of(container).read_bytes()


async def test_a_long_log_goes_on_in_a_new_file_and_no_line_is_lost(node, monkeypatch):
    monkeypatch.setattr(log_rotation, "BYTES_MAX", 100_000)
    script = "while read n; do seq $n $((n + 3999)); done; echo over"
    container = await node.named(await node.sandbox(), script, stdin=True, stdin_once=True)
    log = node.log_of(container)
    async with attached(node, container) as attachment:
        for round_ in range(7):
            newest = log_rotation.older(log)[:1]
            os.write(attachment.stdin, b"%d\n" % (round_ * 4000 + 1))
            await read(attachment.stdout, b"\n%d\n" % (round_ * 4000 + 4000))
            while log_rotation.older(log)[:1] == newest or log.with_name(f"{log.name}.new").exists():
                await asyncio.sleep(0.002)
    await node.logged(container, "over")
    while len(log_rotation.older(log)) >= log_rotation.FILES_MAX:
        await asyncio.sleep(0.002)  # The oldest goes last.
    files = (*reversed(log_rotation.older(log)), log)
    assert len(files) == log_rotation.FILES_MAX
    records = [line for path in files for line in path.read_text().splitlines()]
    lines = [record.split(" ", 3)[3] for record in records]
    assert lines[-1] == "over"
    numbers = [int(line) for line in lines[:-1]]
    assert numbers == list(range(numbers[0], 28_001))
