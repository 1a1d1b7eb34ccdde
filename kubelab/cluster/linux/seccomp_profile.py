"""Seccomp profiles in the words of the OCI runtime specification, compiled to a filter of classic BPF.

Source: runtime-spec, config-linux.md, Seccomp; seccomp(2); linux/seccomp.h; libseccomp, src/db.c for what
several rules for one call mean (one without arguments stands above those with). As runc does (libcontainer/
seccomp/patchbpf), calls that are newer than all that the profile names do not exist (ENOSYS) instead of being
refused, for libraries then take older ones. A call is found by halving the numbers: nine comparisons, however
many calls the profile names. No libseccomp is needed. `compiled` is pure.
Left out: programs of other architectures, whose calls do not exist (ENOSYS), whatever `architectures` says;
SCMP_ACT_NOTIFY, which is refused; flags, for a process with one thread needs none.
"""

import errno
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import classic_bpf
from kubelab.cluster.linux.classic_bpf import (
    AND,
    ARGUMENTS_OFFSET,
    AT_LEAST,
    AUDIT,
    AUDIT_OFFSET,
    EQUAL,
    GREATER,
    JUMP,
    LOAD,
    NUMBER_OFFSET,
    RETURN,
    X32_BIT,
    Instruction,
)
from kubelab.cluster.linux.syscall_numbers import MACHINES, numbers


@dataclass(frozen=True, slots=True)
class SeccompArgument:
    index: int
    value: int
    value_two: int
    operator: str


@dataclass(frozen=True, slots=True)
class SeccompRule:
    """`errno` None: EPERM."""

    names: tuple[str, ...]
    action: str
    errno: int | None = None
    arguments: tuple[SeccompArgument, ...] = ()


@dataclass(frozen=True, slots=True)
class Seccomp:
    default_action: str
    default_errno: int | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    listener_path: str = ""
    rules: tuple[SeccompRule, ...] = ()


class UnknownWordError(ValueError):
    """The profile has an action or an operator that there is none of, or that is left out."""


_FAIL = -1  # Skip to the end of the rule.
_ACTIONS = {
    "SCMP_ACT_KILL": classic_bpf.KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": classic_bpf.KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": classic_bpf.KILL_PROCESS,
    "SCMP_ACT_TRAP": classic_bpf.TRAP,
    "SCMP_ACT_ERRNO": classic_bpf.ERRNO,
    "SCMP_ACT_TRACE": classic_bpf.TRACE,
    "SCMP_ACT_LOG": classic_bpf.LOG,
    "SCMP_ACT_ALLOW": classic_bpf.ALLOW,
}
_WITH_DATA = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")

Block = tuple[Instruction, ...]


def compiled(profile: Seccomp, machine: str) -> Block:
    """Return the filter for a processor of `MACHINES`.

    Raises:
        UnknownWordError: the profile cannot be put into force as it is.
    """
    default = _action(profile.default_action, profile.default_errno)
    missing = _return(_ACTIONS["SCMP_ACT_ERRNO"] | errno.ENOSYS)
    return (
        Instruction(LOAD, AUDIT_OFFSET),
        Instruction(EQUAL, AUDIT[machine], then=1),
        missing,
        Instruction(LOAD, NUMBER_OFFSET),
        Instruction(AT_LEAST, X32_BIT, otherwise=1),
        missing,
        *_search(_ranges(profile, machine, default, missing.value)),
    )


def _ranges(profile: Seccomp, machine: str, default: int, missing: int) -> list[tuple[int, Block]]:
    """Return what happens from each number on, up to the next one's."""
    blocks = _blocks(profile, machine, default)
    newest = max(blocks, default=-1)
    beyond = missing if profile.default_action == "SCMP_ACT_ERRNO" and blocks else default
    ranges: list[tuple[int, Block]] = []
    for number in range(newest + 1):
        block = blocks.get(number, (_return(default),))
        if not ranges or ranges[-1][1] != block:
            ranges.append((number, block))
    return [*ranges, (newest + 1, (_return(beyond),))]


def _blocks(profile: Seccomp, machine: str, default: int) -> dict[int, Block]:
    """Return the instructions that decide, by the calls' numbers. Names that nobody knows are passed over."""
    known = numbers(machine)
    by_number: dict[int, list[SeccompRule]] = {}
    for rule in profile.rules:
        for name in rule.names:
            if name in known:
                by_number.setdefault(known[name], []).append(rule)
    decided: dict[tuple[SeccompRule, ...], Block] = {}
    found = {}
    for number, rules in by_number.items():
        key = tuple(replace(rule, names=()) for rule in rules)
        found[number] = decided.setdefault(key, _decided(key, default))
    return found


def _decided(rules: Sequence[SeccompRule], default: int) -> Block:
    for rule in rules:
        if not rule.arguments:
            return (_return(_action(rule.action, rule.errno)),)
    tests = (each for rule in rules for each in _tested(rule))
    return (*tests, _return(default))


def _tested(rule: SeccompRule) -> Iterator[Instruction]:
    """Yield the tests of the rule and its verdict. Several tests of one argument are alternatives (runc,
    libcontainer/seccomp/seccomp_linux.go, matchCall)."""
    verdict = _return(_action(rule.action, rule.errno))
    indices = [each.index for each in rule.arguments]
    alternatives = len(set(indices)) < len(indices)
    for arguments in [(each,) for each in rule.arguments] if alternatives else [rule.arguments]:
        tests = [each for argument in arguments for each in _compared(argument)]
        length = len(tests) + 1
        for position, each in enumerate(tests):
            yield _resolved(each, length - position - 1)
        yield verdict


def _resolved(instruction: Instruction, to_end: int) -> Instruction:
    then = to_end if instruction.then == _FAIL else instruction.then
    otherwise = to_end if instruction.otherwise == _FAIL else instruction.otherwise
    return replace(instruction, then=then, otherwise=otherwise)


def _compared(argument: SeccompArgument) -> Block:
    """Return the test of a 64-bit argument by its two halves."""
    if argument.operator not in _COMPARISONS or not 0 <= argument.index <= 5:
        raise UnknownWordError(f"{argument.operator} of argument {argument.index}")
    low = ARGUMENTS_OFFSET + 8 * argument.index
    return _COMPARISONS[argument.operator](low, argument.value, argument.value_two)


def _split(value: int) -> tuple[int, int]:
    return value >> 32 & 0xFFFFFFFF, value & 0xFFFFFFFF


def _equal(low: int, value: int, _: int) -> Block:
    high_value, low_value = _split(value)
    return (
        Instruction(LOAD, low + 4),
        Instruction(EQUAL, high_value, otherwise=_FAIL),
        Instruction(LOAD, low),
        Instruction(EQUAL, low_value, otherwise=_FAIL),
    )


def _not_equal(low: int, value: int, _: int) -> Block:
    high_value, low_value = _split(value)
    return (
        Instruction(LOAD, low + 4),
        Instruction(EQUAL, high_value, otherwise=2),
        Instruction(LOAD, low),
        Instruction(EQUAL, low_value, then=_FAIL),
    )


def _above(low_code: int) -> Callable[[int, int, int], Block]:
    def block(low: int, value: int, _: int) -> Block:
        high_value, low_value = _split(value)
        return (
            Instruction(LOAD, low + 4),
            Instruction(GREATER, high_value, then=3),
            Instruction(EQUAL, high_value, otherwise=_FAIL),
            Instruction(LOAD, low),
            Instruction(low_code, low_value, otherwise=_FAIL),
        )

    return block


def _below(low_code: int) -> Callable[[int, int, int], Block]:
    def block(low: int, value: int, _: int) -> Block:
        high_value, low_value = _split(value)
        return (
            Instruction(LOAD, low + 4),
            Instruction(GREATER, high_value, then=_FAIL),
            Instruction(EQUAL, high_value, otherwise=2),
            Instruction(LOAD, low),
            Instruction(low_code, low_value, then=_FAIL),
        )

    return block


def _masked_equal(low: int, mask: int, value: int) -> Block:
    (high_mask, low_mask), (high_value, low_value) = _split(mask), _split(value)
    return (
        Instruction(LOAD, low + 4),
        Instruction(AND, high_mask),
        Instruction(EQUAL, high_value, otherwise=_FAIL),
        Instruction(LOAD, low),
        Instruction(AND, low_mask),
        Instruction(EQUAL, low_value, otherwise=_FAIL),
    )


_COMPARISONS: dict[str, Callable[[int, int, int], Block]] = {
    "SCMP_CMP_EQ": _equal,
    "SCMP_CMP_NE": _not_equal,
    "SCMP_CMP_GT": _above(GREATER),
    "SCMP_CMP_GE": _above(AT_LEAST),
    "SCMP_CMP_LT": _below(AT_LEAST),
    "SCMP_CMP_LE": _below(GREATER),
    "SCMP_CMP_MASKED_EQ": _masked_equal,
}


def _search(ranges: Sequence[tuple[int, Block]]) -> Block:
    """Return the instructions that find the loaded number's range by halving."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    # A conditional jump reaches 255 instructions far, an unconditional one any distance.
    return (
        Instruction(AT_LEAST, ranges[middle][0], otherwise=1),
        Instruction(JUMP, len(below)),
        *below,
        *above,
    )


def _action(name: str, errno_: int | None) -> int:
    if name not in _ACTIONS:
        raise UnknownWordError(name)
    data = errno.EPERM if errno_ is None else errno_
    return _ACTIONS[name] | (data & 0xFFFF if name in _WITH_DATA else 0)


def _return(value: int) -> Instruction:
    return Instruction(RETURN, value)


@functools.lru_cache(maxsize=32)
def program(profile: Seccomp) -> bytes:
    """Return the filter for this processor, ready to be installed; empty if it is not of `MACHINES`.

    Raises:
        UnknownWordError: the profile cannot be put into force as it is.
        KernelError: it is too long for the kernel.
    """
    machine = os.uname().machine
    if machine not in MACHINES:
        return b""
    instructions = compiled(profile, machine)
    if len(instructions) > classic_bpf.INSTRUCTIONS_MAX:
        raise KernelError("seccomp", f"{len(instructions)} instructions", errno.E2BIG)
    return classic_bpf.packed(instructions)
