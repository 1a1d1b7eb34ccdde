"""What names objects and requests is what RFC 9562 says of random identifiers."""

import uuid

from kubelab.cluster.apiserver.unique_ids import unique_id


def test_an_identifier_is_a_uuid_of_chance() -> None:
    """Section 5.4: version 4, variant 10, written as section 4 has it."""
    for made in [unique_id() for _ in range(1000)]:
        read = uuid.UUID(made)
        assert (str(read), read.version, read.variant) == (made, 4, uuid.RFC_4122)


def test_every_other_bit_is_of_chance() -> None:
    both = [0, 0]
    for number in [uuid.UUID(unique_id()).int for _ in range(200)]:
        both = [both[0] | number, both[1] | ~number]
    assert (both[0] & both[1] & ((1 << 128) - 1)).bit_count() == 122
