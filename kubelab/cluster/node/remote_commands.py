"""exec and attach on a node: a container's process on one side, a client's streams on the other.

Source: containerd, internal/cri/server/container_exec.go and container_attach.go, whose words the failures
have. When the client is gone, the command that it has started reads the end of its input, writes into closed
pipes, or loses its terminal (SIGHUP).
Different from upstream: a command that goes on nevertheless is killed after a moment; there it stays behind.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Container, Sequence

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.background import background
from kubelab.cluster.node.descriptors import Pipes, pipes, read_some, write_all
from kubelab.cluster.node.english import english
from kubelab.cluster.runtime.cri import Process, Runtime
from kubelab.cluster.runtime.terminal import WindowSize
from kubelab.cluster.streams.remote_command import (
    SUCCESS,
    CommandStreams,
    OutputName,
    Status,
    StreamOptions,
    exited,
    failed,
    terminal_sizes,
)
from kubelab.cluster.streams.until import done_before

OUTPUTS = ("stdout", "stderr")
GONE_GRACE_S = 0.5  # What a command whose client is gone may still do.


async def execute(
    runtime: Runtime,
    container_id: str,
    command: Sequence[str],
    options: StreamOptions,
    streams: CommandStreams,
) -> Status | None:
    """Run *command* in the container until it and its output have ended; return how it went.

    None: the client is gone, and the command with it.
    """
    with pipes() as opened:
        try:
            process, ends = await _start(runtime, container_id, command, options, opened)
        except LabError as refusal:
            return failed(_exec_failure(container_id, refusal))
        async with _closing(process, opened):
            return await _converse(process, ends, streams, opened, command)


class _Ends:
    """Our ends of a process's streams; -1 where there is none. A terminal is both."""

    def __init__(self, stdin: int = -1, stdout: int = -1, stderr: int = -1) -> None:
        self.stdin = stdin
        self.outputs: dict[OutputName, int] = {}
        if stdout >= 0:
            self.outputs["stdout"] = stdout
        if stderr >= 0:
            self.outputs["stderr"] = stderr


async def _start(
    runtime: Runtime, container_id: str, command: Sequence[str], options: StreamOptions, opened: Pipes
) -> tuple[Process, _Ends]:
    if options.tty:
        process = await runtime.exec(container_id, command, terminal=WindowSize())
        return process, _Ends(process.fd if options.stdin else -1, process.fd)
    stdin, our_stdin = opened.to_program() if options.stdin else (None, -1)
    stdout, our_stdout = opened.from_program() if options.stdout else (None, -1)
    stderr, our_stderr = opened.from_program() if options.stderr else (None, -1)
    process = await runtime.exec(container_id, command, stdin=stdin, stdout=stdout, stderr=stderr)
    opened.close_theirs()
    return process, _Ends(our_stdin, our_stdout, our_stderr)


async def _converse(
    process: Process, ends: _Ends, streams: CommandStreams, opened: Pipes, command: Sequence[str]
) -> Status | None:
    async def feed() -> None:
        if ends.stdin >= 0:
            await _feed(streams, ends.stdin)
            if process.fd < 0:  # A terminal has no end of its input.
                opened.close(ends.stdin)

    async with background(feed(), _resize(streams, process.resize)):
        if not await done_before(streams.gone(), _until_ended(process, streams, ends)):
            return None
        return exited(f"[{' '.join(command)}]", await process.wait())


async def _until_ended(process: Process, streams: CommandStreams, ends: _Ends) -> None:
    """Children that it has left keep its output open, and so the client waiting, as upstream."""
    await _copy_all(streams, ends)
    await process.wait()


async def _copy_all(streams: CommandStreams, ends: _Ends, wanted: Container[str] = OUTPUTS) -> None:
    async with asyncio.TaskGroup() as group:
        for name, fd in ends.outputs.items():
            group.create_task(_copy(streams, name, fd, is_taken=name in wanted))


async def _copy(streams: CommandStreams, name: OutputName, fd: int, *, is_taken: bool) -> None:
    """Pass on what is written, to its end; also what nobody takes is read, or the writer would stop."""
    while chunk := await read_some(fd):
        if is_taken:
            try:
                await streams.write(name, chunk)
            except ConnectionError:
                is_taken = False


async def _feed(streams: CommandStreams, fd: int) -> None:
    """Pass the client's input on, to its end, or until nobody reads it any more."""
    while chunk := await streams.stdin.get():
        if not await write_all(fd, chunk):
            streams.stdin.discard()
            return


async def _sizes(streams: CommandStreams) -> AsyncIterator[WindowSize]:
    rest = ""
    while chunk := await streams.sizes.get():
        sizes, rest = terminal_sizes(rest + chunk.decode(errors="replace"))
        for size in sizes:
            yield WindowSize(size.rows, size.columns)


async def _resize(streams: CommandStreams, resize: Callable[[WindowSize], None]) -> None:
    async for size in _sizes(streams):
        resize(size)


@contextlib.asynccontextmanager
async def _closing(process: Process, opened: Pipes) -> AsyncIterator[None]:
    """At the end take the streams away from the process; kill it if that is no reason for it to go."""
    try:
        yield
        opened.close_all()
        process.hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_GRACE_S):
                await process.wait()
    finally:
        await process.close()


async def attach(
    runtime: Runtime, container_id: str, options: StreamOptions, streams: CommandStreams
) -> Status | None:
    """Connect the client with the container's own streams until they end; None: the client is gone."""
    try:
        attachment = await runtime.attach(container_id)
    except LabError as refusal:
        return failed(f"error attaching to container: {english(refusal)}")

    async def feed() -> None:
        if options.stdin and attachment.stdin >= 0:
            await _feed(streams, attachment.stdin)
            attachment.close_stdin()

    def resize(size: WindowSize) -> None:
        runtime.resize_terminal(container_id, size)

    wanted = [name for name in OUTPUTS if getattr(options, name)]
    ends = _Ends(stdout=attachment.stdout, stderr=attachment.stderr)
    try:
        async with background(feed(), _resize(streams, resize)):
            done = await done_before(streams.gone(), _copy_all(streams, ends, wanted))
            return SUCCESS if done else None
    finally:
        attachment.close()


def _exec_failure(container_id: str, refusal: LabError) -> str:
    why = f"OCI runtime exec failed: exec failed: {english(refusal)}: unknown"
    return f"error executing command in container: failed to exec in container: failed to start exec: {why}"
