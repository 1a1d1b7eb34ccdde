"""Programs of system calls, run by a child that shares this process's memory until it executes its command.

A process that is to become another one needs no copy of a Python interpreter for it: what it has to do is
written down beforehand as a table of calls, and a hundred and eighty bytes of machine code work through it.
Each call takes its arguments from cells, 64-bit words of one table, and leaves its result in another, where
later calls find it. An error that a call expects leads on to the place that the program names for it; any
other ends the child, and the parent is told which call it was. So starting costs what the kernel takes.

The child is cloned as vfork does it: this process stands still until the child has executed its command or is
dead, and the out-of-memory killer passes the child over, so as not to kill both (mm/oom_kill.c, in_vfork). A
timer of its own kills it when it takes too long. All signals are blocked in it until the program unblocks
them, and their handlers, which are functions of this process, are forgotten.
Source: clone3(2), vfork(2), syscall(2), timer_create(2).
Left out: processors other than x86-64; loops; calls whose result is no integer.
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import ctypes
import errno
import functools
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.syscall_numbers import numbers

MACHINE = "x86_64"
TIMEOUT_S = 5

# long run(clone_args *, size, record *, outcome *): r12 is the record, rbp the outcome.
#         push r12; push rbp; mov r12, rdx; mov rbp, rcx
#         mov eax, 435 (clone3); syscall; test rax, rax; jz next
#         pop rbp; pop r12; ret
# next:   mov r11, [r12 + 8]; mov rdi, [r11]     and so on for rsi, rdx, r10, r8, r9
#         mov rax, [r12]; cmp rax, -1; je check
#         syscall; mov r11, [r12 + 56]; mov [r11], rax; cmp rax, -4095; jae failed
# done:   add r12, 112; jmp next
# check:  mov rax, [rdi]; and rax, rsi; cmp rax, rdx; je done; mov rax, -22 (EINVAL)
# failed: neg rax; lea r11, [r12 + 64]; mov ecx, 3
# search: cmp rax, [r11]; je skip; add r11, 16; dec ecx; jnz search
#         mov [rbp], r12; mov [rbp + 8], rax; mov edi, 127; mov eax, 231 (exit_group); syscall
# skip:   add r12, [r11 + 8]; jmp next
_CODE = bytes.fromhex(
    "4154554989d44889cdb8b30100000f054885c074045d415cc34d8b5c2408498b3b4d8b5c2410498b334d8b5c2418498b"
    "134d8b5c24204d8b134d8b5c24284d8b034d8b5c24304d8b0b498b04244883f8ff74180f054d8b5c2438498903483d01"
    "f0ffff73184983c470ebae488b074821f04839d074ef48c7c0eaffffff48f7d84d8d5c2440b903000000493b03741c49"
    "83c310ffc975f34c89650048894508bf7f000000b8e70000000f054d036308e965ffffff"
)
_CHECK = (1 << 64) - 1
_RECORD = struct.Struct("<14Q")
_WORD = 8
_EXPECTED_MAX = 3
_NO_ERRNO = 1 << 32
_VALUES_BYTES = 256 * 1024

_CLONE_VM, _CLONE_VFORK, _CLONE_CLEAR_SIGHAND = 0x100, 0x4000, 0x100000000
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_SIG_SETMASK = 2
_SIGSET_BYTES = 8
ALL_BITS = (1 << 64) - 1
_BLOCKED = ALL_BITS & ~(1 << 31 | 1 << 32)  # Those between threads are the C library's own.


def string(text: str) -> bytes:
    """Return the text as the kernel takes it.

    Raises:
        KernelError: it has a zero in it, where the kernel would end it.
    """
    if "\0" in text:
        raise KernelError("hand over", repr(text), errno.EINVAL)
    return os.fsencode(text)


Value = int | bytes | Sequence[bytes]
"""What a variable is given: a number, the address of a string, that of an array of strings."""


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
        self, name: str, *arguments: Argument, otherwise: Mapping[int, Label] | None = None, target: str = ""
    ) -> Cell:
        """Add a call; return the cell of its result. Strings are handed over as addresses. *otherwise*:
        where the errors lead to that it may have; *target* is for the sentence of all others."""
        texts = [each for each in arguments if isinstance(each, str)]
        number = self._numbers[name]
        result = self.cell()
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
        self._calls.append(_Call("check", _CHECK, arguments, self.cell(), labels, target))

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
        self._data += bytes(-len(self._data) % _WORD)
        cell = self.cell()
        self._pointers.append((cell.index, len(self._data)))
        self._data += content + bytes(_WORD)
        return cell

    def load(self) -> "LoadedProgram":
        """Return the program as it can be started, any number of times."""
        zero = self._argument(0)
        cells_bytes = len(self._cells) * _WORD
        data_at = cells_bytes
        calls_at = data_at + len(self._data) + -len(self._data) % _WORD
        values_at = calls_at + len(self._calls) * _RECORD.size
        memory = mmap.mmap(-1, values_at + _VALUES_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for cell, offset in self._pointers:
            self._cells[cell] = base + data_at + offset
        for cell, other in self._references:
            self._cells[cell] = base + other * _WORD
        struct.pack_into(f"<{len(self._cells)}Q", memory, 0, *self._cells)
        for offset, cell in self._links:
            struct.pack_into("<Q", self._data, offset, self._cells[cell])
        memory[data_at : data_at + len(self._data)] = bytes(self._data)
        for index, call in enumerate(self._calls):
            _RECORD.pack_into(memory, calls_at + index * _RECORD.size, *_packed(index, call, base, zero))
        told = tuple((call.name, call.target) for call in self._calls)
        return LoadedProgram(memory, base, calls_at, values_at, dict(self.variables), told)


def _packed(index: int, call: _Call, base: int, zero: Cell) -> tuple[int, ...]:
    arguments = (*call.arguments, *[zero] * (6 - len(call.arguments)))
    cells = [base + each.index * _WORD for each in (*arguments, call.result)]
    expected = [(number, (label.position - index) * _RECORD.size) for number, label in call.expected]
    expected += [(_NO_ERRNO, 0)] * (_EXPECTED_MAX - len(expected))
    return (call.number, *cells, *(word for pair in expected for word in pair))


@dataclass(slots=True)
class LoadedProgram:
    """A program in memory: cells, data, calls, and room for the values of a start's variables."""

    memory: mmap.mmap
    base: int
    calls_at: int
    values_at: int
    variables: Mapping[str, Cell]
    told: Sequence[tuple[str, str]]

    def start(self, values: Mapping[str, Value], flags: int = 0, cgroup_fd: int = -1) -> tuple[int, int]:
        """Run it in a child, cloned with *flags*, to the command that it executes; return pid and pidfd.

        Raises:
            KernelError: the clone, or one of its calls. The child is gone.
        """
        self._set(values)
        begun_s = time.monotonic()
        pid, pidfd, outcome = _clone(flags, cgroup_fd, self.base + self.calls_at)
        failed_at, number = outcome
        if not failed_at and time.monotonic() - begun_s < TIMEOUT_S:
            return pid, pidfd
        # Its own timer has killed it, or it executed its command and this process was late to look.
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
        if not failed_at:
            raise KernelError("start", "process", errno.ETIMEDOUT)
        name, target = self.told[(failed_at - self.base - self.calls_at) // _RECORD.size]
        raise KernelError(name, target, number)

    def _set(self, values: Mapping[str, Value]) -> None:
        end = self.values_at
        for name, value in values.items():
            if isinstance(value, int):
                word = value
            elif isinstance(value, bytes):
                word, end = self._put(value, end)
            else:
                addresses = []
                for each in value:
                    address, end = self._put(each, end)
                    addresses.append(address)
                word, end = self._put(struct.pack(f"<{len(addresses)}Q", *addresses) + bytes(_WORD), end)
            struct.pack_into("<Q", self.memory, self.variables[name].index * _WORD, word & ALL_BITS)

    def _put(self, content: bytes, at: int) -> tuple[int, int]:
        """Raises KernelError: more is to be handed over than there is room for."""
        end = at + len(content) + 1
        if end > len(self.memory):
            raise KernelError("start", "process", errno.E2BIG)
        self.memory[at:end] = content + b"\0"
        return self.base + at, end + -end % _WORD


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


def _clone(flags: int, cgroup_fd: int, calls: int) -> tuple[int, int, tuple[int, int]]:
    """Return pid and pidfd, and of a call that failed its address and errno."""
    pidfd = ctypes.c_int(-1)
    outcome = (ctypes.c_uint64 * 2)()
    flags |= _CLONE_VM | _CLONE_VFORK | _CLONE_CLEAR_SIGHAND | syscalls.CLONE_PIDFD
    flags |= syscalls.CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0
    words = (flags, ctypes.addressof(pidfd), 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
    arguments = ctypes.create_string_buffer(struct.pack("<11Q", *words), 88)
    dumpable = syscalls.prctl(_PR_GET_DUMPABLE)
    blocked = syscalls.set_signal_mask(_BLOCKED)
    # Nobody may trace the child, and whether one may is the shared memory's property.
    syscalls.prctl(_PR_SET_DUMPABLE, 0)
    try:
        pid = _runner()(ctypes.addressof(arguments), len(arguments), calls, ctypes.addressof(outcome))
    finally:
        if dumpable == 1:
            syscalls.prctl(_PR_SET_DUMPABLE, 1)
        syscalls.set_signal_mask(blocked)
    if pid < 0:
        raise KernelError("clone3", hex(flags), -pid)
    return pid, pidfd.value, (outcome[0], outcome[1])


@functools.cache
def _runner() -> Callable[[int, int, int, int], int]:
    """Return the machine code as a function; it keeps the interpreter's lock."""
    memory = mmap.mmap(-1, len(_CODE))
    memory.write(_CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protection = ctypes.c_int(mmap.PROT_READ | mmap.PROT_EXEC)
    libc = ctypes.PyDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(len(_CODE)), protection):
        raise KernelError("mprotect", "machine code", ctypes.get_errno())
    _code.append(memory)
    word = ctypes.c_uint64
    return ctypes.PYFUNCTYPE(ctypes.c_int64, word, word, word, word)(address)


_code: list[mmap.mmap] = []  # Kept as long as this process is.
