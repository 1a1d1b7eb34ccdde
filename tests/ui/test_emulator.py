"""The emulator's rows: text, width and style of every cell, and only of rows that changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from kubelab.ui.emulator import CellStyle, Cursor, Emulator, Run


def screen(
    output: str, columns: int = 20, rows: int = 4
) -> tuple[Emulator, dict[int, list[Run]], list[bytes]]:
    replies: list[bytes] = []
    emulator = Emulator(columns, rows, replies.append)
    emulator.feed(output.encode())
    return emulator, dict(emulator.dirty_rows()), replies


def text(runs: list[Run]) -> str:
    return "".join(run.text for run in runs)


def test_plain_text_is_one_run_as_wide_as_the_screen() -> None:
    _, rows, _ = screen("hello")
    assert rows[0] == [Run("hello".ljust(20), 20, CellStyle())]


def test_styles_split_a_row_into_runs() -> None:
    _, rows, _ = screen("\x1b[1;31mred\x1b[0m \x1b[4;38;2;1;2;3mrgb\x1b[0m \x1b[7;48;5;200mx")
    styles = [(run.text.strip(), run.style) for run in rows[0] if run.text.strip()]
    assert styles == [
        ("red", CellStyle(foreground=1, bold=True)),
        ("rgb", CellStyle(foreground=(1, 2, 3), underline=True)),
        ("x", CellStyle(background=200, inverse=True)),
    ]


def test_an_erased_line_keeps_its_background() -> None:
    _, rows, _ = screen("\x1b[48;5;20m\x1b[K\r\n\x1b[48;2;9;8;7m\x1b[K")
    assert rows[0] == [Run(" " * 20, 20, CellStyle(background=20))]
    assert rows[1] == [Run(" " * 20, 20, CellStyle(background=(9, 8, 7)))]


def test_wide_characters_take_two_columns_and_combined_ones_one() -> None:
    _, rows, _ = screen("日本 e\u0301!")
    assert text(rows[0]).startswith("日本 e\u0301!")
    assert sum(run.columns for run in rows[0]) == 20


def test_hidden_text_is_not_shown() -> None:
    _, rows, _ = screen("\x1b[8msecret")
    assert "secret" not in text(rows[0])


def test_only_changed_rows_are_given_again() -> None:
    emulator, _, _ = screen("one\r\ntwo")
    emulator.feed(b"\r\nthree")
    assert [(y, text(runs).strip()) for y, runs in emulator.dirty_rows() if text(runs).strip()][-1] == (
        2,
        "three",
    )
    assert list(emulator.dirty_rows()) == []


def test_queries_are_answered() -> None:
    _, _, replies = screen("\x1b[6n\x1b[c")
    assert replies[0] == b"\x1b[1;1R"
    assert replies[1].startswith(b"\x1b[?")


@pytest.mark.parametrize(
    ("sequence", "shape"), [("\x1b[2 q", "block"), ("\x1b[4 q", "underline"), ("\x1b[6 q", "bar")]
)
def test_programs_choose_the_cursors_shape(sequence: str, shape: str) -> None:
    emulator, _, _ = screen("ab" + sequence)
    assert emulator.cursor() == Cursor(2, 0, shape)  # type: ignore[arg-type]


def test_programs_hide_the_cursor() -> None:
    emulator, _, _ = screen("\x1b[?25l")
    assert emulator.cursor() is None


def test_the_alternate_screen_is_another_one() -> None:
    emulator, _, _ = screen("shell\x1b[?1049h\x1b[Hvim")
    assert emulator.on_alternate_screen
    assert emulator.text() == "vim"
    emulator.feed(b"\x1b[?1049l")
    assert emulator.text() == "shell"


def test_history_is_scrolled_to_and_back() -> None:
    emulator, _, _ = screen("\r\n".join(str(n) for n in range(10)))
    emulator.scroll(-3)
    assert not emulator.at_bottom
    assert [text(runs).strip() for _, runs in emulator.dirty_rows()] == ["3", "4", "5", "6"]
    emulator.scroll_to_bottom()
    assert emulator.at_bottom


def test_a_narrower_screen_wraps_what_was_there() -> None:
    emulator, _, _ = screen("abcdefgh")
    emulator.resize(4, 4)
    assert emulator.text() == "abcd\nefgh"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60))
@settings(deadline=None, max_examples=200)
def test_whatever_is_printed_every_row_keeps_its_width(printed: str) -> None:
    _, rows, _ = screen(printed)
    for runs in rows.values():
        assert sum(run.columns for run in runs) == 20
        for run in runs:
            assert cell_len(run.text) == run.columns


@given(st.lists(st.tuples(st.integers(0, 107), st.text("ab 日é", max_size=4)), max_size=12))
@settings(deadline=None, max_examples=100)
def test_cells_read_raw_are_those_that_the_library_tells(styled: list[tuple[int, str]]) -> None:
    emulator, rows, _ = screen("".join(f"\x1b[{sgr}m{word}" for sgr, word in styled))
    shown = "\n".join(text(rows[y]).rstrip() for y in range(4)).rstrip("\n")
    if not any(sgr == 8 for sgr, _ in styled):
        assert shown == "\n".join(line.rstrip() for line in emulator.text().split("\n")).rstrip("\n")
    for y, runs in rows.items():
        x = 0
        for run in runs:
            told = emulator._terminal.style(x, y)
            assert (told["bold"], told["italic"], told["inverse"]) == (
                run.style.bold,
                run.style.italic,
                run.style.inverse,
            )
            x += run.columns
