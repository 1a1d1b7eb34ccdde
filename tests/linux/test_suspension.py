"""A suspended part of the process is like a stopped process: there, and silent."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.suspension import Suspension


@contextlib.asynccontextmanager
async def echoing(listener: socket.socket) -> AsyncIterator[None]:
    """Echo lines until all clients have gone."""
    ends: list[asyncio.Future[None]] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(end := asyncio.get_running_loop().create_future())
        while line := await reader.readline():
            writer.write(line)
        writer.close()
        await writer.wait_closed()
        end.set_result(None)

    async with await asyncio.start_server(echo, sock=listener):
        yield
        await asyncio.gather(*ends)


@contextlib.asynccontextmanager
async def counting(counts: list[int], clock: VirtualClock) -> AsyncIterator[None]:
    async def count() -> None:
        while True:
            await clock.sleep(1)
            counts.append(len(counts))

    async with background(count()):
        yield


async def test_its_sockets_stay_open_and_nothing_is_answered_until_it_goes_on() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    suspension = Suspension()
    async with suspension.governing(echoing(listener)):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        assert await said(reader, writer) == b"hello\n"
        suspension.suspend()
        later_reader, later_writer = await asyncio.open_connection(*listener.getsockname())
        answers = asyncio.gather(said(reader, writer), said(later_reader, later_writer))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not answers.done()
        suspension.resume()
        assert list(await answers) == [b"hello\n"] * 2
        for each in (writer, later_writer):
            each.close()
            await each.wait_closed()


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello\n")
    return await reader.readline()


async def test_its_tasks_take_no_step_and_find_what_came_meanwhile() -> None:
    clock, counts, suspension = VirtualClock(), list[int](), Suspension()
    async with suspension.governing(counting(counts, clock)), counting(others := list[int](), clock):
        await clock.advance(2)
        suspension.suspend()
        await clock.advance(3)
        assert (len(counts), len(others)) == (2, 5)
        suspension.resume()
        await clock.advance(1)
        assert (len(counts), len(others)) == (4, 6)  # One that was due, one since.


async def test_its_timers_fire_when_it_goes_on() -> None:
    fired: list[str] = []
    suspension = Suspension()
    loop = asyncio.get_running_loop()

    @contextlib.asynccontextmanager
    async def alarm() -> AsyncIterator[None]:
        loop.call_later(0.001, fired.append, "inside")
        loop.call_later(0.002, fired.append, "cancelled").cancel()
        yield

    async with suspension.governing(alarm()):
        suspension.suspend()
        outside = asyncio.Event()
        loop.call_later(0.01, outside.set)
        await outside.wait()
        assert fired == []
        suspension.resume()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert fired == ["inside"]


async def test_it_ends_while_it_is_suspended() -> None:
    suspension = Suspension()
    clock, counts = VirtualClock(), list[int]()
    async with suspension.governing(counting(counts, clock)):
        suspension.suspend()
    assert not suspension.is_suspended


async def test_a_failure_beside_it_ends_it_too() -> None:
    suspension = Suspension()

    async def fail() -> None:
        raise ValueError("beside")

    with pytest.raises(ValueError, match="beside"):
        async with (
            background(fail()),
            suspension.governing(counting([], VirtualClock())),
        ):
            suspension.suspend()
            await asyncio.get_running_loop().create_future()


async def test_a_cancellation_is_found_on_resuming() -> None:
    suspension, ended = Suspension(), list[str]()

    @contextlib.asynccontextmanager
    async def waiting() -> AsyncIterator[asyncio.Task[None]]:
        async def wait() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append("ended")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        yield task

    async with suspension.governing(waiting()) as task:
        suspension.suspend()
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended == []
        suspension.resume()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended == ["ended"]


async def test_who_calls_in_from_outside_waits_as_well() -> None:
    suspension = Suspension()
    await suspension.passed()
    suspension.suspend()
    call = asyncio.create_task(suspension.passed())
    await asyncio.sleep(0)
    assert not call.done()
    suspension.resume()
    await call


async def test_a_failure_that_meets_a_cancellation_is_found_once() -> None:
    """It is thrown while the task stands still; the cancellation comes as it goes on, and takes its place."""
    suspension, found = Suspension(), list[str]()
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def waiting() -> AsyncIterator[asyncio.Task[None]]:
        async def wait() -> None:
            for future in (failing, asyncio.sleep(0), asyncio.sleep(0)):
                try:
                    await future
                except (ValueError, asyncio.CancelledError) as error:
                    found.append(type(error).__name__)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        yield task

    async with suspension.governing(waiting()) as task:
        suspension.suspend()
        failing.set_exception(ValueError("failed"))
        for _ in range(3):
            await asyncio.sleep(0)
        suspension.resume()
        task.cancel()
        await task
    assert found == ["CancelledError"]


@contextlib.contextmanager
def joined() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


async def test_who_is_waited_for_anew_meanwhile_is_still_read_from_afterwards() -> None:
    """A callback that was on its way writes more than the kernel takes, and so waits for room."""
    suspension, loop, told = Suspension(), asyncio.get_running_loop(), list[str]()

    @contextlib.asynccontextmanager
    async def reading(sock: socket.socket) -> AsyncIterator[None]:
        def read() -> None:
            told.append(sock.recv(100).decode())

        loop.add_reader(sock, read)
        yield
        loop.remove_reader(sock)
        loop.remove_writer(sock)

    with joined() as (ours, theirs):
        async with suspension.governing(reading(ours)):
            suspension.suspend()
            loop.add_writer(ours, lambda: None)
            theirs.send(b"hello")
            for _ in range(5):
                await asyncio.sleep(0)
            assert told == []
            suspension.resume()
            loop.remove_writer(ours)
            for _ in range(5):
                await asyncio.sleep(0)
            assert told == ["hello"]


async def test_who_is_waited_for_by_others_is_not_set_aside() -> None:
    """The reader of a connection is its owner's, the writer whoever's words have filled its buffer."""
    suspension, loop, told = Suspension(), asyncio.get_running_loop(), list[str]()

    @contextlib.asynccontextmanager
    async def writing(sock: socket.socket) -> AsyncIterator[None]:
        loop.add_writer(sock, told.append, "room")
        yield
        loop.remove_writer(sock)

    with joined() as (ours, theirs):
        loop.add_reader(ours, lambda: told.append(ours.recv(100).decode()))
        async with suspension.governing(writing(ours)):
            suspension.suspend()
            theirs.send(b"hello")
            for _ in range(5):
                await asyncio.sleep(0)
            assert told == ["hello"]
        loop.remove_reader(ours)


async def test_what_it_stops_waiting_for_meanwhile_is_not_waited_for_again() -> None:
    """A connection that ends while its part stands still: its number is another's afterwards."""
    suspension, loop, told = Suspension(), asyncio.get_running_loop(), list[str]()

    @contextlib.asynccontextmanager
    async def reading(sock: socket.socket) -> AsyncIterator[None]:
        loop.add_reader(sock, told.append, "old")
        yield

    with joined() as (ours, _):
        async with suspension.governing(reading(ours)):
            suspension.suspend()
            assert loop.remove_reader(ours)
            number = ours.fileno()
            with joined() as (other, theirs):
                os.dup2(other.fileno(), number)
                suspension.resume()
                loop.add_reader(number, lambda: told.append(os.read(number, 100).decode()))
                theirs.send(b"hello")
                for _ in range(5):
                    await asyncio.sleep(0)
                assert told == ["hello"]
                loop.remove_reader(number)
