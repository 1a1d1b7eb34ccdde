"""Threads start programs while this process goes on."""

import errno
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import loaded_program, syscall_program, syscalls
from kubelab.cluster.linux.loaded_program import LoadedProgram
from kubelab.cluster.linux.program_launcher import ProgramLauncher
from kubelab.cluster.linux.syscall_program import Program, Value, unblock_signals

pytestmark = pytest.mark.skipif(not syscall_program.is_possible(), reason="programs are for x86-64")

AT_FDCWD = -100


@pytest.fixture
def launcher() -> Iterator[ProgramLauncher]:
    launcher = ProgramLauncher()
    yield launcher
    launcher.close()


class Started:
    """What a launcher tells of one program."""

    def __init__(self) -> None:
        self.pid = 0
        self.error: KernelError | None = None

    def then(self, outcome: Callable[[], tuple[int, int]]) -> None:
        try:
            self.pid, pidfd = outcome()
        except KernelError as error:
            self.error = error
        else:
            os.close(pidfd)

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def executing(program: Program) -> LoadedProgram:
    unblock_signals(program)
    program.call("execve", "/bin/sh", program.variable("argv"), program.variable("env"))
    return program.load()


def after_a_line() -> LoadedProgram:
    """Return a program that waits for something to read before it executes its command."""
    program = Program()
    program.call("read", program.variable("gate"), program.room(8), 1)
    return executing(program)


def wait_told(launcher: ProgramLauncher) -> None:
    """Wait until a child is started or dead, without coming to it."""
    poll = select.poll()
    poll.register(launcher, select.POLLIN)
    assert poll.poll()


def children() -> set[int]:
    """Other tests' may be among them."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text("ascii").split()}


def threads() -> set[str]:
    return {each.name for each in Path("/proc/self/task").iterdir()}


def script(text: str, **more: Value) -> dict[str, Value]:
    return {"argv": (b"sh", b"-c", text.encode()), "env": (), **more}


def test_several_are_in_the_making_at_once(launcher: ProgramLauncher) -> None:
    """The first waits for what only the second lets it have."""
    program = after_a_line()
    read_end, write_end = os.pipe()
    other, other_end = os.pipe()
    first, second = Started(), Started()
    launcher.launch(program, script("exit 1", gate=read_end), 0, -1, first.then)
    launcher.launch(program, script("exit 2", gate=other), 0, -1, second.then)
    os.write(other_end, b"x")
    wait_told(launcher)
    launcher.finish()
    assert (first.pid, second.exit_code()) == (0, 2)
    os.write(write_end, b"x")
    launcher.drain()
    assert first.exit_code() == 1
    for fd in (read_end, write_end, other, other_end):
        os.close(fd)


def test_more_than_there_are_threads_wait_for_their_turn(launcher: ProgramLauncher) -> None:
    program = executing(Program())
    started = [Started() for _ in range(20)]
    for number, each in enumerate(started):
        launcher.launch(program, script(f"exit {number}"), 0, -1, each.then)
    launcher.drain()
    assert launcher.is_idle
    assert [each.exit_code() for each in started] == list(range(20))


def test_a_refused_call_is_told_and_the_child_waited_for(launcher: ProgramLauncher) -> None:
    program = Program()
    program.call("openat", AT_FDCWD, "/nowhere/at/all", os.O_RDONLY)
    before, started = children(), Started()
    launcher.launch(executing(program), script("true"), 0, -1, started.then)
    launcher.drain()
    assert started.error
    assert (started.error.operation, started.error.target) == ("openat", "/nowhere/at/all")
    assert started.error.errno == errno.ENOENT
    assert children() <= before


def test_a_child_is_known_before_its_start_is_told(launcher: ProgramLauncher) -> None:
    """Who waits for all children may meet it first."""
    before, started = children(), Started()
    launcher.launch(executing(Program()), script("exit 3"), 0, -1, started.then)
    wait_told(launcher)
    (pid,) = children() - before
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert launcher.has(pid)
    launcher.drain()
    assert not launcher.has(pid)
    assert (started.pid, started.exit_code()) == (pid, 3)


def test_nobody_may_trace_this_process_while_a_child_is_in_it(launcher: ProgramLauncher) -> None:
    read_end, write_end = os.pipe()
    first, second = Started(), Started()
    assert syscalls.prctl(3) == 1
    launcher.launch(after_a_line(), script("exit 0", gate=read_end), 0, -1, first.then)
    launcher.launch(executing(Program()), script("exit 0"), 0, -1, second.then)
    wait_told(launcher)
    launcher.finish()
    assert (second.exit_code(), syscalls.prctl(3)) == (0, 0)
    os.write(write_end, b"x")
    launcher.drain()
    assert (first.exit_code(), syscalls.prctl(3)) == (0, 1)
    os.close(read_end)
    os.close(write_end)


def test_its_threads_take_no_signals(launcher: ProgramLauncher) -> None:
    before, started = threads(), Started()
    launcher.launch(executing(Program()), script("exit 0"), 0, -1, started.then)
    launcher.drain()
    started.exit_code()
    begun = threads() - before
    assert begun
    for thread in begun:
        lines = Path(f"/proc/self/task/{thread}/status").read_text("utf-8").splitlines()
        blocked = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))
        assert blocked & 1 << signal.SIGCHLD - 1


def test_this_process_may_be_forked_meanwhile(launcher: ProgramLauncher) -> None:
    read_end, write_end = os.pipe()
    started = Started()
    launcher.launch(after_a_line(), script("exit 0", gate=read_end), 0, -1, started.then)
    pid, pidfd = syscalls.clone(0)
    if pid == 0:
        os._exit(len(threads()))
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    os.write(write_end, b"x")
    launcher.drain()
    started.exit_code()
    os.close(read_end)
    os.close(write_end)


def test_it_can_be_waited_for_with_others(launcher: ProgramLauncher) -> None:
    started = Started()
    launcher.launch(executing(Program()), script("exit 4"), 0, -1, started.then)
    wait_told(launcher)
    launcher.finish()
    assert started.exit_code() == 4


def test_whoever_was_told_of_one_may_come_when_it_has_been_waited_for(launcher: ProgramLauncher) -> None:
    """A poll tells of the launcher and of a request; it is the request that waits for all starts."""
    started = Started()
    launcher.launch(executing(Program()), script("exit 5"), 0, -1, started.then)
    wait_told(launcher)
    launcher.drain()
    launcher.finish()
    assert started.exit_code() == 5


def test_what_began_too_long_ago_is_ended(launcher: ProgramLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_program, "TIMEOUT_S", 0)
    started = Started()
    launcher.launch(executing(Program()), script("sleep 50"), 0, -1, started.then)
    launcher.drain()
    assert started.error
    assert started.error.errno == errno.ETIMEDOUT
