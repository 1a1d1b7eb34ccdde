"""fdatasync without a thread: the kernel's own workers do it, and a descriptor tells when it is done.

A thread costs as much again as the fdatasync of a quick disk: two switches, and at its end a wait for the
interpreter's lock. Linux can sync a file asynchronously (io_submit(2), IOCB_CMD_FDSYNC, since 4.18) and count
an eventfd up when the disk has answered, which the event loop waits for like for a socket.
Source: linux, fs/aio.c (aio_fsync) and include/uapi/linux/aio_abi.h; io_setup(2), io_submit(2),
io_getevents(2), eventfd(2).
Left out: more than one sync at a time; io_uring, which many container runtimes forbid.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from functools import partial

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.syscall_numbers import numbers

_FDSYNC = 3
_FLAG_RESFD = 1

# PyDLL keeps the interpreter's lock: none of these calls waits.
_syscall = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


class _Iocb(ctypes.Structure):
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


class DiskSync:
    """One sync at a time: `begin`, wait until `fileno` is readable, `finish`."""

    def __init__(self) -> None:
        """Raises KernelError: the kernel has no such thing, or its owner forbids it."""
        self._context = ctypes.c_ulong(0)
        one, setup = ctypes.c_long(1), _call("io_setup")
        _check("io_setup", "", setup(one, ctypes.byref(self._context)))
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._iocb = _Iocb(opcode=_FDSYNC, flags=_FLAG_RESFD, event_descriptor=self._event)
        iocbs = (ctypes.POINTER(_Iocb) * 1)(ctypes.pointer(self._iocb))
        self._result = _IoEvent()
        # All arguments are the same for each sync: to make them anew would take as long as the call.
        self._submit = partial(_call("io_submit"), self._context, one, iocbs)
        self._get = partial(_call("io_getevents"), self._context, one, one, ctypes.byref(self._result), None)

    def fileno(self) -> int:
        return self._event

    def begin(self, descriptor: int) -> None:
        """Raises KernelError: the file's system cannot; nothing has begun."""
        self._iocb.descriptor = descriptor
        _check("io_submit", descriptor, self._submit())

    def finish(self) -> None:
        """Raises KernelError: the disk has refused. What of the file it has is unknown."""
        os.eventfd_read(self._event)
        _check("io_getevents", "", self._get())
        if self._result.result < 0:
            raise KernelError("fdatasync", self._iocb.descriptor, -self._result.result)

    def close(self) -> None:
        """To be called when none is under way, else it waits for that."""
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
