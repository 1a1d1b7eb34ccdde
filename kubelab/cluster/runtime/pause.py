"""The pause program: it sleeps until it is killed, and holds a pod's namespaces meanwhile.

Source: kubernetes, build/pause/linux/pause.c. Upstream reaps in a signal handler; here SIGCHLD is ignored
before the program starts, which execve(2) keeps and which makes the kernel reap. So one system call in a loop
is left: a program of 150 bytes, written out below, instead of a C library in every pod.
"""

import errno
import os
import struct

from kubelab.cluster.errors import KernelError

_BASE = 0x400000
_HEADERS_BYTES = 64 + 56
_CODE = {
    # mov eax, 34 (pause); syscall; jmp back
    "x86_64": (62, bytes.fromhex("b8220000000f05ebf7")),
    # mov x0..x4, 0; mov x8, 73 (ppoll); svc 0; b back
    "aarch64": (
        183,
        struct.pack("<8I", *(0xD2800000 + n for n in range(5)), 0xD2800928, 0xD4000001, 0x17FFFFF9),
    ),
}


def program(machine: str | None = None) -> bytes:
    """Return the ELF executable for the processor (this one's by default)."""
    name = machine or os.uname().machine
    if name not in _CODE:
        raise KernelError("pause", name, errno.ENOSYS)
    elf_machine, code = _CODE[name]
    size = _HEADERS_BYTES + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    # e_type EXEC, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, sizes and counts of the tables
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, elf_machine, 1, _BASE + _HEADERS_BYTES, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    # PT_LOAD, readable and executable, the whole file at the base address
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return identity + header + segment + code
