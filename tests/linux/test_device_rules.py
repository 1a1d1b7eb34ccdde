"""The last rule that matches decides whether a device may be opened; what every container has stays."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.linux.device_rules import ALWAYS, DeviceRule, rules_program

TYPES, ACCESS = {"b": 1, "c": 2}, {"m": 1, "r": 2, "w": 4}
DENY_ALL = DeviceRule(allow=False)


def allows(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Run the program as the kernel would: struct bpf_cgroup_dev_ctx in, 1 or 0 out."""
    asked = sum(ACCESS[letter] for letter in access)
    context = struct.pack("<3I", asked << 16 | TYPES[kind], major, minor)
    registers, at = [0] * 11, 0
    while True:
        code, pair, offset, value = struct.unpack_from("<BBhi", program, 8 * at)
        target, source = pair & 15, pair >> 4
        at += 1
        match code:
            case 0x61:
                (registers[target],) = struct.unpack_from("<I", context, offset)
            case 0xB7:
                registers[target] = value
            case 0xBF:
                registers[target] = registers[source]
            case 0x57:
                registers[target] &= value
            case 0x77:
                registers[target] >>= value
            case 0x15:
                at += offset if registers[target] == value else 0
            case 0x55:
                at += offset if registers[target] != value else 0
            case 0x95:
                return bool(registers[0])


def matches(rule: DeviceRule, kind: str, major: int, minor: int, access: str) -> bool:
    asked = set(access)
    covered = asked <= set(rule.access) if rule.allow else bool(asked & set(rule.access))
    right = rule.type in ("a", kind) and rule.major in (None, major) and rule.minor in (None, minor)
    return covered and right


NUMBERS = st.integers(0, 3)
RULES = st.builds(
    DeviceRule,
    st.booleans(),
    st.sampled_from("abc"),
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.sampled_from(["r", "w", "m", "rw", "rwm"]),
)


@given(
    st.lists(RULES, max_size=8),
    st.sampled_from("bc"),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["r", "w", "rw", "m"]),
)
def test_the_last_rule_that_matches_decides(rules, kind, major, minor, access):
    deciding = [rule for rule in rules if matches(rule, kind, major, minor, access)]
    expected = deciding[-1].allow if deciding else True
    assert allows(rules_program(rules), kind, major, minor, access) == expected


@pytest.mark.parametrize(
    ("device", "access", "allowed"),
    [
        (("c", 1, 3), "rw", True),
        (("c", 136, 5), "rw", True),
        (("c", 10, 229), "r", False),
        (("b", 8, 0), "r", False),
        (("b", 8, 0), "m", True),
    ],
)
def test_containers_keep_their_usual_devices(device, access, allowed):
    assert allows(rules_program((DENY_ALL, *ALWAYS)), *device, access) == allowed
