"""What the lab writes for a shim is what the standard library, which reads it there, means by it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.runtime.quick_json import encode

BYTES = st.characters(categories=["Cs"], min_codepoint=0xDC80, max_codepoint=0xDCFF)  # PEP 383
TEXTS = st.text() | st.text(BYTES)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_whatever_is_written_is_read_as_it_was(value):
    assert json.loads(encode(value)) == value


@pytest.mark.parametrize("value", ["\udcff", {"argv": ["printf", "\udc80"]}, 1 << 70])
def test_arguments_may_be_any_bytes_and_numbers_any_long(value):
    assert encode(value) == json.dumps(value).encode()
