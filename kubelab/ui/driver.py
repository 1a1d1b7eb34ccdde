"""Textual's driver, but a lone Esc is told after ESCDELAY, and a terminal that is gone stops nobody.

Upstream (textual 8.2, drivers/linux_driver.py, run_input_thread) looks for overdue keys every 100 ms only,
however short ESCDELAY is, and each Esc in vim is felt. Here the look after a read comes ESCDELAY later.

When the terminal goes (its window is closed, the SSH session breaks), upstream's writer thread dies of the
write error; the app then waits for it forever, and the lab would stay up. Here such writes go nowhere.
"""

import contextlib
import os
import select
from codecs import getincrementaldecoder
from typing import Any, TextIO, cast

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

READ_BYTES_MAX = 4096
EXIT_POLL_S = 0.1  # How long the thread may outlive the app.


class TerminalDriver(LinuxDriver):
    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        losable: Any = _LosableFile(cast("TextIO", self._file))
        self._file = losable

    def run_input_thread(self) -> None:
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        wait_s = EXIT_POLL_S
        while not self.exit_event.is_set():
            readable, _, _ = select.select([self.fileno], [], [], wait_s)
            if readable:
                data = self._read()
                if not data:
                    break  # The terminal is gone; SIGHUP ends the app.
                for message in parser.feed(decode(data)):
                    self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
            wait_s = constants.ESCAPE_DELAY if readable else EXIT_POLL_S
        _finish(parser)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, READ_BYTES_MAX)
        except OSError:
            return b""


class _LosableFile:
    """The part of a text file that the driver uses."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


def _finish(parser: XTermParser) -> None:
    with contextlib.suppress(EOFError, ParseError):
        list(parser.feed(""))
