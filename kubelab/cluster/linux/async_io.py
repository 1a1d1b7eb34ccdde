"""What the kernel does with a file while the event loop goes on, one at a time: a descriptor tells when.

A thread costs as much again as the fdatasync of a quick disk: two switches, and at its end a wait for the
interpreter's lock. Linux takes such work by io_submit(2) and counts an eventfd up when it is done, which the
event loop waits for like for a socket.
Source: linux, fs/aio.c and include/uapi/linux/aio_abi.h; io_setup(2), io_submit(2), io_getevents(2),
eventfd(2).
Left out: more than one thing at a time; io_uring, which many container runtimes forbid.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from functools import partial

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.syscall_numbers import numbers

_FLAG_RESFD = 1

# PyDLL keeps the interpreter's lock: none of these calls waits.
_syscall = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


class Iocb(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("descriptor", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("event_descriptor", ctypes.c_uint32),
    )


class _IoEvent(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_uint64),
        ("object", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result2", ctypes.c_int64),
    )


class AsyncIo:
    """`submit` what `iocb` says, wait until `fileno` is readable, `result`."""

    def __init__(self, opcode: int) -> None:
        """Raises KernelError: the kernel has no such thing, or its owner forbids it."""
        self._context = ctypes.c_ulong(0)
        one, setup = ctypes.c_long(1), _call("io_setup")
        _check("io_setup", "", setup(one, ctypes.byref(self._context)))
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.iocb = Iocb(opcode=opcode, flags=_FLAG_RESFD, event_descriptor=self._event)
        iocbs = (ctypes.POINTER(Iocb) * 1)(ctypes.pointer(self.iocb))
        self._done = _IoEvent()
        # All arguments are the same each time: to make them anew would take as long as the call.
        self._submit = partial(_call("io_submit"), self._context, one, iocbs)
        self._get = partial(_call("io_getevents"), self._context, one, one, ctypes.byref(self._done), None)

    def fileno(self) -> int:
        return self._event

    def submit(self) -> None:
        """Raises KernelError: the kernel does not do this with such a file; nothing has begun."""
        _check("io_submit", self.iocb.descriptor, self._submit())

    def result(self) -> int:
        """Return what the system call of that name would; what it refuses is below 0."""
        os.eventfd_read(self._event)
        _check("io_getevents", "", self._get())
        return int(self._done.result)

    def close(self) -> None:
        """To be called when nothing is under way, else it waits for that."""
        _check("io_destroy", "", _call("io_destroy")(self._context))
        os.close(self._event)


def _call(name: str) -> Callable[..., int]:
    machine = os.uname().machine
    number = numbers(machine).get(name)
    if number is None:
        raise KernelError(name, machine, errno.ENOSYS)
    return partial(_syscall, ctypes.c_long(number))


def _check(name: str, value: object, result: int) -> None:
    if result < 0:
        raise KernelError(name, value, ctypes.get_errno())
