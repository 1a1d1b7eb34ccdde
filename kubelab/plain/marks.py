"""What the lesson's shell tells plain mode within its output, by marks that no terminal shows. Pure.

The prompt's marks are the "semantic prompts" that many terminals know (OSC 133): D when a command has ended,
B at the end of a prompt, P;k=c at a continuation prompt, C when a command begins. The lab's words are shell
functions (`:hint`), which write OSC 7733: so line editing, history and a bash in other namespaces keep on
working, and a word is carried out exactly where it stands in the output.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

MARK_BYTES_MAX = 256  # A longer one is none of ours.
_MARK = re.compile(rb"\x1b\](133|7733);([^\x07\x1b]*)\x07")
_ALTERNATE = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")
ENTER_ALTERNATE, LEAVE_ALTERNATE = b"\x1b[?1049h", b"\x1b[?1049l"
ALTERNATE_BYTES = len(ENTER_ALTERNATE) - 1  # A chunk may end within one.
_BEGINNINGS = (b"\x1b]133;", b"\x1b]7733;")


class Place(Enum):
    """Who gets the next line."""

    RUNNING = auto()
    PROMPT = auto()
    CONTINUED = auto()  # A here-document or an unfinished command: all of the line is the shell's.


@dataclass(frozen=True, slots=True)
class Word:
    """A word for the lab, without its colon."""

    text: str


class Marks:
    """Follows a shell's output. `prompt` is the present one and `prompts` how many there were;
    `at_line_start` tells whether the output so far ends with a whole line; `alternate` whether a full-screen
    program has switched to the terminal's alternate screen."""

    def __init__(self) -> None:
        self.place = Place.RUNNING
        self.prompt = b""
        self.prompts = 0
        self.at_line_start = True
        self.alternate = False
        self._line = b""
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes | Word]:
        """Yield the output without marks, and the words in their places."""
        data, self._held = self._held + data, b""
        position = 0
        for mark in _MARK.finditer(data):
            yield from self._text(data[position : mark.start()])
            yield from self._mark(mark[1], mark[2].decode(errors="replace"))
            position = mark.end()
        rest = data[position:]
        cut = _unfinished(rest)
        self._held = rest[cut:]
        yield from self._text(rest[:cut])

    def sent(self) -> None:
        """A line was handed to the shell: what comes next is its doing."""
        self.place = Place.RUNNING

    def _text(self, text: bytes) -> Iterator[bytes]:
        if text:
            for switch in _ALTERNATE.finditer(self._line[-ALTERNATE_BYTES:] + text):
                self.alternate = switch[1] == b"h"
            self._line = (self._line + text).rpartition(b"\n")[2][-4096:]
            self.at_line_start = not self._line.strip(b"\r")
            yield text

    def _mark(self, kind: bytes, value: str) -> Iterator[Word]:
        if kind == b"7733":
            yield Word(value)
        elif value.startswith("B"):
            self.place, self.prompt = Place.PROMPT, self._line
        elif value.startswith("P"):
            self.place = Place.CONTINUED
        elif value.startswith("D"):
            self.place, self.prompts = Place.RUNNING, self.prompts + 1
        elif value.startswith("C"):
            self.place = Place.RUNNING


def _unfinished(data: bytes) -> int:
    """Return where a mark begins whose end is not there yet; the length if none does."""
    start = data.rfind(b"\x1b")
    if start < 0 or len(data) - start > MARK_BYTES_MAX:
        return len(data)
    tail = data[start:]
    begun = any(tail.startswith(beginning) or beginning.startswith(tail) for beginning in _BEGINNINGS)
    return start if begun and b"\x07" not in tail else len(data)


def bashrc(names: tuple[str, ...], term: str) -> bytes:
    """Return the lines that make a bash speak in marks. *names*: the lab's words; *term*: for TERM."""
    functions = "\n".join(f":{name} () {{ printf '\\e]7733;%s\\a' \"{name} $*\"; }}" for name in names)
    return f"""
# kubelab --plain: a prompt without colours, marks for who reads the next line, the lab's words.
export TERM={shlex.quote(term)}
{_CALM if term == "dumb" else ""}
unalias ls grep 2>/dev/null
bind 'set enable-bracketed-paste off' 2>/dev/null
PS0='\\e]133;C\\a'
PS1='\\u@\\h:\\w\\$ \\[\\e]133;B\\a\\]'
PS2='> \\[\\e]133;P;k=c\\a\\]'
PROMPT_COMMAND="printf '\\e]133;D\\a'"
{functions}
command_not_found_handle () {{
    case $1 in
        :*) printf '\\e]7733;%s\\a' "${{1#:}}" ;;
        *) printf 'bash: %s: command not found\\n' "$1" >&2; return 127 ;;
    esac
}}
""".encode()


_CALM = "export PAGER=cat NO_COLOR=1; unset COLORTERM"
