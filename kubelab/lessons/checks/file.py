"""`file`: what is at a path, as a process or a machine sees it: its type, content, mode, owner, size.

Source: path_resolution(7), inode(7), symlink(7). Symbolic links are followed inside the root directory of
whoever looks; `type: link` and `target` are about the link itself.
Left out: content beyond 64 KiB, access control lists, extended attributes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from kubelab.language import Text
from kubelab.lessons import compare
from kubelab.lessons.checks.check import CannotSee, Finding, Scope, answer_to, check
from kubelab.lessons.checks.file_question import FileAt, FileSeen, FileType
from kubelab.lessons.checks.mount_table import clean
from kubelab.lessons.checks.seen_from import SeenFrom
from kubelab.lessons.checks.subject import Subject, View
from kubelab.lessons.compare import Comparison
from kubelab.lessons.located import Node
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question

FileField = Literal["content", "type", "mode", "owner", "group", "size", "target"]
SHOWN_CHARACTERS = 60

_TYPES: Mapping[str, Text] = {
    "file": Text("un archivo", "a file"),
    "directory": Text("un directorio", "a directory"),
    "link": Text("un enlace simbólico", "a symbolic link"),
    "fifo": Text("una tubería con nombre (fifo)", "a fifo"),
    "socket": Text("un socket", "a socket"),
    "device": Text("un dispositivo", "a device"),
}
_FIELDS: Mapping[str, Callable[[FileSeen], Any]] = {
    "content": lambda seen: seen.content.rstrip("\n") if seen.content is not None else None,
    "type": lambda seen: "link" if seen.target is not None else seen.type or None,
    "mode": lambda seen: f"{seen.mode:04o}" if seen.type else None,
    "owner": lambda seen: seen.uid if seen.type else None,
    "group": lambda seen: seen.gid if seen.type else None,
    "size": lambda seen: seen.size_bytes if seen.type else None,
    "target": lambda seen: seen.target,
}


@dataclass(frozen=True, slots=True)
class FileMode:
    """Permissions as chmod(1) takes them, in quotes: `'0644'`, `'755'`."""

    bits: int

    @classmethod
    def read(cls, node: Node) -> "FileMode":
        # YAML reads 0644 as the number 420, which nobody can tell from mode 0420.
        digits = node.value if isinstance(node.value, str) else ""
        if not re.fullmatch(r"[0-7]{1,4}", digits):
            raise node.error(
                f"«{node.value}» no es un modo como '0644', entre comillas.",
                f"“{node.value}” is no mode like '0644', in quotes.",
            )
        return cls(int(digits, 8))

    def __str__(self) -> str:
        return f"{self.bits:04o}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that is searched for in the content; `^` and `$` stand for the ends of a line."""

    pattern: str

    @classmethod
    def read(cls, node: Node) -> "Pattern":
        try:
            re.compile(node.text(), re.MULTILINE)
        except re.error as error:
            raise node.error(
                f"«{node.value}» no es una expresión regular: {error}.",
                f"“{node.value}” is no regular expression: {error}.",
            ) from error
        return cls(node.text())

    def __str__(self) -> str:
        return self.pattern


@dataclass(frozen=True, slots=True)
class _Wish:
    """One thing that is asked of what is there; `field` is shown where it does not hold."""

    field: FileField
    phrase: Text
    holds: bool


@check
class FileCheck(SeenFrom):
    """Something is at a path with these properties, or nothing is. Its value is what `field` names of it."""

    file: Annotated[str, "The path, from the root directory of whoever looks."]
    of: Annotated[Subject, "Who sees it; by default the machine."] = Subject()
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "Nothing may be there, not even a link that leads nowhere."] = False
    type: Annotated[
        FileType | None, "What it is; of a link what it leads to, unless `link` is asked for."
    ] = None
    content: Annotated[
        Comparison | None,
        "What the content, without the newline at its end, compares with; as in `{eq: hello}`.",
    ] = None
    contains: Annotated[tuple[str, ...], "Texts that are all in the content."] = ()
    matches: Annotated[Pattern | None, "A regular expression that is found in the content."] = None
    mode: Annotated[FileMode | None, "Its permissions."] = None
    owner: Annotated[int | None, "The uid of its owner, as the machine counts."] = None
    group: Annotated[int | None, "The gid of its group, as the machine counts."] = None
    size: Annotated[Comparison | None, "What its size in bytes compares with; 64K has the kernel's unit."] = (
        None
    )
    target: Annotated[str | None, "It is a symbolic link, and this is written in it."] = None
    field: Annotated[
        FileField | None, "What of it is the value; by default what is asked of it, or else its content."
    ] = None

    example = "{file: /etc/motd, of: {comm: bash}, contains: hello, mode: '0644'}"

    def amount(self, value: Any) -> Any:
        return compare.kernel(value) if self._value_field == "size" else compare.plain(value)

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        try:
            return frozenset(self._question(view) for view in self.views(observation, scope))
        except CannotSee:
            return frozenset()

    def value(self, observation: Observation, scope: Scope) -> Any:
        seen = answer_to(observation, self._question(self.views(observation, scope)[0]))
        return _FIELDS[self._value_field](seen)

    def expected(self, scope: Scope) -> Text:
        place = self.place(scope)
        if self.absent:
            return Text(f"{place.es}, que no exista {self.file}", f"{place.en}, no {self.file}")
        phrases = [wish.phrase for wish in self._wishes(FileSeen())]
        es, en = ", ".join(phrase.es for phrase in phrases), ", ".join(phrase.en for phrase in phrases)
        if not phrases:
            return Text(f"{place.es}, que exista {self.file}", f"{place.en}, {self.file} to exist")
        return Text(f"{place.es}, {self.file}: {es}", f"{place.en}, {self.file}: {en}")

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        seen, look = answer_to(observation, self._question(view)), self._look(view)
        presence = _presence(clean(self.file), seen)
        if not seen.exists or self.absent:
            return self.finding(self.absent and not seen.exists, scope, presence, look)
        wishes = list(self._wishes(seen))
        missed = [wish.field for wish in wishes if not wish.holds]
        if not self._is_about_link and not seen.type:
            return self.finding(False, scope, presence, look)
        observed = _observed(presence, seen, missed or [wish.field for wish in wishes])
        return self.finding(not missed, scope, observed, look)

    @property
    def _is_about_link(self) -> bool:
        return self.type == "link" or self.target is not None

    @property
    def _wants_content(self) -> bool:
        asked = [wish.field for wish in self._wishes(FileSeen())]
        return "content" in asked or self._value_field == "content"

    @property
    def _value_field(self) -> FileField:
        asked = [wish.field for wish in self._wishes(FileSeen())]
        return self.field or (asked[0] if asked else "content")

    def _question(self, view: View) -> FileAt:
        path, content, name = clean(self.file), self._wants_content, view.state.name
        if view.process is None:
            return FileAt(name, path, with_content=content)
        pid, start = view.process.identity
        return FileAt(name, path, pid, start, view.namespace("mnt") or 0, content)

    def _look(self, view: View) -> str:
        """Return the command; what another process sees is below /proc/<pid>/root."""
        is_elsewhere = view.process is not None and (
            view.root != "/" or view.namespace("mnt") != view.state.namespaces.get("mnt")
        )
        path = clean(self.file)
        if is_elsewhere and view.process is not None:
            path = f"/proc/{view.process.pid}/root{path}"
        shows_content = self.content or self.contains or self.matches
        return (
            f"cat {path}" if shows_content else f"stat {path}" if self.size or self.mode else f"ls -ld {path}"
        )

    def _wishes(self, seen: FileSeen) -> Iterator[_Wish]:
        if self.type is not None:
            yield _Wish("type", _TYPES[self.type], self._has_type(seen))
        if self.target is not None:
            phrase = Text(f"enlace a {self.target}", f"a link to {self.target}")
            yield _Wish("target", phrase, seen.target == self.target)
        yield from self._content_wishes(seen.content)
        if self.mode is not None:
            yield _Wish("mode", Text(f"modo {self.mode}", f"mode {self.mode}"), seen.mode == self.mode.bits)
        if self.owner is not None:
            yield _Wish("owner", Text(f"dueño {self.owner}", f"owner {self.owner}"), seen.uid == self.owner)
        if self.group is not None:
            yield _Wish("group", Text(f"grupo {self.group}", f"group {self.group}"), seen.gid == self.group)
        if self.size is not None:
            asked = self.size.phrase()
            phrase = Text(f"tamaño {asked.es}", f"size {asked.en}")
            yield _Wish("size", phrase, self.size.holds(seen.size_bytes, compare.kernel))

    def _content_wishes(self, content: str | None) -> Iterator[_Wish]:
        if self.content is not None:
            asked = self.content.phrase()
            phrase = Text(f"contenido {asked.es}", f"content {asked.en}")
            yield _Wish("content", phrase, content is not None and self.content.holds(content.rstrip("\n")))
        for part in self.contains:
            yield _Wish("content", Text(f"con «{part}»", f"with “{part}”"), part in (content or ""))
        if self.matches is not None:
            phrase = Text(f"que case con /{self.matches}/", f"matching /{self.matches}/")
            found = re.search(self.matches.pattern, content or "", re.MULTILINE)
            yield _Wish("content", phrase, content is not None and found is not None)

    def _has_type(self, seen: FileSeen) -> bool:
        return seen.target is not None if self.type == "link" else seen.type == self.type


def _observed(presence: Text, seen: FileSeen, fields: list[FileField]) -> Text:
    texts = [_shown(field, presence, seen) for field in dict.fromkeys(fields)] or [presence]
    return Text("; ".join(text.es for text in texts), "; ".join(text.en for text in texts))


def _presence(path: str, seen: FileSeen) -> Text:
    """The path is in it, for a prediction's answer is read without what was asked."""
    if not seen.exists:
        return Text(f"no existe {path}", f"{path} does not exist")
    kind = _TYPES.get(seen.type, Text("", ""))
    if seen.target is None:
        return Text(f"{path} es {kind.es}", f"{path} is {kind.en}")
    if not seen.type:
        return Text(
            f"{path} es un enlace a {seen.target}, que no lleva a nada",
            f"{path} is a link to {seen.target}, which leads nowhere",
        )
    return Text(
        f"{path} es un enlace a {seen.target}, {kind.es}", f"{path} is a link to {seen.target}, {kind.en}"
    )


def _shown(field: FileField, presence: Text, seen: FileSeen) -> Text:
    value = _FIELDS[field](seen)
    if field in ("type", "target"):
        return presence
    if field == "content":
        return _content_shown(presence, seen)
    names = {
        "mode": Text("su modo es", "its mode is"),
        "owner": Text("su dueño es el uid", "its owner is uid"),
        "group": Text("su grupo es el gid", "its group is gid"),
        "size": Text("su tamaño en bytes es", "its size in bytes is"),
    }
    return Text(f"{names[field].es} {value}", f"{names[field].en} {value}")


def _content_shown(presence: Text, seen: FileSeen) -> Text:
    if seen.content is None:
        return Text(f"{presence.es}: no tiene contenido", f"{presence.en}: it has no content")
    if not seen.content:
        return Text("está vacío", "it is empty")
    content = seen.content.rstrip("\n")
    short = content[:SHOWN_CHARACTERS] + ("…" if len(content) > SHOWN_CHARACTERS else "")
    line = " ⏎ ".join(
        "".join(sign if sign.isprintable() else "·" for sign in row) for row in short.splitlines()
    )
    return Text(f"su contenido es «{line}»", f"its content is “{line}”")
