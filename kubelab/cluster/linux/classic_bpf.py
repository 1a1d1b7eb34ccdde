"""Filters of classic BPF, as seccomp(2) takes them: their instructions, what they see, what they answer.

Source: linux/bpf_common.h, linux/filter.h; linux/seccomp.h (struct seccomp_data); linux/audit.h.
"""

import ctypes
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from kubelab.cluster.linux.syscalls import PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prctl

LOAD, AND, JUMP, EQUAL, GREATER, AT_LEAST, RETURN = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06
NUMBER_OFFSET, AUDIT_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000  # x86-64 with short pointers: the same architecture, other numbers.

KILL_PROCESS, KILL_THREAD, TRAP, ERRNO = 0x80000000, 0x00000000, 0x00030000, 0x00050000
TRACE, LOG, ALLOW = 0x7FF00000, 0x7FFC0000, 0x7FFF0000
INSTRUCTIONS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Instruction:
    """`then` and `otherwise` say how many of the next ones a jump skips."""

    code: int
    value: int
    then: int = 0
    otherwise: int = 0


def packed(instructions: Iterable[Instruction]) -> bytes:
    return b"".join(struct.pack("HBBI", i.code, i.then, i.otherwise, i.value) for i in instructions)


def install(filter_: bytes) -> None:
    """Put this process, and all that it executes, under the packed filter, for good.

    It has no_new_privs, or CAP_SYS_ADMIN in its user namespace.

    Raises:
        KernelError: neither, or the kernel has no seccomp filters.
    """
    instructions = ctypes.create_string_buffer(filter_, len(filter_))
    head = struct.pack("HxxxxxxQ", len(filter_) // 8, ctypes.addressof(instructions))
    program = ctypes.create_string_buffer(head)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))
