"""Transcripts of kubectl: commands and what they print, as files that read like a terminal.

A line `$ command` is run with bash where `kubectl` is the genuine one; what follows, up to the next command,
is what must come out (both streams). `#` begins a comment; one of them may be `# kubectl: 1.37 1.32` (which
versions print just that; all, if it is not there). In what comes out may stand `<age>`, `<time>`, `<uid>`,
`<ip>`, `<number>`, `<suffix>` (of a generated name) and `<any>` (the rest of a word or more); a line `<...>`
is any number of lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATTERNS = {
    "<age>": r"(<unknown>|\d+[smhdy](\d+[smhd])?)",
    "<time>": r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4})",
    "<uid>": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "<ip>": r"\d+\.\d+\.\d+\.\d+",
    "<number>": r"\d+",
    "<suffix>": r"[bcdfghjklmnpqrstvwxz2456789]{5}",
    "<any>": r".*?",
}
ANY_LINES = "<...>"
_TOKEN = re.compile("|".join(map(re.escape, PATTERNS)))


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command with what it must print; `line` is where it stands in its file."""

    line: int
    command: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transcript:
    versions: tuple[str, ...]
    exchanges: tuple[Exchange, ...]


def read(path: Path) -> Transcript:
    lines = path.read_text().splitlines()
    versions = next((line.split()[2:] for line in lines if line.startswith("# kubectl: ")), [])
    return Transcript(tuple(versions), tuple(_exchanges(lines)))


def _exchanges(lines: list[str]) -> Iterator[Exchange]:
    number, command, output = 0, "", []
    for position, line in enumerate(lines, 1):
        if line.startswith("# ") or line == "#":
            continue
        if not line.startswith("$ "):
            output.append(line)
            continue
        if command:
            yield Exchange(number, command, _trimmed(output))
        number, command, output = position, line.removeprefix("$ "), []
    if command:
        yield Exchange(number, command, _trimmed(output))


def _trimmed(lines: list[str]) -> tuple[str, ...]:
    """Return *lines* without the empty ones at their end, which only set commands apart."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return tuple(lines)


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Tell whether *printed* is what was *expected*; spaces at a line's end do not count."""
    pattern = "".join(map(_line, expected))
    actual = "".join(f"{line.rstrip()}\n" for line in _trimmed(printed.splitlines()))
    return re.fullmatch(pattern, actual) is not None


def _line(expected: str) -> str:
    if expected == ANY_LINES:
        return "(?:.*\n)*?"
    parts, position = [], 0
    for token in _TOKEN.finditer(expected):
        parts += [_spaced(expected[position : token.start()]), PATTERNS[token.group()]]
        position = token.end()
    return "".join([*parts, _spaced(expected[position:].rstrip())]) + "\n"


def _spaced(text: str) -> str:
    """Return a pattern for *text* in which a gap between columns may be of any width from two spaces on."""
    return r"\s{2,}".join(map(re.escape, re.split(r" {3,}", text)))


def differences(path: Path, printed: list[tuple[Exchange, str]]) -> list[str]:
    """Return what was *printed* otherwise than the transcript at *path* has it, beside that."""
    return [
        _difference(path, exchange, text)
        for exchange, text in printed
        if not matches(exchange.expected, text)
    ]


def _difference(path: Path, exchange: Exchange, printed: str) -> str:
    wanted = "\n".join(exchange.expected)
    return f"{path.name}:{exchange.line}: $ {exchange.command}\n--- upstream\n{wanted}\n--- here\n{printed}"


def record(path: Path, printed: list[tuple[Exchange, str]]) -> None:
    """Write what was *printed* into the file, with its comments as they were."""
    lines, new, commands = path.read_text().splitlines(), [], {each.line: text for each, text in printed}
    for position, line in enumerate(lines, 1):
        if line.startswith("#") and new[-1:] != [""] and new and not new[-1].startswith("#"):
            new.append("")
        if line.startswith("#"):
            new.append(line)
        elif position in commands:
            new += [*([""] if new and new[-1] and not new[-1].startswith("#") else []), line]
            new += [_general(each.rstrip()) for each in _trimmed(commands[position].splitlines())]
    path.write_text("\n".join(new) + "\n")


def _general(line: str) -> str:
    """Return *line* with what differs each time replaced."""
    for token in ("<uid>", "<time>"):
        line = re.sub(PATTERNS[token], token, line)
    line = re.sub(r"(?<=resourceVersion: \")\d+", "<number>", line)
    return re.sub(r"(?<= )\d+m?s(?= |$)", "<age>", line)
