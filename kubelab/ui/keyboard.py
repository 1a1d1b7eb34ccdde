"""From Textual's key events to the bytes that a program on a terminal expects.

The encoding is ghostty's (src/input/key_encode.zig): application cursor keys, modifiers as in xterm's
ctlseqs, modifyOtherKeys and the Kitty protocol, each as far as the program has asked for it. Here keys only
change names.

Left out: key releases (Textual does not report them).
"""

import weakref
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyghostty._ffi import check, ffi, lib
from textual.keys import REPLACED_KEYS, key_to_character

SHIFT, CTRL, ALT, SUPER = 1, 2, 4, 8  # GhosttyMods.
_MODIFIERS = {"shift": SHIFT, "ctrl": CTRL, "alt": ALT, "meta": ALT, "super": SUPER}
_SEQUENCE_BYTES_MAX = 128

_NAMED = {
    "up": "ARROW_UP",
    "down": "ARROW_DOWN",
    "left": "ARROW_LEFT",
    "right": "ARROW_RIGHT",
    "home": "HOME",
    "end": "END",
    "pageup": "PAGE_UP",
    "pagedown": "PAGE_DOWN",
    "insert": "INSERT",
    "delete": "DELETE",
    "backspace": "BACKSPACE",
    "enter": "ENTER",
    "tab": "TAB",
    "escape": "ESCAPE",
    "space": "SPACE",
    **{f"f{n}": f"F{n}" for n in range(1, 26)},
    **{chr(letter): chr(letter).upper() for letter in range(ord("a"), ord("z") + 1)},
    **{str(digit): f"DIGIT_{digit}" for digit in range(10)},
    "minus": "MINUS",
    "slash": "SLASH",
    "backslash": "BACKSLASH",
    "full_stop": "PERIOD",
    "comma": "COMMA",
}


@dataclass(frozen=True, slots=True)
class Press:
    """One key in ghostty's terms. `text` is what it types, if it types anything."""

    key: int
    modifiers: int
    text: str
    unshifted: str


@lru_cache(maxsize=512)
def press(name: str, character: str | None) -> Press | None:
    """Return what Textual's key *name* means, or None if no key of a terminal goes by that name."""
    if name == "shift+tab" or name == "backtab":
        return Press(lib.GHOSTTY_KEY_TAB, SHIFT, "", "")
    *prefixes, base = name.split("+") if name != "+" else ["plus"]
    modifiers = sum({_MODIFIERS.get(prefix, 0) for prefix in prefixes})
    typed = key_to_character(REPLACED_KEYS.get(base, base)) or ""
    if modifiers & ~SHIFT == 0 and character and character.isprintable():
        typed = character
    elif modifiers & SHIFT and typed.islower():
        typed = typed.upper()
    key = _key(base)
    if (key is None and not typed) or base.startswith("<"):
        return None  # "<ignore>" is Textual's name for a sequence that it knows and drops.
    return Press(key or lib.GHOSTTY_KEY_UNIDENTIFIED, modifiers, typed, typed.lower())


def _key(base: str) -> int | None:
    ghostty = _NAMED.get(base.lower() if len(base) == 1 else base)
    return None if ghostty is None else int(getattr(lib, f"GHOSTTY_KEY_{ghostty}"))


class KeyEncoder:
    """Encodes as the modes of one terminal ask for."""

    def __init__(self) -> None:
        self._encoder = ffi.new("GhosttyKeyEncoder*")
        check(lib.ghostty_key_encoder_new(ffi.NULL, self._encoder), "key_encoder_new")
        self._event = ffi.new("GhosttyKeyEvent*")
        check(lib.ghostty_key_event_new(ffi.NULL, self._event), "key_event_new")
        self._buffer = ffi.new("char[]", _SEQUENCE_BYTES_MAX)
        self._length = ffi.new("size_t*")
        weakref.finalize(self, lib.ghostty_key_encoder_free, self._encoder[0])
        weakref.finalize(self, lib.ghostty_key_event_free, self._event[0])

    def encode(self, terminal: Any, name: str, character: str | None) -> bytes:
        """Return the bytes for the key *name* in the modes that *terminal* is in; none for an unknown key."""
        pressed = press(name, character)
        if pressed is None:
            return b""
        lib.ghostty_key_encoder_setopt_from_terminal(self._encoder[0], terminal)
        text = pressed.text.encode()
        kept_alive = ffi.new("char[]", text)
        event = self._event[0]
        lib.ghostty_key_event_set_action(event, lib.GHOSTTY_KEY_ACTION_PRESS)
        lib.ghostty_key_event_set_key(event, pressed.key)
        lib.ghostty_key_event_set_mods(event, pressed.modifiers)
        lib.ghostty_key_event_set_utf8(event, kept_alive, len(text))
        lib.ghostty_key_event_set_unshifted_codepoint(event, ord(pressed.unshifted[:1] or "\0"))
        result = lib.ghostty_key_encoder_encode(
            self._encoder[0], event, self._buffer, _SEQUENCE_BYTES_MAX, self._length
        )
        check(result, f"encode key {name}")
        return bytes(ffi.buffer(self._buffer, self._length[0]))


def bracketed(text: str) -> bytes:
    """Return pasted *text* between the marks of bracketed paste, none of which it may contain itself."""
    return b"\x1b[200~" + _pasted(text) + b"\x1b[201~"


def unbracketed(text: str) -> bytes:
    """Return pasted *text* as if typed: each line ends with Enter."""
    return _pasted(text).replace(b"\n", b"\r")


def _pasted(text: str) -> bytes:
    return text.replace("\x1b", "").replace("\r\n", "\n").encode()
