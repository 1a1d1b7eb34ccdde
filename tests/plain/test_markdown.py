"""Lessons' Markdown as plain lines: nothing is lost, and nothing but words and indentation is added."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.language import LANGUAGES
from kubelab.lessons.catalog import Catalog
from kubelab.plain.markdown import plain_lines

WORDS = st.lists(
    st.text(string.ascii_letters + string.digits, min_size=1, max_size=12), min_size=1, max_size=40
)


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        ("", []),
        ("# A title", ["A title"]),
        ("One\nparagraph.\n\nAnother.", ["One paragraph.", "", "Another."]),
        ("a **strong** and *soft* word", ["a strong and soft word"]),
        ("type `ls  -l` now", ["type `ls -l` now".replace("ls -l", "ls  -l")]),
        ("a line\\\nand its break", ["a line", "and its break"]),
        ("```sh\nls -l\n\n  cd /\n```", ["    ls -l", "", "      cd /"]),
        ("    indented code", ["    indented code"]),
        ("- one\n- two", ["- one", "- two"]),
        ("3. three\n4. four", ["3. three", "4. four"]),
        ("- outer\n  1. inner", ["- outer", "", "  1. inner"]),
        ("> a prediction\n> to make", ["  a prediction to make"]),
        ("[kernel](https://kernel.org)", ["kernel (https://kernel.org)"]),
        ("<https://kernel.org>", ["https://kernel.org"]),
        ("![a diagram](net.png)", ["a diagram"]),
        ("one\n\n---\n\ntwo", ["one", "", "two"]),
        ("| name | pid |\n|---|---|\n| bash | `1` |", ["name: bash; pid: `1`"]),
        ("a \x1b[31mcolour\x07", ["a [31mcolour"]),
    ],
)
def test_each_construct_has_a_plain_form(markdown: str, lines: list[str]) -> None:
    assert plain_lines(markdown) == lines


def test_a_line_never_breaks_within_inline_code() -> None:
    assert plain_lines("Now type `unshare --pid bash`.", 16) == ["Now type", "`unshare --pid bash`."]


def test_code_is_never_wrapped() -> None:
    command = "kubectl get pods --all-namespaces -o wide"
    assert plain_lines(f"```\n{command}\n```", 20) == [f"    {command}"]


@given(WORDS, st.integers(12, 100))
def test_wrapping_keeps_every_word_in_its_order_and_within_the_width(words: list[str], width: int) -> None:
    lines = plain_lines(" ".join(words), width)
    assert " ".join(lines).split() == words
    assert all(len(line) <= width for line in lines)


@given(WORDS)
def test_unwrapped_a_paragraph_is_one_line(words: list[str]) -> None:
    assert plain_lines("\n".join(words)) == [" ".join(words)]


@given(st.text(), st.none() | st.integers(1, 100))
def test_whatever_is_written_comes_out_without_control_characters(text: str, width: int | None) -> None:
    lines = plain_lines(text, width)
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for line in lines for character in line)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_shipped_lesson_draws_boxes(language: str) -> None:
    for lesson in Catalog.load().lessons():
        for step in lesson.steps:
            text = step.body.es if language == "es" else step.body.en
            assert not any("\u2500" <= character <= "\u259f" for character in "".join(plain_lines(text, 80)))
