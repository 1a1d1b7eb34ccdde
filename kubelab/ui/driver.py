"""Textual's driver, but a lone Esc is told after ESCDELAY.

Upstream (textual 8.2, drivers/linux_driver.py, run_input_thread) looks for overdue keys every 100 ms only,
however short ESCDELAY is, and each Esc in vim is felt. Here the look after a read comes ESCDELAY later.
"""

import contextlib
import os
import select
from codecs import getincrementaldecoder

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

READ_BYTES_MAX = 4096
EXIT_POLL_S = 0.1  # How long the thread may outlive the app.


class QuickEscapeDriver(LinuxDriver):
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


def _finish(parser: XTermParser) -> None:
    with contextlib.suppress(EOFError, ParseError):
        list(parser.feed(""))
