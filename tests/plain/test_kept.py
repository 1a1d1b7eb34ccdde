"""What a shell behind prints is kept whole up to a bound, then from the start of a line on."""

from hypothesis import given
from hypothesis import strategies as st

from kubelab.plain.kept import KEPT_BYTES_MAX, Kept
from kubelab.plain.marks import Word

PARTS = st.lists(
    st.builds(
        lambda line, count: line * count,
        st.sampled_from([b"a\n", b"bc", b"d" * 99 + b"\n"]),
        st.integers(0, 400),
    )
)


@given(PARTS)
def test_it_is_the_end_of_what_was_printed_from_a_whole_line_on(parts: list[bytes]) -> None:
    kept, printed = Kept(), b"".join(parts)
    for part in parts:
        kept.add(part)
    assert len(kept.text) <= KEPT_BYTES_MAX
    assert printed.endswith(kept.text)
    assert kept.cut == (kept.text != printed)


def test_what_was_cut_begins_with_a_whole_line() -> None:
    kept = Kept()
    for number in range(5000):
        kept.add(f"line {number}\n".encode())
    first, *_, last = kept.text.decode().splitlines()
    assert first.startswith("line ")
    assert last == "line 4999"


def test_words_stay_in_their_places_and_are_taken_once() -> None:
    kept = Kept()
    for part in (b"before", Word("hint"), b"after"):
        kept.add(part)
    assert kept.take() == (b"before", Word("hint"), b"after")
    assert kept.take() == ()
