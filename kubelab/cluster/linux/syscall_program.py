"""Programs of system calls, run by a child that shares this process's memory until it executes its command.

A process that is to become another one needs no copy of a Python interpreter for it: what it has to do is
written down beforehand as a table of calls, and some machine code works through it (see `loaded_program`).
Each call takes its arguments from cells, 64-bit words of one table, and leaves its result in another, where
later calls find it. An error that a call expects leads on to the place that the program names for it; any
other ends the child, and the parent is told which call it was. So starting costs what the kernel takes.
A timer of its own kills the child when it takes too long.
Source: syscall(2), timer_create(2).
Left out: processors other than x86-64; loops; calls whose result is no integer.
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import errno
import os
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.loaded_program import (
    ALL_BITS,
    CELLS_MAX,
    CHECK,
    EXPECTED_MAX,
    NO_ERRNO,
    RECORD,
    TIMEOUT_S,
    WORD_BYTES,
    Image,
    LoadedProgram,
)
from kubelab.cluster.linux.loaded_program import Value as Value
from kubelab.cluster.linux.syscall_numbers import numbers

MACHINE = "x86_64"
_ENCODING = sys.getfilesystemencoding()
_SIG_SETMASK = 2
_SIGSET_BYTES = 8
_RECORDS_MAX = 1 << 15  # As far as a label may be.


def string(text: str) -> bytes:
    """Return the text as the kernel takes it.

    Raises:
        KernelError: it has a zero in it, where the kernel would end it.
    """
    if "\0" in text:
        raise KernelError("hand over", repr(text), errno.EINVAL)
    return text.encode(_ENCODING, "surrogateescape")  # As os.fsencode does, which takes three times as long.


@dataclass(frozen=True, slots=True)
class Cell:
    """A word that calls take as an argument, or leave their result in."""

    index: int


class Label:
    """A place in a program that an error leads on to; `Program.place` says where it is."""

    def __init__(self) -> None:
        self.position = -1


Argument = int | str | bytes | Cell


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    number: int
    arguments: tuple[Cell, ...]
    result: Cell
    expected: tuple[tuple[int, Label], ...]
    target: str


class Program:
    """The table while it is written. Cells that are no constant belong to a variable or a call."""

    def __init__(self) -> None:
        self._numbers = numbers(MACHINE)
        self._calls: list[_Call] = []
        self._cells: list[int] = []
        self._data = bytearray()
        self._pointers: list[tuple[int, int]] = []  # cell, offset in the data
        self._references: list[tuple[int, int]] = []  # cell, the cell whose address it has
        self._links: list[tuple[int, int]] = []  # offset in the data, the cell whose address stands there
        self._known: dict[int | bytes, Cell] = {}
        self.variables: dict[str, Cell] = {}

    def cell(self, value: int = 0) -> Cell:
        """Return a new one."""
        self._cells.append(value & ALL_BITS)
        return Cell(len(self._cells) - 1)

    def variable(self, name: str) -> Cell:
        """Return the cell whose value each start gives."""
        if name not in self.variables:
            self.variables[name] = self.cell()
        return self.variables[name]

    def room(self, size: int) -> Cell:
        """Return a cell with the address of so many bytes."""
        return self._pointer(bytes(size))

    def data(self, content: bytes) -> Cell:
        """Return a cell with the address of these bytes."""
        if content not in self._known:
            self._known[content] = self._pointer(content)
        return self._known[content]

    def within(self, room: Cell, offset: int) -> Cell:
        """Return a cell with an address so many bytes after that of a room."""
        pointer = self.cell()
        self._pointers.append((pointer.index, self._offset_of(room) + offset))
        return pointer

    def fill(self, room: Cell, content: bytes) -> None:
        """Let the room begin with *content*."""
        start = self._offset_of(room)
        self._data[start : start + len(content)] = content

    def link(self, room: Cell, offset: int, pointer: Cell) -> None:
        """Put the address that *pointer* has into the room, so many bytes after its beginning."""
        self._links.append((self._offset_of(room) + offset, pointer.index))

    def _offset_of(self, room: Cell) -> int:
        return next(at for cell, at in self._pointers if cell == room.index)

    def address_of(self, cell: Cell) -> Cell:
        """Return a cell with the other one's address."""
        pointer = self.cell()
        self._references.append((pointer.index, cell.index))
        return pointer

    def call(
        self,
        name: str,
        *arguments: Argument,
        otherwise: Mapping[int, Label] | None = None,
        target: str = "",
        result: Cell | None = None,
    ) -> Cell:
        """Add a call; return the cell of its result, which is a new one unless it is given. Strings are
        handed over as addresses. *otherwise*: where the errors lead to that it may have; *target* is for the
        sentence of all others."""
        texts = [each for each in arguments if isinstance(each, str)]
        number = self._numbers[name]
        result = result or self.cell()
        told = target or (texts[0] if texts else "")
        cells = tuple(self._argument(each) for each in arguments)
        self._calls.append(_Call(name, number, cells, result, tuple((otherwise or {}).items()), told))
        return result

    def try_call(self, name: str, *arguments: Argument, errors: Sequence[int]) -> Cell:
        """Add a call that may have these errors and whose failure changes nothing."""
        after = Label()
        result = self.call(name, *arguments, otherwise=dict.fromkeys(errors, after))
        self.place(after)
        return result

    def check(
        self,
        address: Cell,
        expected: Argument,
        mask: int = ALL_BITS,
        *,
        otherwise: Label | None = None,
        target: str = "",
    ) -> None:
        """Fail (EINVAL) unless the word at *address*, of which *mask* is looked at, is *expected*."""
        arguments = (address, self._argument(mask), self._argument(expected))
        labels = ((errno.EINVAL, otherwise),) if otherwise else ()
        self._calls.append(_Call("check", CHECK, arguments, self.cell(), labels, target))

    def jump(self, label: Label) -> None:
        """Go on at the label."""
        self.check(self.address_of(self._argument(0)), 1, otherwise=label)

    def place(self, label: Label) -> None:
        """Let the label be here."""
        label.position = len(self._calls)

    def _argument(self, argument: Argument) -> Cell:
        if isinstance(argument, Cell):
            return argument
        if isinstance(argument, str):
            return self.data(string(argument) + b"\0")
        if isinstance(argument, bytes):
            return self.data(argument)
        if argument not in self._known:
            self._known[argument] = self.cell(argument)
        return self._known[argument]

    def _pointer(self, content: bytes) -> Cell:
        self._data += bytes(-len(self._data) % WORD_BYTES)
        cell = self.cell()
        self._pointers.append((cell.index, len(self._data)))
        self._data += content + bytes(WORD_BYTES)
        return cell

    def load(self) -> LoadedProgram:
        """Return the program as it can be started, any number of times."""
        zero = self._argument(0)
        if len(self._cells) > CELLS_MAX or len(self._calls) > _RECORDS_MAX:
            raise KernelError("load", "program", errno.E2BIG)
        records = bytearray()
        for index, call in enumerate(self._calls):
            records += RECORD.pack(*_packed(index, call, zero))
        told = "".join(f"{call.name}\0{call.target}\0" for call in self._calls)
        variables = {name: cell.index for name, cell in self.variables.items()}
        return LoadedProgram(records, self._image(), variables, told)

    def _image(self) -> Image:
        data_at = len(self._cells) * WORD_BYTES
        addresses = {cell: data_at + offset for cell, offset in self._pointers}
        addresses |= {cell: other * WORD_BYTES for cell, other in self._references}
        pointers = {cell * WORD_BYTES: address for cell, address in addresses.items()}
        pointers |= {data_at + offset: addresses[cell] for offset, cell in self._links}
        content = bytearray(struct.pack(f"<{len(self._cells)}Q", *self._cells) + self._data)
        for at, address in pointers.items():
            struct.pack_into("<Q", content, at, address)
        return Image(bytes(content), tuple(pointers))


def _packed(index: int, call: _Call, zero: Cell) -> tuple[int, ...]:
    arguments = (*call.arguments, *[zero] * (6 - len(call.arguments)))
    cells = [each.index for each in (*arguments, call.result)]
    expected = [(number, label.position - index & 0xFFFF) for number, label in call.expected]
    expected += [(NO_ERRNO, 0)] * (EXPECTED_MAX - len(expected))
    return (call.number, *cells, *(word for pair in expected for word in pair))


def guard(program: Program) -> None:
    """Let the child die if it has not executed its command in time; execve takes the timer away."""
    timer = program.cell()
    kill = struct.pack("<Qii48x", 0, signal.SIGKILL, 0)
    program.call("timer_create", 1, kill, program.address_of(timer))
    program.call("timer_settime", timer, 0, struct.pack("<4q", 0, 0, TIMEOUT_S, 0), 0)


def unblock_signals(program: Program) -> None:
    """Let the command find all signals as a new process does: those that this process ignores, too."""
    default = bytes(32)
    for number in _ignored():
        program.call("rt_sigaction", number, default, 0, _SIGSET_BYTES)
    program.call("rt_sigprocmask", _SIG_SETMASK, bytes(_SIGSET_BYTES), 0, _SIGSET_BYTES)


def _ignored() -> list[int]:
    """Return the signals that this process ignores, those among them that Python cannot name (32, 33)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        mask = int(next(line.split()[1] for line in status if line.startswith("SigIgn:")), 16)
    return [number for number in range(1, 65) if mask >> (number - 1) & 1]


def is_possible() -> bool:
    return os.uname().machine == MACHINE
