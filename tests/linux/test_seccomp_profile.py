"""A profile means what libseccomp makes of it, for each call, argument and processor.

Run by an interpreter of classic BPF's few instructions; on the real kernel by the containers' tests.
"""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.linux import capabilities
from kubelab.cluster.linux.classic_bpf import Instruction
from kubelab.cluster.linux.seccomp_default import default_profile
from kubelab.cluster.linux.seccomp_profile import (
    Seccomp,
    SeccompArgument,
    SeccompRule,
    UnknownWordError,
    compiled,
)
from kubelab.cluster.linux.syscall_numbers import MACHINES, NEWEST, numbers

AUDITS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
COMPARE = {
    "SCMP_CMP_EQ": lambda a, v, _: a == v,
    "SCMP_CMP_NE": lambda a, v, _: a != v,
    "SCMP_CMP_LT": lambda a, v, _: a < v,
    "SCMP_CMP_LE": lambda a, v, _: a <= v,
    "SCMP_CMP_GT": lambda a, v, _: a > v,
    "SCMP_CMP_GE": lambda a, v, _: a >= v,
    "SCMP_CMP_MASKED_EQ": lambda a, mask, v: a & mask == v,
}


def verdict(filter_: tuple[Instruction, ...], machine: str, number: int, arguments=(), audit=None) -> int:
    words = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<iIQ6Q", number, AUDITS[machine] if audit is None else audit, 0, *words)
    accumulator = at = 0
    while True:
        each = filter_[at]
        at += 1
        match each.code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, each.value)
            case 0x54:
                accumulator &= each.value
            case 0x05:
                at += each.value
            case 0x15:
                at += each.then if accumulator == each.value else each.otherwise
            case 0x25:
                at += each.then if accumulator > each.value else each.otherwise
            case 0x35:
                at += each.then if accumulator >= each.value else each.otherwise
            case 0x06:
                return each.value


def named(machine: str, name: str) -> int:
    return numbers(machine)[name]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_default_profile_allows_ordinary_calls_and_refuses_the_administrators(machine):
    filter_ = compiled(default_profile(capabilities.DOCKER_DEFAULT), machine)
    for name in ("read", "openat", "execve", "chroot", "futex", "ptrace", "seccomp"):
        assert verdict(filter_, machine, named(machine, name)) == ALLOW, name
    for name in ("mount", "setns", "unshare", "bpf", "keyctl", "reboot", "init_module", "pivot_root"):
        assert verdict(filter_, machine, named(machine, name)) == EPERM, name
    assert verdict(filter_, machine, named(machine, "clone3")) == ENOSYS
    for number in (NEWEST + 1, 5000, 0x40000000):
        assert verdict(filter_, machine, number) == ENOSYS
    assert verdict(filter_, machine, 0, audit=0x40000003) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_decide_about_namespaces_and_sockets(machine):
    filter_ = compiled(default_profile(capabilities.DOCKER_DEFAULT), machine)
    clone, socket = named(machine, "clone"), named(machine, "socket")
    assert verdict(filter_, machine, clone, (0x11,)) == ALLOW
    assert verdict(filter_, machine, clone, (0x10000000,)) == EPERM  # CLONE_NEWUSER
    families = {1: ALLOW, 2: ALLOW, 16: ALLOW, 38: EPERM, 39: ALLOW, 40: EPERM, 41: ALLOW}
    for family, expected in families.items():
        assert verdict(filter_, machine, socket, (family,)) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_a_capability_brings_its_calls(machine):
    filter_ = compiled(default_profile(frozenset({"SYS_ADMIN", "SYS_TIME"})), machine)
    for name in ("mount", "clone3", "settimeofday"):
        assert verdict(filter_, machine, named(machine, name)) == ALLOW
    assert verdict(filter_, machine, named(machine, "clone"), (0x10000000,)) == ALLOW
    assert verdict(filter_, machine, named(machine, "reboot")) == EPERM


WORDS = st.integers(0, (1 << 64) - 1) | st.integers(0, 5) | st.sampled_from([1 << 32, (1 << 32) - 1])


@given(operator=st.sampled_from(sorted(COMPARE)), index=st.integers(0, 5), value=WORDS, two=WORDS, is_=WORDS)
def test_an_argument_is_compared_in_all_its_64_bits(operator, index, value, two, is_):
    rule = SeccompRule(("read",), "SCMP_ACT_ERRNO", 7, (SeccompArgument(index, value, two, operator),))
    filter_ = compiled(Seccomp("SCMP_ACT_ALLOW", rules=(rule,)), "x86_64")
    arguments = [0] * 6
    arguments[index] = is_
    expected = 0x50007 if COMPARE[operator](is_, value, two) else ALLOW
    assert verdict(filter_, "x86_64", 0, tuple(arguments)) == expected


@given(a=st.integers(0, 3), b=st.integers(0, 3))
def test_tests_of_several_arguments_are_all_meant_and_of_one_any(a, b):
    def rule(*indices: int) -> tuple[Instruction, ...]:
        arguments = tuple(SeccompArgument(i, n + 1, 0, "SCMP_CMP_EQ") for n, i in enumerate(indices))
        rules = (SeccompRule(("read",), "SCMP_ACT_ERRNO", None, arguments),)
        return compiled(Seccomp("SCMP_ACT_ALLOW", rules=rules), "x86_64")

    assert (verdict(rule(0, 1), "x86_64", 0, (a, b)) == EPERM) == (a == 1 and b == 2)
    assert (verdict(rule(0, 0), "x86_64", 0, (a, b)) == EPERM) == (a in (1, 2))


@given(st.sets(st.sampled_from(sorted(numbers("x86_64")))), st.sampled_from(sorted(numbers("x86_64"))))
def test_every_call_finds_its_own_rule_however_many_there_are(names, asked):
    rules = (SeccompRule(tuple(sorted(names)), "SCMP_ACT_LOG"),)
    filter_ = compiled(Seccomp("SCMP_ACT_KILL_PROCESS", rules=rules), "x86_64")
    found = verdict(filter_, "x86_64", named("x86_64", asked))
    assert found == (0x7FFC0000 if asked in names else 0x80000000)


def test_a_rule_without_arguments_stands_above_those_with():
    tested = SeccompRule(("read",), "SCMP_ACT_KILL", arguments=(SeccompArgument(0, 1, 0, "SCMP_CMP_EQ"),))
    rules = (tested, SeccompRule(("read",), "SCMP_ACT_TRAP"))
    assert verdict(compiled(Seccomp("SCMP_ACT_ALLOW", rules=rules), "x86_64"), "x86_64", 0, (1,)) == 0x30000


@pytest.mark.parametrize(
    "profile",
    [
        Seccomp("SCMP_ACT_NOTIFY"),
        Seccomp("SCMP_ACT_ALLOW", rules=(SeccompRule(("read",), "SCMP_ACT_NOTIFY"),)),
        Seccomp(
            "SCMP_ACT_ALLOW",
            rules=(SeccompRule(("read",), "SCMP_ACT_LOG", None, (SeccompArgument(6, 0, 0, "SCMP_CMP_EQ"),)),),
        ),
    ],
)
def test_what_cannot_be_put_into_force_is_refused(profile):
    with pytest.raises(UnknownWordError):
        compiled(profile, "x86_64")


@pytest.mark.parametrize("machine", MACHINES)
def test_jumps_are_as_far_as_classic_bpf_allows(machine):
    filter_ = compiled(default_profile(frozenset(capabilities.NAMES)), machine)
    assert len(filter_) < 1000
    assert all(0 <= jump < 256 for each in filter_ for jump in (each.then, each.otherwise))
