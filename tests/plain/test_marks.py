"""The marks in a shell's output: they are taken out, and say who reads the next line."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.plain.marks import Marks, Place, Word

PROMPT = b"\x1b]133;D\x07root@m:~# \x1b]133;B\x07"
OUTPUT = (
    b"a\r\n\x1b[1mb\x1b[0m\x1b]7733;hint \x07" + PROMPT + b":lang es\r\n\x1b]133;C\x07\x1b]0;title\x07\x1b"
)


def followed(*chunks: bytes) -> tuple[Marks, bytes, list[Word]]:
    marks = Marks()
    parts = [part for chunk in chunks for part in marks.feed(chunk)]
    text = b"".join(part for part in parts if isinstance(part, bytes))
    return marks, text, [part for part in parts if isinstance(part, Word)]


@pytest.mark.parametrize(
    ("output", "place"),
    [
        (b"", Place.RUNNING),
        (PROMPT, Place.PROMPT),
        (PROMPT + b"ls", Place.PROMPT),
        (PROMPT + b"ls\r\n\x1b]133;C\x07", Place.RUNNING),
        (b"> \x1b]133;P;k=c\x07", Place.CONTINUED),
    ],
)
def test_the_marks_say_who_reads_the_next_line(output: bytes, place: Place) -> None:
    assert followed(output)[0].place is place


def test_the_prompt_is_kept_to_be_said_again() -> None:
    marks, text, _ = followed(b"out\r\n", PROMPT)
    assert (marks.prompt, text) == (b"root@m:~# ", b"out\r\nroot@m:~# ")


def test_a_word_stands_where_it_was_said() -> None:
    assert list(Marks().feed(b"before\x1b]7733;hint\x07after")) == [b"before", Word("hint"), b"after"]


def test_other_sequences_pass_as_they_are() -> None:
    assert followed(b"\x1b]0;title\x07\x1b[31mred")[1] == b"\x1b]0;title\x07\x1b[31mred"


def test_what_only_begins_like_a_mark_is_not_held_back_for_ever() -> None:
    endless = b"\x1b]133;" + b"x" * 1000
    assert followed(endless)[1] == endless


@pytest.mark.parametrize("cut", range(9))
def test_a_full_screen_program_is_known_by_the_alternate_screen(cut: int) -> None:
    enter, leave = b"\x1b[?1049h", b"\x1b[?1049l"
    assert followed(b"$ vim\r\n", enter[:cut], enter[cut:])[0].alternate
    assert not followed(enter, b"text", leave[:cut], leave[cut:])[0].alternate


@given(st.lists(st.integers(0, len(OUTPUT)), max_size=8))
def test_chunks_may_be_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(OUTPUT)]
    chunks = [OUTPUT[start:end] for start, end in itertools.pairwise(edges)]
    whole, cut = followed(OUTPUT), followed(*chunks)
    assert cut[1:] == whole[1:]
    assert (cut[0].place, cut[0].prompt, cut[0].prompts) == (
        whole[0].place,
        whole[0].prompt,
        whole[0].prompts,
    )
