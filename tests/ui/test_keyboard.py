"""What programs on the terminal receive for each key: xterm's ctlseqs, terminfo of xterm-256color."""

import pytest

from kubelab.ui.emulator import Emulator
from kubelab.ui.keyboard import KeyEncoder, bracketed, unbracketed

PLAIN = [
    ("a", "a", b"a"),
    ("A", "A", b"A"),
    ("ñ", "ñ", "ñ".encode()),
    ("日", "日", "日".encode()),
    ("space", " ", b" "),
    ("plus", "+", b"+"),
    ("full_stop", ".", b"."),
    ("tilde", "~", b"~"),
    ("enter", "\r", b"\r"),
    ("tab", "\t", b"\t"),
    ("shift+tab", None, b"\x1b[Z"),
    ("escape", "\x1b", b"\x1b"),
    ("backspace", "\x7f", b"\x7f"),
    ("delete", None, b"\x1b[3~"),
    ("insert", None, b"\x1b[2~"),
    ("up", None, b"\x1b[A"),
    ("down", None, b"\x1b[B"),
    ("right", None, b"\x1b[C"),
    ("left", None, b"\x1b[D"),
    ("home", None, b"\x1b[H"),
    ("end", None, b"\x1b[F"),
    ("pageup", None, b"\x1b[5~"),
    ("pagedown", None, b"\x1b[6~"),
    ("f1", None, b"\x1bOP"),
    ("f4", None, b"\x1bOS"),
    ("f5", None, b"\x1b[15~"),
    ("f11", None, b"\x1b[23~"),
    ("f12", None, b"\x1b[24~"),
]
MODIFIED = [
    ("ctrl+c", "\x03", b"\x03"),
    ("ctrl+c", None, b"\x03"),  # As terminals with the Kitty protocol report it to Textual.
    ("ctrl+d", "\x04", b"\x04"),
    ("ctrl+z", "\x1a", b"\x1a"),
    ("ctrl+q", "\x11", b"\x11"),
    ("ctrl+p", "\x10", b"\x10"),
    ("ctrl+at", "\x00", b"\x00"),
    ("ctrl+space", None, b"\x00"),
    ("ctrl+backslash", "\x1c", b"\x1c"),
    ("ctrl+right_square_bracket", "\x1d", b"\x1d"),
    ("ctrl+circumflex_accent", "\x1e", b"\x1e"),
    ("ctrl+underscore", "\x1f", b"\x1f"),
    ("alt+x", "x", b"\x1bx"),
    ("alt+shift+x", "X", b"\x1bX"),
    ("alt+full_stop", ".", b"\x1b."),
    ("alt+backspace", None, b"\x1b\x7f"),
    ("ctrl+left", None, b"\x1b[1;5D"),
    ("shift+up", None, b"\x1b[1;2A"),
    ("ctrl+shift+end", None, b"\x1b[1;6F"),
    ("alt+f5", None, b"\x1b[15;3~"),
]
APPLICATION = [
    ("up", None, b"\x1bOA"),
    ("left", None, b"\x1bOD"),
    ("home", None, b"\x1bOH"),
    ("ctrl+left", None, b"\x1b[1;5D"),
    ("delete", None, b"\x1b[3~"),
]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(80, 24, lambda reply: None)


@pytest.mark.parametrize(("name", "character", "expected"), PLAIN + MODIFIED)
def test_a_key_becomes_what_xterm_sends(
    emulator: Emulator, name: str, character: str | None, expected: bytes
) -> None:
    assert KeyEncoder().encode(emulator.handle, name, character) == expected


@pytest.mark.parametrize(("name", "character", "expected"), APPLICATION)
def test_application_cursor_keys_change_what_arrows_send(
    emulator: Emulator, name: str, character: str | None, expected: bytes
) -> None:
    emulator.feed(b"\x1b[?1h")
    assert KeyEncoder().encode(emulator.handle, name, character) == expected


def test_a_program_that_asks_for_the_kitty_protocol_gets_it(emulator: Emulator) -> None:
    emulator.feed(b"\x1b[>1u")
    assert KeyEncoder().encode(emulator.handle, "escape", "\x1b") == b"\x1b[27u"


def test_a_name_that_is_no_key_sends_nothing(emulator: Emulator) -> None:
    assert KeyEncoder().encode(emulator.handle, "<ignore>", None) == b""
    assert KeyEncoder().encode(emulator.handle, "no_such_key", None) == b""


def test_a_paste_cannot_leave_its_brackets() -> None:
    assert bracketed("rm\x1b[201~\necho") == b"\x1b[200~rm[201~\necho\x1b[201~"


def test_without_brackets_each_pasted_line_ends_with_enter() -> None:
    assert unbracketed("one\r\ntwo\n") == b"one\rtwo\r"
