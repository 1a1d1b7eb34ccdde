"""Which devices the processes of a cgroup may open: ordered rules, as a small program on its v2 directory.

Source: OCI runtime specification, config-linux.md, Allowed Device list; Documentation/admin-guide/
cgroup-v2.rst, Device controller; runc, libcontainer/cgroups/devices (the last rule that matches decides).
`rules_program` is pure. A hybrid host's v2 hierarchy does as well.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroup_programs import attach_devices


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """`type` is a, b or c; a number that is None matches all; `access` are letters of r, w and m."""

    allow: bool
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


# What every container may, whatever its own rules are, as runc has it (specconv, AllowedDevices).
ALWAYS = (
    DeviceRule(allow=True, type="c", access="m"),
    DeviceRule(allow=True, type="b", access="m"),
    *(DeviceRule(True, "c", 1, minor) for minor in (3, 5, 7, 8, 9)),
    *(DeviceRule(True, "c", 5, minor) for minor in (0, 1, 2)),
    DeviceRule(True, "c", 136),
)
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

# linux/bpf.h, linux/bpf_common.h. Registers: 2 type, 3 major, 4 minor, 5 access, 6 for tests.
_LOAD, _MOVE, _MOVE_REGISTER, _AND, _SHIFT = 0x61, 0xB7, 0xBF, 0x57, 0x77
_EQUAL, _NOT_EQUAL, _EXIT = 0x15, 0x55, 0x95


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def rules_program(rules: Sequence[DeviceRule]) -> bytes:
    """Return the program (of struct bpf_cgroup_dev_ctx) in which the last of *rules* that matches decides;
    what none matches is allowed, as the kernel has it before there are rules."""
    head = (
        _instruction(_LOAD, 2, 1, 0),
        _instruction(_MOVE_REGISTER, 5, 2),
        _instruction(_SHIFT, 5, value=16),
        _instruction(_AND, 2, value=0xFFFF),
        _instruction(_LOAD, 3, 1, 4),
        _instruction(_LOAD, 4, 1, 8),
    )
    return b"".join((*head, *(_test(rule) for rule in reversed(rules)), _verdict(1)))


def _verdict(value: int) -> bytes:
    return _instruction(_MOVE, 0, value=value) + _instruction(_EXIT)


def _test(rule: DeviceRule) -> bytes:
    """Return what decides if the rule matches, and goes on behind it if not."""
    access = sum(_ACCESS[letter] for letter in set(rule.access))
    # An allowed open needs all that it asks for; one that asks for anything forbidden is refused.
    beyond = ~access & 0b111 if rule.allow else access
    tests: list[bytes | tuple[int, int, int]] = [
        _instruction(_MOVE_REGISTER, 6, 5),
        _instruction(_AND, 6, value=beyond),
        (_NOT_EQUAL if rule.allow else _EQUAL, 6, 0),
    ]
    if rule.type in _TYPES:
        tests.append((_NOT_EQUAL, 2, _TYPES[rule.type]))
    if rule.major is not None:
        tests.append((_NOT_EQUAL, 3, rule.major))
    if rule.minor is not None:
        tests.append((_NOT_EQUAL, 4, rule.minor))
    tests.append(_verdict(int(rule.allow)))
    return b"".join(_placed(tests))


def _placed(tests: Sequence[bytes | tuple[int, int, int]]) -> list[bytes]:
    """Replace each jump (code, register, value) by one to the end."""
    length = len(tests) + 1  # The verdict has two instructions.
    placed = []
    for position, each in enumerate(tests):
        if isinstance(each, bytes):
            placed.append(each)
        else:
            code, register, value = each
            placed.append(_instruction(code, register, offset=length - position - 1, value=value))
    return placed


def limit_devices(directory: str, rules: Sequence[DeviceRule]) -> None:
    """Put *rules*, and what every container may, in force in the cgroup of v2 at *directory*.

    Raises:
        KernelError: this kernel cannot, or this process may not.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", directory, error.errno or 0) from None
    try:
        attach_devices(fd, rules_program((*rules, *ALWAYS)))
    finally:
        os.close(fd)
