"""Mouse events as the bytes that a program asked for (ghostty, src/input/mouse_encode.zig)."""

import weakref
from typing import Any, Literal

from pyghostty._ffi import check, ffi, lib
from pyghostty.core import init_sized

Button = Literal["left", "right", "middle", "wheel up", "wheel down"]
_BUTTONS: dict[Button, int] = {"left": 1, "right": 2, "middle": 3, "wheel up": 4, "wheel down": 5}
_SEQUENCE_BYTES_MAX = 64


class MouseEncoder:
    """Encodes in the format and for the events that the modes of one terminal ask for."""

    def __init__(self) -> None:
        self._encoder = ffi.new("GhosttyMouseEncoder*")
        check(lib.ghostty_mouse_encoder_new(ffi.NULL, self._encoder), "mouse_encoder_new")
        self._event = ffi.new("GhosttyMouseEvent*")
        check(lib.ghostty_mouse_event_new(ffi.NULL, self._event), "mouse_event_new")
        self._buffer = ffi.new("char[]", _SEQUENCE_BYTES_MAX)
        self._length = ffi.new("size_t*")
        weakref.finalize(self, lib.ghostty_mouse_encoder_free, self._encoder[0])
        weakref.finalize(self, lib.ghostty_mouse_event_free, self._event[0])

    def encode(self, terminal: Any, button: Button, column: int, row: int, *, pressed: bool = True) -> bytes:
        """Return the bytes for *button* at a cell of *terminal*; none if the program does not want them."""
        lib.ghostty_mouse_encoder_setopt_from_terminal(self._encoder[0], terminal)
        size = init_sized("GhosttyMouseEncoderSize")
        size.screen_width = size.screen_height = (
            1 << 14
        )  # A pixel per cell: the screen only has to be large enough.
        size.cell_width = size.cell_height = 1
        lib.ghostty_mouse_encoder_setopt(self._encoder[0], lib.GHOSTTY_MOUSE_ENCODER_OPT_SIZE, size)
        event = self._event[0]
        action = lib.GHOSTTY_MOUSE_ACTION_PRESS if pressed else lib.GHOSTTY_MOUSE_ACTION_RELEASE
        lib.ghostty_mouse_event_set_action(event, action)
        lib.ghostty_mouse_event_set_button(event, _BUTTONS[button])
        lib.ghostty_mouse_event_set_position(event, {"x": column + 0.5, "y": row + 0.5})
        result = lib.ghostty_mouse_encoder_encode(
            self._encoder[0], event, self._buffer, _SEQUENCE_BYTES_MAX, self._length
        )
        check(result, f"encode mouse {button}")
        return bytes(ffi.buffer(self._buffer, self._length[0]))
