"""YAML that remembers its lines, so that an author's mistake is named by file and line.

Source: PyYAML's composer, on libyaml; scalars are resolved as its SafeLoader does.
Left out, because files of strangers are read as well: aliases (a few lines of them unfold into gigabytes),
and control characters in texts (a terminal would obey them).
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from kubelab.cluster.errors import LabError
from kubelab.language import Text


class LessonError(LabError):
    """A lesson's file is not as format 1 has it: which file, which line, what to write instead."""

    def __init__(self, file: str, line: int, problem: Text) -> None:
        super().__init__(Text(f"{file}:{line}: {problem.es}", f"{file}:{line}: {problem.en}"))
        self.file = file
        self.line = line
        self.problem = problem


# C0 but for tab and newline, DEL, C1, what turns the direction of text around, other line ends.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Node:
    """A YAML value with its place: `value` is a scalar, a list of nodes, or a dict of name to node."""

    value: Any
    file: str
    line: int

    def error(self, es: str, en: str) -> LessonError:
        return LessonError(self.file, self.line, Text(es, en))

    def mapping(self) -> dict[str, "Node"]:
        if isinstance(self.value, dict):
            return self.value
        raise self.error("aquí va un mapa de claves y valores.", "a mapping of keys and values belongs here.")

    def sequence(self) -> "list[Node]":
        if isinstance(self.value, list):
            return self.value
        raise self.error("aquí va una lista.", "a list belongs here.")

    def items(self) -> "list[Node]":
        """Return a list's items; a lone scalar or mapping stands for a list of one."""
        return self.value if isinstance(self.value, list) else [self]

    def text(self) -> str:
        if isinstance(self.value, str | int | float) and not isinstance(self.value, bool):
            return str(self.value)
        raise self.error("aquí va un texto.", "a text belongs here.")

    def integer(self) -> int:
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return self.value
        raise self.error("aquí va un número entero.", "an integer belongs here.")

    def plain(self) -> Any:
        """Return the value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def suggestion(word: str, known: Iterable[str]) -> Text:
    """Return what to do about the unknown *word*: the nearest known one, or all of them."""
    choices = sorted(known)
    if near := difflib.get_close_matches(word, choices, n=1, cutoff=0.6):
        return Text(f"¿quisiste decir «{near[0]}»?", f"did you mean “{near[0]}”?")
    listed = ", ".join(choices)
    return Text(f"se puede escribir: {listed}.", f"one can write: {listed}.")


def unknown(node: Node, what: Text, word: str, known: Iterable[str]) -> LessonError:
    hint = suggestion(word, known)
    return node.error(f"no hay {what.es} «{word}»; {hint.es}", f"there is no {what.en} “{word}”; {hint.en}")


def read_yaml(text: str, file: str, first_line: int = 1) -> Node:
    """Parse *text*, which begins at *first_line* of *file*.

    Raises:
        LessonError: it is not YAML, or has a key twice.
    """
    try:
        root = _composed(text)
        if root is None:
            return Node({}, file, first_line)
        _refuse_aliases(root, file, first_line)
        return _locate(root, file, first_line)
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        raise _invalid(file, line, str(error.problem)) from error
    except yaml.reader.ReaderError as error:
        line = first_line + text.count("\n", 0, error.position)
        raise _invalid(file, line, str(error.reason)) from error
    except RecursionError as error:
        raise _invalid(file, first_line, "nested too deeply") from error


class _Loader(yaml.composer.Composer, yaml.CSafeLoader):
    """Reads by libyaml, many times as quick, and nests in Python: too deep is an error there, in C the
    process's end."""

    def __init__(self, text: str) -> None:
        yaml.CSafeLoader.__init__(self, text)
        yaml.composer.Composer.__init__(self)


def _composed(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)  # This one tells lines by characters, not by bytes.


def _refuse_aliases(root: yaml.Node, file: str, first_line: int) -> None:
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            line = first_line + node.start_mark.line
            raise _invalid(file, line, "aliases are no part of the format")
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += (part for entry in node.value for part in entry)


def _invalid(file: str, line: int, why: str) -> LessonError:
    return LessonError(file, line, Text(f"no es YAML válido ({why}).", f"this is not valid YAML ({why})."))


def _locate(node: yaml.Node, file: str, first_line: int) -> Node:
    line = first_line + node.start_mark.line
    if isinstance(node, yaml.SequenceNode):
        return Node([_locate(item, file, first_line) for item in node.value], file, line)
    if isinstance(node, yaml.MappingNode):
        return Node(_entries(node, file, first_line), file, line)
    return Node(_scalar(node, file, line), file, line)


def _scalar(node: yaml.Node, file: str, line: int) -> Any:
    try:
        value = _SCALARS.construct_object(node)
    except (ValueError, LookupError) as error:  # A date in month 13, an int of no digits.
        raise _invalid(file, line, f"{node.tag.rpartition(':')[2]} {str(node.value)[:40]!r}") from error
    return printable(value, file, line) if isinstance(value, str) else value


def printable(text: str, file: str, first_line: int = 1) -> str:
    """Return *text*, which people will read in a terminal. Raises LessonError if a terminal would obey it."""
    if found := CONTROLS.search(text):
        line = first_line + text.count("\n", 0, found.start())
        sign = f"U+{ord(found[0]):04X}"
        problem = Text(
            f"hay un carácter de control ({sign}): bórralo.",
            f"there is a control character ({sign}): delete it.",
        )
        raise LessonError(file, line, problem)
    return text


def _entries(node: yaml.MappingNode, file: str, first_line: int) -> dict[str, Node]:
    entries: dict[str, Node] = {}
    for key_node, value_node in node.value:
        key = printable(str(key_node.value), file, first_line + key_node.start_mark.line)
        value = _locate(value_node, file, first_line)
        # The key's line, not the value's: a block value starts one line below the word that names it.
        place = Node(value.value, file, first_line + key_node.start_mark.line)
        if key in entries:
            raise place.error(f"«{key}» aparece dos veces.", f"“{key}” is there twice.")
        entries[key] = place
    return entries


_SCALARS = yaml.SafeLoader("")
