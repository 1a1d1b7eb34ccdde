"""Programs of system calls in memory: what machine code works through, and the processes that this makes.

A program's calls are there once. What they work on is in a slot: its cells, its data and the values of one
start; as many as run at once there are. A child is cloned as vfork does it: whoever clones it stands still
until it has executed its command or is dead, and the out-of-memory killer passes it over, so as not to kill
both (mm/oom_kill.c, in_vfork). That is this process in `LoadedProgram.start`, and one thread of it in a
`program_launcher`. All signals are blocked in the child until its program unblocks them, and their handlers,
which are functions of this process, are forgotten. Nobody may trace it, and whether one may is the shared
memory's property: so nobody may trace this process either while a child is in it.
Source: clone3(2), vfork(2), syscall(2), PR_SET_DUMPABLE(2const).
"""

import ctypes
import errno
import functools
import mmap
import os
import signal
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls

TIMEOUT_S = 5
WORD_BYTES = 8
RECORD = struct.Struct("<14H4x")
EXPECTED_MAX = 3
CHECK = NO_ERRNO = CELLS_MAX = 0xFFFF

Value = int | bytes | tuple[bytes, ...]
"""What a variable is given: a number, the address of a string, that of an array of strings."""

# A slot begins with: calls, cells, result of the clone, call that failed, its errno, pid, pidfd (32 bits
# each), arguments of the clone. A record has in 16 bits each: number, arguments and result as numbers of
# cells, three pairs of an errno and how many records on that leads. r12 is the record, r13 the cells, rbp the
# slot, rbx a thread's words: the descriptor of slots to start, that of started ones, the slot.
# void run(slot *)
#         push rbp; push r12; push r13; mov rbp, rdi; mov r12, [rbp]; mov r13, [rbp + 8]
#         lea rdi, [rbp + 48]; mov esi, 88; mov eax, 435 (clone3); syscall; test rax, rax; jz next
#         mov [rbp + 16], rax; pop r13; pop r12; pop rbp; ret
# long begin(clone_args *, words *)
#         push rbx; mov rbx, rsi; mov esi, 88; mov eax, 435; syscall; test rax, rax; jz serve; pop rbx; ret
# serve:  mov edi, [rbx]; lea rsi, [rbx + 8]; mov edx, 8; xor eax, eax (read); syscall; cmp rax, 8; jne leave
#         mov rbp, [rbx + 8]; mov r12, [rbp]; mov r13, [rbp + 8]
#         lea rdi, [rbp + 48]; mov esi, 88; mov eax, 435; syscall; test rax, rax; jz next
#         mov [rbp + 16], rax; mov edi, [rbx + 4]; lea rsi, [rbx + 8]; mov edx, 8; mov eax, 1 (write)
#         syscall; jmp serve
# leave:  mov qword [rbx + 8], 0; mov edi, [rbx + 4]; lea rsi, [rbx + 8]; mov edx, 8; mov eax, 1; syscall
#         xor edi, edi; mov eax, 60 (exit); syscall
# next:   movzx r11d, word [r12 + 2]; mov rdi, [r13 + r11 * 8]     and so on for rsi, rdx, r10, r8, r9
#         movzx eax, word [r12]; cmp eax, 0xffff; je check
#         syscall; movzx r11d, word [r12 + 14]; mov [r13 + r11 * 8], rax; cmp rax, -4095; jae failed
# done:   add r12, 32; jmp next
# check:  mov rax, [rdi]; and rax, rsi; cmp rax, rdx; je done; mov rax, -22 (EINVAL)
# failed: neg rax; lea r11, [r12 + 16]; mov ecx, 3
# search: movzx edx, word [r11]; cmp rax, rdx; je skip; add r11, 4; dec ecx; jnz search
#         mov [rbp + 24], r12; mov [rbp + 32], rax; mov edi, 127; mov eax, 231 (exit_group); syscall
# skip:   movsx rdx, word [r11 + 2]; shl rdx, 5; add r12, rdx; jmp next
_CODE = bytes.fromhex(
    "55415441554889fd4c8b65004c8b6d08488d7d30be58000000b8b30100000f054885c00f849400000048894510415d41"
    "5c5dc3534889f3be58000000b8b30100000f054885c074025bc38b3b488d7308ba0800000031c00f054883f808753a48"
    "8b6b084c8b65004c8b6d08488d7d30be58000000b8b30100000f054885c0743d488945108b7b04488d7308ba08000000"
    "b8010000000f05ebb148c74308000000008b7b04488d7308ba08000000b8010000000f0531ffb83c0000000f05450fb7"
    "5c24024b8b7cdd00450fb75c24044b8b74dd00450fb75c24064b8b54dd00450fb75c24084f8b54dd00450fb75c240a4f"
    "8b44dd00450fb75c240c4f8b4cdd00410fb704243dffff0000741b0f05450fb75c240e4b8944dd00483d01f0ffff7318"
    "4983c420eb97488b074821f04839d074ef48c7c0eaffffff48f7d84d8d5c2410b903000000410fb7134839d0741c4983"
    "c304ffc975ef4c89651848894520bf7f000000b8e70000000f05490fbf530248c1e2054901d4e942ffffff"
)
_BEGIN_AT = 0x33

_HEAD_BYTES = 136
_START, _START_AT = struct.Struct("<2Q"), 0
_OUTCOME, _OUTCOME_AT = struct.Struct("<q2Q2i"), 16
_ARGUMENTS, _ARGUMENTS_AT = struct.Struct("<11Q"), 48
_PID_AT, _PIDFD_AT = 40, 44
_VALUES_BYTES = 256 * 1024
_KEPT_BYTES_MAX = 32 * 1024

_CLONE_VM, _CLONE_VFORK, _CLONE_CLEAR_SIGHAND = 0x100, 0x4000, 0x100000000
_CLONE_PARENT_SETTID = 0x00100000
_FLAGS = _CLONE_VM | _CLONE_VFORK | _CLONE_CLEAR_SIGHAND | _CLONE_PARENT_SETTID | syscalls.CLONE_PIDFD
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
ALL_BITS = (1 << 64) - 1
_BLOCKED = ALL_BITS & ~(1 << 31 | 1 << 32)  # Those between threads are the C library's own.


@dataclass(frozen=True, slots=True)
class Image:
    """Cells and data as they are in every slot, but for the addresses: at each of *pointers* is a word that
    says how many bytes after the image's beginning it leads."""

    content: bytes
    pointers: Sequence[int]


@dataclass(slots=True)
class LoadedProgram:
    """`records` are the calls, `told` their names and targets in turn, each followed by a zero. `variables`
    are the numbers of cells."""

    records: bytearray
    image: Image
    variables: Mapping[str, int]
    told: str
    _free: list["Slot"] = field(default_factory=list)

    def start(self, values: Mapping[str, Value], flags: int = 0, cgroup_fd: int = -1) -> tuple[int, int]:
        """Run it in a child, cloned with *flags*, to the command that it executes; return pid and pidfd.

        Raises:
            KernelError: the clone, or one of its calls. The child is gone.
        """
        slot = self.take()
        try:
            slot.fill(values, flags, cgroup_fd)
            with hidden():
                blocked = syscalls.set_signal_mask(_BLOCKED)
                try:
                    _run()(slot.base)
                finally:
                    syscalls.set_signal_mask(blocked)
            return slot.outcome()
        finally:
            self.give_back(slot)

    def take(self) -> "Slot":
        """Return a slot that is nobody's until it is given back."""
        return self._free.pop() if self._free else Slot(self)

    def give_back(self, slot: "Slot") -> None:
        self._free.append(slot)


class Slot:
    """What one child works on. `base` is where it is."""

    __slots__ = ("_begun_s", "_flags", "_given", "_memory", "_program", "base")

    def __init__(self, program: LoadedProgram) -> None:
        image = program.image
        self._program = program
        values_at = _HEAD_BYTES + len(image.content)
        size = values_at + _KEPT_BYTES_MAX + _VALUES_BYTES
        self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.base = _address_of(self._memory)
        self._given = _Given(self._memory, self.base, values_at)
        self._flags = 0
        self._begun_s = 0.0
        self._memory[_HEAD_BYTES:values_at] = image.content
        for at in image.pointers:
            (offset,) = _WORD.unpack_from(image.content, at)
            _WORD.pack_into(self._memory, _HEAD_BYTES + at, self.base + _HEAD_BYTES + offset)
        _START.pack_into(self._memory, _START_AT, _address_of(program.records), self.base + _HEAD_BYTES)

    def fill(self, values: Mapping[str, Value], flags: int, cgroup_fd: int) -> None:
        """Make it ready to start from now on. Raises KernelError: there is no room for so much."""
        self._set(values)
        self._begun_s = time.monotonic()
        self._flags = flags
        flags |= _FLAGS | (syscalls.CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0)
        pid_at, pidfd_at = self.base + _PID_AT, self.base + _PIDFD_AT
        words = (flags, pidfd_at, 0, pid_at, signal.SIGCHLD, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
        _ARGUMENTS.pack_into(self._memory, _ARGUMENTS_AT, *words)
        _OUTCOME.pack_into(self._memory, _OUTCOME_AT, 0, 0, 0, 0, -1)

    @property
    def pid(self) -> int:
        """The child's, as soon as it lives; 0 until then."""
        pid: int = _OUTCOME.unpack_from(self._memory, _OUTCOME_AT)[3]
        return pid

    def outcome(self) -> tuple[int, int]:
        """Return the child's pid and pidfd once whoever cloned it goes on. Raises as `LoadedProgram.start`;
        then it has been waited for."""
        pid, failed_at, number, _, pidfd = _OUTCOME.unpack_from(self._memory, _OUTCOME_AT)
        if pid < 0:
            raise KernelError("clone3", hex(self._flags), -pid)
        if not failed_at and time.monotonic() - self._begun_s < TIMEOUT_S:
            return pid, pidfd
        # Its own timer has killed it, or it executed its command and this process was late to look.
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
        if not failed_at:
            raise KernelError("start", "process", errno.ETIMEDOUT)
        told = self._program.told.split("\0")
        at = (failed_at - _address_of(self._program.records)) // RECORD.size * 2
        raise KernelError(told[at], told[at + 1], number)

    def _set(self, values: Mapping[str, Value]) -> None:
        """Raises KernelError: more is to be handed over than there is room for."""
        cells, memory, given = self._program.variables, self._memory, self._given
        given.begin()
        for name, value in values.items():
            word = value & ALL_BITS if isinstance(value, int) else given.address_of(value)
            _WORD.pack_into(memory, _HEAD_BYTES + cells[name] * WORD_BYTES, word)


class _Given:
    """What is handed over by its address, in the slot's memory from *at* on. Most of it is the same from one
    start to the next: that is still there."""

    __slots__ = ("_addresses", "_at", "_base", "_end", "_memory")

    def __init__(self, memory: mmap.mmap, base: int, at: int) -> None:
        self._memory = memory
        self._base = base
        self._at = self._end = at
        self._addresses: dict[bytes | tuple[bytes, ...], int] = {}

    def begin(self) -> None:
        """Keep what earlier starts were given, unless that has become too much."""
        if self._end > self._at + _KEPT_BYTES_MAX:
            self._addresses.clear()
            self._end = self._at

    def address_of(self, value: bytes | tuple[bytes, ...]) -> int:
        """Raises KernelError: there is no room for it."""
        if (known := self._addresses.get(value)) is not None:
            return known
        if isinstance(value, bytes):
            address = self._put(value)
        else:
            addresses = [self.address_of(each) for each in value]
            address = self._put(struct.pack(f"<{len(addresses) + 1}Q", *addresses, 0))
        self._addresses[value] = address
        return address

    def _put(self, content: bytes) -> int:
        """Behind it is a zero at least, and the next one at a word's beginning."""
        padded = content.ljust(len(content) // WORD_BYTES * WORD_BYTES + WORD_BYTES, b"\0")
        begin, end = self._end, self._end + len(padded)
        if end > len(self._memory):
            raise KernelError("start", "process", errno.E2BIG)
        self._memory[begin:end] = padded
        self._end = end
        return self._base + begin


_WORD = struct.Struct("<Q")


class _Sharers:
    """How many hold this process's memory hidden, and what is to be when nobody does any more."""

    count = 0
    dumpable = 1


def hide() -> None:
    """Let nobody trace this process until `show`."""
    if not _Sharers.count:
        _Sharers.dumpable = syscalls.prctl(_PR_GET_DUMPABLE)
        syscalls.prctl(_PR_SET_DUMPABLE, 0)
    _Sharers.count += 1


def show() -> None:
    _Sharers.count -= 1
    if not _Sharers.count and _Sharers.dumpable == 1:
        syscalls.prctl(_PR_SET_DUMPABLE, 1)


@contextmanager
def hidden() -> Iterator[None]:
    hide()
    try:
        yield
    finally:
        show()


def begin_thread(arguments: bytes, words: mmap.mmap) -> None:
    """Begin a thread that starts slots, cloned with these arguments; see the words in the machine code.

    Raises:
        KernelError: there can be none.
    """
    content = ctypes.create_string_buffer(arguments, len(arguments))
    blocked = syscalls.set_signal_mask(ALL_BITS)
    try:
        result = _begin()(ctypes.addressof(content), _address_of(words))
    finally:
        syscalls.set_signal_mask(blocked)
    if result < 0:
        raise KernelError("clone3", "thread", -result)


def _address_of(memory: "mmap.mmap | bytearray") -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


@functools.cache
def _code() -> mmap.mmap:
    memory = mmap.mmap(-1, len(_CODE))
    memory.write(_CODE)
    address = ctypes.c_void_p(_address_of(memory))
    libc = ctypes.PyDLL(None, use_errno=True)
    if libc.mprotect(address, ctypes.c_size_t(len(_CODE)), ctypes.c_int(mmap.PROT_READ | mmap.PROT_EXEC)):
        raise KernelError("mprotect", "machine code", ctypes.get_errno())
    return memory


# Functions of ctypes, which no type describes, that keep the interpreter's lock.
@functools.cache
def _run() -> "ctypes._FuncPointer":
    return ctypes.PYFUNCTYPE(None, ctypes.c_uint64)(_address_of(_code()))


@functools.cache
def _begin() -> "ctypes._FuncPointer":
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint64)
    return prototype(_address_of(_code()) + _BEGIN_AT)
