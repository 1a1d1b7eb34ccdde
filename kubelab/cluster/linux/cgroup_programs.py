"""Two small programs on a cgroup of v2: which devices its processes may open, which sysctls they may write.

They bind whoever is in the cgroup and below, whatever he mounts: another devtmpfs, a fresh /proc. So root on
a machine finds no disk of the host, and no setting of the kernel that is not of his own network namespace.
Source: Documentation/bpf/prog_cgroup_sysctl.rst; Documentation/admin-guide/cgroup-v2.rst, Device controller;
bpf(2); linux/bpf.h. The hybrid host's v2 hierarchy, which has no controllers, does as well. The programs go
with the cgroup. `devices_program` and `sysctl_program` are pure.
Left out: hosts without any v2 hierarchy or without CONFIG_CGROUP_BPF: `attach` returns False there.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.syscalls import bpf

# The devices of the OCI runtime specification: (major, minor), character devices all.
DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))
PTY_MAJORS = (136, 143)  # The slaves of pseudo-terminals.
WRITABLE_SYSCTLS = b"net/"  # Those belong to the network namespace of whoever looks.

_PROG_LOAD, _PROG_ATTACH = 5, 8
_CGROUP_DEVICE_PROGRAM, _CGROUP_SYSCTL_PROGRAM = 15, 23
_CGROUP_DEVICE, _CGROUP_SYSCTL = 6, 18
_ALLOW_MULTI = 2
_CHARACTER_DEVICE = 2
_SYSCTL_GET_NAME = 101
_NAME_BYTES = 8

# linux/bpf.h, linux/bpf_common.h
_LOAD, _STORE, _MOVE, _MOVE_REGISTER, _AND, _ADD = 0x61, 0x7A, 0xB7, 0xBF, 0x57, 0x07
_JUMP, _EQUAL, _NOT_EQUAL, _GREATER, _LESS, _CALL, _EXIT = 0x05, 0x15, 0x55, 0x25, 0xA5, 0x85, 0x95
_STACK = 10


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def _verdict(value: int) -> bytes:
    return _instruction(_MOVE, 0, value=value) + _instruction(_EXIT)


_DENY, _ALLOW = _verdict(0), _verdict(1)
_VERDICT_LENGTH = 2


def devices_program(devices: Iterable[tuple[int, int]] = DEVICES) -> bytes:
    """Return the program that lets through *devices* and pseudo-terminals, of which register 1 has the type,
    major and minor number (struct bpf_cgroup_dev_ctx)."""
    allow_one = b"".join(
        # Past the test of the minor number and the verdict; past the verdict.
        _instruction(_NOT_EQUAL, 3, offset=1 + _VERDICT_LENGTH, value=major)
        + _instruction(_NOT_EQUAL, 4, offset=_VERDICT_LENGTH, value=minor)
        + _ALLOW
        for major, minor in devices
    )
    first, last = PTY_MAJORS
    return b"".join(
        (
            _instruction(_LOAD, 2, 1, 0),
            _instruction(_LOAD, 3, 1, 4),
            _instruction(_LOAD, 4, 1, 8),
            _instruction(_AND, 2, value=0xFFFF),
            _instruction(_EQUAL, 2, offset=_VERDICT_LENGTH, value=_CHARACTER_DEVICE),
            _DENY,
            allow_one,
            _instruction(_LESS, 3, offset=1 + _VERDICT_LENGTH, value=first),
            _instruction(_GREATER, 3, offset=_VERDICT_LENGTH, value=last),
            _ALLOW,
            _DENY,
        )
    )


def sysctl_program(writable: bytes = WRITABLE_SYSCTLS) -> bytes:
    """Return the program that lets through every read, and writes of names that begin with these four
    bytes."""
    name_offset = -_NAME_BYTES
    return b"".join(
        (
            _instruction(_LOAD, 2, 1, 0),
            _instruction(_NOT_EQUAL, 2, offset=_VERDICT_LENGTH),
            _ALLOW,
            # bpf_sysctl_get_name(context, the stack, its room, 0): a name that is too long is cut. Kernels
            # before 6.3 hand out no stack that was not written to.
            _instruction(_STORE, _STACK, offset=name_offset),
            _instruction(_MOVE_REGISTER, 2, _STACK),
            _instruction(_ADD, 2, value=name_offset),
            _instruction(_MOVE, 3, value=_NAME_BYTES),
            _instruction(_MOVE, 4, value=0),
            _instruction(_CALL, value=_SYSCTL_GET_NAME),
            _instruction(_LOAD, 2, _STACK, name_offset),
            _instruction(_NOT_EQUAL, 2, offset=_VERDICT_LENGTH, value=struct.unpack("<i", writable)[0]),
            _ALLOW,
            _DENY,
        )
    )


def attach(directory: str) -> bool:
    """Put both on the cgroup of v2 at *directory*; return whether this kernel can."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", directory, error.errno or 0) from None
    try:
        _attach(fd, _CGROUP_DEVICE_PROGRAM, _CGROUP_DEVICE, devices_program())
        _attach(fd, _CGROUP_SYSCTL_PROGRAM, _CGROUP_SYSCTL, sysctl_program())
    except KernelError:
        return False
    finally:
        os.close(fd)
    return True


def load() -> None:
    """Load both programs for nothing, to see whether this kernel takes them. Raises KernelError."""
    for program_type, attach_type, program in (
        (_CGROUP_DEVICE_PROGRAM, _CGROUP_DEVICE, devices_program()),
        (_CGROUP_SYSCTL_PROGRAM, _CGROUP_SYSCTL, sysctl_program()),
    ):
        os.close(_load(program_type, attach_type, program))


def attach_devices(cgroup_fd: int, program: bytes) -> None:
    """Put a program that decides about devices on the cgroup of v2, beside those that are there.

    Raises:
        KernelError: this kernel cannot, or this process may not.
    """
    _attach(cgroup_fd, _CGROUP_DEVICE_PROGRAM, _CGROUP_DEVICE, program)


def _attach(cgroup_fd: int, program_type: int, attach_type: int, program: bytes) -> None:
    program_fd = _load(program_type, attach_type, program)
    try:
        bpf(_PROG_ATTACH, struct.pack("4I", cgroup_fd, program_fd, attach_type, _ALLOW_MULTI))
    finally:
        os.close(program_fd)


def _load(program_type: int, attach_type: int, program: bytes) -> int:
    instructions = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    # union bpf_attr: type, count, instructions, licence, log, kernel version, flags, name, ifindex, type.
    addresses = (ctypes.addressof(instructions), ctypes.addressof(licence))
    head = struct.pack("2I2Q", program_type, len(program) // 8, *addresses)
    tail = struct.pack("2IQ2I16s2I", 0, 0, 0, 0, 0, b"kubelab", 0, attach_type)
    return bpf(_PROG_LOAD, head + tail)
