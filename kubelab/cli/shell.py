"""`kubelab shell [MACHINE] [COMMAND…]`: a shell on a machine of the running lab, in this terminal.

Without MACHINE on the open lesson's. It is as the lesson's own shells are: see `ShellOffer`.
"""

import fcntl
import os
import select
import signal
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.machine.machine import WindowSize
from kubelab.language import Text, preferred

CHUNK_BYTES = 65536


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help=str(
        Text(es="Un shell en una máquina del laboratorio.", en="A shell on a machine of the lab.")
    ),
    help=str(
        Text(
            es="Un shell en MACHINE (master-1, minion-1, …), o allí solo COMMAND. "
            "Sin MACHINE, en la de la lección abierta.",
            en="A shell on MACHINE (master-1, minion-1, …), or only COMMAND there. "
            "Without MACHINE, on that of the open lesson.",
        )
    ),
)
@click.argument("machine", required=False)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(machine: str | None, command: tuple[str, ...]) -> int:
    if command[:1] == ("--",):  # As kubectl exec has it.
        command = command[1:]
    terminal = _window_size() if os.isatty(0) and os.isatty(1) else None
    environment = {"TERM": os.environ.get("TERM", "xterm-256color"), "KUBELAB_LANG": preferred()}
    with ControlClient.connect(LabDirectory.default().control) as client:
        descriptor = client.spawn(machine, command, environment, terminal)
        if descriptor is not None:
            _relay(descriptor, client)
        return client.exit_code()


def _window_size() -> WindowSize:
    size = os.get_terminal_size()
    return WindowSize(rows=size.lines, columns=size.columns)


def _relay(descriptor: int, client: ControlClient) -> None:
    """Copy between this terminal and the far one until the far one closes."""
    with _raw_terminal(), _resizing(descriptor):
        os.set_blocking(descriptor, True)
        watched = [0, descriptor, client.fileno()]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if descriptor in ready:
                if not (output := _read(descriptor)):
                    return
                _write(1, output)
            elif client.fileno() in ready:
                return  # Its exit code is there, and all its output was read before.
            if 0 in ready:
                if typed := os.read(0, CHUNK_BYTES):
                    _write(descriptor, typed)
                else:
                    watched.remove(0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except OSError:  # EIO: the last process on the far terminal has closed it.
        return b""


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _raw_terminal() -> Iterator[None]:
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextmanager
def _resizing(descriptor: int) -> Iterator[None]:
    """Hand each change of this terminal's size on to the far one."""

    def resize(_signal: int, _frame: FrameType | None) -> None:
        size = os.get_terminal_size(sys.stdout.fileno())
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
