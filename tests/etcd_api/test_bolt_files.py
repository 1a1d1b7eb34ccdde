"""bolt's file format: what is written can be read, and what is damaged is said to be."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.store.bolt.page import PAGE_BYTES, fnv64a
from kubelab.cluster.store.bolt.reader import Bolt, BoltError
from kubelab.cluster.store.bolt.writer import write

NAMES = st.binary(min_size=1, max_size=20)
CONTENTS = st.dictionaries(NAMES, st.dictionaries(NAMES, st.binary(max_size=6000), max_size=40), max_size=5)


def written(buckets: dict[bytes, dict[bytes, bytes]]) -> bytes:
    return b"".join(write({name: sorted(items.items()) for name, items in buckets.items()}))


@settings(max_examples=30)
@given(CONTENTS)
def test_what_was_written_is_read(buckets: dict[bytes, dict[bytes, bytes]]) -> None:
    file = written(buckets)
    assert len(file) % PAGE_BYTES == 0
    bolt = Bolt(file)
    assert {name: dict(bolt.items(name)) for name in bolt} == buckets


def test_a_tree_has_as_many_branches_as_it_needs() -> None:
    items = {b"%08d" % number: bytes(100) for number in range(20_000)}
    bolt = Bolt(written({b"many": items}))
    assert list(bolt.items(b"many")) == list(items.items())
    assert list(bolt.items(b"none")) == []


def test_who_writes_gives_others_a_turn() -> None:
    pieces = list(write({b"many": iter([(b"a", b""), None, (b"b", b"")])}))
    assert pieces.count(b"") >= 2


def test_the_checksum_is_that_of_fnv() -> None:
    assert fnv64a(b"") == 0xCBF29CE484222325
    assert fnv64a(b"foobar") == 0x85944171F73967E8


def test_the_second_meta_page_counts_when_the_first_is_torn() -> None:
    file = bytearray(written({b"bucket": {b"key": b"value"}}))
    file[16:80] = bytes(64)
    assert dict(Bolt(file).items(b"bucket")) == {b"key": b"value"}
    file[PAGE_BYTES + 16 : PAGE_BYTES + 80] = bytes(64)
    with pytest.raises(BoltError, match="does not begin"):
        Bolt(file)


@pytest.mark.parametrize("file", [b"", b"no bolt", bytes(10_000)])
def test_what_is_no_bolt_file_is_refused(file: bytes) -> None:
    with pytest.raises(BoltError):
        Bolt(file)


def test_a_damaged_file_is_refused_or_read_and_never_worse() -> None:
    chance = random.Random(6)
    sound = written({b"a": {b"%d" % number: bytes(50) for number in range(300)}, b"b": {b"": b""}})
    for _ in range(400):
        file = bytearray(sound)
        for _ in range(3):
            file[chance.randrange(2 * PAGE_BYTES, len(file))] = chance.randrange(256)
        try:
            bolt = Bolt(file[: chance.choice((len(file), len(file) - PAGE_BYTES))])
            for name in bolt:
                list(bolt.items(name))
        except BoltError:
            continue
