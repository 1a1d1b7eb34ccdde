"""A program of system calls becomes another process, and tells which of its calls was refused."""

import ctypes
import errno
import os
import signal
import struct
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import loaded_program, syscall_program, syscalls
from kubelab.cluster.linux.loaded_program import LoadedProgram
from kubelab.cluster.linux.syscall_program import Label, Program, string, unblock_signals

pytestmark = pytest.mark.skipif(not syscall_program.is_possible(), reason="programs are for x86-64")

AT_FDCWD = -100
LIBC, RT_SIGACTION = ctypes.CDLL(None), 13
SHELL = b"/bin/sh"


def executing(program: Program) -> LoadedProgram:
    unblock_signals(program)
    program.call("execve", program.variable("path"), program.variable("argv"), program.variable("env"))
    return program.load()


def output_of(program: Program, script: str, **values: syscall_program.Value) -> str:
    """Run the program, whose command is a shell with the script, to its end."""
    read_end, write_end = os.pipe()
    program.call("dup3", program.variable("out"), 1, 0)
    loaded = executing(program)
    argv = (b"sh", b"-c", script.encode())
    given: dict[str, syscall_program.Value] = {
        "path": SHELL,
        "argv": argv,
        "env": (b"A=b",),
        "out": write_end,
    }
    pid, pidfd = loaded.start(given | values)
    os.close(write_end)
    os.close(pidfd)
    with os.fdopen(read_end, encoding="utf-8") as reader:
        output = reader.read()
    assert os.waitpid(pid, 0)[1] == 0
    return output


def test_it_becomes_its_command_with_arguments_and_environment() -> None:
    assert output_of(Program(), 'echo "$A"') == "b\n"


def test_a_call_finds_the_result_of_another() -> None:
    program = Program()
    fd = program.call("openat", AT_FDCWD, "/etc", os.O_PATH | os.O_DIRECTORY)
    program.call("fchdir", program.call("openat", fd, ".", os.O_RDONLY))
    assert output_of(program, "pwd") == "/etc\n"


def test_an_expected_error_leads_to_its_label() -> None:
    program, missing = Program(), Label()
    program.call("chdir", "/nowhere", otherwise={errno.ENOENT: missing})
    program.call("chdir", "/usr")
    program.place(missing)
    program.try_call("chdir", "/nowhere", errors=(errno.ENOENT,))
    program.call("chdir", "/etc")
    assert output_of(program, "pwd") == "/etc\n"


def test_any_other_error_is_told_with_its_call() -> None:
    program, missing = Program(), Label()
    program.call("chdir", "/etc/passwd", otherwise={errno.ENOENT: missing})
    program.place(missing)
    with pytest.raises(KernelError) as refusal:
        executing(program).start({"path": SHELL, "argv": (b"sh",), "env": ()})
    assert (refusal.value.operation, refusal.value.target) == ("chdir", "/etc/passwd")
    assert refusal.value.errno == errno.ENOTDIR


def test_a_check_looks_at_memory_under_a_mask() -> None:
    program, wrong = Program(), Label()
    path = program.room(4096)
    program.call("chdir", "/usr")
    program.call("getcwd", path, 4096)
    program.check(path, ord("/"), 0xFF)
    program.check(program.within(path, 1), ord("x"), 0xFF, otherwise=wrong)
    program.call("chdir", "/etc")
    program.place(wrong)
    assert output_of(program, "pwd") == "/usr\n"


def test_one_program_starts_any_number_of_processes() -> None:
    loaded = executing(Program())
    for code in range(3):
        argv = (b"sh", b"-c", f"exit {code}".encode())
        pid, pidfd = loaded.start({"path": SHELL, "argv": argv, "env": ()})
        os.close(pidfd)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code


def test_no_signal_is_blocked_or_ignored_in_the_command() -> None:
    """Those that only C libraries use, too."""
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN, "Python does that"
    ignore, before = struct.pack("<4Q", int(signal.SIG_IGN), 0, 0, 0), ctypes.create_string_buffer(32)
    assert LIBC.syscall(RT_SIGACTION, 32, ignore, before, 8) == 0
    try:
        masks = output_of(Program(), "exec grep -E 'Sig(Blk|Ign)' /proc/self/status").split()
    finally:
        LIBC.syscall(RT_SIGACTION, 32, before, None, 8)
    assert [int(mask, 16) for mask in masks[1::2]] == [0, 0]


def test_this_process_stays_as_it_was() -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    program = Program()
    program.call("chdir", "/usr")
    program.call("umask", 0)
    before = Path.cwd()
    output_of(program, "true")
    assert Path.cwd() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked
    assert syscalls.prctl(3) == 1, "it can be traced by its user as before"


def test_text_with_a_zero_and_values_without_bounds_are_refused() -> None:
    with pytest.raises(KernelError):
        string("proc\0harmless")
    with pytest.raises(KernelError):
        Program().call("chdir", "/proc\0harmless")
    with pytest.raises(KernelError):
        executing(Program()).start({"path": SHELL, "argv": (bytes(1 << 20),), "env": ()})


def test_each_start_is_given_its_own_values_and_what_stays_the_same() -> None:
    """What one start was given is there for the next, until it has become too much."""
    program = Program()
    program.call("dup3", program.variable("out"), 1, 0)
    loaded = executing(program)
    for number in range(12):
        long = str(number % 5).encode() * 8_000
        read_end, write_end = os.pipe()
        argv = (
            b"sh",
            b"-c",
            b'echo $A ${#B} $B | cut -c1-12; echo "$@"',
            b"sh",
            b"same",
            str(number).encode(),
        )
        given = {"path": SHELL, "argv": argv, "env": (b"A=b", b"B=" + long), "out": write_end}
        pid, pidfd = loaded.start(given)
        os.close(write_end)
        os.close(pidfd)
        with os.fdopen(read_end, encoding="utf-8") as reader:
            assert reader.read() == f"b 8000 {str(number % 5) * 5}\nsame {number}\n"
        os.waitpid(pid, 0)


def test_what_executed_its_command_too_late_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent may have stood still for longer than it: nobody waits for the command then."""
    loaded = executing(Program())
    monkeypatch.setattr(loaded_program, "TIMEOUT_S", 0)
    with pytest.raises(KernelError) as refusal:
        loaded.start({"path": SHELL, "argv": (b"sh", b"-c", b"sleep 50"), "env": ()})
    assert refusal.value.errno == errno.ETIMEDOUT
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
