"""The system calls that Python 3.11's `os` lacks, by ctypes; each failure is a `KernelError`.

Source: the Linux manual pages, section 2, by the functions' names. Imports nothing outside the standard
library and the lab's errors, because the shim runs without site-packages.
Left out: processors other than x86-64 and arm64 (only `pivot_root` has no number common to all).
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import ctypes
import errno
import os
import struct
from typing import NoReturn

from kubelab.cluster.errors import KernelError

CLONE_NEWTIME = 0x00000080
CLONE_FS = 0x00000200
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SHARED = 0x100000
MNT_DETACH = 0x2

MOUNT_ATTR_RDONLY = 0x1
AT_RECURSIVE = 0x8000
AT_FDCWD = -100

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2

RESOLVE_BENEATH = 0x08

_SYS_CLONE3 = 435
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_CAPGET = {"x86_64": 125, "aarch64": 90}
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_SYS_RT_SIGACTION = {"x86_64": 13, "aarch64": 134}
_SYS_RT_SIGPROCMASK = {"x86_64": 14, "aarch64": 135}
_SYS_BPF = {"x86_64": 321, "aarch64": 280}

_SIG_SETMASK = 2
_CAPABILITY_VERSION_3 = 0x20080522

# PyDLL keeps the interpreter's lock during the call: a child that `clone` made must not have to ask for it.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _fail(operation: str, target: object) -> NoReturn:
    raise KernelError(operation, target, ctypes.get_errno())


def _number(numbers: dict[str, int], operation: str) -> int:
    machine = os.uname().machine
    if machine not in numbers:
        raise KernelError(operation, machine, errno.ENOSYS)
    return numbers[machine]


def _named(flags: int) -> str:
    """Return the flags' names, for an error's sentence."""
    names = (name for name, flag in globals().items() if name.startswith("CLONE_") and flags & flag)
    return "|".join(names) or str(flags)


def clone(flags: int, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork into new namespaces, and a cgroup of the v2 hierarchy; return (pid, pidfd), in the child (0, -1).

    Only for a process with one thread: nothing runs between this and the child's next line.
    """
    pidfd = ctypes.c_int(-1)
    # With CLONE_PARENT the child inherits the exit signal, and naming one is refused.
    exit_signal = 0 if flags & CLONE_PARENT else 17
    flags |= CLONE_PIDFD | (CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0)
    stack_and_thread = (0, 0, 0, 0, 0)
    head = (flags, ctypes.addressof(pidfd), 0, 0, exit_signal)
    arguments = struct.pack("11Q", *head, *stack_and_thread, max(cgroup_fd, 0))
    pid = _syscall(ctypes.c_long(_SYS_CLONE3), arguments, ctypes.c_size_t(len(arguments)))
    if pid < 0:
        _fail("clone3", _named(flags))
    return (pid, pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    if _libc.unshare(ctypes.c_int(flags)):
        _fail("unshare", _named(flags))


def setns(fd: int, flags: int) -> None:
    """Enter the namespace of *fd*, or, if it is a pidfd, those of the process that *flags* names."""
    if _libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)):
        _fail("setns", _named(flags))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    if _libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None):
        _fail("mount", f"{source} on {target}")


def umount(target: str, flags: int = 0) -> None:
    if _libc.umount2(os.fsencode(target), ctypes.c_int(flags)):
        _fail("umount", target)


def set_mount_attributes(target: str, attributes: int, *, recursive: bool = True) -> None:
    """Set mount attributes (MOUNT_ATTR_*) on *target* and, if recursive, on all mounts below it."""
    change = struct.pack("4Q", attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    path = os.fsencode(target)
    call = (ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_int(AT_FDCWD), path, ctypes.c_uint(flags), change)
    if _syscall(*call, ctypes.c_size_t(len(change))):
        _fail("mount_setattr", target)


def openat2(directory_fd: int, path: str, flags: int, resolve: int) -> int:
    """Return a descriptor of *path* below the directory; *resolve* (RESOLVE_*) says where links may lead."""
    how = struct.pack("3Q", flags | os.O_CLOEXEC, 0, resolve)
    call = (ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(directory_fd), os.fsencode(path), how)
    fd: int = _syscall(*call, ctypes.c_size_t(len(how)))
    if fd < 0:
        _fail("openat2", path)
    return fd


def pivot_root(new_root: str, put_old: str) -> None:
    number = _number(_SYS_PIVOT_ROOT, "pivot_root")
    if _syscall(ctypes.c_long(number), os.fsencode(new_root), os.fsencode(put_old)):
        _fail("pivot_root", new_root)


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    zero = ctypes.c_ulong(0)
    words = (ctypes.c_ulong(argument), ctypes.c_ulong(second), zero, zero)
    result: int = _libc.prctl(ctypes.c_int(option), *words)
    if result < 0:
        _fail("prctl", option)
    return result


def default_signal(number: int) -> None:
    """Set the signal's disposition to the default, also of one that C libraries keep for themselves (32, 33)
    and that Python cannot name."""
    call = ctypes.c_long(_number(_SYS_RT_SIGACTION, "rt_sigaction"))
    if _syscall(call, ctypes.c_int(number), bytes(32), None, ctypes.c_size_t(8)):
        _fail("rt_sigaction", number)


def set_signal_mask(mask: int) -> int:
    """Let this thread block these signals (bit 0 is signal 1), and no others; return which it blocked before.
    `signal.pthread_sigmask` makes an object of each signal, which takes a hundred times as long."""
    number = _number(_SYS_RT_SIGPROCMASK, "rt_sigprocmask")
    wanted, before = ctypes.c_uint64(mask), ctypes.c_uint64()
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    if _syscall(number, _SIG_SETMASK, ctypes.byref(wanted), ctypes.byref(before), size) < 0:
        _fail("rt_sigprocmask", hex(mask))
    return before.value


def set_process_name(name: str) -> None:
    """Set what `ps -o comm` shows; the kernel keeps 15 bytes."""
    _libc.prctl(ctypes.c_int(PR_SET_NAME), ctypes.c_char_p(name.encode()[:15]), *[ctypes.c_ulong(0)] * 3)


def set_command_line(text: str) -> None:
    """Write *text* over this process's argument strings, which is what /proc/<pid>/cmdline shows."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if start and room > 0:
        ctypes.memmove(start, text.encode()[: room - 1].ljust(room, b"\0"), room)


def bpf(command: int, attributes: bytes) -> int:
    """Return what bpf(2) does: a descriptor, or 0."""
    number = ctypes.c_long(_number(_SYS_BPF, "bpf"))
    result: int = _syscall(number, ctypes.c_int(command), attributes, ctypes.c_uint(len(attributes)))
    if result < 0:
        _fail("bpf", command)
    return result


def capget() -> int:
    """Return this thread's permitted capabilities, as a mask."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    words = ctypes.create_string_buffer(24)
    if _syscall(ctypes.c_long(_number(_SYS_CAPGET, "capget")), header, words):
        _fail("capget", "self")
    _, low, _, _, high, _ = struct.unpack("6I", words.raw)
    mask: int = high << 32 | low
    return mask


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capability sets, as masks. See `capabilities`."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    words = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in (effective, permitted, inheritable)]
    number = _number(_SYS_CAPSET, "capset")
    if _syscall(ctypes.c_long(number), header, struct.pack("6I", *words)):
        _fail("capset", hex(permitted))
