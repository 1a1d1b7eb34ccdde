"""The last steps of every process that the shim starts: standard streams, signals, execve, or the error's way
back.

Runs in the child, which has one thread. The error goes through a pipe that a successful execve closes.
"""
# ruff: noqa: PTH112, PTH113, PTH116 - the shim imports this, and pathlib is slow to

import errno
import fcntl
import json
import os
import signal
import termios
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.runtime.config import ConfigError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FAILED = 127
_RESERVED_SIGNALS = (32, 33)  # The C library's own, which Python cannot name.


class CommandError(Exception):
    """The command cannot be executed; the sentence is worded as runc does."""


def run_child(error_fd: int, act: Callable[[], None]) -> NoReturn:
    """Call *act*, which ends in execve; report to *error_fd* why it did not, and end."""
    report: dict[str, object]
    try:
        act()
    except (CommandError, ConfigError) as error:
        report = {"kind": "command", "sentence": str(error)}
    except KernelError as error:
        report = {
            "kind": "kernel",
            "operation": error.operation,
            "target": str(error.target),
            "errno": error.errno,
        }
    except OSError as error:
        report = {
            "kind": "kernel",
            "operation": "prepare",
            "target": str(error.filename),
            "errno": error.errno,
        }
    except BaseException as error:  # noqa: BLE001 - a forked child must not return into its parent's code
        report = {"kind": "bug", "sentence": repr(error)}
    else:
        report = {"kind": "bug", "sentence": "nothing was executed"}
    os.write(error_fd, json.dumps(report).encode()[:4096])
    os._exit(_FAILED)


def use_streams(stdin: int, stdout: int, stderr: int) -> None:
    """Make the descriptors 0, 1 and 2 (-1: /dev/null)."""
    null = os.open("/dev/null", os.O_RDWR)
    # First up out of the way: one of the three may itself be 0, 1 or 2.
    streams = [
        fcntl.fcntl(fd if fd >= 0 else null, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (stdin, stdout, stderr)
    ]
    for number, fd in enumerate(streams):
        os.dup2(fd, number, inheritable=True)


def take_terminal(slave: int) -> None:
    """Lead a new session whose controlling terminal is *slave*, with it as all three streams."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    use_streams(slave, slave, slave)


def default_signals() -> None:
    """Undo what Python ignores (SIGPIPE, SIGXFSZ) and the shim handles; ignored ones would survive execve."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    for reserved in _RESERVED_SIGNALS:
        syscalls.default_signal(reserved)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def execute(argv: Sequence[str], env: Mapping[str, str], path: str = "") -> NoReturn:
    """Execute the command, looked up in its own PATH unless *path* is where it was found.

    Raises:
        CommandError: there is no such command, or it is none.
    """
    path = path or find(argv[0], env.get("PATH", DEFAULT_PATH))
    try:
        os.execve(path, list(argv), dict(env))  # noqa: S606
    except OSError as error:
        raise CommandError(f"exec {path}: {os.strerror(error.errno or 0).lower()}") from None


def find(command: str, search_path: str) -> str:
    """Return the file to execute.

    Source: go, os/exec/lp_unix.go, whose wording runc passes on.
    """
    if "/" in command:
        return _checked(command)
    for directory in search_path.split(":"):
        candidate = os.path.join(directory or ".", command)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    raise CommandError(f'exec: "{command}": executable file not found in $PATH')


def _checked(command: str) -> str:
    try:
        os.stat(command)
    except OSError as error:
        reason = os.strerror(error.errno or errno.ENOENT).lower()
        raise CommandError(f'exec: "{command}": stat {command}: {reason}') from None
    if os.path.isdir(command):
        raise CommandError(f'exec: "{command}": is a directory')
    if not os.access(command, os.X_OK):
        raise CommandError(f'exec: "{command}": permission denied')
    return command
