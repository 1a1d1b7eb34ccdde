"""The filter refuses what it names, on each processor and whatever the arguments, and nothing else.

Run here by an interpreter of the few instructions that it uses; on the real kernel by the machines' tests.
"""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.linux import seccomp
from kubelab.cluster.linux.classic_bpf import Instruction
from kubelab.cluster.linux.seccomp import DENIALS, compiled

ALLOWED = 0
AUDITS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = tuple(AUDITS)


def verdict(machine: str, number: int, arguments: tuple[int, ...] = (), *, audit: int | None = None) -> int:
    """Return the errno that the call gets, 0 if it is let through."""
    words = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<iIQ6Q", number, AUDITS[machine] if audit is None else audit, 0, *words)
    return run(compiled(machine), data)


def run(program: tuple[Instruction, ...], data: bytes) -> int:
    accumulator = at = 0
    while True:
        instruction = program[at]
        at += 1
        match instruction.code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, instruction.value)
            case 0x15:
                at += instruction.then if accumulator == instruction.value else instruction.otherwise
            case 0x35:
                at += instruction.then if accumulator >= instruction.value else instruction.otherwise
            case 0x06:
                return 0 if instruction.value == 0x7FFF0000 else instruction.value & 0xFFFF


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("denial", DENIALS, ids=lambda denial: denial.name)
def test_each_denial_holds(machine, denial):
    number = denial.numbers[MACHINES.index(machine)]
    for value in denial.values or (0, 1, 1 << 31):
        arguments = (*[0] * denial.argument, value)
        # arm64 has no I/O ports: what has no number there is not refused.
        assert verdict(machine, number, arguments) == (denial.error if number else ALLOWED)


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(0, 500), arguments=st.tuples(*[st.integers(0, 12)] * 3))
def test_nothing_else_is_refused(machine, number, arguments):
    column = MACHINES.index(machine)
    refused = any(
        number == denial.numbers[column]
        and number
        and (not denial.values or arguments[denial.argument] in denial.values)
        for denial in DENIALS
    )
    assert bool(verdict(machine, number, arguments)) == refused


@pytest.mark.parametrize("number", [0, 1, 101, 169, 400])
def test_calls_of_other_architectures_do_not_exist(number):
    assert verdict("x86_64", number, audit=0x40000003) == errno.ENOSYS  # i386
    assert verdict("x86_64", number | 0x40000000) == errno.ENOSYS  # x32
    assert verdict("aarch64", number, audit=0x40000028) == errno.ENOSYS  # arm


def test_a_processor_without_numbers_has_no_filter():
    assert not seccomp.supported("riscv64")


def test_it_is_short_enough_for_the_jumps_of_classic_bpf():
    assert all(max(i.then, i.otherwise) < 256 for machine in MACHINES for i in compiled(machine))
