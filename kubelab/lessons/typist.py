"""Types commands into a learner's shell as a learner does: through the pty, each line after the prompt.

pexpect blocks, so each wait runs in a thread.
Left out: full-screen programs.
"""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress

import pexpect
from pexpect import fdpexpect

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Process
from kubelab.language import Text

# Readline switches bracketed paste on when it begins to read a line; what jobs print comes after it. When it
# has read one it switches that off: until then, what looks like a prompt belongs to the line before.
PROMPT = re.compile(r"\x1b\[\?2004h|# $")
READS, HAS_READ = "\x1b[?2004h", "\x1b[?2004l"
BACK_S = 3.0  # For the prompt after a line that had done enough before it was through; some never are.
QUIET_S = 0.05  # Output counts as complete when nothing follows for so long.
READ_LENGTH_MAX = 1 << 20  # A program that never ceases to write must not keep the reader.
INTERRUPT = "^C"
INTERRUPT_AGAIN_S = 1.0
LEAVE = "exit"  # As the last line: people look at what they have done, and then leave.
ACTIONS = ("<hint>", "<reset>", "<language>")  # Of the app: not for the shell, see `Session.act`.

_ESCAPES = re.compile(r"\x1b\][^\x07]*\x07|\x1b\[[0-?]*[ -/]*[@-~]")
_PROMPTED = re.compile(r"\S*@\S*#( |$)")


class Typist:
    def __init__(self, shell: Process) -> None:
        self._pty = fdpexpect.fdspawn(shell.fd, encoding="utf-8", codec_errors="replace", use_poll=True)
        self.output = ""
        self._is_busy = False  # The prompt after the last line has not come yet.
        self._edits = False  # Readline reads a line, by what was seen last.
        self._is_typed_to = False  # It reads the one that we have typed, and has not read it yet.

    @property
    def last_words(self) -> str:
        """The last line that a command wrote, "" if none wrote any."""
        lines = (line.strip() for line in _ESCAPES.sub("", self.output).splitlines())
        return next((line for line in reversed([*lines]) if line and not _PROMPTED.match(line)), "")

    async def type(self, line: str, *, until: Callable[[], bool], timeout_s: float) -> None:
        """Type *line* (`^C` for Ctrl+C) and wait for the prompt, or until *until* says that it is enough.

        Raises:
            LabError: neither came in time.
        """
        if line == INTERRUPT:
            await self._interrupt(until=until, timeout_s=timeout_s)
        else:
            await self._come_back()
            self._is_typed_to = self._edits
            self._pty.sendline(line)
            await self.prompt(until=until, timeout_s=timeout_s, doing=line)

    async def _interrupt(self, *, until: Callable[[], bool], timeout_s: float) -> None:
        """Press Ctrl+C, as people do, until it has an effect: a program that just starts may miss one."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._pty.send("\x03")
            try:
                return await self.prompt(until=until, timeout_s=INTERRUPT_AGAIN_S, doing=INTERRUPT)
            except LabError:
                if time.monotonic() > deadline_s:
                    raise

    async def prompt(self, *, until: Callable[[], bool], timeout_s: float, doing: str = "") -> None:
        seen = ""
        try:
            async with asyncio.timeout(timeout_s):
                while not (self._is_prompted(seen) or until()):
                    seen += await self._reading()
        except TimeoutError:
            end = seen[-200:].strip()
            raise LabError(
                Text(
                    f"tras «{doing}» el shell no volvió en {timeout_s:g} s; al final: {end!r}.",
                    f"after “{doing}” the shell was not back in {timeout_s:g} s; at the end: {end!r}.",
                )
            ) from None
        finally:
            self.output += seen
            self._is_busy = not self._is_prompted(seen)
            self._note_mode(seen)

    def _is_prompted(self, seen: str) -> bool:
        """Tell whether *seen*, all since the line was typed or since it was waited for last, has its prompt.

        The one before may still come: it is written in two pieces, and a busy machine has time between them.
        """
        if self._is_typed_to:
            _, read, seen = seen.partition(HAS_READ)
            return bool(read and PROMPT.search(seen))
        return bool(PROMPT.search(seen))

    def _note_mode(self, seen: str) -> None:
        if READS in seen or HAS_READ in seen:
            self._edits = seen.rfind(READS) > seen.rfind(HAS_READ)
        self._is_typed_to = self._is_typed_to and HAS_READ not in seen

    async def _come_back(self) -> None:
        """Wait for a prompt that is due: what is typed before it, the program that still runs may take."""
        if self._is_busy:
            with suppress(LabError):
                await self.prompt(until=lambda: False, timeout_s=BACK_S)

    async def _reading(self) -> str:
        """Read in a thread, which lets go of the pty before we are cancelled: its number may be reused."""
        reading = asyncio.ensure_future(asyncio.to_thread(self._read))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            await asyncio.wait([reading])
            raise

    def _read(self) -> str:
        """Return what is printed until it is quiet for a moment; "" if nothing is."""
        text = ""
        try:
            while len(text) < READ_LENGTH_MAX:
                text += str(self._pty.read_nonblocking(65536, QUIET_S))
        except pexpect.TIMEOUT:
            pass
        except (pexpect.EOF, OSError):  # The shell has ended, or was closed: nothing will follow.
            time.sleep(QUIET_S)
        return text
